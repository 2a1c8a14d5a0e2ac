"""What a customer finds in the catalogue: services that can be sold now, each with his own rate."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

import orjson
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.money import LARGEST_AMOUNT
from accounts.requests import read_id, read_search
from catalog import favourites, listing, pricing, updates
from catalog.models import Category, Favourite, Service, ServiceChange
from catalog.pricing import Terms

PAGE_SIZE = 50  # under 150 kB even where letters take two bytes each
FLAGS = ("refill", "cancel", "dripfeed")
CHEAP, DEAR = "cheap", "dear"
WORD = re.compile(r"[^\W\d_]{2,}[\w.]*")


@dataclass(frozen=True, slots=True)
class Offer:
    """A service at a customer's rate; `list_rate` is what a discount is shown against, `was` what it was a week ago."""

    service: Service
    terms: Terms
    rate: Decimal
    list_rate: Decimal
    starred: bool = False
    was: Decimal | None = None

    @property
    def is_cheaper(self) -> bool:
        """Whether the customer pays less than the list says."""
        return self.rate < self.list_rate

    @property
    def has_risen(self) -> bool:
        """Whether the list rate is above what it was."""
        return self.was is not None and self.list_rate > self.was


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer looks for; `platform` is a word of a category's name, rates are his own, per 1000 or package."""

    text: str = ""
    category_id: int | None = None
    platform: str = ""
    flags: tuple[str, ...] = ()
    starred: bool = False
    changed: bool = False
    least: Decimal | None = None
    most: Decimal | None = None
    sort: str = ""

    @property
    def needs_rates(self) -> bool:
        """Whether the customer's rates decide what is found, or its order: then those of all services are needed."""
        return bool(self.sort) or self.least is not None or self.most is not None

    @property
    def query(self) -> str:
        """All of it as an address says it; empty when everything is wanted."""
        given = {
            "q": self.text,
            "category": self.category_id,
            "platform": self.platform,
            **dict.fromkeys(self.flags, 1),
            "starred": self.starred or None,
            "changed": self.changed or None,
            "least": self.least,
            "most": self.most,
            "sort": self.sort,
        }
        return urlencode(
            {name: 1 if value is True else value for name, value in given.items() if value not in {None, ""}}
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the offers found, and where the next ones begin; `under` is the category that the page ends in."""

    offers: list[Offer]
    following: int | None
    under: int | None


def read_wanted(values: Mapping[str, str]) -> Wanted:
    """Read what a page asks for; what makes no sense asks for nothing."""
    sort = values.get("sort", "")
    return Wanted(
        text=read_search(values.get("q")),
        category_id=read_id(values.get("category")),
        platform=read_search(values.get("platform")),
        flags=tuple(flag for flag in FLAGS if values.get(flag)),
        starred=bool(values.get("starred")),
        changed=bool(values.get("changed")),
        least=_read_rate(values.get("least", "")),
        most=_read_rate(values.get("most", "")),
        sort=sort if sort in {CHEAP, DEAR} else "",
    )


def make_offers(user_id: int, services: Sequence[Service]) -> list[Offer]:
    """Price services for a customer, in one query for all of them; what cannot be sold now is left out."""
    terms = pricing.load_terms(user_id, [service.pk for service in services])
    return [
        Offer(service, known, pricing.sell_rate(known), pricing.list_rate(known))
        for service in services
        if (known := terms.get(service.pk)) is not None
    ]


def list_categories() -> QuerySet[Category]:
    """Return the categories that have a service on sale, in the order that staff gave them; products have their own."""
    sold = Service.objects.filter(category=OuterRef("pk"), enabled=True, is_product=False)
    return Category.objects.filter(Exists(sold))


def list_platforms(categories: Iterable[Category]) -> list[str]:
    """Return the words that several categories begin with, the commonest first: a shop names its platforms there."""
    first = (WORD.search(category.name) for category in categories)
    return [word for word, number in Counter(found[0] for found in first if found).most_common() if number > 1]


def find_services(user_id: int, wanted: Wanted) -> QuerySet[Service]:
    """Return the services on sale that are wanted, whatever they cost: by id, by words, and by what they have."""
    found = Service.objects.filter(enabled=True, is_product=False, **dict.fromkeys(wanted.flags, True))
    if wanted.category_id is not None:
        found = found.filter(category_id=wanted.category_id)
    if wanted.platform:
        found = found.filter(category__name__icontains=wanted.platform)
    if wanted.starred:
        found = found.filter(Exists(Favourite.objects.filter(service=OuterRef("pk"), user_id=user_id)))
    if wanted.changed:
        since = timezone.now() - updates.WEEK
        found = found.filter(Exists(ServiceChange.objects.filter(service=OuterRef("pk"), created_at__gte=since)))
    number = read_id(wanted.text)
    if number is not None:
        return found.filter(Q(pk=number) | Q(name__icontains=wanted.text))
    for word in wanted.text.split():
        found = found.filter(
            Q(name__icontains=word) | Q(category__name__icontains=word) | Q(description__icontains=word)
        )
    return found


def read_page(user_id: int, wanted: Wanted, start: int) -> Page:
    """Return a page of offers from the `start`th service found; its length is counted before what cannot be sold.

    Four queries, six where rates decide.
    """
    found = find_services(user_id, wanted)
    if wanted.needs_rates:
        ids = _choose_by_rate(user_id, wanted, list(found.values_list("pk", flat=True)))
        ids = ids[start : start + PAGE_SIZE + 1]
        known = Service.objects.select_related("category").in_bulk(ids)
        services = [known[pk] for pk in ids if pk in known]
    else:
        services = list(found.select_related("category")[start : start + PAGE_SIZE + 1])
    offers = _add_news(user_id, make_offers(user_id, services[:PAGE_SIZE]))
    return Page(
        offers=offers,
        following=start + PAGE_SIZE if len(services) > PAGE_SIZE else None,
        under=offers[-1].service.category_id if offers else None,
    )


def _choose_by_rate(user_id: int, wanted: Wanted, service_ids: list[int]) -> list[int]:
    """Return those of the services whose rate for the customer lies in the range wanted, in the order wanted.

    The rates come from his price list, which is ready-made: reckoning ten thousand of them anew takes longer.
    """
    rates = {row["service"]: Decimal(row["rate"]) for row in orjson.loads(listing.read_list(user_id))}
    least, most = wanted.least or Decimal(0), LARGEST_AMOUNT if wanted.most is None else wanted.most
    chosen = [pk for pk in service_ids if pk in rates and least <= rates[pk] <= most]
    return sorted(chosen, key=rates.__getitem__, reverse=wanted.sort == DEAR) if wanted.sort else chosen


def _add_news(user_id: int, offers: list[Offer]) -> list[Offer]:
    """Mark the offers that the customer starred, and those whose list rate moved this week."""
    ids = [offer.service.pk for offer in offers]
    starred, moves = favourites.list_starred(user_id, ids), updates.read_moves(ids)
    return [
        replace(offer, starred=offer.service.pk in starred, was=_moved_from(offer, moves.get(offer.service.pk)))
        for offer in offers
    ]


def _moved_from(offer: Offer, was: Decimal | None) -> Decimal | None:
    """Return the list rate of a week ago where it matters: a rate of the customer's own does not follow the list."""
    return None if was == offer.list_rate or offer.terms.custom_rate is not None else was


def _read_rate(text: str) -> Decimal | None:
    try:
        rate = Decimal(text.strip())
    except InvalidOperation:
        return None
    return rate if rate.is_finite() and 0 <= rate < LARGEST_AMOUNT else None
