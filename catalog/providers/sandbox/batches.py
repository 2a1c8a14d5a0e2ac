"""Calls about many ids at once (PROTOCOL 1.6): each id gets an answer of its own. Expects the world's lock."""

from collections.abc import Callable
from typing import Any

from catalog.providers.sandbox.ordering import RefusedError
from catalog.providers.sandbox.world import Sandbox

ID_LIMIT = 100


def ids(world: Sandbox, text: str) -> list[str]:
    """Split a comma list into distinct trimmed ids; raises RefusedError when that cannot be or is not done here."""
    if not world.habits.batches and "," in text:
        raise RefusedError("Incorrect order ID")
    distinct = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not 1 <= len(distinct) <= ID_LIMIT:
        raise RefusedError("Incorrect request")
    return distinct


def nested(act: Callable[[Sandbox, str], Any], world: Sandbox, one: str) -> Any:
    """Answer for one id of several: the value, or the error as an object in its place."""
    try:
        return act(world, one)
    except RefusedError as refusal:
        return {"error": str(refusal)}


def number_if_any(text: str) -> int | str:
    """Write an id as the number that it is in lists, or as it was sent when it is none."""
    return int(text) if text.isdecimal() else text
