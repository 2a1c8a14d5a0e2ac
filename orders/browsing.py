"""A customer's own orders: tabs, search, and pages that go backwards by id, the thousandth as fast as the first."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils.text import slugify

from accounts.requests import read_id
from orders import lifecycle
from orders.models import Order

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Tab:
    """One status with the number of orders in it; the empty slug is all of them."""

    slug: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders, the open ones among them, and where the older ones begin."""

    orders: list[Order]
    older: int | None

    @property
    def open_ids(self) -> str:
        """The orders that may still change, as the page asks after them."""
        return ",".join(str(order.pk) for order in self.orders if is_open(order))


def is_open(order: Order) -> bool:
    """Tell whether an order is still on its way."""
    return order.status not in lifecycle.ENDED


def find_orders(user_id: int, text: str) -> QuerySet[Order]:
    """Return a customer's orders that a search finds: by id, link, or service."""
    orders = Order.objects.filter(user_id=user_id)
    if not text:
        return orders
    words = Q(link__icontains=text) | Q(service__name__icontains=text)
    number = read_id(text)
    return orders.filter(words if number is None else words | Q(pk=number) | Q(service_id=number))


def count_tabs(found: QuerySet[Order]) -> list[Tab]:
    """Count orders by status, in one query, in the order in which an order passes through them."""
    counts = dict(found.order_by().values_list("status").annotate(count=Count("pk")))
    tabs = [Tab(slugify(status), str(status.label), counts.get(status, 0)) for status in Order.Status]
    return [Tab("", "", sum(counts.values())), *tabs]


def read_page(found: QuerySet[Order], *, slug: str, before: int | None) -> Page:
    """Return a page of orders with their services, newest first; what a row does not show is not read."""
    status = next((status for status in Order.Status if slugify(status) == slug), None)
    if status is not None:
        found = found.filter(status=status)
    if before is not None:
        found = found.filter(pk__lt=before)
    orders = list(_with_service(found)[: PAGE_SIZE + 1])
    more = len(orders) > PAGE_SIZE
    return Page(orders[:PAGE_SIZE], orders[PAGE_SIZE - 1].pk if more else None)


def read_again(user_id: int, ids: Iterable[str]) -> Page:
    """Return a customer's orders that a page shows and asks after again, at most a page of them."""
    numbers = [number for number in map(read_id, ids) if number is not None]
    found = Order.objects.filter(user_id=user_id, pk__in=numbers[:PAGE_SIZE])
    return Page(list(_with_service(found)), None)


def _with_service(found: QuerySet[Order]) -> QuerySet[Order]:
    return found.select_related("service").defer("details", "service__description").order_by("-pk")
