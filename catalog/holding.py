"""What a person has not taken of a provider's list yet, and the rates that rose meanwhile (PROTOCOL 6.5).

A rate that rose is our cost whether or not somebody has looked, so it counts at once; all else waits. Until a person
decides, the rate from before stays the one that the next list is compared with: a list that comes to its senses is then
no change at all, and not a fall that trips the brake again.

Every function that writes expects the transaction that holds the provider's row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.comparing import Difference, Known
from catalog.models import Sync, SyncChange

State, Kind = Sync.State, SyncChange.Kind
DECIDED = (State.WAITING, State.DISMISSED, State.APPLIED, State.UNDONE)
# Marks in Sync.counts: staff want to see it first; a newer list made what was left of it meaningless.
REVIEW, OVER = "review", "over"

SET_RATES = """
UPDATE catalog_providerservice ours SET rate = given.rate, read_at = now()
FROM unnest(%(ids)s::text[], %(old)s::numeric[], %(rates)s::numeric[]) AS given(remote_id, old, rate)
WHERE ours.provider_id = %(provider)s AND ours.is_product = %(is_product)s AND ours.remote_id = given.remote_id
"""
RAISE = f"{SET_RATES} AND ours.rate < given.rate"
TAKE_BACK = f"{SET_RATES} AND ours.rate = given.old"


@dataclass(frozen=True, slots=True)
class Held:
    """The provider's last sync that somebody decided or has to decide, and its changes that were not taken, by id."""

    sync: Sync | None = None
    left: Mapping[str, SyncChange] = field(default_factory=dict)

    @property
    def wants_review(self) -> bool:
        """Whether staff have held back something, so that what comes next must not be taken behind their backs."""
        if self.sync is None or not self.left:
            return False
        return self.sync.state != State.WAITING or bool(self.sync.counts.get(REVIEW))


def read_held(provider_id: int, *, is_product: bool) -> Held:
    """Return what is left of a provider's last sync that was not empty."""
    sync = _last_decided(provider_id, is_product=is_product)
    return Held() if sync is None else Held(sync, {change.remote_id: change for change in _left(sync)})


def is_current(held: Held, provider_id: int, *, is_product: bool) -> bool:
    """Tell whether nobody has decided anything since; to be asked under the provider row's lock."""
    sync = _last_decided(provider_id, is_product=is_product)
    if sync is None or held.sync is None:
        return sync is held.sync
    return (sync.pk, sync.state, _left(sync).count()) == (held.sync.pk, held.sync.state, len(held.left))


def confirm_rates(known: Iterable[Known], held: Held) -> list[Known]:
    """Return what is known with the rates from before where one counts already that nobody has taken."""
    return [_confirmed(one, held.left.get(one.row.service)) for one in known]


def is_same(held: Held, differences: Sequence[Difference]) -> bool:
    """Tell whether a list differs in nothing but what was left."""
    return len(differences) == len(held.left) and all(
        (change := held.left.get(one.remote_id)) is not None
        and (change.kind, change.before, change.after) == (one.kind, one.before, one.after)
        for one in differences
    )


def raise_rates(sync: Sync, differences: Iterable[Difference | SyncChange]) -> None:
    """Let the rates count that rose; one statement."""
    _set_rates(RAISE, sync, [one for one in differences if _rises(one)])


def let_go(held: Held) -> None:
    """Forget what was left of a sync since a newer list says otherwise, the rates that rose with it as well."""
    if held.sync is None or not held.left:
        return
    _set_rates(TAKE_BACK, held.sync, [one for one in held.left.values() if _rises(one)])
    counts = {**held.sync.counts, OVER: 1}
    if held.sync.state != State.WAITING:
        Sync.objects.filter(pk=held.sync.pk).update(counts=counts)
        return
    # Nobody has decided it, and nobody will: a list that changes each hour would leave a heap.
    held.sync.changes.filter(applied=False).delete()
    state = State.APPLIED if held.sync.changes.exists() else State.DISMISSED
    Sync.objects.filter(pk=held.sync.pk).update(
        counts=counts, state=state, why=_("A newer list took its place."), ended_at=timezone.now()
    )


def _last_decided(provider_id: int, *, is_product: bool) -> Sync | None:
    syncs = Sync.objects.filter(provider=provider_id, is_product=is_product, state__in=DECIDED, rows__gt=0)
    return syncs.order_by("-pk").first()


def _left(sync: Sync) -> QuerySet[SyncChange]:
    if sync.counts.get(OVER):
        return SyncChange.objects.none()
    return sync.changes.filter(applied=False).exclude(after__has_key="skipped").order_by()


def _confirmed(known: Known, change: SyncChange | None) -> Known:
    if change is None or not _rises(change) or known.row.rate != Decimal(change.after["rate"]):
        return known
    return replace(known, row=replace(known.row, rate=Decimal(change.before["rate"])))


def _rises(change: Difference | SyncChange) -> bool:
    """Tell whether a rate rose of what is still sold; what had vanished is not."""
    if change.kind not in {Kind.CHANGED, Kind.REUSED} or "rate" not in change.before or change.before.get("vanished"):
        return False
    return Decimal(change.after["rate"]) > Decimal(change.before["rate"])


def _set_rates(statement: str, sync: Sync, rising: Sequence[Difference | SyncChange]) -> None:
    if not rising:
        return
    old, new = ("before", "after") if statement is RAISE else ("after", "before")
    values: dict[str, Any] = {
        "provider": sync.provider_id,
        "is_product": sync.is_product,
        "ids": [one.remote_id for one in rising],
        "old": [Decimal(getattr(one, old)["rate"]) for one in rising],
        "rates": [Decimal(getattr(one, new)["rate"]) for one in rising],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
