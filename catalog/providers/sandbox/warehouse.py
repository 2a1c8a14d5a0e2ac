"""The products of the sandbox: what is on the list, what is in stock, and the orders of them (PROTOCOL 3.9)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from catalog.providers.sandbox import catalogue, goods
from catalog.providers.sandbox.agenda import Agenda
from catalog.providers.sandbox.goods import SandboxProductOrder
from catalog.providers.sandbox.register import Register, Taken

NEW: dict[str, Any] = {"rate": 1, "min": 1, "max": 100, "category": "Other", "inventory": 100, "type": "Auto"}


class Warehouse:
    """Products by id, each row as it goes over the wire, and their orders; public methods take the world's lock.

    The stock falls when goods are handed over, not when they are ordered: two orders may be taken for the last piece.
    """

    def __init__(
        self,
        register: Register,
        agenda: Agenda[Taken],
        lock: AbstractContextManager[Any],
        advance: Callable[[], None],
    ) -> None:
        self.products = catalogue.products()
        self._register, self._agenda, self._lock, self._advance = register, agenda, lock, advance
        for order in register.product_orders.values():
            self._draw(order.product, order.drawn)

    @property
    def orders(self) -> dict[str, SandboxProductOrder]:
        """Copy the table of all orders by id, oldest first, each where the clock says it is."""
        with self._lock:
            self._advance()
            return dict(self._register.product_orders)

    def accepted(self, require: str = "", *, product: str = "") -> int:
        """Count the orders that were taken with that requirement, of that product, of both, or all."""
        with self._lock:
            return sum(
                (not require or order.require == require) and (not product or str(order.product) == product)
                for order in self._register.product_orders.values()
            )

    def set_order(self, order_id: str, **fields: Any) -> None:
        """Set status, remains, note, charge or lines by hand; the order no longer moves by itself.

        A status brings its charge, its refund and its goods along, as if the order had got there alone, but whatever
        is in stock; a charge that is given is only reported. Raises KeyError for an unknown order, ValueError for an
        unknown field.
        """
        with self._lock:
            self._advance()
            order = self._register.product_orders[str(order_id)]
            unknown = set(fields) - set(goods.HAND_SET)
            if unknown:
                raise ValueError(f"Not to be set on this order: {', '.join(sorted(unknown))}")
            before = order.charge
            order.by_hand, order.due = True, None
            order.note, order.lines = fields.get("note", order.note), fields.get("lines", order.lines)
            order.remains = fields.get("remains", order.remains)
            if "status" in fields:
                order.finish(fields["status"], order.remains)
            if "charge" in fields:
                order.charge = before = Decimal(str(fields["charge"]))
            self._settle(order, before)

    def set_product(self, product: int, **fields: Any) -> None:
        """Change keys of a product's row, or put a new row on the list; lasts until the next start.

        An inventory brings its status along; an inventory or a requirement of None takes the key away.
        """
        with self._lock:
            new = {"product": product, "name": f"Product {product}", **NEW}
            row = {**self.products.get(product, new), **fields}
            if "status" not in row or ("inventory" in fields and "status" not in fields):
                row["status"] = catalogue.stock_word(row["inventory"])
            self.products[product] = {name: value for name, value in row.items() if value is not None}

    def remove_product(self, product: int) -> None:
        """Take a product off the list; raises KeyError when it is not on it."""
        with self._lock:
            del self.products[product]

    def take(self, **fields: Any) -> SandboxProductOrder:
        """Take an order and its money; expects the lock to be held and the money to be there."""
        number = self._register.next_product_order_id()
        order = SandboxProductOrder(id=number, charge=fields["gross"], remains=fields["quantity"], **fields)
        self._register.enter(order)
        self._agenda.schedule(order, order.created)
        self._register.balance -= order.charge
        self._register.save(order)
        return order

    def step(self, order: SandboxProductOrder, pace: float) -> None:
        """Make the step of an order that is due; expects the lock to be held."""
        before = order.charge
        row = self.products.get(order.product, {"inventory": 0})
        order.take_step(pace, row.get("inventory"))
        self._settle(order, before)

    def _settle(self, order: SandboxProductOrder, before: Decimal) -> None:
        """Move the money and the goods that a change brings along, and write down what changed."""
        self._register.balance += before - order.charge
        if order.delivered > order.drawn:
            self._draw(order.product, order.delivered - order.drawn)
            order.drawn = order.delivered
        self._register.save(order)

    def _draw(self, product: int, pieces: int) -> None:
        row = self.products.get(product, {})
        if pieces and "inventory" in row:
            left = max(0, row["inventory"] - pieces)
            row |= {"inventory": left, "status": catalogue.stock_word(left)}
