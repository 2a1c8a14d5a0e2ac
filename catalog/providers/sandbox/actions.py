"""The actions of the sandbox, answering in the shapes of seed 003_31070e689288a311.txt and the errors of PROTOCOL 4.

One function per action, from parameters to the value that goes over the wire. All of them expect the world's lock.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from catalog.providers.sandbox.catalogue import NEEDED_BY_TRAFFIC, TRAFFIC, WEB_TRAFFIC_FIELDS
from catalog.providers.sandbox.faults import Misbehaviour
from catalog.providers.sandbox.life import OPEN, SandboxOrder, fragment, rounded
from catalog.providers.sandbox.world import Sandbox

ID_LIMIT = 100
LINK_LIMIT = 2048
REFUSED_BY_FRAGMENT = {
    "refuse-link": "Invalid link",
    "refuse-service": "Incorrect service ID",
    "no-funds": "Not enough funds on balance",
}


class RefusedError(Exception):
    """The call is refused; the text is what the caller reads."""


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


def add(world: Sandbox, params: dict[str, str]) -> dict[str, int]:
    service = next((row for number, row in world.services.items() if str(number) == params.get("service")), None)
    if service is None:
        raise RefusedError("Incorrect service ID")
    link = params.get("link", "").strip()
    if not link or len(link) > LINK_LIMIT or re.search(r"[\s\x00-\x1f]", link):
        raise RefusedError("Invalid link")
    if fragment(link) in REFUSED_BY_FRAGMENT:
        raise RefusedError(REFUSED_BY_FRAGMENT[fragment(link)])
    kind = str(service["type"])
    comments = [line.strip() for line in re.split(r"\r\n|\r|\n", params.get("comments", "")) if line.strip()]
    if kind == "Web Traffic":
        demand_traffic_fields(params)
    quantity = ordered_quantity(service, params, comments)
    gross = Decimal(str(service["rate"])) * (1 if kind == "Package" else Decimal(quantity) / 1000)
    if rounded(gross) > world.balance:
        raise RefusedError("Not enough funds on balance")
    order = world.take(
        service=int(service["service"]),
        link=link,
        quantity=quantity,
        comments=comments,
        params={name: value for name, value in params.items() if name != "key"},
        gross=rounded(gross),
    )
    return {"order": int(order.id)}


def ordered_quantity(service: dict[str, Any], params: dict[str, str], comments: list[str]) -> int:
    """Count what is ordered, over all runs, within the limits of the service (PROTOCOL 2); raises RefusedError."""
    if service["type"] == "Package":
        return 1
    if service["type"] == "Custom Comments":
        if not comments:
            raise RefusedError("Incorrect comments")
        quantity, runs = len(comments), 1
    else:
        quantity = whole(params.get("quantity", ""), "Incorrect quantity")
        runs = ordered_runs(service, params)
    if quantity < int(service["min"]):
        raise RefusedError(f"Quantity less than minimal {service['min']}")
    if quantity * runs > int(service["max"]):
        raise RefusedError(f"Quantity more than maximum {service['max']}")
    return quantity * runs


def ordered_runs(service: dict[str, Any], params: dict[str, str]) -> int:
    """Read runs and interval, which come together or not at all; raises RefusedError."""
    if not params.get("runs") and not params.get("interval"):
        return 1
    if service.get("dripfeed") is False:
        raise RefusedError("Dripfeed is not supported by this service")
    runs = whole(params.get("runs", ""), "Incorrect runs")
    if runs < 2:
        raise RefusedError("Incorrect runs")
    if whole(params.get("interval", ""), "Incorrect interval") < 1:
        raise RefusedError("Incorrect interval")
    return runs


def demand_traffic_fields(params: dict[str, str]) -> None:
    """Look for what web traffic needs beside link and quantity; raises RefusedError."""
    needed = (*WEB_TRAFFIC_FIELDS, NEEDED_BY_TRAFFIC.get(params.get(TRAFFIC, ""), TRAFFIC))
    if params.get(TRAFFIC) not in NEEDED_BY_TRAFFIC or not all(params.get(name, "").strip() for name in needed):
        raise RefusedError("Incorrect request")


def status(world: Sandbox, params: dict[str, str]) -> dict[str, Any]:
    if "orders" in params:
        return {order_id: nested(status_of, world, order_id) for order_id in ids(params["orders"])}
    return status_of(world, params.get("order", ""))


def status_of(world: Sandbox, order_id: str) -> dict[str, str]:
    order = find(world, order_id)
    return {
        "charge": f"{order.charge:.5f}",
        "start_count": str(order.start_count),
        "status": order.status,
        "remains": str(order.remains),
        "currency": world.currency,
    }


def refill(world: Sandbox, params: dict[str, str]) -> Any:
    if "orders" in params:
        return [
            {"order": number_if_any(order_id), "refill": nested(refilled, world, order_id)}
            for order_id in ids(params["orders"])
        ]
    return {"refill": str(refilled(world, params.get("order", "")))}


def refilled(world: Sandbox, order_id: str) -> int:
    """Take a refill and tell its id; raises RefusedError with the reasons that PROTOCOL 4 lists."""
    order = find(world, order_id)
    if not world.services.get(order.service, {}).get("refill"):
        raise RefusedError("Refill is disabled for this service")
    if order.status not in ("Completed", "Partial"):
        raise RefusedError("The order is not completed")
    if any(earlier.order == order.id and earlier.status in OPEN for earlier in world.refills.values()):
        raise RefusedError("The refill task is not completed for this order")
    return int(world.take_refill(order).id)


def refill_status(world: Sandbox, params: dict[str, str]) -> Any:
    if "refills" in params:
        return [
            {"refill": number_if_any(refill_id), "status": nested(refill_status_of, world, refill_id)}
            for refill_id in ids(params["refills"])
        ]
    return {"status": refill_status_of(world, params.get("refill", ""))}


def refill_status_of(world: Sandbox, refill_id: str) -> str:
    found = world.refills.get(refill_id.strip())
    if found is None:
        raise RefusedError("Refill not found")
    return found.status


def cancel(world: Sandbox, params: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"order": number_if_any(order_id), "cancel": nested(canceled, world, order_id)}
        for order_id in ids(params.get("orders", ""))
    ]


def canceled(world: Sandbox, order_id: str) -> int:
    """Note the wish to cancel, which the next step of the order fulfils; raises RefusedError."""
    order = find(world, order_id)
    if not world.services.get(order.service, {}).get("cancel") or order.status not in OPEN:
        raise RefusedError("Cancel not allowed")
    order.cancel_requested = True
    if order.due is None:
        world.schedule(order)
    world.save(order)
    return 1


def find(world: Sandbox, order_id: str) -> SandboxOrder:
    """Find an order by the id that the caller sent; raises RefusedError."""
    order = world.order(order_id.strip())
    if order is None:
        raise RefusedError("Incorrect order ID")
    return order


def ids(text: str) -> list[str]:
    """Split a comma list into distinct trimmed ids; raises RefusedError when it is empty or too long."""
    distinct = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not 1 <= len(distinct) <= ID_LIMIT:
        raise RefusedError("Incorrect request")
    return distinct


def whole(text: str, error: str) -> int:
    """Read a whole number without sign or separators; raises RefusedError with the given text."""
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise RefusedError(error)
    return int(text)


def nested(act: Callable[[Sandbox, str], Any], world: Sandbox, one: str) -> Any:
    """Answer for one id of several: the value, or the error as an object in its place."""
    try:
        return act(world, one)
    except RefusedError as refusal:
        return {"error": str(refusal)}


def number_if_any(text: str) -> int | str:
    """Write an id as the number that it is in lists, or as it was sent when it is none."""
    return int(text) if text.isdecimal() else text


ACTIONS: dict[str, Callable[[Sandbox, dict[str, str]], Any]] = {
    "services": services,
    "add": add,
    "status": status,
    "balance": balance,
    "refill": refill,
    "refill_status": refill_status,
    "cancel": cancel,
}
