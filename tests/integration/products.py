"""A provider's list of products in tests: following it, and looking at what that did to the shop."""

from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from catalog import following, importing, pricing
from catalog.models import Provider, ProviderService, Service, Sync
from catalog.providers.sandbox import Sandbox
from tests.conftest import make_provider

# What `open_stall` sells, by their ids there.
ALL: AbstractSet[int] = frozenset(range(1, 11))
GOOD = {"category": "Keys", "rate": 2.5, "min": 1, "max": 10, "inventory": 40, "type": "Auto"}


def open_stall(sandbox: Sandbox) -> Provider:
    """Put ten products on sale, as a provider lists them beside services under the very same ids."""
    sandbox.configure(has_products=True)
    provider = make_provider(sandbox.url, key=sandbox.key, dialect="1dg")
    stock_up(sandbox, {})
    importing.import_services(provider)
    importing.import_services(provider, is_product=True)
    return provider


def stock_up(sandbox: Sandbox, listed: dict[int, dict[str, object] | None]) -> None:
    """Let the sandbox list the good products, but for what is given: other fields, or None for one that is gone."""
    sandbox.warehouse.products.clear()
    for number in sorted(ALL | set(listed)):
        fields = listed.get(number, {})
        if fields is not None:
            sandbox.warehouse.set_product(number, name=f"Licence, plan {number}", **GOOD)
            sandbox.warehouse.products[number].update(fields)


def sync(provider: Provider, **options: Any) -> Sync:
    return following.sync_provider(provider.pk, is_product=True, **options)


def listed(remote_id: int) -> ProviderService:
    """Return a product as we have it."""
    return ProviderService.objects.get(remote_id=remote_id, is_product=True)


def sold(remote_id: int) -> Service:
    """Return what we sell of a product."""
    return Service.objects.select_related("product", "category").get(
        routes__provider_service__remote_id=remote_id, is_product=True
    )


def prices() -> dict[int, Decimal]:
    """Return the list rates of the products that can be bought now, by their ids there."""
    terms = {one.provider_service_id: one for one in pricing.load_terms(None).values()}
    rows = ProviderService.objects.filter(pk__in=[pk for pk in terms if pk is not None], is_product=True)
    return {int(row.remote_id): pricing.list_rate(terms[row.pk]) for row in rows}
