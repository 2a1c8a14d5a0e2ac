"""What orders cost us and what is left of them, at the prices of the moment of placing (ARCHITECTURE 4)."""

import datetime
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection
from django.db.models import QuerySet, Sum
from django.utils import timezone

from accounts.money import DOWN, EXACT, round_charge
from catalog.models import Product
from orders import lifecycle
from orders.models import Dispatch, Order

STUCK_AFTER = datetime.timedelta(days=1)

DAY = """
SELECT count(*), coalesce(sum(charge), 0), coalesce(sum(charge - refunded), 0),
    coalesce(sum(coalesce(reported_cost, expected_cost * (charge - refunded) / charge)), 0)
FROM orders_order WHERE created_at >= %(start)s AND created_at < %(end)s
"""


@dataclass(frozen=True, slots=True)
class Day:
    """The orders placed within a span of time: what was charged, what was not given back, and what it cost."""

    orders: int
    turnover: Decimal
    net: Decimal
    cost: Decimal

    @property
    def refunds(self) -> Decimal:
        """What has been given back for these orders so far."""
        return self.turnover - self.net

    @property
    def profit(self) -> Decimal:
        """What is left when the providers are paid."""
        return self.net - self.cost


def cost(order: Order) -> Decimal:
    """Return what an order cost: what its provider reported, else the share of the expected cost not refunded."""
    if order.reported_cost is not None:
        return order.reported_cost
    kept = DOWN.divide(EXACT.multiply(order.expected_cost, order.net_charge), order.charge)
    return round_charge(kept)


def profit(order: Order) -> Decimal:
    """Return what an order left: charge less refunds less cost."""
    return order.net_charge - cost(order)


def find_stuck(now: datetime.datetime | None = None) -> QuerySet[Order]:
    """Return the orders that were placed more than a day ago and are still on their way."""
    before = (now or timezone.now()) - STUCK_AFTER
    return Order.objects.exclude(status__in=lifecycle.ENDED).filter(created_at__lt=before)


def find_undelivered() -> QuerySet[Order]:
    """Return the open orders of products that staff deliver by hand."""
    return Order.objects.exclude(status__in=lifecycle.ENDED).filter(service__product__source=Product.Source.HAND)


def read_spending(since: datetime.datetime) -> dict[int, Decimal]:
    """Return what was ordered from each provider since a moment: the expected cost, by provider id."""
    placed = Dispatch.objects.filter(command=Dispatch.Command.ADD, state=Dispatch.State.SENT, created_at__gte=since)
    return dict(placed.order_by().values_list("provider").annotate(spent=Sum("order__expected_cost")))


def read_span(start: datetime.datetime, end: datetime.datetime) -> Day:
    """Sum the orders placed from `start` until before `end`."""
    with connection.cursor() as cursor:
        cursor.execute(DAY, {"start": start, "end": end})
        orders, turnover, net, spent = cursor.fetchone()
    return Day(orders, turnover, net, round_charge(spent))
