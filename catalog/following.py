"""Following a provider's list: read it, compare, brake, apply; and undo (PROTOCOL 6.5, SCREENS 2: 16 and 17).

The list is read outside of any transaction and differences are written down in batches; what becomes of them is decided
under the provider row's lock. Provider services always follow what was taken, since they are the cost; services follow
by their own switches, and nothing new is put on sale here. A rate that rose counts at once, even while a person is
waited for (catalog/holding.py).
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.errors import UserError
from catalog import comparing, connecting, holding, kinds, pacing, publishing, reading, receiving, taking
from catalog.comparing import Difference, Goods, Known
from catalog.holding import OVER, REVIEW, Held
from catalog.models import Provider, ProviderService, Route, Sync
from catalog.providers.errors import ProviderError
from catalog.providers.replies import Catalogue, CatalogueRow
from catalog.taking import Progress, untold

logger = logging.getLogger(__name__)

State = Sync.State
# Somebody else decided something while we compared: so often it is done anew.
ATTEMPTS = 3
DECIDED = "Somebody has decided that already, or a newer list took its place"


@dataclass(frozen=True, slots=True)
class Finding:
    """How a list differs, from what, and why it would have to wait; one that is empty changes nothing."""

    differences: list[Difference]
    held: Held
    brake: str
    is_empty: bool = False


def sync_provider(
    provider_id: int,
    *,
    is_product: bool = False,
    actor_id: int | None = None,
    review: bool = False,
    tell: Progress = untold,
) -> Sync:
    """Read a provider's list of services, or of products, now and follow it, or let it wait for a person.

    Returns what became of it. `review` always lets it wait. A provider that does not answer makes a FAILED sync.
    Raises UserError when somebody else reads the list at this moment. Never call it inside a transaction, since it
    waits for the network.
    """
    reading.request_sync(provider_id, is_product=is_product, actor_id=actor_id, review=review)
    sync = reading.begin(provider_id, is_product=is_product)
    if sync is None:
        raise UserError("This provider's list is being read at this moment")
    return _run(sync, tell)


def sync_alone(provider_id: int) -> None:
    """Read the lists that were asked for, one after the other, unless somebody is at it.

    A later tick does when no call is left just now.
    """
    for is_product in reading.list_asked(provider_id):
        if not pacing.take(provider_id, pacing.Kind.READ, 1):
            return
        sync = reading.begin(provider_id, is_product=is_product)
        if sync is not None:
            _run(sync)


def preview(provider_id: int, *, is_product: bool = False) -> Finding:
    """Read a provider's list and return what a sync would find; nothing is written.

    Raises ProviderError when the list cannot be read. Never call it inside a transaction.
    """
    provider = Provider.objects.get(pk=provider_id)
    catalogue = receiving.receive(provider, is_product=is_product)
    return _compare(provider, catalogue, is_product=is_product)


def apply(sync_id: int, *, actor_id: int | None = None, only: Collection[int] | None = None) -> Sync:
    """Take what a waiting sync found, or the changes with these ids alone; the rest goes on waiting.

    One transaction under the provider row's lock. What something else changed since is left as it is, and counted.
    Raises UserError when the sync does not wait, or nothing of it is left.
    """
    with transaction.atomic():
        sync = _lock_waiting(sync_id)
        left = sync.changes.filter(applied=False).exclude(after__has_key="skipped")
        if not (left if only is None else left.filter(pk__in=only)).exists():
            raise UserError("There is nothing to apply")
        _take(sync, only)
        # What a person left is not taken behind his back when the next list is read.
        sync.counts[REVIEW] = 1
        reading.end(sync, State.WAITING if left.exists() else State.APPLIED, sync.why, actor_id=actor_id)
    publishing.publish()
    return sync


def dismiss(sync_id: int, *, actor_id: int | None = None) -> Sync:
    """Leave what a waiting sync found, or what is left of it; rates that rose count all the same.

    It does not come back by itself unless it changes. Raises UserError when the sync does not wait.
    """
    with transaction.atomic():
        sync = _lock_waiting(sync_id)
        taken = sync.changes.filter(applied=True).exists()
        return reading.end(sync, State.APPLIED if taken else State.DISMISSED, sync.why, actor_id=actor_id)


def undo(sync_id: int, *, actor_id: int | None = None) -> Sync:
    """Put back what the last applied sync of a provider changed, where nothing else has changed it since.

    It does not come back by itself unless it changes, except for rates that rose: those are our cost. Raises UserError
    when it is not the last one, or was not applied.
    """
    with transaction.atomic():
        sync = _lock(sync_id)
        if sync.state != State.APPLIED or sync != last_applied(sync):
            raise UserError("Only the last list that was applied can be undone")
        sync.counts["missed"] = taking.put_back(sync)
        sync.counts.pop(OVER, None)
        reading.end(sync, State.UNDONE, sync.why, actor_id=actor_id)
    publishing.publish()
    return sync


def last_applied(sync: Sync) -> Sync | None:
    """Return the newest sync of the same list that changed something, wholly or in part."""
    same = Sync.objects.filter(provider=sync.provider_id, is_product=sync.is_product)
    return same.filter(changes__applied=True).order_by("-pk").first()


def confirm(provider_service_id: int, *, actor_id: int | None = None) -> ProviderService:
    """Sell again what waits for a person: it had vanished and came back, or its id stands for something else now.

    Raises UserError when it does not wait, or is another kind of order than a service that would be sold by it.
    """
    with transaction.atomic():
        found = ProviderService.objects.get(pk=provider_service_id)
        Provider.objects.select_for_update(no_key=True).get(pk=found.provider_id)
        row = ProviderService.objects.get(pk=provider_service_id)
        if not row.waiting:
            raise UserError("It does not wait any more")
        for route in Route.objects.filter(provider_service=row).select_related("service"):
            if not row.is_product and route.service.type != kinds.read_type(row.type):
                raise UserError(f"It is of the type {row.type} now; service {route.service} is {route.service.type}")
        row.waiting = ProviderService.Waiting.NONE
        row.save(update_fields=["waiting"])
        taking.follow([row], taking.read_asked([row]))
    logger.info("provider service %s was confirmed by user %s", row.pk, actor_id)
    publishing.publish()
    return row


def _run(sync: Sync, tell: Progress = untold) -> Sync:
    """Read the list of a sync that was begun, and decide what becomes of it."""
    try:
        return _read(sync, tell)
    except reading.Overtaken:
        sync.refresh_from_db()
        return sync
    except Exception:
        reading.end(sync, State.FAILED, _("Something went wrong here; the log says what."))
        raise


def _read(sync: Sync, tell: Progress) -> Sync:
    provider = sync.provider
    try:
        catalogue = receiving.receive(provider, is_product=sync.is_product)
    except ProviderError as error:
        connecting.record_failure(provider, error)
        reading.go_on(sync, done=0)
        return reading.end(sync, State.FAILED, error.text)
    connecting.record_success(provider)
    for _attempt in range(ATTEMPTS):
        if _follow(sync, provider, catalogue, tell):
            publishing.publish()
            return sync
    return reading.end(sync, State.FAILED, _("Somebody else changed things all the while."))


def _follow(sync: Sync, provider: Provider, catalogue: Catalogue, tell: Progress) -> bool:
    """Compare, and decide; False when somebody decided something else meanwhile, and nothing is changed then."""
    sync.rows = len(catalogue.rows)
    found = _compare(provider, catalogue, is_product=sync.is_product)
    asked = bool(sync.counts.get(REVIEW))
    same = not asked and holding.is_same(found.held, found.differences)
    if not same:
        reading.write_changes(sync, found.differences, tell)
    with transaction.atomic():
        Provider.objects.select_for_update(no_key=True).get(pk=provider.pk)
        reading.go_on(sync, done=sync.rows)
        if found.is_empty:
            _end_empty(sync, found.brake)
            return True
        if not holding.is_current(found.held, provider.pk, is_product=sync.is_product):
            sync.changes.all().delete()
            return False
        sync.counts = {**comparing.count(found.differences), "skipped": len(catalogue.skipped)}
        if asked or found.held.wants_review:
            sync.counts[REVIEW] = 1
        _decide(sync, found, tell, same=same)
        if sync.is_product:
            taking.note_stock(provider.pk, catalogue)
        else:
            Provider.objects.filter(pk=provider.pk).update(synced_at=sync.ended_at)
    return True


def _decide(sync: Sync, found: Finding, tell: Progress, *, same: bool) -> None:
    """Write what becomes of a list that says something, under the provider row's lock."""
    _waiting_empty(sync).update(state=State.DISMISSED, ended_at=sync.ended_at)
    if same:
        holding.raise_rates(sync, found.differences)
        why = _("It differs in nothing but what waits, or was left out by staff.") if found.differences else ""
        reading.end(sync, State.UNCHANGED, why)
        return
    holding.let_go(found.held)
    why = found.brake or (
        _("To be looked at first, as staff asked for or held back before.") if sync.counts.get(REVIEW) else ""
    )
    if not found.differences:
        reading.end(sync, State.UNCHANGED)
    elif why:
        holding.raise_rates(sync, found.differences)
        reading.end(sync, State.WAITING, why)
    else:
        _take(sync, None, tell)
        reading.end(sync, State.APPLIED)


