"""Taking single fields out of decoded answers: ids, texts, flags and the envelopes of errors (PROTOCOL 3 and 4)."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from catalog.providers import amounts
from catalog.providers.decoding import storable

LONGEST_NAME = 1000

# Whatever could break a list of ids or a page is no part of one.
_ID = re.compile(r"[A-Za-z0-9_.:#/+=@|~-]{1,128}", re.ASCII)
_NUMERIC = re.compile(r"[+-]?[0-9.]+", re.ASCII)
_NO_IDS = frozenset({"null", "none", "nil", "undefined", "nan", "true", "false", "ok", "yes", "no"})
_NO_IDS_EITHER = frozenset({"success", "error", "fail", "failed", "rejected", "pending", "accepted"})
_FALSY_WORDS = frozenset({"", "0", "false", "null", "none", "no"})
_SAYS_NOTHING = frozenset({"1", "true", "yes", "error", "fail", "failed"})
_FAILURES = frozenset({"error", "fail", "failed", "false"})

ORDER_NAMES = ("order", "order_id", "orderid")
ID_NAMES = (*ORDER_NAMES, "id")
REPORT_FIELDS = ("charge", "remains", "start_count")
MESSAGES = ("message", "msg", "text", "error_message", "description", "detail", "error")


class Misshapen(Exception):  # noqa: N818 -- an outcome; the caller decides what it means
    """A JSON value is not in any known shape of its action; the text says what is wrong."""


def folded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its keys in lower case; a key written so already wins over another case of it."""
    low = {key.strip().lower(): value for key, value in row.items()}
    if len(low) < len(row):
        low.update({key: value for key, value in row.items() if key in low})
    return low


def text_of(value: Any, *, longest: int = LONGEST_NAME) -> str:
    """Return a field as trimmed text: empty for null, booleans and containers."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    return storable(str(value)).strip()[:longest]


def id_of(value: Any) -> str:
    """Return an id as text ("23501" and 23501 are one id), or an empty text where there is none.

    None of these is an id: true, false, null, 0, negative numbers, blanks, words such as "success", and texts with
    spaces or commas.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() > 18 or value != value.to_integral_value():
            return ""
        value = int(value)
    if isinstance(value, int):
        return str(value) if 0 < value < 10**40 else ""
    text: str = value.strip()
    if not _ID.fullmatch(text) or text.lower() in _NO_IDS | _NO_IDS_EITHER:
        return ""
    if _NUMERIC.fullmatch(text):
        return text if text.isdigit() and text.strip("0") else ""
    return text


def first_id(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first id found under the names in a folded row, or an empty text."""
    for name in names:
        found = id_of(row.get(name))
        if found:
            return found
    return ""


def flag(value: Any) -> bool | None:
    """Read a yes or no in any of its writings, or None where it is neither."""
    if isinstance(value, bool):
        return value
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text_of(value).lower())


def truthy(value: Any) -> bool:
    """Tell whether a field named `error` reports one: false, null, "", "0", [] and {} do not."""
    if isinstance(value, str):
        return value.strip().lower() not in _FALSY_WORDS
    return bool(value)


def error_text(value: Any) -> str | None:
    """Return the text of the error that a value is, in any envelope of PROTOCOL 4, or None when it is none.

    A status of error, fail or false counts only beside a message and without an id or a field of an order's report:
    alone it is an order's status.
    """
    if isinstance(value, str):
        return None if not value.strip() or amounts.optional(value) is not None else storable(value).strip()
    if not isinstance(value, Mapping):
        return None
    row = folded(value)
    for name in ("error", "errors"):
        if truthy(row.get(name)):
            return _spoken(row[name]) or _message(row) or name
    if "success" in row and flag(row["success"]) is False:
        return _message(row) or "success: false"
    failed = str(row.get("status", "")).strip().lower() in _FAILURES
    if failed and _message(row) and not first_id(row, ID_NAMES) and not any(name in row for name in REPORT_FIELDS):
        return _message(row)
    return None


def _message(row: Mapping[str, Any]) -> str:
    return _first_spoken(row.get(name) for name in MESSAGES)


def _spoken(value: Any) -> str:
    """Return the first text that says something inside a value."""
    if isinstance(value, str | int | Decimal):
        text = text_of(value)
        return "" if text.lower() in _SAYS_NOTHING else text
    if isinstance(value, Mapping):
        row = folded(value)
        return _message(row) or _first_spoken(row.values())
    return _first_spoken(value) if isinstance(value, list) else ""


def _first_spoken(values: Iterable[Any]) -> str:
    for value in values:
        spoken = _spoken(value)
        if spoken:
            return spoken
    return ""
