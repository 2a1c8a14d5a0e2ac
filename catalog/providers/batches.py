"""Which piece of an answer is about which id: by key, then by an id field, never by position (PROTOCOL 1.6, trap 7)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalog.providers.fields import first_id, folded

CONTAINERS = ("data", "orders", "refills", "statuses", "result", "results", "response")


def unique(ids: Iterable[str]) -> list[str]:
    """Return the ids trimmed, without blanks and repetitions, in their order."""
    return list(dict.fromkeys(trimmed for one in ids if (trimmed := one.strip())))


def items_by_id(value: Any, asked: Sequence[str], names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the items of a batch answer by the ids asked for, or None when it is no batch answer.

    An id that is missing, or that an item contradicts, is left out: nothing is known about it.
    """
    value = _unwrapped(value, asked)
    wanted = _Wanted(asked)
    if isinstance(value, list):
        if not all(isinstance(item, Mapping) for item in value):
            return None
        pairs = [(wanted.find(first_id(folded(item), names)), item) for item in value]
    elif isinstance(value, Mapping):
        pairs = [(_owner(key, item, wanted, names), item) for key, item in value.items()]
        known = any(owner for owner, _ in pairs)
        if not known and not all(isinstance(item, Mapping) for item in value.values()):
            return None
    else:
        return None
    return {owner: item for owner, item in pairs if owner}


def single_item(value: Any, asked: str, names: tuple[str, ...]) -> Any:
    """Return what a single answer says about the id asked for, or None when it speaks of another."""
    if isinstance(value, list):
        return single_item(value[0], asked, names) if len(value) == 1 else None
    if not isinstance(value, Mapping):
        return value
    row = folded(value)
    for name in ("data", *names[:1]):
        if isinstance(row.get(name), Mapping | list) and not _is_error(row[name]):
            return single_item(row[name], asked, names)
    named = first_id(row, names)
    return value if not named or _Wanted([asked]).find(named) else None


class _Wanted:
    """The ids asked for, found as written or without leading zeros, which some servers drop."""

    def __init__(self, asked: Sequence[str]) -> None:
        self._exact = frozenset(asked)
        self._bare = {one.lstrip("0"): one for one in asked}

    def find(self, written: str) -> str:
        written = written.strip()
        return written if written in self._exact else self._bare.get(written.lstrip("0"), "")


def _owner(key: str, item: Any, wanted: _Wanted, names: tuple[str, ...]) -> str:
    by_key = wanted.find(key)
    by_field = wanted.find(first_id(folded(item), names)) if isinstance(item, Mapping) else ""
    if by_key and by_field and by_key != by_field:
        return ""
    return by_key or by_field


def _unwrapped(value: Any, asked: Sequence[str]) -> Any:
    if not isinstance(value, Mapping) or any(key.strip() in asked for key in value):
        return value
    row = folded(value)
    return next((row[name] for name in CONTAINERS if isinstance(row.get(name), Mapping | list)), value)


def _is_error(value: Any) -> bool:
    return isinstance(value, Mapping) and "error" in folded(value)
