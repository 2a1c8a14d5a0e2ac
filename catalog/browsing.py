"""What a customer finds in the catalogue: services that can be sold now, each with his own rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.requests import read_id
from catalog import pricing
from catalog.models import Category, Service
from catalog.pricing import Terms

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """A service at a customer's rate; `list_rate` is what a discount is shown against."""

    service: Service
    terms: Terms
    rate: Decimal
    list_rate: Decimal

    @property
    def is_cheaper(self) -> bool:
        """Whether the customer pays less than the list says."""
        return self.rate < self.list_rate


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the offers found, and where the next ones begin; `under` is the category that the page ends in."""

    offers: list[Offer]
    following: int | None
    under: int | None


def make_offers(user_id: int, services: Sequence[Service]) -> list[Offer]:
    """Price services for a customer, in one query for all of them; what cannot be sold now is left out."""
    terms = pricing.load_terms(user_id, [service.pk for service in services])
    return [
        Offer(service, known, pricing.sell_rate(known), pricing.list_rate(known))
        for service in services
        if (known := terms.get(service.pk)) is not None
    ]


def list_categories() -> QuerySet[Category]:
    """Return the categories that have a service on sale, in the order that staff gave them."""
    return Category.objects.filter(Exists(Service.objects.filter(category=OuterRef("pk"), enabled=True)))


def find_services(text: str, category_id: int | None) -> QuerySet[Service]:
    """Return the services on sale that a search finds: by id, or by words in name, category or description."""
    found = Service.objects.filter(enabled=True).select_related("category")
    if category_id is not None:
        found = found.filter(category_id=category_id)
    number = read_id(text)
    if number is not None:
        return found.filter(Q(pk=number) | Q(name__icontains=text))
    for word in text.split():
        found = found.filter(
            Q(name__icontains=word) | Q(category__name__icontains=word) | Q(description__icontains=word)
        )
    return found


def read_page(user_id: int, found: QuerySet[Service], start: int) -> Page:
    """Return a page of offers from the `start`th service found; its length is counted before what cannot be sold."""
    services = list(found[start : start + PAGE_SIZE + 1])
    offers = make_offers(user_id, services[:PAGE_SIZE])
    return Page(
        offers=offers,
        following=start + PAGE_SIZE if len(services) > PAGE_SIZE else None,
        under=offers[-1].service.category_id if offers else None,
    )
