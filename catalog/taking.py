"""Taking what a sync found: provider services follow what was read, and services follow them where they may.

What something else changed since the list was compared is left as it is. Both ways, forward and back; every function
expects the transaction that holds the provider's row, which imports and confirmations take as well.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Prefetch, ProtectedError, Q, QuerySet
from django.utils import timezone

from catalog import kinds
from catalog.comparing import FIELDS, Goods
from catalog.models import Product, ProviderService, Route, Service, Sync, SyncChange
from catalog.providers.replies import Catalogue

Kind, Waiting = SyncChange.Kind, ProviderService.Waiting
# Told what is done with so many of so many, for a person at a terminal.
Progress = Callable[[str, int, int], None]
# So many at a time are in memory, and in one statement.
CHUNK = 1000
WRITTEN = (*FIELDS, "vanished_at", "waiting", "read_at")
FOLLOWING = ("name", "description", "min", "max", "refill", "cancel")
# What was said of the stock of what is not listed now is left as it is: it is not sold.
NOTE_STOCK = """
UPDATE catalog_providerservice ours SET in_stock = given.in_stock, inventory = given.inventory
FROM unnest(%(ids)s::text[], %(in_stock)s::boolean[], %(inventory)s::bigint[]) AS given(remote_id, in_stock, inventory)
WHERE ours.provider_id = %(provider)s AND ours.is_product AND ours.remote_id = given.remote_id
    AND (ours.in_stock, ours.inventory) IS DISTINCT FROM (given.in_stock, given.inventory)
