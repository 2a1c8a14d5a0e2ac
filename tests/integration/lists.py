"""A provider's list in tests: following it, and looking at what that did to the shop."""

from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

from catalog import following, pricing
from catalog.models import Provider, ProviderService, Sync, SyncChange

# What `shop` sells, by their ids.
ALL: AbstractSet[int] = frozenset(range(1, 11))


def sync(provider: Provider, **options: Any) -> Sync:
    return following.sync_provider(provider.pk, **options)


def rate(remote_id: int) -> Decimal:
    return ProviderService.objects.get(remote_id=remote_id).rate


def prices() -> dict[int, Decimal]:
    """Return the list rates of what can be bought now, by the ids there."""
    terms = {one.provider_service_id: one for one in pricing.load_terms(None).values()}
    rows = ProviderService.objects.filter(pk__in=[row_id for row_id in terms if row_id is not None])
    return {int(row.remote_id): pricing.list_rate(terms[row.pk]) for row in rows}


def on_sale() -> AbstractSet[int]:
    """Return the ids there of what can be bought now."""
    return set(prices())


def found(one: Sync) -> dict[tuple[str, str], SyncChange]:
    return {(change.kind, change.remote_id): change for change in one.changes.all()}
