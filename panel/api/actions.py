"""The actions of `/api/v2`: one function each, and the table that names them (PROTOCOL 1.4, 2.1 and 12)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from accounts.errors import UserError
from accounts.requests import read_id
from catalog import listing
from catalog.models import Service
from orders import answering, forms, placing
from orders.reading import present
from panel.api import shapes, worlds
from panel.api.auth import Caller
from panel.api.goods import list_products
from panel.api.params import INCORRECT_REQUEST, UNREADABLE
from panel.api.updates import list_updates
from panel.api.worlds import World

ID_LIMIT = 100
INCORRECT_ORDER = {"error": "Incorrect order ID"}
BEYOND_LIMIT = {"error": f"Limit of {ID_LIMIT} IDs exceeded"}

# What is told about those of some orders that are the caller's, by id.
Read = Callable[[Sequence[int]], Mapping[int, object]]


@dataclass(frozen=True)
class Call:
    """One call of an action: who calls, with which parameters, from where, and what makes asking twice harmless."""

    caller: Caller
    values: Mapping[str, str]
    idempotency_header: str = ""
    address: str = ""

    @cached_property
    def world(self) -> World:
        """Where the call's orders are."""
        return worlds.enter(self.caller)


def carry_out(call: Call) -> object:
    """Carry out the action that a call names; raise UserError when it names none, or one that its key may not use."""
    action = find_action(call.values)
    if action in ORDERING and not call.caller.key.may_order:
        raise UserError("This API key may only read", field="key")
    return action(call)


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
    return _place(call, "service", placing.find_service)


def status(call: Call) -> object:
    """Tell how one order or many stand: a comma list in the singular `order` asks for many as well. One query."""
    return _tell(call, lambda ids: {row.id: shapes.status(row) for row in call.world.read_orders(ids)})


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
        return shapes.refill(call.world.refill(_order_id(one)))
    texts = _split(many or one)
    if not texts:
        raise UserError("Incorrect order ID", field="orders")
    answers = _each(texts, lambda text: call.world.refill(_order_id(text)))
    return shapes.refills(call.caller.key.style, answers)


def refill_status(call: Call) -> object:
    """Tell how one refill or many stand: a comma list in the singular `refill` asks for many as well. One query."""
    one, many = present(call.values, "refill"), present(call.values, "refills")
    if not many and "," not in one:
        answer = _refill_statuses(call, [one])[one]
        return answer if isinstance(answer, dict) else {"status": answer}
    texts = _split(many or one)
    if not texts:
        raise UserError(shapes.unknown_refill(call.caller.key.style), field="refills")
    return shapes.items("refill", "status", _refill_statuses(call, texts))


def cancel(call: Call) -> object:
    """Ask for orders to be canceled: a list even for one. 1 means that the wish is recorded, not that it is granted."""
    texts = _split(present(call.values, "orders") or present(call.values, "order"))
    if not texts:
        raise UserError("Incorrect order ID", field="orders")
    return shapes.items("order", "cancel", _each(texts, lambda text: _cancel(call.world, text)))


def balance(call: Call) -> dict[str, str]:
    """Tell what the caller may spend, as read with his key."""
    return shapes.balance(call.world.balance)


def products(call: Call) -> list[dict[str, object]]:
    """List the products on sale, at the very rates that `add_product_order` charges the caller."""
    return list_products(call.caller.user_id)


def add_product_order(call: Call) -> dict[str, int]:
    """Place an order of a product, as `add` does of a service; goods of our own are there at once."""
    return _place(call, "product", placing.find_product)


def product_order_status(call: Call) -> object:
    """Tell how orders of products stand, as `status` does; `result` names what was delivered and says nothing of it."""
    return _tell(call, lambda ids: {row.id: answering.describe(row) for row in call.world.read_products(ids)})


def result_product(call: Call) -> dict[str, list[str]]:
    """Hand over what was delivered; who was shown it is noted. Empty before, as the order is there and no mistake."""
    return {"result": call.world.reveal(_order_id(present(call.values, "order")), call.address)}


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
    "products": products,
    "add_product_order": add_product_order,
    "product_order_status": product_order_status,
    "result_product": result_product,
    "updates": updates,
}
# What a key that may only read may not do: to take the goods away is to use what was bought.
ORDERING = frozenset({add, refill, cancel, add_product_order, result_product})


def idempotency_key(call: Call) -> str:
    """Return the key that makes an order unique: `idempotency_key`, else `request_id`, else the header; may be empty.

    Raises UserError for one that cannot be told from another, since it would not protect.
    """
    given = present(call.values, "idempotency_key") or present(call.values, "request_id")
    key = given or call.idempotency_header.strip()
    if UNREADABLE in key:
        raise UserError("Incorrect idempotency key", field="idempotency_key")
    return key


def _place(call: Call, name: str, find: Callable[[str], Service]) -> dict[str, int]:
    """Order what a parameter names; the same idempotency key and request again answer with the first one's id."""
    key, wanted = idempotency_key(call), present(call.values, name)
    try:
        request = forms.parse_order(find(wanted), call.values)
        return {"order": call.world.place(request, key)}
    except UserError:
        is_product = name == "product"
        placed = call.world.find_placed(key, wanted, call.values, is_product=is_product) if key else None
        if placed is None:
            raise
        return {"order": placed}


def _tell(call: Call, read: Read) -> object:
    """Tell what is read about one order or many: a comma list in the singular `order` asks for many as well."""
    one, many = present(call.values, "order"), present(call.values, "orders")
    if not many and "," not in one:
        return _statuses(read, [one])[one]
    texts = _split(many or one)
    if not texts:
        raise UserError("Incorrect order ID", field="orders")
    return _statuses(read, texts)


def _statuses(read: Read, texts: Sequence[str]) -> dict[str, object]:
    """Look orders up by ids as they were sent; an id that is wrong, foreign or beyond the limit gets its own error."""
    numbers = _numbers(texts)
    found = read(list(numbers.values()))
    known = {text: found.get(numbers.get(text, 0), INCORRECT_ORDER) for text in texts[:ID_LIMIT]}
    return {**known, **dict.fromkeys(texts[ID_LIMIT:], BEYOND_LIMIT)}


def _refill_statuses(call: Call, texts: Sequence[str]) -> dict[str, object]:
    """Look refills up by ids as they were sent, as `_statuses` does orders."""
    numbers, unknown = _numbers(texts), {"error": shapes.unknown_refill(call.caller.key.style)}
    read = call.world.read_refills(list(numbers.values()))
    found = {number: shapes.refill_status(status) for number, status in read.items()}
    known = {text: found.get(numbers.get(text, 0), unknown) for text in texts[:ID_LIMIT]}
    return {**known, **dict.fromkeys(texts[ID_LIMIT:], BEYOND_LIMIT)}


def _numbers(texts: Sequence[str]) -> dict[str, int]:
    return {text: number for text in texts[:ID_LIMIT] if (number := read_id(text)) is not None}


def _cancel(world: World, text: str) -> int:
    world.cancel(_order_id(text))
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