"""
FOLLOWERS = Q(follows_name=True) | Q(follows_description=True) | Q(follows_limits=True) | Q(follows_flags=True)


def untold(_done: str, _number: int, _of: int) -> None:
    """Tell nobody."""


def read_sold(provider_id: int, *, is_product: bool) -> set[str]:
    """Return the ids at a provider of the services, or products, that customers can buy now."""
    rows = ProviderService.objects.filter(
        provider=provider_id, is_product=is_product, vanished_at=None, waiting="", rate__gt=0
    )
    return set(
        rows.filter(routes__enabled=True, routes__service__enabled=True).order_by().values_list("remote_id", flat=True)
    )


def take(sync: Sync, only: Collection[int] | None = None, tell: Progress = untold) -> int:
    """Take the changes of a sync that are not taken yet, or those of these ids; return how many had to be left."""
    left = _choose(sync, applied=False)
    if only is not None:
        left = left.filter(pk__in=only)
    missed, done, of = 0, 0, left.count()
    for changes in _in_chunks(left):
        rows, routed = _read_rows(sync, changes)
        asked = read_asked(rows.values())
        taken = [change for change in changes if _take_one(sync, change, rows, routed)]
        write(rows[change.remote_id] for change in taken)
        same_service = [rows[change.remote_id] for change in taken if change.kind in {Kind.CHANGED, Kind.BACK}]
        follow([row for row in same_service if row.pk in routed], asked)
        missed += _note(changes, taken)
        done += len(changes)
        tell("applied", done, of)
    return missed


def put_back(sync: Sync) -> int:
    """Put back what a sync changed, where it is still so; return how many rows something else changed since."""
    missed = 0
    for changes in _in_chunks(_choose(sync, applied=True)):
        rows, routed = _read_rows(sync, changes)
        asked = read_asked(rows.values())
        new = [change for change in changes if change.kind == Kind.NEW]
        back = [change for change in changes if _put_back_one(change, rows.get(change.remote_id))]
        write(rows[change.remote_id] for change in back)
        back += _take_away([change for change in new if change.remote_id in rows], rows, routed)
        follow([row for row in rows.values() if row.pk in routed], asked)
        SyncChange.objects.filter(pk__in=[change.pk for change in back]).update(applied=False)
        missed += len(changes) - len(back)
    return missed


def note_stock(provider_id: int, catalogue: Catalogue) -> None:
    """Write what a list of products says of their stock; one statement, which decides nothing else."""
    goods = [row for row in catalogue.rows if isinstance(row, Goods)]
    values: dict[str, Any] = {
        "provider": provider_id,
        "ids": [row.service for row in goods],
        "in_stock": [row.in_stock for row in goods],
        "inventory": [row.inventory for row in goods],
    }
    with connection.cursor() as cursor:
        cursor.execute(NOTE_STOCK, values)


def read_asked(rows: Iterable[ProviderService]) -> dict[int, str]:
    """Return what the buyers of products had to enter by these rows until now, for `follow` after they changed."""
    return {row.pk: row.require for row in rows if row.is_product}


def follow(rows: Sequence[ProviderService], asked: Mapping[int, str]) -> None:
    """Let the services of these rows follow them, by each service's switches; `asked` is what `read_asked` returned.

    A service with several routes follows the first; its limits are its own then, as they must suit all of them.
    """
    given = {row.pk: row for row in rows}
    _follow_goods({row.pk: row for row in rows if row.is_product}, asked)
    routes = Prefetch("routes", queryset=Route.objects.order_by("position"), to_attr="in_order")
    ids = Route.objects.filter(provider_service__in=list(given)).values_list("service", flat=True)
    services = Service.objects.filter(FOLLOWERS, pk__in=set(ids)).prefetch_related(routes).order_by("pk")
    changed = []
    for service in services.select_for_update(no_key=True):
        in_order = getattr(service, "in_order", [])
        row = given.get(in_order[0].provider_service_id)
        if row is not None and _follow_one(service, row, alone=len(in_order) == 1):
            changed.append(service)
    Service.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["id"], update_fields=FOLLOWING, batch_size=CHUNK
    )


def _follow_goods(given: Mapping[int, ProviderService], asked: Mapping[int, str]) -> None:
    """Let products be of the kind that their first route says, and ask for what it asks for.

    Whether anything must be entered always follows, since an order without it would be refused; the label that staff
    wrote for it stays.
    """
    if not given:
        return
    first = Route.objects.filter(provider_service__in=list(given), service__product__source=Product.Source.PROVIDER)
    earlier = Route.objects.filter(service=OuterRef("service"), position__lt=OuterRef("position"))
    for route in first.exclude(Exists(earlier)).select_related("service__product").order_by("service"):
        row, product = given[route.provider_service_id], route.service.product
        before = product.kind, product.require
        product.kind = kinds.read_kind(row.type)
        if product.require == asked.get(row.pk, "") or not (product.require and row.require):
            product.require = row.require
        if before != (product.kind, product.require):
            product.save(update_fields=["kind", "require"])


def _follow_one(service: Service, row: ProviderService, *, alone: bool) -> bool:
    """Set what a service follows; tell whether that changed anything."""
    wanted: dict[str, Any] = {}
    if service.follows_name:
        wanted["name"] = row.name
    if service.follows_description:
        wanted["description"] = row.description
    if service.follows_limits and alone:
        wanted |= {"min": row.min, "max": row.max}
    if service.follows_flags:
        # What the provider does not say is for staff to say.
        wanted |= {name: getattr(row, name) for name in ("refill", "cancel") if getattr(row, name) is not None}
    differing = {name: value for name, value in wanted.items() if getattr(service, name) != value}
    for name, value in differing.items():
        setattr(service, name, value)
    return bool(differing)


def _choose(sync: Sync, *, applied: bool) -> QuerySet[SyncChange]:
    return sync.changes.filter(applied=applied).exclude(after__has_key="skipped").order_by("pk")


def _in_chunks(changes: QuerySet[SyncChange]) -> Iterator[list[SyncChange]]:
    last = 0
    while chunk := list(changes.filter(pk__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].pk


def _read_rows(sync: Sync, changes: Sequence[SyncChange]) -> tuple[dict[str, ProviderService], set[int]]:
    """Return the rows that changes are about by their ids, and which of them a service has a route to."""
    ids = [change.remote_id for change in changes]
    rows = ProviderService.objects.filter(provider=sync.provider_id, is_product=sync.is_product, remote_id__in=ids)
    found = {row.remote_id: row for row in rows}
    routes = Route.objects.filter(provider_service__in=[row.pk for row in found.values()])
    return found, set(routes.values_list("provider_service", flat=True))


def _take_one(sync: Sync, change: SyncChange, rows: dict[str, ProviderService], routed: set[int]) -> bool:
    """Set what a change says on its row, which a new one makes; tell whether it could be taken."""
    row = rows.get(change.remote_id)
    values = {name: _read(name, change.after[name]) for name in FIELDS if name in change.after}
    if row is None:
        if change.kind == Kind.NEW:
            rows[change.remote_id] = ProviderService(
                provider_id=sync.provider_id,
                is_product=sync.is_product,
                remote_id=change.remote_id,
                read_at=timezone.now(),
                **values,
            )
        return change.kind == Kind.NEW
    if any(getattr(row, name) not in {value, _before(change, name)} for name, value in values.items()):
        return False
    for name, value in values.items():
        setattr(row, name, value)
    row.read_at = timezone.now()
    if change.kind == Kind.VANISHED:
        row.vanished_at = row.vanished_at or timezone.now()
    elif change.kind in {Kind.BACK, Kind.REUSED}:
        row.vanished_at = None
        # What nobody sells needs nobody to confirm it.
        if row.pk in routed:
            row.waiting = Waiting.REUSED if change.kind == Kind.REUSED else row.waiting or Waiting.BACK
    return True


def _put_back_one(change: SyncChange, row: ProviderService | None) -> bool:
    """Set what a row was before a change; tell whether anything of it was still as the change had made it."""
    if row is None or change.kind == Kind.NEW:
        return False
    if change.kind == Kind.VANISHED:
        was_gone, row.vanished_at = row.vanished_at is not None, None
        return was_gone
    ours = [name for name in FIELDS if name in change.before and getattr(row, name) == _read(name, change.after[name])]
    for name in ours:
        setattr(row, name, _before(change, name))
    if row.waiting == change.kind:
        row.waiting = Waiting.NONE
    if change.before.get("vanished"):
        row.vanished_at = row.vanished_at or timezone.now()
        return True
    return bool(ours)


def _take_away(changes: Sequence[SyncChange], rows: dict[str, ProviderService], routed: set[int]) -> list[SyncChange]:
    """Delete rows that were new and that nobody uses; return the changes that are undone by that."""
    unused = [change for change in changes if rows[change.remote_id].pk not in routed]
    try:
        with transaction.atomic():
            ProviderService.objects.filter(pk__in=[rows[change.remote_id].pk for change in unused]).delete()
    except ProtectedError:
        return []  # an order went there meanwhile, by a route that is gone again
    return unused


def _before(change: SyncChange, name: str) -> Any:
    return _read(name, change.before.get(name))


def _read(name: str, value: Any) -> Any:
    return Decimal(value) if name == "rate" and value is not None else value


def write(rows: Iterable[ProviderService]) -> None:
    """Write rows in two statements, however many they are."""
    new: list[ProviderService] = []
    known: list[ProviderService] = []
    for row in rows:
        (new if row.pk is None else known).append(row)
    ProviderService.objects.bulk_create(new)
    ProviderService.objects.bulk_create(known, update_conflicts=True, unique_fields=["id"], update_fields=WRITTEN)


def _note(changes: Sequence[SyncChange], taken: Sequence[SyncChange]) -> int:
    """Mark what was taken, and what had to be left since something else had changed it; return how many those are."""
    done = {change.pk for change in taken}
    SyncChange.objects.filter(pk__in=done).update(applied=True)
    missed = [change for change in changes if change.pk not in done]
    for change in missed:
        change.after["skipped"] = True
    SyncChange.objects.bulk_update(missed, ["after"])
    return len(missed)