def _end_empty(sync: Sync, why: str) -> None:
    """Change nothing by an empty list; one that waits already says enough."""
    again = _waiting_empty(sync).exists()
    reading.end(sync, State.UNCHANGED if again else State.WAITING, why)


def _waiting_empty(sync: Sync) -> QuerySet[Sync]:
    return Sync.objects.filter(provider=sync.provider_id, is_product=sync.is_product, state=State.WAITING, rows=0)


def _tell_empty() -> str:
    return _("The list is empty: usually a refused key. Nothing is changed by it.")


def _take(sync: Sync, only: Collection[int] | None, tell: Progress = untold) -> None:
    sync.counts["missed"] = sync.counts.get("missed", 0) + taking.take(sync, only, tell)


def _compare(provider: Provider, catalogue: Catalogue, *, is_product: bool) -> Finding:
    """Compare a list with our rows as a person last took them; an empty one says nothing to compare.

    Only of products an empty list may be the truth: where we know of none, there is nothing to wait for.
    """
    rows = _read_known(provider, is_product=is_product)
    if not catalogue.rows and not (is_product and all(one.vanished for one in rows)):
        return Finding([], Held(), _tell_empty(), is_empty=True)
    held = holding.read_held(provider.pk, is_product=is_product)
    known = holding.confirm_rates(rows, held)
    differences = comparing.compare(known, catalogue)
    brake = comparing.find_brake(
        differences,
        taking.read_sold(provider.pk, is_product=is_product),
        gone_percent=provider.brake_gone_percent,
        rate_percent=provider.brake_rate_percent,
    )
    return Finding(differences, held, brake)


def _read_known(provider: Provider, *, is_product: bool) -> list[Known]:
    rows = ProviderService.objects.filter(provider=provider, is_product=is_product).order_by("pk")
    # In the order of the rows' own fields.
    fields, shape = (comparing.FIELDS, Goods) if is_product else (comparing.SERVICE_FIELDS, CatalogueRow)
    values = rows.values_list("remote_id", *fields, "vanished_at")
    return [Known(shape(*row), gone is not None) for *row, gone in values.iterator(chunk_size=reading.BATCH)]


def _lock(sync_id: int) -> Sync:
    """Lock a sync's provider, which all who change its services do, and return the sync as it is now."""
    provider_id = Sync.objects.values_list("provider", flat=True).get(pk=sync_id)
    Provider.objects.select_for_update(no_key=True).get(pk=provider_id)
    return Sync.objects.get(pk=sync_id)


def _lock_waiting(sync_id: int) -> Sync:
    sync = _lock(sync_id)
    if sync.state != State.WAITING:
        raise UserError(DECIDED)
    return sync
