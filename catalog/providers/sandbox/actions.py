"""The actions of the sandbox, answering in the shapes of seed 003_31070e689288a311.txt and the errors of PROTOCOL 4.

One function per action (`add` stands in ordering.py, those of products in selling.py), from parameters to the value
that goes over the wire. All of them expect the world's lock.
"""

from collections.abc import Callable
from typing import Any

from catalog.providers.sandbox import selling
from catalog.providers.sandbox.batches import ID_LIMIT, ids, nested, number_if_any
from catalog.providers.sandbox.faults import Misbehaviour
from catalog.providers.sandbox.life import OPEN, SandboxOrder
from catalog.providers.sandbox.ordering import RefusedError, add, whole
from catalog.providers.sandbox.spreading import RUNS
from catalog.providers.sandbox.world import Sandbox


def handle(world: Sandbox, params: dict[str, str]) -> tuple[Misbehaviour | None, Any]:
    """Take one call: note it, find the misbehaviour it meets, and carry it out unless that forbids it."""
    with world.lock:
        fault = world.receive(params)
        if fault and not fault.accepts:
            return fault, {"error": fault.body}
        world.advance()
        try:
            return fault, answer(world, params)
        except RefusedError as refusal:
            return fault, {"error": str(refusal)}


def answer(world: Sandbox, params: dict[str, str]) -> Any:
    """Carry out one call; raises RefusedError with the text to answer."""
    if params.get("key", "").strip() != world.key:
        raise RefusedError("Invalid API key")
    act = ACTIONS.get(params.get("action", ""))
    if act is None:
        raise RefusedError("Incorrect request")
    return act(world, params)


def services(world: Sandbox, _params: dict[str, str]) -> list[dict[str, Any]]:
    return list(world.services.values())


def balance(world: Sandbox, _params: dict[str, str]) -> dict[str, str]:
    return {"balance": f"{world.balance:.5f}", "currency": world.currency}


def orders(world: Sandbox, params: dict[str, str]) -> list[dict[str, Any]]:
    if not world.habits.lists_orders:
        raise RefusedError("Incorrect request")
    limit = whole(params.get("limit") or str(ID_LIMIT), "Incorrect request")
    return [
        {
            "order": int(order.id),
            "service": order.service,
            "link": order.link,
            "quantity": order.quantity,
            "created_at": int(order.created),
        }
        for order in world.register.newest(limit)
    ]


def status(world: Sandbox, params: dict[str, str]) -> dict[str, Any]:
    if "orders" in params:
        return {order_id: nested(status_of, world, order_id) for order_id in ids(world, params["orders"])}
    return status_of(world, params.get("order", ""))


def status_of(world: Sandbox, order_id: str) -> dict[str, Any]:
    order = find(world, order_id)
    if order.spread:
        return status_of_parent(world, order)
    return {
        "charge": f"{order.charge:.5f}",
        "start_count": str(order.start_count),
        "status": order.status,
        "remains": str(order.remains),
        "currency": world.currency,
    }


def status_of_parent(world: Sandbox, order: SandboxOrder) -> dict[str, Any]:
    parts = [int(part.id) for part in world.register.parts_of(order)]
    news: dict[str, Any] = {"status": order.status}
    if order.spread == RUNS:
        news |= {"charge": f"{order.charge:.5f}", "currency": world.currency}
    else:
        news["expiry"] = order.params.get("expiry", "")
    return {**news, order.spread: order.done, "orders": parts}


def refill(world: Sandbox, params: dict[str, str]) -> Any:
    if "orders" not in params:
        return {"refill": str(refilled(world, params.get("order", "")))}
    answers = {order_id: nested(refilled, world, order_id) for order_id in ids(world, params["orders"])}
    if world.habits.multi_refill == "scalar":
        taken = (answer for answer in answers.values() if isinstance(answer, int))
        first = next(taken, None)
        return next(iter(answers.values())) if first is None else {"refill": str(first)}
    return [{"order": number_if_any(order_id), "refill": answer} for order_id, answer in answers.items()]


def refilled(world: Sandbox, order_id: str) -> int:
    """Take a refill and tell its id; raises RefusedError with the reasons that PROTOCOL 4 lists."""
    order = find(world, order_id)
    if not world.services.get(order.service, {}).get("refill"):
        raise RefusedError("Refill is disabled for this service")
    if order.status not in ("Completed", "Partial"):
        raise RefusedError("The order is not completed")
    if any(earlier.status in OPEN for earlier in world.register.refills_of(order)):
        raise RefusedError("The refill task is not completed for this order")
    return int(world.take_refill(order).id)


def refill_status(world: Sandbox, params: dict[str, str]) -> Any:
    if "refills" in params:
        return [
            {"refill": number_if_any(refill_id), "status": nested(refill_status_of, world, refill_id)}
            for refill_id in ids(world, params["refills"])
        ]
    return {"status": refill_status_of(world, params.get("refill", ""))}


def refill_status_of(world: Sandbox, refill_id: str) -> str:
    found = world.register.refills.get(refill_id.strip())
    if found is None:
        raise RefusedError("Refill not found")
    return found.status


def cancel(world: Sandbox, params: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"order": number_if_any(order_id), "cancel": nested(canceled, world, order_id)}
        for order_id in ids(world, params.get("orders", ""))
    ]


def canceled(world: Sandbox, order_id: str) -> int:
    """Note the wish to cancel, which the next step of the order fulfils; raises RefusedError."""
    order = find(world, order_id)
    if not world.services.get(order.service, {}).get("cancel") or order.status not in OPEN:
        raise RefusedError("Cancel not allowed")
    order.cancel_requested = True
    if order.due is None:
        world.agenda.schedule(order)
    world.register.save(order)
    return 1


def find(world: Sandbox, order_id: str) -> SandboxOrder:
    """Find an order by the id that the caller sent; raises RefusedError."""
    order = world.register.orders.get(order_id.strip())
    if order is None:
        raise RefusedError("Incorrect order ID")
    return order


ACTIONS: dict[str, Callable[[Sandbox, dict[str, str]], Any]] = {
    "services": services,
    "add": add,
    "orders": orders,
    "status": status,
    "balance": balance,
    "refill": refill,
    "refill_status": refill_status,
    "cancel": cancel,
    "products": selling.products,
    "add_product_order": selling.add_product_order,
    "product_order_status": selling.product_order_status,
    "result_product": selling.result_product,
}
