"""One provider in a process of its own, which counts by kind the misbehaviour that its callers met.

`python -m tests.chaos.sandbox_process NAME.state PACE` prints the address of its API once it answers.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from catalog.providers.sandbox import Misbehaviour, Sandbox, control, serve_forever


class CountingSandbox(Sandbox):
    """A sandbox that keeps a tally of what it did to its callers, by action and kind."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.met: Counter[str] = Counter()

    def receive(self, params: dict[str, str]) -> Misbehaviour | None:
        with self.lock:
            fault = super().receive(params)
            self.met[f"{params.get('action', '')} {fault.kind if fault else 'well'}"] += 1
            return fault


def main(state: str, pace: str) -> None:
    control.OPERATIONS["met"] = lambda world: dict(world.met)
    control.OPERATIONS["refills"] = lambda world: {number: refill.status for number, refill in world.refills.items()}
    world = CountingSandbox(pace=float(pace), state=Path(state))
    serve_forever(world, 0, ready=lambda url: print(url, flush=True))  # noqa: T201 - how it is found


if __name__ == "__main__":
    main(*sys.argv[1:])
