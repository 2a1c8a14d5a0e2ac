"""What changed for customers, newest first, as catalog/publishing.py wrote it down: always at the list price."""

import datetime
import itertools
import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.money import plain
from accounts.templatetags.money import count, price
from catalog import favourites, pricing
from catalog.models import Service, ServiceChange

PAGE_SIZE = 50
USED_DAYS, MOST_ORDERS = 90, 10_000
WEEK = datetime.timedelta(days=7)
STARRED, USED = "starred", "used"
NUMBER = re.compile(r"\d+(?:\.\d+)?")

Kind = ServiceChange.Kind


@dataclass(frozen=True, slots=True)
class Update:
    """A change in words; `starred` and `used` are the customer's own, `on_sale` is about the service now.

    Products are told of as services are, but they are not bought where those are.
    """

    change: ServiceChange
    starred: bool = False
    used: bool = False
    on_sale: bool = False

    @property
    def before(self) -> str:
        """What it was: a price with its currency, or limits."""
        return _for_people(self.change.before)

    @property
    def after(self) -> str:
        """What it is now."""
        return _for_people(self.change.after)

    @property
    def unit(self) -> str:
        """What a price is for; empty where limits changed."""
        if self.change.kind == Kind.LIMITS:
            return ""
        return _("each") if self.change.service.is_each else _("per 1000")


class Row(NamedTuple):
    """A change as programs read it: prices and limits in bare numbers, `at` in UTC."""

    service: int
    kind: str
    before: str
    after: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Day:
    """The changes of one day of the panel's time zone."""

    date: datetime.date
    updates: list[Update]


@dataclass(frozen=True, slots=True)
class Page:
    """Some days, and where the older changes begin."""

    days: list[Day]
    older: int | None


def read_page(user_id: int, *, kind: str = "", mine: str = "", before: int | None = None) -> Page:
    """Return a page of changes, where `before` is given of those older than that one. Four queries.

    `kind` keeps to one Kind, `mine` to the services that the customer STARRED or USED; any other word is passed over.
    """
    starred, used = favourites.list_starred(user_id), list_used(user_id)
    found = _newest()
    if kind in Kind:
        found = found.filter(kind=kind)
    if mine in {STARRED, USED}:
        found = found.filter(service__in=starred if mine == STARRED else used)
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE_SIZE + 1])
    # A service that staff left on sale may still have no provider to send it to: only its terms tell.
    sold = pricing.load_terms(None, {row.service_id for row in rows})
    shown = [
        Update(
            row,
            row.service_id in starred,
            row.service_id in used,
            row.service_id in sold and not row.service.is_product,
        )
        for row in rows[:PAGE_SIZE]
    ]
    days = itertools.groupby(shown, lambda update: timezone.localdate(update.change.created_at))
    return Page([Day(date, list(of_day)) for date, of_day in days], shown[-1].change.pk if rows[PAGE_SIZE:] else None)


def read_latest(limit: int) -> list[Update]:
    """Return the newest changes, for everybody. One query."""
    return [Update(change) for change in _newest()[:limit]]


def read_since(since: datetime.datetime | None, limit: int) -> list[Row]:
    """Return the newest changes as programs read them, none from before `since`. One query."""
    # Sorted out here: rows are written in the order of time, so what the limit cuts off is older than all of these.
    newest = ServiceChange.objects.order_by("-pk").values_list("service", "kind", "before", "after", "created_at")
    rows = (
        Row(service, kind, _plain(before), _plain(after), at) for service, kind, before, after, at in newest[:limit]
    )
    return [row for row in rows if since is None or row.at >= since]


def list_used(user_id: int) -> set[int]:
    """Return the ids of the services that a customer ordered in the last 90 days. One query.

    Of who orders by the hundred thousand only the newest orders are looked at: the page is not to wait for all of them.
    """
    # The relation is the orders' own: this layer reads through it and imports nothing from above.
    since = timezone.now() - datetime.timedelta(days=USED_DAYS)
    ordered = Service.objects.filter(orders__user_id=user_id, orders__created_at__gte=since).order_by("-orders__pk")
    return set(ordered.values_list("pk", flat=True)[:MOST_ORDERS])


def read_moves(service_ids: Collection[int]) -> dict[int, Decimal]:
    """Return the list rates that services had a week ago, of those alone whose rate may have moved since. One query.

    What went off sale meanwhile may be back at another rate, and that is not told as a rise or a fall.
    """
    kinds = [Kind.UP, Kind.DOWN, Kind.DISABLED]
    moved = ServiceChange.objects.filter(service__in=service_ids, kind__in=kinds, created_at__gte=timezone.now() - WEEK)
    first = moved.order_by("service_id", "pk").distinct("service_id").values_list("service_id", "before")
    return {service_id: Decimal(text) for service_id, text in first if NUMBER.fullmatch(text)}


def _newest() -> QuerySet[ServiceChange]:
    shown = ("kind", "before", "after", "created_at", "service__name", "service__type", "service__is_product")
    return ServiceChange.objects.select_related("service").only(*shown).order_by("-pk")


def _for_people(text: str) -> str:
    numbers = NUMBER.findall(text)
    if len(numbers) == 2:
        return " – ".join(count(int(Decimal(number))) for number in numbers)
    return price(Decimal(numbers[0])) if numbers else text


def _plain(text: str) -> str:
    return "-".join(plain(Decimal(number)) for number in NUMBER.findall(text))
