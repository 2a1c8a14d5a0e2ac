"""The actions of `/api/v2`: one function each, and the table that names them (PROTOCOL 1.4, 2.1 and 12)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from accounts.errors import UserError
from accounts.requests import read_id
from catalog import listing
from orders import cancels, forms, placing, refills
from orders.reading import present
from panel.api import shapes
from panel.api.auth import Caller
from panel.api.params import INCORRECT_REQUEST, UNREADABLE
from panel.api.shapes import OrderRow
from panel.api.updates import list_updates

ID_LIMIT = 100
INCORRECT_ORDER = {"error": "Incorrect order ID"}
UNKNOWN_REFILL = {"error": "Refill not found"}
BEYOND_LIMIT = {"error": f"Limit of {ID_LIMIT} IDs exceeded"}

ORDERS = """
SELECT id, charge, refunded, start_count, status, remains, quantity
FROM orders_order WHERE user_id = %s AND id = ANY(%s::bigint[])
"""

REFILLS = """
SELECT refill.id, refill.status
FROM orders_refill refill JOIN orders_order o ON o.id = refill.order_id
WHERE o.user_id = %s AND refill.id = ANY(%s::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an action: who calls, with which parameters, and the header that makes asking twice harmless."""

    caller: Caller
    values: Mapping[str, str]
    idempotency_header: str = ""


def find_action(values: Mapping[str, str]) -> Callable[[Call], object]:
    """Return the action that a request names; raise UserError when it names none."""
    action = ACTIONS.get(present(values, "action"))
    if action is None:
        raise UserError(INCORRECT_REQUEST, field="action")
    return action


def services(call: Call) -> bytes:
    """List what can be bought now, at the very rates that `add` charges the caller: bytes that are made once."""
    return listing.read_list(call.caller.user_id)


def add(call: Call) -> dict[str, int]:
    """Place an order; the same idempotency key and request again answer with the first one's id."""
    key, service = idempotency_key(call), present(call.values, "service")
    try:
        request = forms.parse_order(placing.find_service(service), call.values)
        return {"order": placing.place_order(call.caller.user_id, request, idempotency_key=key)}
    except UserError:
        placed = placing.find_placed(call.caller.user_id, key, service, call.values) if key else None
        if placed is None:
            raise
        return {"order": placed}


def status(call: Call) -> object:
    """Tell how one order or many stand: a comma list in the singular `order` asks for many as well. One query."""
    one, many = present(call.values, "order"), present(call.values, "orders")
    if not many and "," not in one:
        return _statuses(call.caller, [one])[one]
    texts = _split(many or one)
    if not texts:
        raise UserError("Incorrect order ID", field="orders")
    return _statuses(call.caller, texts)


def orders(call: Call) -> object:
    """Answer as `status` when ids are given; other panels mean by this name a list that we do not have."""
    if not present(call.values, "orders"):
        raise UserError(INCORRECT_REQUEST, field="action")
    return status(call)


def refill(call: Call) -> object:
    """Ask for the refill of one order, or of many: a comma list in the singular `order` asks for many as well.

    Every order is a transaction of its own, and asking for many again is harmless: an open refill is not doubled.
    """
    one, many = present(call.values, "order"), present(call.values, "orders")
    if not many and "," not in one:
        return shapes.refill(_request_refill(call.caller, one))
    texts = _split(many or one)
    if not texts:
        raise UserError("Incorrect order ID", field="orders")
    return shapes.items("order", "refill", _each(texts, lambda text: _request_refill(call.caller, text)))


def refill_status(call: Call) -> object:
    """Tell how one refill or many stand: a comma list in the singular `refill` asks for many as well. One query."""
    one, many = present(call.values, "refill"), present(call.values, "refills")
    if not many and "," not in one:
        answer = _refill_statuses(call.caller, [one])[one]
        return answer if isinstance(answer, dict) else {"status": answer}
    texts = _split(many or one)
    if not texts:
        raise UserError("Refill not found", field="refills")
    return shapes.items("refill", "status", _refill_statuses(call.caller, texts))


def cancel(call: Call) -> object:
    """Ask for orders to be canceled: a list even for one. 1 means that the wish is recorded, not that it is granted."""
    texts = _split(present(call.values, "orders") or present(call.values, "order"))
    if not texts:
        raise UserError("Incorrect order ID", field="orders")
    return shapes.items("order", "cancel", _each(texts, lambda text: _request_cancel(call.caller, text)))


def balance(call: Call) -> dict[str, str]:
    """Tell what the caller may spend, as read with his key."""
    return shapes.balance(call.caller.balance)


def updates(call: Call) -> list[dict[str, object]]:
    """List what changed in the list of services, newest first; an extension of ours."""
    return list_updates(call.values)


ACTIONS: dict[str, Callable[[Call], object]] = {
    "services": services,
    "add": add,
    "status": status,
    "orders": orders,
    "statuses": status,
    "multi_status": status,
    "multi-status": status,
    "refill": refill,
    "multiple_refill": refill,
    "refill_status": refill_status,
    "multiple_refill_status": refill_status,
    "cancel": cancel,
    "balance": balance,
    "updates": updates,
}


def idempotency_key(call: Call) -> str:
    """Return the key that makes an order unique: `idempotency_key`, else `request_id`, else the header; may be empty.

    Raises UserError for one that cannot be told from another, since it would not protect.
    """
    given = present(call.values, "idempotency_key") or present(call.values, "request_id")
    key = given or call.idempotency_header.strip()
    if UNREADABLE in key:
        raise UserError("Incorrect idempotency key", field="idempotency_key")
    return key


def _statuses(caller: Caller, texts: Sequence[str]) -> dict[str, object]:
    """Look orders up by ids as they were sent; an id that is wrong, foreign or beyond the limit gets its own error."""
    numbers = {text: number for text in texts[:ID_LIMIT] if (number := read_id(text)) is not None}
    with connection.cursor() as cursor:
        cursor.execute(ORDERS, [caller.user_id, list(numbers.values())])
        found = {row[0]: shapes.status(OrderRow(*row)) for row in cursor.fetchall()}
    known = {text: found.get(numbers.get(text, 0), INCORRECT_ORDER) for text in texts[:ID_LIMIT]}
    return {**known, **dict.fromkeys(texts[ID_LIMIT:], BEYOND_LIMIT)}


def _refill_statuses(caller: Caller, texts: Sequence[str]) -> dict[str, object]:
    """Look refills up by ids as they were sent, as `_statuses` does orders."""
    numbers = {text: number for text in texts[:ID_LIMIT] if (number := read_id(text)) is not None}
    with connection.cursor() as cursor:
        cursor.execute(REFILLS, [caller.user_id, list(numbers.values())])
        found = {number: shapes.refill_status(status) for number, status in cursor.fetchall()}
    known = {text: found.get(numbers.get(text, 0), UNKNOWN_REFILL) for text in texts[:ID_LIMIT]}
    return {**known, **dict.fromkeys(texts[ID_LIMIT:], BEYOND_LIMIT)}


def _request_refill(caller: Caller, text: str) -> int:
    return refills.request_refill(caller.user_id, _order_id(text)).pk


def _request_cancel(caller: Caller, text: str) -> int:
    cancels.request_cancel(caller.user_id, _order_id(text))
    return 1


def _order_id(text: str) -> int:
    """Read an order's id; one that is no number names no order of anybody's."""
    number = read_id(text)
    if number is None:
        raise UserError("Incorrect order ID", field="order")
    return number


def _each(texts: Sequence[str], act: Callable[[str], object]) -> dict[str, object]:
    """Act for every id as it was sent; what is wrong with one is its own error, and no matter of the others."""
    answers: dict[str, object] = {}
    for text in texts[:ID_LIMIT]:
        try:
            answers[text] = act(text)
        except UserError as error:
            answers[text] = {"error": error.text}
    return {**answers, **dict.fromkeys(texts[ID_LIMIT:], BEYOND_LIMIT)}


def _split(text: str) -> list[str]:
    """Return the distinct ids of a comma list, trimmed."""
    return list(dict.fromkeys(one for part in text.split(",") if (one := part.strip())))
