"""Importing: reading a provider's catalogue and putting its services, or its products, on sale (PROTOCOL 3.9, 6.5).

Each row becomes a ProviderService, and the first time a Service with one Route; of a product also its Product, and it
is sold plainly, whatever the word that stands for its type. What staff may have changed on a
service is overwritten only where its switches say that it follows the provider. An empty list changes nothing, since it
is usually a broken key, nor is anything taken off sale by a list that misses more than the provider's brake allows; and
an id that stands for something else now is not sold until a person confirms it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import connection, transaction
from django.utils import timezone

from catalog import comparing, receiving, taking
from catalog.comparing import SERVICE_FIELDS, Goods
from catalog.kinds import SPREADABLE, read_kind, read_type
from catalog.models import Category, Markup, Product, Provider, ProviderService, Route, Service
from catalog.providers.replies import Catalogue, CatalogueRow
from catalog.taking import Progress, untold

BATCH = 1000

VANISH = """
UPDATE catalog_providerservice SET vanished_at = now()
WHERE provider_id = %(provider)s AND is_product = %(is_product)s AND vanished_at IS NULL
    AND NOT remote_id = ANY(%(listed)s::text[])
"""

Routes = Mapping[int, list[Service]]
Waiting = ProviderService.Waiting


@dataclass
class ImportCounts:
    """What an import did: `added` were not sold before; `skipped` are (their id, reason)."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def import_services(
    provider: Provider, *, markup_percent: Decimal | None = None, category: str = "", is_product: bool = False
) -> ImportCounts:
    """Read a provider's catalogue and import it, all of it or one of its categories; return what that did.

    Raises ProviderError when the catalogue cannot be read. Reads the network before it opens its transaction.
    """
    catalogue = receiving.receive(provider, is_product=is_product)
    return apply_catalogue(provider, catalogue, markup_percent=markup_percent, category=category)


@transaction.atomic
def apply_catalogue(
    provider: Provider,
    catalogue: Catalogue,
    *,
    markup_percent: Decimal | None = None,
    category: str = "",
    tell: Progress = untold,
) -> ImportCounts:
    """Import a catalogue that was read, of services or of products, batch by batch in one transaction.

    One import or sync of a provider at a time. Beside the catalogue itself only one batch is in memory.
    """
    Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)
    counts = ImportCounts(skipped=list(catalogue.skipped))
    is_product = any(isinstance(row, Goods) for row in catalogue.rows)
    wanted = [row for row in catalogue.rows if not category or row.category.casefold() == category.casefold()]
    refused: set[str] = set()
    for start in range(0, len(wanted), BATCH):
        tell("imported", start, len(wanted))
        batch = wanted[start : start + BATCH]
        taken, routes = _take_batch(provider, batch, counts, refused, is_product=is_product)
        new = _put_on_sale([row for row in taken if row.pk not in routes], counts)
        if markup_percent is not None:
            _mark_up([*new, *(service for row in taken for service in routes.get(row.pk, []))], markup_percent)
    tell("imported", len(wanted), len(wanted))
    if catalogue.rows:
        listed = {row.service for row in catalogue.rows} - refused
        _mark_vanished(provider, listed, counts, is_product=is_product)
    if is_product:
        taking.note_stock(provider.pk, catalogue)
    return counts


def _take_batch(
    provider: Provider, batch: Sequence[CatalogueRow], counts: ImportCounts, refused: set[str], *, is_product: bool
) -> tuple[list[ProviderService], Routes]:
    """Write the rows of a batch that can be taken, and let services follow; return them, and the routes there were."""
    ids = [row.service for row in batch]
    rows = ProviderService.objects.filter(provider=provider, is_product=is_product, remote_id__in=ids)
    known = {row.remote_id: row for row in rows}
    routes, asked = _read_routes(known.values()), taking.read_asked(known.values())
    taken = []
    for row in batch:
        try:
            taken.append(_take_row(provider, row, known.get(row.service), routes, counts))
        except ValueError as error:
            refused.add(row.service)
            counts.skipped.append((row.service, str(error)))
    taking.write(taken)
    taking.follow([row for row in taken if row.pk in routes and not row.waiting], asked)
    return taken, routes


def _read_routes(rows: Iterable[ProviderService]) -> Routes:
    """Return the services that have a route to each of these rows."""
    routes = defaultdict(list)
    for route in Route.objects.filter(provider_service__in=[row.pk for row in rows]).select_related("service"):
        routes[route.provider_service_id].append(route.service)
    return dict(routes)


