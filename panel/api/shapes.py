"""Our objects as the wire writes them, in the shapes of 003_31070e689288a311.txt (PROTOCOL 3.11 and 12).

Amounts are text with 5 places, rates and counts text without an exponent, ids of services and orders numbers; nothing
is ever null, and no success has a key named `error`. Where those documents disagree a key's style decides, and that is
in two rows alone: many refills, and a refill that nobody knows.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import orjson
from django.conf import settings
from django.http import HttpResponse

from accounts.models import ApiKey
from accounts.requests import read_id
from orders.models import Refill


class OrderRow(NamedTuple):
    """What a status says about an order; `remains` and `start_count` are unknown until the first report."""

    id: int
    charge: Decimal
    refunded: Decimal
    start_count: int | None
    status: str
    remains: int | None
    quantity: int


def render(answer: object, *, status: int = 200) -> HttpResponse:
    """Write an answer as JSON in UTF-8 that no cache keeps; bytes are JSON already."""
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    response = HttpResponse(body, content_type="application/json", status=status)
    response["Content-Length"] = str(len(body))
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def amount(money: Decimal) -> str:
    """Write an amount with its 5 places."""
    return f"{money:.5f}"


def status(row: OrderRow) -> dict[str, str]:
    """Describe an order: what it cost in the end, and how far it is."""
    return {
        "charge": amount(row.charge - row.refunded),
        "start_count": str(row.start_count or 0),
        "status": row.status,
        "remains": str(row.quantity if row.remains is None else max(row.remains, 0)),
        "currency": settings.CURRENCY,
    }


def refill(refill_id: int) -> dict[str, str]:
    """Describe a refill that was asked for: its id, as text where there is one only."""
    return {"refill": str(refill_id)}


def refills(style: str, answers: Mapping[str, object]) -> object:
    """Describe refills of several orders: a list, or as 000_fa79b687568cfb1d.txt has it the first that was accepted.

    Where none was accepted that is the first error.
    """
    if style != ApiKey.Style.FIRST:
        return items("order", "refill", answers)
    accepted = next((answer for answer in answers.values() if isinstance(answer, int)), None)
    return next(iter(answers.values())) if accepted is None else refill(accepted)


def unknown_refill(style: str) -> str:
    """Return the error for a refill that is nobody's, or not the caller's."""
    return "Incorrect refill ID" if style == ApiKey.Style.FIRST else "Refill not found"


def refill_status(status: str) -> str:
    """Name a refill's status in the words of the wire, which has none for an error."""
    return Refill.Status.REJECTED.value if status == Refill.Status.ERROR else status


def items(id_name: str, name: str, answers: Mapping[str, object]) -> list[dict[str, object]]:
    """List what is said about ids as they were sent: those that are numbers as numbers."""
    return [{id_name: _number(text), name: answer} for text, answer in answers.items()]


def balance(money: Decimal) -> dict[str, str]:
    """Describe what the caller may spend."""
    return {"balance": amount(money), "currency": settings.CURRENCY}


def _number(text: str) -> int | str:
    """Write an id as the number that it is, or as it was sent: nobody finds 007 under 7."""
    number = read_id(text)
    return text if number is None or str(number) != text else number
