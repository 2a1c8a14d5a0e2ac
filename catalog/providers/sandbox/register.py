"""What the sandbox took: orders, refills and money, found by all they are looked up by, and kept in a state file."""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from catalog.providers.sandbox import goods, life
from catalog.providers.sandbox.goods import SandboxProductOrder
from catalog.providers.sandbox.life import SandboxOrder, SandboxRefill
from catalog.providers.sandbox.state import Journal

# PROTOCOL 12: the first of these that a call carries is its key.
KEY_NAMES = ("idempotency_key", "request_id")

Taken = SandboxOrder | SandboxRefill | SandboxProductOrder


class Register:
    """Orders and refills by id, in the order in which they were taken, and what is left of the money.

    Expects the world's lock for everything. Raises StateError where the state file cannot be used.
    """

    def __init__(self, balance: Decimal, journal: Journal | None) -> None:
        self.balance = balance
        self.orders: dict[str, SandboxOrder] = {}
        self.refills: dict[str, SandboxRefill] = {}
        self.product_orders: dict[str, SandboxProductOrder] = {}
        self._journal = journal
        self._by_link: defaultdict[str, list[SandboxOrder]] = defaultdict(list)
        self._by_key: dict[str, SandboxOrder] = {}
        self._products_by_key: dict[str, SandboxProductOrder] = {}
        self._by_parent: defaultdict[str, list[SandboxOrder]] = defaultdict(list)
        self._by_order: defaultdict[str, list[SandboxRefill]] = defaultdict(list)
        if journal:
            self._load(journal)

    def next_order_id(self) -> str:
        """Tell the id of the next order; none is ever given twice."""
        return str(life.FIRST_ORDER + len(self.orders))

    def next_refill_id(self) -> str:
        """Tell the id of the next refill."""
        return str(life.FIRST_REFILL + len(self.refills))

    def next_product_order_id(self) -> str:
        """Tell the id of the next order of a product, in a number space of its own."""
        return str(goods.FIRST_ORDER + len(self.product_orders))

    def everything(self) -> list[Taken]:
        """List all that was taken."""
        return [*self.orders.values(), *self.refills.values(), *self.product_orders.values()]

    def enter(self, taken: Taken) -> None:
        """Enter what was taken under all that it is found by; the money and the state file are left to the caller."""
        if isinstance(taken, SandboxRefill):
            self.refills[taken.id] = taken
            self._by_order[taken.order].append(taken)
            return
        key = key_in(taken.params)
        if isinstance(taken, SandboxProductOrder):
            self.product_orders[taken.id] = taken
            if key:
                self._products_by_key.setdefault(key, taken)
            return
        self.orders[taken.id] = taken
        if taken.parent:
            self._by_parent[taken.parent].append(taken)
            return
        self._by_link[taken.link].append(taken)
        if key:
            self._by_key.setdefault(key, taken)

    def at(self, link: str) -> list[SandboxOrder]:
        """List what was ordered for a link; runs and posts are not counted as orders of their own."""
        return list(self._by_link.get(link, ()))

    def keyed(self, params: Mapping[str, str]) -> SandboxOrder | None:
        """Find the first order that came with the idempotency key of a call."""
        return self._by_key.get(key_in(params))

    def product_keyed(self, params: Mapping[str, str]) -> SandboxProductOrder | None:
        """Find the first order of a product that came with the idempotency key of a call."""
        return self._products_by_key.get(key_in(params))

    def parts_of(self, order: SandboxOrder) -> list[SandboxOrder]:
        """List the runs or posts of an order."""
        return self._by_parent.get(order.id, [])

    def refills_of(self, order: SandboxOrder) -> list[SandboxRefill]:
        """List the refills of an order."""
        return self._by_order.get(order.id, [])

    def newest(self, limit: int) -> list[SandboxOrder]:
        """List what was ordered last, newest first."""
        ordered = (order for order in reversed(self.orders.values()) if not order.parent)
        return list(itertools.islice(ordered, limit))

    def save(self, changed: Taken) -> None:
        """Write a change and the balance after it to the state file, if there is one."""
        if self._journal:
            self._journal.append({_kind(changed): changed.record(), "balance": f"{self.balance:f}"})

    def _load(self, journal: Journal) -> None:
        known: dict[tuple[str, str], Taken] = {}
        for record in journal.load():
            self.balance = Decimal(record.get("balance", self.balance))
            if "order" in record:
                known["order", record["order"]["id"]] = life.order_from(record["order"])
            elif "refill" in record:
                known["refill", record["refill"]["id"]] = SandboxRefill(**record["refill"])
            elif "product_order" in record:
                known["product_order", record["product_order"]["id"]] = goods.order_from(record["product_order"])
        for taken in known.values():
            self.enter(taken)
        records: list[dict[str, Any]] = [{_kind(taken): taken.record()} for taken in known.values()]
        journal.rewrite([*records, {"balance": f"{self.balance:f}"}])


def key_in(params: Mapping[str, str]) -> str:
    """Read the idempotency key that came with a call, or an empty text."""
    return next((params[name] for name in KEY_NAMES if params.get(name)), "")


def _kind(taken: Taken) -> str:
    if isinstance(taken, SandboxProductOrder):
        return "product_order"
    return "order" if isinstance(taken, SandboxOrder) else "refill"
