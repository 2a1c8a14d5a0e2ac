"""Reading `add`, `balance` and the news about one order, refill or cancel (PROTOCOL 3.2 to 3.9).

Functions named after an item take it as it stood in a single answer or in a batch; None means that it says nothing.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from catalog.providers import amounts, statuses
from catalog.providers.answers import Answer
from catalog.providers.decoding import storable
from catalog.providers.fields import (
    ID_NAMES,
    ORDER_NAMES,
    REPORT_FIELDS,
    Misshapen,
    error_text,
    first_id,
    folded,
    id_of,
    text_of,
    truthy,
)
from catalog.providers.replies import (
    Added,
    Balance,
    CancelAccepted,
    ItemError,
    ProductReport,
    ProductResult,
    RefillAccepted,
    RefillReport,
    StatusReport,
)

LONGEST_WORD = 100
LISTS_OF_CHILDREN = 10_000
# Not splitlines, which would also break at signs that a password may hold.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

Refuse = Callable[[str], ItemError]

_ACCEPTED = frozenset({"requested", "success", "ok", "accepted", "true", "1", "pending", "processing"})


def added(answer: Answer) -> Added | None:
    """Return the order that an answer names, step 1 of the order of judgement, or None.

    An order's id counts with any HTTP status and even in a body cut off behind it. A bare `id` or number may be that of
    anything, so it counts only in a whole 2xx answer that reports no error.
    """
    unquestioned = answer.whole and answer.error is None and 200 <= (answer.reply.status or 0) < 300
    raw = answer.evidence
    if not isinstance(answer.value, Mapping):
        bare = id_of(answer.value)
        return Added(bare, None, raw) if unquestioned and bare.isdigit() else None
    row = folded(answer.value)
    nested = folded(row["data"]) if isinstance(row.get("data"), Mapping) else {}
    found = first_id(row, ORDER_NAMES) or first_id(nested, ORDER_NAMES)
    if not found and unquestioned:
        found = first_id(nested, ID_NAMES) or first_id(row, ID_NAMES)
    charge = amounts.optional(row.get("charge", nested.get("charge")))
    return Added(found, charge, raw) if found else None


def balance(value: Any) -> Balance:
    """Read a balance in any of its shapes; raises Misshapen."""
    if not isinstance(value, Mapping):
        return _balance(value, "")
    row = folded(value)
    if isinstance(row.get("data"), Mapping):
        row = {**row, **folded(row["data"])}
    currency = row.get("currency")
    for name in ("balance", "funds", "amount"):
        amount = row.get(name)
        if isinstance(amount, Mapping):
            inner = folded(amount)
            return _balance(inner.get("amount", inner.get("balance")), text_of(inner.get("currency", currency)))
        if amount is not None:
            return _balance(amount, text_of(currency))
    raise Misshapen("The answer holds no balance")


def _balance(value: Any, currency: str) -> Balance:
    try:
        amount = amounts.number(value)
    except ValueError as error:
        raise Misshapen(f"The balance is {error}") from error
    return Balance(amount, (currency or amounts.currency_in(value)).upper()[:8])


def status_item(numeric: Mapping[str, str], item: Any, refuse: Refuse) -> StatusReport | ItemError | None:
    """Read the news about one order; `numeric` is the provider's own map of status codes."""
    if isinstance(item, str):
        return refuse(item)
    if not isinstance(item, Mapping):
        return None
    row = folded(item)
    failure = error_text(item) or _inner_error(row.get("status"))
    if failure is not None:
        return refuse(failure)
    word = text_of(row.get("order_status")) or text_of(row.get("status"))
    details = [
        name
        for name in (*REPORT_FIELDS, "start_counter", "remain", "runs", "posts", "orders", "currency")
        if name in row
    ]
    # "success" alone is a call's result, not an order's status.
    if not details and (not word or word.lower() == "success"):
        return None
    children = row.get("orders")
    return StatusReport(
        status=statuses.order_status(word, numeric),
        word=word[:LONGEST_WORD],
        charge=amounts.optional(row.get("charge")),
        start_count=amounts.count(row.get("start_count", row.get("start_counter"))),
        remains=amounts.count(row.get("remains", row.get("remain"))),
        currency=text_of(row.get("currency")).upper()[:8],
        children=_ids(children),
        runs=amounts.count(row.get("runs")),
        posts=amounts.count(row.get("posts")),
    )


