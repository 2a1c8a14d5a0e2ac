"""What a customer finds among the products: each at his own rate, with what is there of it, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.requests import read_id, read_search
from catalog import browsing, goods
from catalog.browsing import Offer
from catalog.goods import Availability
from catalog.models import Category, Product, Service

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Item:
    """A product at a customer's rate, and what is there of it."""

    offer: Offer
    there: Availability

    @property
    def service(self) -> Service:
        return self.offer.service

    @property
    def product(self) -> Product:
        return self.offer.service.product

    @property
    def most(self) -> int:
        """How many one order may have: no more than are there, as far as somebody counts them."""
        limit, there = self.service.max, self.there.inventory
        return limit if there is None else min(limit, there)

    @property
    def can_be_bought(self) -> bool:
        """Whether the least that one may buy is there."""
        return self.there.has(self.service.min)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Some of the products found, and where the next ones begin; `under` is the category that they end in."""

    items: list[Item]
    following: int | None
    under: int | None


def list_categories() -> QuerySet[Category]:
    """Return the categories that have a product on sale, in the order that staff gave them."""
    return Category.objects.filter(Exists(_on_sale().filter(category=OuterRef("pk"))))


def read_shelf(user_id: int, values: Mapping[str, str], start: int = 0) -> Shelf:
    """Return a page of products from the `start`th one found, in a few queries.

    They are found by `category` and by the words, or the id, in `q`; what cannot be sold now is left out.
    """
    found = _find(read_search(values.get("q")), read_id(values.get("category")))
    services = list(found.select_related("category", "product")[start : start + PAGE_SIZE + 1])
    items = _make_items(user_id, services[:PAGE_SIZE])
    return Shelf(
        items=items,
        following=start + PAGE_SIZE if len(services) > PAGE_SIZE else None,
        under=items[-1].service.category_id if items else None,
    )


def find_item(user_id: int, product_id: int) -> Item | None:
    """Return a product as a customer may buy it, None when it cannot be sold now."""
    services = list(_on_sale().filter(pk=product_id).select_related("category", "product"))
    return next(iter(_make_items(user_id, services)), None)


def _on_sale() -> QuerySet[Service]:
    return Service.objects.filter(enabled=True, is_product=True)


def _find(text: str, category_id: int | None) -> QuerySet[Service]:
    found = _on_sale() if category_id is None else _on_sale().filter(category=category_id)
    number = read_id(text)
    if number is not None:
        return found.filter(Q(pk=number) | Q(name__icontains=text))
    for word in text.split():
        found = found.filter(
            Q(name__icontains=word) | Q(category__name__icontains=word) | Q(description__icontains=word)
        )
    return found


def _make_items(user_id: int, services: Sequence[Service]) -> list[Item]:
    offers = browsing.make_offers(user_id, services)
    there = goods.read_availability([offer.service.pk for offer in offers])
    return [Item(offer, there.get(offer.service.pk, goods.NOTHING)) for offer in offers]
