"""Timing two things in turn and saying how they compare: on a shared machine only ratios mean anything (LIMITS)."""

import statistics
import time
from collections.abc import Callable

ROUNDS = 5


def microseconds(action: Callable[[], object], times: int) -> float:
    """Return what one call takes, in microseconds, over so many calls."""
    start = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - start) / times * 1e6


def compare(name: str, ours: Callable[[], object], floor: Callable[[], object], *, times: int) -> float:
    """Time both in alternating rounds, print the medians, and return how many times the floor ours takes."""
    for warm_up in (ours, floor):
        microseconds(warm_up, max(times // 10, 1))
    rounds = [(microseconds(ours, times), microseconds(floor, times)) for _ in range(ROUNDS)]
    ratio = statistics.median(mine / bare for mine, bare in rounds)
    mine, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{name:<28} {mine:>10.0f} µs   floor {bare:>8.0f} µs   ratio {ratio:>6.2f}")  # noqa: T201 - its purpose
    return ratio
