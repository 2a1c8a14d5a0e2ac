"""What happens when: the next step of everything that moves by itself. There is no thread that ticks."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar


class Moving(Protocol):
    """What goes its way step by step; `due` is when the next one happens, in the clock's seconds, None for never."""

    due: float | None

    @property
    def moves(self) -> bool:
        """Say whether another step will come by itself."""


M = TypeVar("M", bound=Moving)


class Agenda(Generic[M]):
    """The steps to come, in the order of time; expects the world's lock for everything."""

    def __init__(self, pace: float, clock: Callable[[], float]) -> None:
        self._pace, self._clock = pace, clock
        self._planned: list[tuple[float, int, M]] = []
        self._ties = itertools.count()

    def schedule(self, moving: M, since: float | None = None) -> None:
        """Plan the next step a pace from now, or from the time given, where there is a pace."""
        if self._pace > 0 and moving.moves:
            moving.due = (self._clock() if since is None else since) + self._pace
            self.plan(moving)

    def plan(self, moving: M) -> None:
        """Note the next step for when it is due, if it ever is."""
        if moving.due is not None:
            heapq.heappush(self._planned, (moving.due, next(self._ties), moving))

    def resume(self, moving: M) -> None:
        """Go on with what comes from a state file: where it was, or from now if it had no next step."""
        if moving.due is None:
            self.schedule(moving)
        elif self._pace > 0:
            self.plan(moving)

    def due(self) -> Iterator[tuple[M, float]]:
        """Take what is due now, with the time for which it was planned; steps planned meanwhile are among them."""
        now = self._clock()
        while self._planned and self._planned[0][0] <= now:
            planned, _, moving = heapq.heappop(self._planned)
            # Else it was planned anew, or stopped, since.
            if moving.due == planned:
                yield moving, planned
