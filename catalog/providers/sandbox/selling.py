"""The actions about products, answering in the shapes of seed 000_fa79b687568cfb1d.txt, where numbers are numbers.

All of them expect the world's lock, and raise RefusedError with the text to answer.
"""

from decimal import Decimal
from typing import Any

from catalog.providers.sandbox.batches import ids, nested
from catalog.providers.sandbox.catalogue import OUT_OF_STOCK
from catalog.providers.sandbox.goods import SandboxProductOrder
from catalog.providers.sandbox.life import fragment, rounded
from catalog.providers.sandbox.ordering import RefusedError, whole
from catalog.providers.sandbox.world import Sandbox

REFUSED_BY_FRAGMENT = {
    "refuse-product": "Incorrect product ID",
    "out-of-stock": OUT_OF_STOCK,
    "no-funds": "Not enough funds on balance",
}


def products(world: Sandbox, _params: dict[str, str]) -> list[dict[str, Any]]:
    demand(world.habits.has_products)
    return list(world.warehouse.products.values())


def add_product_order(world: Sandbox, params: dict[str, str]) -> dict[str, int]:
    demand(world.habits.has_products)
    known = world.register.product_keyed(params) if world.habits.remembers_keys else None
    if known is not None:
        return {"order": int(known.id)}
    row = next((row for number, row in world.warehouse.products.items() if str(number) == params.get("product")), None)
    if row is None:
        raise RefusedError("Incorrect product ID")
    wanted = ordered(row, params)
    if wanted["gross"] > world.balance:
        raise RefusedError("Not enough funds on balance")
    sent = {name: value for name, value in params.items() if name != "key"}
    taken = world.warehouse.take(product=int(row["product"]), params=sent, created=world.clock(), **wanted)
    return {"order": int(taken.id)}


def ordered(row: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
    """Read an order of a product as fields of SandboxProductOrder."""
    require = params.get("require", "").strip()
    if "require" in row and not require:
        raise RefusedError("Missing required parameter: require")
    if fragment(require) in REFUSED_BY_FRAGMENT:
        raise RefusedError(REFUSED_BY_FRAGMENT[fragment(require)])
    quantity = whole(params.get("quantity", ""), "Incorrect quantity")
    if quantity < int(row["min"]):
        raise RefusedError(f"Quantity less than minimal {row['min']}")
    if quantity > int(row["max"]):
        raise RefusedError(f"Quantity more than maximum {row['max']}")
    if row["status"] == OUT_OF_STOCK:
        raise RefusedError(OUT_OF_STOCK)
    if quantity > row.get("inventory", quantity):
        raise RefusedError("Not enough stock")
    return {"quantity": quantity, "require": require, "gross": rounded(Decimal(str(row["rate"])) * quantity)}


def product_order_status(world: Sandbox, params: dict[str, str]) -> dict[str, Any]:
    demand(world.habits.has_products)
    if "orders" in params:
        return {order_id: nested(status_of, world, order_id) for order_id in ids(world, params["orders"])}
    return status_of(world, params.get("order", ""))


def status_of(world: Sandbox, order_id: str) -> dict[str, Any]:
    order = find(world, order_id)
    news: dict[str, Any] = {"charge": number(order.charge), "status": order.status}
    if order.status == "Partial":
        news["remains"] = order.remains
    if order.note:
        news["note"] = order.note
    if order.goods:
        news["result"] = order.token if world.habits.has_result_product else "\n".join(order.goods)
    return news


def result_product(world: Sandbox, params: dict[str, str]) -> dict[str, Any]:
    demand(world.habits.has_products and world.habits.has_result_product)
    return {"result": find(world, params.get("order", "")).goods}


def demand(has_action: bool) -> None:  # noqa: FBT001  the question is its only argument
    """Refuse a call of an action that this provider has not got."""
    if not has_action:
        raise RefusedError("Incorrect request")


def find(world: Sandbox, order_id: str) -> SandboxProductOrder:
    """Find an order of a product by the id that the caller sent."""
    order = world.register.product_orders.get(order_id.strip())
    if order is None:
        raise RefusedError("Incorrect order ID")
    return order


def number(amount: Decimal) -> int | float:
    """Write an amount as the number that it is in JSON."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
