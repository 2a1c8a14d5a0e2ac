"""A sandbox on a fake clock, the same on a socket, and a caller that speaks to it as clients do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from catalog.providers.sandbox import Sandbox, serving

Call = Callable[..., Any]


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> Sandbox:
    return Sandbox(pace=1.0, clock=clock)


@pytest.fixture
def url(world: Sandbox) -> Iterator[str]:
    with serving(world) as address:
        yield address


@pytest.fixture
def call(url: str) -> Iterator[Call]:
    """Send one action as a form and read the JSON of the answer."""
    with requests.Session() as session:

        def send(action: str, **params: Any) -> Any:
            return session.post(url, data={"key": "sandbox-key", "action": action, **params}, timeout=10).json()

        yield send
