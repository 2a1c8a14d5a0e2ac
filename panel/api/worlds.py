"""Where the orders of a call are: among all others, or in the world of test keys, where only the clock moves them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from django.db import connection

from orders import cancels, placing, refills, trying
from orders.forms import OrderRequest
from panel.api.auth import Caller
from panel.api.shapes import OrderRow

ORDERS = """
SELECT id, charge, refunded, start_count, status, remains, quantity
FROM orders_order WHERE user_id = %s AND id = ANY(%s::bigint[])
"""

REFILLS = """
SELECT refill.id, refill.status
FROM orders_refill refill JOIN orders_order o ON o.id = refill.order_id
WHERE o.user_id = %s AND refill.id = ANY(%s::bigint[])
"""


class World(Protocol):
    """What actions do with orders; verbs raise UserError in the wire's words."""

    @property
    def balance(self) -> Decimal:
        """What may be spent."""

    def place(self, request: OrderRequest, idempotency_key: str) -> int:
        """Place an order and return its id."""

    def find_placed(self, idempotency_key: str, service: str, values: Mapping[str, str]) -> int | None:
        """Return the order that a key placed with this very request, although it could not be placed any more."""

    def read_orders(self, ids: Sequence[int]) -> Sequence[OrderRow]:
        """Return those of some orders that are the caller's. One query."""

    def read_refills(self, ids: Sequence[int]) -> Mapping[int, str]:
        """Return the statuses of those of some refills that are the caller's. One query."""

    def refill(self, order_id: int) -> int:
        """Ask for a refill and return its id."""

    def cancel(self, order_id: int) -> None:
        """Ask for a cancel."""


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

    def find_placed(self, idempotency_key: str, service: str, values: Mapping[str, str]) -> int | None:
        return placing.find_placed(self.caller.user_id, idempotency_key, service, values)

    def read_orders(self, ids: Sequence[int]) -> Sequence[OrderRow]:
        with connection.cursor() as cursor:
            cursor.execute(ORDERS, [self.caller.user_id, list(ids)])
            return [OrderRow(*row) for row in cursor.fetchall()]

    def read_refills(self, ids: Sequence[int]) -> Mapping[int, str]:
        with connection.cursor() as cursor:
            cursor.execute(REFILLS, [self.caller.user_id, list(ids)])
            return dict(cursor.fetchall())

    def refill(self, order_id: int) -> int:
        return refills.request_refill(self.caller.user_id, order_id).pk

    def cancel(self, order_id: int) -> None:
        cancels.request_cancel(self.caller.user_id, order_id)


@dataclass(frozen=True, slots=True)
class TrialWorld:
    """Orders placed with test keys."""

    caller: Caller

    @property
    def balance(self) -> Decimal:
        return trying.BALANCE

    def place(self, request: OrderRequest, idempotency_key: str) -> int:
        return trying.place_trial(self.caller.key, self.caller.user_id, request, idempotency_key=idempotency_key)

    def find_placed(self, idempotency_key: str, service: str, values: Mapping[str, str]) -> int | None:
        return trying.find_placed(self.caller.key, idempotency_key, service, values)

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
