"""From the bytes of an answer to a JSON value (PROTOCOL 6.1). Nothing is ever repaired."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

DEEPEST = 32

# PHP prints its notices before the JSON; a body that is nearly all braces is no such thing, so a few tries are enough.
MOST_TRIES = 64
_OPENING = re.compile(r'\{\s*"|\[\s*[\[{]')
_STARTS_AS_JSON = re.compile(r'\{|\[\s*[\[{"\d]')
_PAGE = re.compile(r"<!doctype|<html|<head|<body|<title|<script|just a moment|attention required", re.IGNORECASE)

# PostgreSQL stores neither, and both can be written in JSON.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Undecodable(Exception):  # noqa: N818 -- an outcome; the caller decides what it means
    """The body holds no JSON value; `kind` is empty, html or not_json."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Decoded:
    """A JSON value; `whole` is False when something else stood before it in the body."""

    value: Any
    whole: bool


def decode(body: bytes) -> Decoded:
    """Read the JSON value of a body, skipping whatever stands before it; raises Undecodable.

    Numbers become int or Decimal, the last of two equal keys wins, and more than 32 levels are refused.
    """
    text = readable(body).strip()
    if not text:
        raise Undecodable("empty")
    value = _parse(text)
    if value is not _NOTHING:
        return Decoded(value, whole=True)
    # A body that begins as JSON and is not is broken JSON: taking a piece out of it would be a repair.
    if _STARTS_AS_JSON.match(text) is None:
        for tail in _tails(text):
            value = _parse(tail)
            if value is not _NOTHING:
                return Decoded(value, whole=False)
    raise Undecodable("html" if _PAGE.search(text) else "not_json")


def readable(body: bytes) -> str:
    """Return a body as text without its byte order mark; what is not UTF-8 is replaced."""
    return body.decode("utf-8", "replace").removeprefix("\ufeff")


def storable(text: str) -> str:
    """Return a text without NUL and lone surrogates, which PostgreSQL refuses."""
    return _UNSTORABLE.sub("", text)


class _Nothing:
    """The mark of a text that is no JSON; null is a value."""


_NOTHING = _Nothing()


def _tails(text: str) -> Iterator[str]:
    if text[-1] not in "}]":
        return
    for tries, match in enumerate(_OPENING.finditer(text)):
        if tries == MOST_TRIES:
            return
        yield text[match.start() :]


def _parse(text: str) -> Any:
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError, ArithmeticError):
        # ValueError covers broken JSON and integers of thousands of digits alike.
        return _NOTHING
    return value if _shallow(value) else _NOTHING


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _shallow(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
