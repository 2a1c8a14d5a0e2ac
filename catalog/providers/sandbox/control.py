"""The control channel of the sandbox, for tests in other processes; sandbox/__init__.py lists its operations."""

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from catalog.providers.sandbox.world import Sandbox

PATH = "/__sandbox__"


def handle(world: Sandbox, address: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Carry out one operation for a caller on this machine who knows the key; tell HTTP status and answer."""
    if not ipaddress.ip_address(address).is_loopback:
        return 403, {"error": "Only from this machine"}
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        return 400, {"error": "Send a JSON object"}
    if asked.pop("key", None) != world.key:
        return 403, {"error": "Invalid API key"}
    operation = OPERATIONS.get(str(asked.pop("op", "")))
    if operation is None:
        return 400, {"error": f"Unknown op; known: {', '.join(OPERATIONS)}"}
    try:
        return 200, {"result": operation(world, **asked)}
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return 400, {"error": f"{type(error).__name__}: {error}"}


def received(world: Sandbox, action: str = "", *, count: bool = False) -> Any:
    with world.lock:
        calls = [call for call in world.received if action in ("", call.get("action"))]
    return len(calls) if count else calls


def orders(world: Sandbox, link: str = "") -> dict[str, Any]:
    with world.lock:
        world.advance()
        listed = {order.id: order for order in world.register.at(link)} if link else world.register.orders
        return {number: order.record() for number, order in listed.items()}


def set_order(world: Sandbox, order: str, fields: dict[str, Any]) -> None:
    world.set_order(str(order), **fields)


def set_refill(world: Sandbox, refill: str, status: str) -> None:
    world.set_refill(str(refill), status)


def set_service(world: Sandbox, service: int, fields: dict[str, Any]) -> None:
    world.set_service(int(service), **fields)


def product_orders(world: Sandbox) -> dict[str, Any]:
    return {number: {**order.record(), "goods": order.goods} for number, order in world.warehouse.orders.items()}


def set_product_order(world: Sandbox, order: str, fields: dict[str, Any]) -> None:
    world.warehouse.set_order(str(order), **fields)


def set_product(world: Sandbox, product: int, fields: dict[str, Any]) -> None:
    world.warehouse.set_product(int(product), **fields)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "received": received,
    "orders": orders,
    "accepted": Sandbox.accepted,
    "balance": lambda world: f"{world.balance:f}",
    "misbehave": Sandbox.misbehave,
    "misrule": Sandbox.misrule,
    "behave": Sandbox.behave,
    "configure": Sandbox.configure,
    "set_order": set_order,
    "add_child": lambda world, parent: world.add_child(str(parent)),
    "set_refill": set_refill,
    "set_service": set_service,
    "remove_service": Sandbox.remove_service,
    "product_orders": product_orders,
    "accepted_products": lambda world, require="", product="": world.warehouse.accepted(require, product=str(product)),
    "set_product_order": set_product_order,
    "set_product": set_product,
    "remove_product": lambda world, product: world.warehouse.remove_product(int(product)),
}
