"""Syncs that are under way: asked for, taken up by one worker, renewed as it goes on, ended.

While a Sync is READING its `ended_at` is when whoever reads it is given up; None was only asked for, and the next tick
takes it up. So the web process needs no broker, and a worker that dies holds up nothing for long.
"""

import datetime
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from catalog import receiving
from catalog.comparing import Difference
from catalog.holding import REVIEW
from catalog.models import Provider, Sync, SyncChange
from catalog.taking import Progress, untold

State = Sync.State
# Longer than a list takes to read, and renewed with each batch.
LEASE = datetime.timedelta(minutes=10)
# A list that could not be read is asked for again before its next turn.
RETRY = datetime.timedelta(minutes=10)
KEPT, CHANGES_KEPT = datetime.timedelta(days=90), datetime.timedelta(days=7)
BATCH = 2000
LONGEST_WHY = 300  # its column


class Overtaken(Exception):  # noqa: N818 -- an outcome: somebody else reads the list now
    """A reader was given up, and another has begun."""


def request_sync(
    provider_id: int, *, is_product: bool = False, actor_id: int | None = None, review: bool = False
) -> Sync:
    """Note that a list is to be read, for the next tick; return the sync, which may have been asked for already.

    With `review` what it finds waits for a person in any case.
    """
    wanted = {REVIEW: 1} if review else {}
    sync, created = Sync.objects.get_or_create(
        provider_id=provider_id,
        is_product=is_product,
        state=State.READING,
        defaults={"actor_id": actor_id, "counts": wanted},
    )
    if not created and actor_id is not None:
        with transaction.atomic():
            # While what it found is being written nobody can wish for anything more, and the page does not wait for it.
            asked = Sync.objects.select_for_update(skip_locked=True).filter(pk=sync.pk, state=State.READING).first()
            if asked is not None:
                asked.counts, asked.actor_id = {**asked.counts, **wanted}, actor_id
                asked.save(update_fields=["counts", "actor"])
    return sync


def due_providers() -> list[int]:
    """Ask for the lists whose turn it is, and return the providers that have a list to be read now.

    Nobody is asked by schedule who is switched off, paused, or whose list is never to be read by itself.
    """
    now = timezone.now()
    scheduled = Provider.objects.filter(enabled=True, sync_minutes__gt=0).exclude(paused_until__gt=now)
    for provider in scheduled:
        every = datetime.timedelta(minutes=provider.sync_minutes)
        for is_product in (False, True) if receiving.sells_products(provider) else (False,):
            asked = provider.syncs.filter(is_product=is_product)
            read_at = last_read(provider, is_product=is_product)
            if (read_at is None or read_at <= now - every) and not asked.filter(
                created_at__gt=now - min(every, RETRY)
            ).exists():
                request_sync(provider.pk, is_product=is_product)
    return list(dict.fromkeys(_unread().order_by("pk").values_list("provider", flat=True)))


def last_read(provider: Provider, *, is_product: bool) -> datetime.datetime | None:
    """Return when a provider's list was last read and said something; that of products is known by its syncs."""
    if not is_product:
        return provider.synced_at
    told = provider.syncs.filter(is_product=True).exclude(state__in=[State.READING, State.FAILED])
    newest = told.exclude(state=State.WAITING, rows=0).order_by("-pk").first()
    return None if newest is None else newest.ended_at


def list_asked(provider_id: int) -> list[bool]:
    """Return which of a provider's lists are to be read now, as `is_product`: that of services before the other."""
    return list(_unread().filter(provider=provider_id).order_by("is_product").values_list("is_product", flat=True))


def begin(provider_id: int, *, is_product: bool = False) -> Sync | None:
    """Take up the sync that was asked for, or one whose reader died; None when there is none or somebody is at it."""
    until = timezone.now() + LEASE
    if not _unread().filter(provider=provider_id, is_product=is_product).update(ended_at=until, rows=0, done=0):
        return None
    of_list = Sync.objects.select_related("provider").filter(provider=provider_id, is_product=is_product)
    begun = of_list.filter(state=State.READING, ended_at=until).first()
    if begun is not None:
        begun.changes.all().delete()
    return begun


def write_changes(sync: Sync, differences: Sequence[Difference], tell: Progress = untold) -> None:
    """Write differences down, batch by batch, telling how far it is; raise Overtaken when another reader has begun."""
    for start in range(0, len(differences), BATCH):
        batch = differences[start : start + BATCH]
        tell("compared", sync.rows * start // len(differences), sync.rows)
        with transaction.atomic():
            go_on(sync, done=sync.rows * start // len(differences))
            SyncChange.objects.bulk_create(
                SyncChange(
                    sync=sync,
                    remote_id=one.remote_id,
                    name=one.name,
                    kind=one.kind,
                    before=one.before,
                    after=one.after,
                )
                for one in batch
            )
    go_on(sync, done=sync.rows)
    tell("compared", sync.rows, sync.rows)


def go_on(sync: Sync, *, done: int) -> None:
    """Renew the lease and tell how far it is, locking the row when in a transaction; raise Overtaken as above."""
    until = timezone.now() + LEASE
    mine = Sync.objects.filter(pk=sync.pk, state=State.READING, ended_at=sync.ended_at)
    if not mine.update(ended_at=until, rows=sync.rows, done=done):
        raise Overtaken
    sync.ended_at, sync.done = until, done


def end(sync: Sync, state: Sync.State, why: str = "", *, actor_id: int | None = None) -> Sync:
    """Say what became of a sync; the caller holds it, by the lease or by the lock of its provider's row."""
    sync.state, sync.why, sync.ended_at = state, why[:LONGEST_WHY], timezone.now()
    sync.actor_id = actor_id or sync.actor_id
    sync.save(update_fields=["state", "why", "ended_at", "actor", "counts"])
    return sync


def prune() -> None:
    """Forget the details of syncs after a week and the syncs after 90 days, never those that wait or can be undone."""
    now = timezone.now()
    ended = Sync.objects.exclude(state__in=[State.READING, State.WAITING])
    applied = ended.filter(changes__applied=True).order_by("provider", "is_product", "-pk")
    newest = applied.distinct("provider", "is_product").values("pk")
    old = ended.filter(ended_at__lt=now - CHANGES_KEPT).exclude(pk__in=list(newest.values_list("pk", flat=True)))
    SyncChange.objects.filter(sync__in=old).delete()
    old.filter(ended_at__lt=now - KEPT).delete()


def _unread() -> QuerySet[Sync]:
    given_up = Q(ended_at=None) | Q(ended_at__lte=timezone.now())
    return Sync.objects.filter(given_up, state=State.READING)
