"""Where the orders of a call are: among all others, or in the world of test keys, where only the clock moves them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from django.db import connection

from accounts.errors import UserError
from orders import answering, cancels, delivering, placing, refills, trying
from orders.answering import ProductRow
from orders.forms import OrderRequest
from orders.models import Order, Reveal
from panel.api.auth import Caller
from panel.api.shapes import OrderRow

ORDERS = """
SELECT o.id, o.charge, o.refunded, o.start_count, o.status, o.remains, o.quantity
FROM orders_order o JOIN catalog_service service ON service.id = o.service_id AND NOT service.is_product
WHERE o.user_id = %s AND o.id = ANY(%s::bigint[])
"""

REFILLS = """
SELECT refill.id, refill.status
FROM orders_refill refill JOIN orders_order o ON o.id = refill.order_id
WHERE o.user_id = %s AND refill.id = ANY(%s::bigint[])
"""


class World(Protocol):
    """What actions do with orders; verbs raise UserError in the wire's words.

    Orders of services and of products are told apart: to each other's verbs they are as unknown as a stranger's.
    """

    @property
    def balance(self) -> Decimal:
        """What may be spent."""

    def place(self, request: OrderRequest, idempotency_key: str) -> int:
        """Place an order and return its id."""

    def find_placed(
        self, idempotency_key: str, service: str, values: Mapping[str, str], *, is_product: bool
    ) -> int | None:
        """Return the order that a key placed with this very request, although it could not be placed any more."""

    def read_orders(self, ids: Sequence[int]) -> Sequence[OrderRow]:
        """Return those of some orders that are the caller's. One query."""

    def read_refills(self, ids: Sequence[int]) -> Mapping[int, str]:
        """Return the statuses of those of some refills that are the caller's. One query."""

    def refill(self, order_id: int) -> int:
        """Ask for a refill and return its id."""

    def cancel(self, order_id: int) -> None:
        """Ask for a cancel."""

    def read_products(self, ids: Sequence[int]) -> Sequence[ProductRow]:
        """Return those of some orders that are the caller's and of products. One query."""

    def reveal(self, order_id: int, address: str) -> list[str]:
        """Return what was delivered of a product, which is noted with the address; nothing before that."""


def enter(caller: Caller) -> World:
    """Return the world that a key sees, and it sees no other."""
    return TrialWorld(caller) if caller.key.is_test else RealWorld(caller)


@dataclass(frozen=True, slots=True)
class RealWorld:
    """Orders that cost money and are forwarded."""

    caller: Caller

    @property
    def balance(self) -> Decimal:
        return self.caller.balance

    def place(self, request: OrderRequest, idempotency_key: str) -> int:
        user_id, key = self.caller.user_id, self.caller.key
        return placing.place_order(user_id, request, idempotency_key=idempotency_key, api_key=key)

    def find_placed(
        self, idempotency_key: str, service: str, values: Mapping[str, str], *, is_product: bool
    ) -> int | None:
        user_id = self.caller.user_id
        return placing.find_placed(user_id, idempotency_key, service, values, is_product=is_product)

    def read_orders(self, ids: Sequence[int]) -> Sequence[OrderRow]:
        with connection.cursor() as cursor:
            cursor.execute(ORDERS, [self.caller.user_id, list(ids)])
            return [OrderRow(*row) for row in cursor.fetchall()]

    def read_refills(self, ids: Sequence[int]) -> Mapping[int, str]:
        with connection.cursor() as cursor:
            cursor.execute(REFILLS, [self.caller.user_id, list(ids)])
            return dict(cursor.fetchall())

    def refill(self, order_id: int) -> int:
        self._find(order_id, is_product=False)
        return refills.request_refill(self.caller.user_id, order_id).pk

    def cancel(self, order_id: int) -> None:
        self._find(order_id, is_product=False)
        cancels.request_cancel(self.caller.user_id, order_id)

    def read_products(self, ids: Sequence[int]) -> Sequence[ProductRow]:
        return answering.read_products(self.caller.user_id, ids)

    def reveal(self, order_id: int, address: str) -> list[str]:
        order = self._find(order_id, is_product=True)
        return delivering.reveal(order, actor_id=self.caller.user_id, way=Reveal.Way.API, address=address or None)

    def _find(self, order_id: int, *, is_product: bool) -> Order:
        mine = Order.objects.filter(user_id=self.caller.user_id, service__is_product=is_product)
        order = mine.filter(pk=order_id).first()
        if order is None:
            raise UserError("Incorrect order ID", field="order")
        return order


@dataclass(frozen=True, slots=True)
class TrialWorld:
    """Orders placed with test keys."""

    caller: Caller

    @property
    def balance(self) -> Decimal:
        return trying.BALANCE

    def place(self, request: OrderRequest, idempotency_key: str) -> int:
        return trying.place_trial(self.caller.key, self.caller.user_id, request, idempotency_key=idempotency_key)

    def find_placed(
        self, idempotency_key: str, service: str, values: Mapping[str, str], *, is_product: bool
    ) -> int | None:
        return trying.find_placed(self.caller.key, idempotency_key, service, values, is_product=is_product)

    def read_orders(self, ids: Sequence[int]) -> Sequence[OrderRow]:
        rows = []
        for trial in trying.read_trials(self.caller.user_id, ids):
            now = trying.stand(trial)
            so_far = (now.refunded, now.start_count, now.status, now.remains)
            rows.append(OrderRow(trial.pk, trial.charge, *so_far, trial.quantity))
        return rows

    def read_refills(self, ids: Sequence[int]) -> Mapping[int, str]:
        asked = {trial.pk: trying.refill_status(trial) for trial in trying.read_trials(self.caller.user_id, ids)}
        return {trial_id: status for trial_id, status in asked.items() if status is not None}

    def refill(self, order_id: int) -> int:
        return trying.refill(self.caller.user_id, order_id)

    def cancel(self, order_id: int) -> None:
        trying.cancel(self.caller.user_id, order_id)

    def read_products(self, ids: Sequence[int]) -> Sequence[ProductRow]:
        return trying.read_products(self.caller.user_id, ids)

    def reveal(self, order_id: int, _address: str) -> list[str]:
        return trying.reveal(self.caller.user_id, order_id)