def refill_item(asked: str, item: Any, refuse: Refuse) -> RefillAccepted | ItemError | None:
    """Read what became of the wish to refill one order; the refill may come without an id."""
    if not isinstance(item, Mapping):
        return _bare_refill(asked, item, refuse)
    row = folded(item)
    failure = _inner_error(row.get("refill")) or _inner_error(row.get("status")) or error_text(item)
    if failure is not None:
        return refuse(failure)
    refill_id = first_id(row, ("refill", "refill_id", "refillid"))
    if refill_id or _says_accepted(row, "refill"):
        return RefillAccepted(asked, refill_id)
    return None


def _bare_refill(asked: str, item: Any, refuse: Refuse) -> RefillAccepted | ItemError | None:
    refill_id = id_of(item)
    if refill_id and (not isinstance(item, str) or refill_id.isdigit()):
        return RefillAccepted(asked, refill_id)
    return refuse(item) if isinstance(item, str) else None


def cancel_item(asked: str, item: Any, refuse: Refuse) -> CancelAccepted | ItemError | None:
    """Read what became of the wish to cancel one order."""
    if not isinstance(item, Mapping):
        if item is True or id_of(item).isdigit() or text_of(item).lower() in _ACCEPTED:
            return CancelAccepted(asked)
        return refuse(item) if isinstance(item, str) else None
    row = folded(item)
    failure = _inner_error(row.get("cancel")) or _inner_error(row.get("status")) or error_text(item)
    if failure is not None:
        return refuse(failure)
    return CancelAccepted(asked) if _says_accepted(row, "cancel") else None


def _says_accepted(row: Mapping[str, Any], name: str) -> bool:
    if name in row:
        return row[name] is True or bool(id_of(row[name])) or text_of(row[name]).lower() in _ACCEPTED
    return truthy(row.get("success")) or text_of(row.get("status")).lower() in _ACCEPTED


def refill_status_item(asked: str, item: Any, refuse: Refuse) -> RefillReport | ItemError | None:
    """Read the news about one refill."""
    if isinstance(item, str):
        known = statuses.refill_status(item)
        return RefillReport(asked, known, text_of(item)[:LONGEST_WORD]) if known else refuse(item)
    if not isinstance(item, Mapping):
        return None
    row = folded(item)
    failure = _inner_error(row.get("status")) or _inner_error(row.get("refill")) or error_text(item)
    if failure is not None:
        return refuse(failure)
    word = text_of(row.get("status"))
    return RefillReport(asked, statuses.refill_status(word), word[:LONGEST_WORD]) if word else None


def product_item(_asked: str, item: Any, refuse: Refuse) -> ProductReport | ItemError | None:
    """Read the news about one product order."""
    if isinstance(item, str):
        # One that nobody has classed may be goods, which must not become the text of an error.
        refused = refuse(item)
        return refused if refused.refusal_class else None
    if not isinstance(item, Mapping):
        return None
    row = folded(item)
    failure = error_text(item) or _inner_error(row.get("status"))
    if failure is not None:
        return refuse(failure)
    word = text_of(row.get("status"))
    if not word and "charge" not in row:
        return None
    return ProductReport(
        status=statuses.order_status(word),
        word=word[:LONGEST_WORD],
        charge=amounts.optional(row.get("charge")),
        remains=amounts.count(row.get("remains")),
        note=text_of(row.get("note")),
        result="\n".join(_lines(row.get("result"))),
    )


def result(value: Any) -> ProductResult:
    """Read the delivered lines of a product order; raises Misshapen."""
    row = folded(value) if isinstance(value, Mapping) else {}
    if isinstance(row.get("data"), Mapping):
        row = folded(row["data"])
    lines = _lines(value if isinstance(value, list) else row.get("result"))
    if not lines and not isinstance(row.get("result", value), list):
        raise Misshapen("The answer holds no result")
    return ProductResult(tuple(lines))


def _lines(value: Any) -> list[str]:
    """Return goods line by line; one that is no text is kept as it was written, for it was paid for."""
    if isinstance(value, str):
        value = _LINE_BREAK.split(value)
    elif isinstance(value, Mapping) and all(key.isdecimal() for key in value):
        # A list of PHP's that lost an element on its way.
        value = list(value.values())
    items = value if isinstance(value, list) else [value]
    return [line for item in items if (line := _line(item))]


def _line(item: Any) -> str:
    if item is None or isinstance(item, str | int | Decimal):
        return text_of(item, longest=sys.maxsize)
    return storable(json.dumps(item, ensure_ascii=False, default=str))


def _ids(value: Any) -> tuple[str, ...]:
    items = value[:LISTS_OF_CHILDREN] if isinstance(value, list) else []
    return tuple(found for item in items if (found := id_of(item)))


def _inner_error(value: Any) -> str | None:
    """Return the text of an error that stands where an id or a word should."""
    if not isinstance(value, Mapping):
        return None
    return error_text(value) or next((text for inner in value.values() if (text := text_of(inner))), "error")