def _take_row(
    provider: Provider, listed: CatalogueRow, known: ProviderService | None, routes: Routes, counts: ImportCounts
) -> ProviderService:
    """Return a row as it is to be written, and count it; raise ValueError when it cannot be taken."""
    listed = comparing.tidy(listed)
    values = {name: getattr(listed, name) for name in comparing.list_fields(listed)}
    if known is None:
        counts.added += 1
        return ProviderService(
            provider=provider,
            is_product=isinstance(listed, Goods),
            remote_id=listed.service,
            read_at=timezone.now(),
            **values,
        )
    if known.rate and not listed.rate:
        raise ValueError("rate 0: not taken")
    before = CatalogueRow(known.remote_id, *(getattr(known, name) for name in SERVICE_FIELDS))
    # An import is a person's wish: what had vanished and is listed again can be bought again.
    values |= {"vanished_at": None, "waiting": "" if known.waiting == Waiting.BACK else known.waiting}
    if known.pk in routes and comparing.is_reused(before, listed):
        values["waiting"] = Waiting.REUSED
        counts.skipped.append((listed.service, "stands for something else now: not sold until confirmed"))
    differing = [name for name, value in values.items() if getattr(known, name) != value]
    counts.added += known.pk not in routes  # a sync has read it before, and nobody sold it
    counts.changed += known.pk in routes and bool(differing)
    counts.unchanged += known.pk in routes and not differing
    for name in differing:
        setattr(known, name, values[name])
    known.read_at = timezone.now()
    return known


def _put_on_sale(rows: list[ProviderService], counts: ImportCounts) -> list[Service]:
    """Give every row a service of its own; return them."""
    categories = _make_categories(dict.fromkeys(row.category or "Other" for row in rows))
    services = [_make_service(row, categories[row.category or "Other"], counts) for row in rows]
    Service.objects.bulk_create(services)
    make_products(services, rows)
    routes = [Route(service=service, provider_service=row) for service, row in zip(services, rows, strict=True)]
    Route.objects.bulk_create(routes)
    return services


def make_products(services: Iterable[Service], rows: Iterable[ProviderService]) -> None:
    """Make the products of new services that are products, of the kind and with the label that their rows have."""
    Product.objects.bulk_create(
        Product(service=service, source=Product.Source.PROVIDER, kind=read_kind(row.type), require=row.require)
        for service, row in zip(services, rows, strict=True)
        if service.is_product
    )


def _make_categories(names: Iterable[str]) -> dict[str, Category]:
    """Return the categories with these names, made where there is none."""
    names = list(names)
    known = {category.name: category for category in Category.objects.filter(name__in=names)}
    return known | {name: Category.objects.create(name=name) for name in names if name not in known}


def _make_service(row: ProviderService, category: Category, counts: ImportCounts) -> Service:
    kind = Service.Type.DEFAULT if row.is_product else read_type(row.type)
    if kind == Service.Type.UNKNOWN:
        counts.skipped.append((row.remote_id, f"unknown type {row.type}: imported, not on sale"))
    elif not row.rate:
        counts.skipped.append((row.remote_id, "rate 0: imported, not on sale"))
    return Service(
        category=category,
        name=row.name,
        description=row.description,
        type=kind,
        min=row.min,
        max=row.max,
        refill=bool(row.refill),
        cancel=bool(row.cancel),
        # What the provider does not say about drip-feed stays off until staff switch it on (PROTOCOL 12).
        dripfeed=bool(row.dripfeed) and kind in SPREADABLE,
        is_product=row.is_product,
        enabled=kind != Service.Type.UNKNOWN and row.rate > 0,
    )


def _mark_vanished(provider: Provider, listed: set[str], counts: ImportCounts, *, is_product: bool) -> None:
    """Stamp what is not listed any more, unless so much is missing that a sync would wait for a person."""
    sold = taking.read_sold(provider.pk, is_product=is_product)
    missing = sorted(sold - listed)
    if len(missing) * 100 > provider.brake_gone_percent * len(sold):
        why = f"gone, but left on sale: {len(missing)} of the {len(sold)} that we sell, so a sync lets a person decide"
        counts.skipped += [(remote_id, why) for remote_id in missing]
        return
    with connection.cursor() as cursor:
        cursor.execute(VANISH, {"provider": provider.pk, "is_product": is_product, "listed": list(listed)})
        counts.vanished = cursor.rowcount


def _mark_up(services: Iterable[Service], percent: Decimal) -> None:
    """Give services a rule each, or another percent to the one they have; one statement."""
    rules = {service.pk: Markup(service=service, percent=percent) for service in services}
    Markup.objects.bulk_create(
        rules.values(),
        update_conflicts=True,
        unique_fields=["provider", "category", "service"],
        update_fields=["percent", "fixed"],
    )
