"""Selling by the piece: a product is made and changed together with its service, and with its route if it has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import UserError
from catalog.choosing import Price
from catalog.models import Category, Markup, Product, ProviderService, Route, Service

Source = Product.Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A product as it is to be sold, from `min` to `max` pieces at a time; `extra` are the columns of its own row.

    With `own_rate` it costs that each; without, what `row`, the provider's product, costs and the rule `price` on top
    (None: the rules there are).
    """

    name: str
    category: Category
    source: str
    min: int
    max: int
    description: str = ""
    enabled: bool = True
    own_rate: Decimal | None = None
    price: Price | None = None
    row: ProviderService | None = None
    extra: Mapping[str, Any]


@transaction.atomic
def add_product(offer: Offer) -> Product:
    """Make a product and return it; raise UserError when it cannot be sold so."""
    check_offer(offer)
    return _write(Product(service=Service(is_product=True), source=offer.source), offer)


@transaction.atomic
def change_product(product_id: int, offer: Offer) -> Product:
    """Change a product, not its source: what was ordered is delivered from there. Raises UserError.

    Under the lock of its service, which a sync may be changing.
    """
    service = Service.objects.select_for_update().get(pk=product_id)
    product = Product.objects.get(pk=product_id)
    if offer.source != product.source:
        raise UserError(_("Where it comes from stays; make another product"), field="source")
    check_offer(offer)
    product.service = service
    return _write(product, offer)


def check_offer(offer: Offer) -> None:
    """Raise UserError naming the first field with which a product cannot be sold."""
    if not 1 <= offer.min <= offer.max:
        raise UserError(_("At least 1, and no more than the most"), field="min")
    if offer.own_rate is not None and offer.own_rate <= 0:
        raise UserError(_("It must be above zero"), field="own_rate")
    if offer.source == Source.PROVIDER:
        if offer.row is None or not offer.row.is_product:
            raise UserError(_("Choose the provider's product"), field="row")
    elif offer.own_rate is None:
        raise UserError(_("What is our own needs a rate: there is no cost to put a markup on"), field="own_rate")


def _write(product: Product, offer: Offer) -> Product:
    service, row = product.service, offer.row
    service.name, service.category, service.description = offer.name, offer.category, offer.description
    service.min, service.max, service.enabled = offer.min, offer.max, offer.enabled
    service.own_rate = offer.own_rate
    # Limits that are the provider's own go on being so.
    service.follows_limits = row is not None and (row.min, row.max) == (offer.min, offer.max)
    service.save()
    for name, value in offer.extra.items():
        setattr(product, name, value)
    product.service = service
    product.save()
    if row is not None:
        _lead(service, row)
        _price(service, offer.price)
    return product


def _lead(service: Service, row: ProviderService) -> None:
    """Make a provider's product the first one that a service is ordered from; it may have been a later one."""
    first = service.routes.order_by("position").first()
    if first is None:
        Route.objects.create(service=service, provider_service=row)
    elif first.provider_service_id != row.pk:
        service.routes.filter(provider_service=row).delete()
        first.provider_service = row
        first.save(update_fields=["provider_service"])


def _price(service: Service, price: Price | None) -> None:
    """Give a service a rule of its own, or none."""
    rules = Markup.objects.filter(service=service)
    if price is None:
        rules.delete()
    elif not rules.update(percent=price.percent, fixed=price.fixed, round_to=price.round_to):
        Markup.objects.create(service=service, percent=price.percent, fixed=price.fixed, round_to=price.round_to)
