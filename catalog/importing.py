"""Importing: reading a provider's catalogue and putting its services on sale (PROTOCOL 6.5).

Each row becomes a ProviderService, and the first time a Service with one Route. What staff may have changed on a
service (name, category, description, whether it is on sale) is never overwritten; limits follow the provider. An empty
list changes nothing, since it is usually a broken key.
"""

import html
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from catalog import connecting
from catalog.models import Category, Markup, Provider, ProviderService, Route, Service
from catalog.providers.replies import Catalogue, CatalogueRow

FOLLOWED = ["name", "type", "category", "rate", "min", "max", "refill", "cancel", "dripfeed", "description"]
TYPES = {kind.lower(): kind for kind in Service.Type if kind != Service.Type.UNKNOWN}


@dataclass
class ImportCounts:
    """What an import did; `skipped` are (their id, reason)."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def import_services(provider: Provider, *, markup_percent: Decimal | None = None, category: str = "") -> ImportCounts:
    """Read a provider's catalogue and import it, all of it or one of its categories; return what that did.

    Raises ProviderError when the catalogue cannot be read. Reads the network before it opens its transaction.
    """
    with connecting.connect(provider) as client:
        catalogue = client.services()
    return apply_catalogue(provider, catalogue, markup_percent=markup_percent, category=category)


@transaction.atomic
def apply_catalogue(
    provider: Provider, catalogue: Catalogue, *, markup_percent: Decimal | None = None, category: str = ""
) -> ImportCounts:
    """Import a catalogue that was read; one import of a provider at a time."""
    Provider.objects.select_for_update().get(pk=provider.pk)
    counts = ImportCounts(skipped=list(catalogue.skipped))
    known = {row.remote_id: row for row in ProviderService.objects.filter(provider=provider)}
    wanted = [row for row in catalogue.rows if not category or row.category.casefold() == category.casefold()]
    touched = [_take_row(provider, row, known.get(row.service), counts) for row in wanted]
    routed = _put_on_sale([row for row in touched if row is not None], counts)
    if catalogue.rows:
        counts.vanished = _mark_vanished(known.values(), {row.service for row in catalogue.rows})
    if markup_percent is not None:
        _mark_up(routed, markup_percent)
    return counts


def _take_row(
    provider: Provider, row: CatalogueRow, known: ProviderService | None, counts: ImportCounts
) -> ProviderService | None:
    values = {name: getattr(row, name) for name in FOLLOWED}
    values["name"] = clean(row.name)[:300] or row.service
    values["category"] = clean(row.category)[:200]
    values["type"] = row.type[:60]
    if row.min < 1 or row.max < row.min:
        counts.skipped.append((row.service, f"limits {row.min} to {row.max}"))
        return None
    if known is None:
        counts.added += 1
        return ProviderService.objects.create(provider=provider, remote_id=row.service, **values)
    # An import is a person's wish: what had vanished and is listed again can be bought again.
    values["vanished_at"] = None
    differing = [name for name, value in values.items() if getattr(known, name) != value]
    if not differing:
        counts.unchanged += 1
        return known
    counts.changed += 1
    for name in differing:
        setattr(known, name, values[name])
    known.read_at = timezone.now()
    known.save(update_fields=[*differing, "read_at"])
    return known


def _put_on_sale(rows: list[ProviderService], counts: ImportCounts) -> list[Service]:
    """Give every row without a route a service of its own, and let the limits of the others follow."""
    routed = defaultdict(list)
    for route in Route.objects.filter(provider_service__in=[row.pk for row in rows]).select_related("service"):
        routed[route.provider_service_id].append(route.service)
    categories: dict[str, Category] = {}
    for row in rows:
        for service in routed[row.pk]:
            _follow_limits(service, row)
        if not routed[row.pk]:
            service = _make_service(row, categories, counts)
            Route.objects.create(service=service, provider_service=row)
            routed[row.pk].append(service)
    return [service for row in rows for service in routed[row.pk]]


def _make_service(row: ProviderService, categories: dict[str, Category], counts: ImportCounts) -> Service:
    name = row.category or "Other"
    if name not in categories:
        categories[name] = Category.objects.get_or_create(name=name)[0]
    kind = read_type(row.type)
    if kind == Service.Type.UNKNOWN:
        counts.skipped.append((row.remote_id, f"unknown type {row.type}: imported, not on sale"))
    elif not row.rate:
        counts.skipped.append((row.remote_id, "rate 0: imported, not on sale"))
    # What the provider does not say about drip-feed stays off until staff switch it on (PROTOCOL 12).
    return Service.objects.create(
        category=categories[name],
        name=row.name,
        description=row.description,
        type=kind,
        min=row.min,
        max=row.max,
        refill=bool(row.refill),
        cancel=bool(row.cancel),
        dripfeed=bool(row.dripfeed) and kind == Service.Type.DEFAULT,
        enabled=kind != Service.Type.UNKNOWN and row.rate > 0,
    )


def _follow_limits(service: Service, row: ProviderService) -> None:
    if (service.min, service.max) != (row.min, row.max) and service.routes.count() == 1:
        service.min, service.max = row.min, row.max
        service.save(update_fields=["min", "max"])


def _mark_vanished(known: Iterable[ProviderService], listed: set[str]) -> int:
    gone = [row.pk for row in known if row.remote_id not in listed and row.vanished_at is None]
    return ProviderService.objects.filter(pk__in=gone).update(vanished_at=timezone.now())


def _mark_up(services: list[Service], percent: Decimal) -> None:
    for service in services:
        Markup.objects.update_or_create(service=service, defaults={"percent": percent, "fixed": Decimal(0)})


def read_type(text: str) -> Service.Type:
    """Return the service type that a provider's word means; what is not known stays unknown (PROTOCOL 2.2)."""
    folded = " ".join(text.replace("_", " ").replace("-", " ").split()).lower()
    return TYPES.get(folded or "default", Service.Type.UNKNOWN)


def clean(text: str) -> str:
    """Turn HTML entities into characters and drop control characters, which no name needs."""
    unescaped = html.unescape(text)
    return " ".join("".join(char if char.isprintable() else " " for char in unescaped).split())
