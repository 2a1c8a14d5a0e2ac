"""A customer's own orders: tabs, search, and pages that go backwards by id, the thousandth as fast as the first."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils.text import slugify

from accounts.requests import read_id
from orders import wishing
from orders.models import ChildOrder, Order
from orders.wishing import Choice

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Tab:
    """One status with the number of orders in it; the empty slug is all of them."""

    slug: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders with what may be asked for each, the open ones among them, and where the older ones begin."""

    rows: list[Choice]
    older: int | None

    @property
    def open_ids(self) -> str:
        """The orders that may still change, as the page asks after them."""
        return ",".join(str(row.order.pk) for row in self.rows if row.is_open)


@dataclass(frozen=True, slots=True)
class Part:
    """A run or a post with its place in the order; `delivered` in units, None where nobody knows."""

    number: int
    child: ChildOrder
    delivered: int | None


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
    return Page(wishing.choices(orders[:PAGE_SIZE]), orders[PAGE_SIZE - 1].pk if more else None)


def read_again(user_id: int, ids: Iterable[str]) -> Page:
    """Return a customer's orders that a page shows and asks after again, at most a page of them."""
    found = Order.objects.filter(user_id=user_id, pk__in=read_ids(ids))
    return Page(wishing.choices(list(_with_service(found))), None)


def read_ids(texts: Iterable[str]) -> list[int]:
    """Return the order ids among what came from a page, each once, at most a page of them."""
    numbers = (number for number in map(read_id, texts) if number is not None)
    return list(dict.fromkeys(numbers))[:PAGE_SIZE]


def read_parts(order: Order) -> list[Part]:
    """Return the latest runs or posts of a spread order, newest first; nothing for an order that comes at once."""
    if not order.is_spread:
        return []
    total = order.children.count()
    latest = order.children.order_by("-pk")[:PAGE_SIZE]
    return [Part(total - place, child, _delivered(order, child)) for place, child in enumerate(latest)]


def _delivered(order: Order, child: ChildOrder) -> int | None:
    """Return what a run has delivered; a post's size was drawn by the provider, so there nobody knows."""
    size = order.quantity // order.parts
    if "runs" not in order.details or (child.remains is None and child.status != Order.Status.COMPLETED):
        return None
    return min(max(size - (child.remains or 0), 0), size)


def _with_service(found: QuerySet[Order]) -> QuerySet[Order]:
    return found.select_related("service").defer("details", "service__description").order_by("-pk")
