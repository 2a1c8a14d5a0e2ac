"""Pacing: how many calls a provider may be sent now, counted in its row and so shared by all workers (PROTOCOL 6.6).

There is no limit until staff set one or the provider says that we call too often; then commands and reads have a bucket
each, which holds one second's worth of calls and at least one. A bucket is a single moment, `command_turn_at` or
`read_turn_at`: when it would be full again. A call moves it on by the time between two calls (GCRA).
"""

import datetime
from enum import StrEnum

from django.db import connection
from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from catalog.models import Provider


class Kind(StrEnum):
    """What is counted together: orders, refills and cancels, or everything that only reads."""

    COMMAND = "command"
    READ = "read"


LONGEST_WAIT = 1800.0
SHORTEST_WAIT = 2.0
FIRST_LEARNED, LEAST_LEARNED, MOST_LEARNED = 60, 6, 600
# Calls in other lanes were out already when the first was turned away: their answers say nothing new.
SAME_BURST = datetime.timedelta(seconds=2)
SPEED_UP_AFTER = datetime.timedelta(minutes=10)

TAKE = """
WITH bucket AS (
    SELECT id, coalesce(calls_per_minute, learned_per_minute)::numeric AS per_minute,
        greatest({turn}, %(now)s) AS turn
    FROM catalog_provider WHERE id = %(provider)s FOR UPDATE
), taken AS (
    SELECT *, least(
        %(wanted)s, floor(greatest(1, per_minute / 60) - extract(epoch FROM turn - %(now)s) * per_minute / 60)
    ) AS calls
    FROM bucket WHERE per_minute IS NOT NULL
)
UPDATE catalog_provider provider SET {turn} = taken.turn + make_interval(secs => 60 * taken.calls / taken.per_minute)
FROM taken WHERE provider.id = taken.id AND taken.calls > 0
RETURNING taken.calls
"""
TAKES = {kind: TAKE.format(turn=f"{kind}_turn_at") for kind in Kind}


def take(provider_id: int, kind: Kind, wanted: int) -> int:
    """Take turns for as many of `wanted` calls as may go out now, and return how many those are.

    One conditional UPDATE: it may run inside a transaction, also in one that holds the provider's row. A turn that was
    taken is not given back.
    """
    if wanted <= 0:
        return 0
    if _read_limit(provider_id) is None:
        return wanted
    with connection.cursor() as cursor:
        cursor.execute(TAKES[kind], {"provider": provider_id, "wanted": wanted, "now": timezone.now()})
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def is_limited(provider: Provider) -> bool:
    """Tell whether a provider's calls are counted at all; it goes by the row as it was read."""
    return (provider.calls_per_minute or provider.learned_per_minute) is not None


def next_turn(provider_id: int, kind: Kind) -> datetime.datetime | None:
    """Return when the next call of a kind may go out; None when it may now."""
    limit = _read_limit(provider_id)
    full_at = Provider.objects.values_list(f"{kind}_turn_at", flat=True).get(pk=provider_id)
    if limit is None or full_at is None:
        return None
    # A microsecond more than what the bucket saves up, since moments are rounded to one.
    turn: datetime.datetime = full_at - _saved_up(limit) + datetime.timedelta(microseconds=1)
    return turn if turn > timezone.now() else None


def slow_down(provider_id: int, kind: Kind, retry_after: float | None) -> None:
    """Note that a provider said "too many requests": wait, and where staff set no limit learn a lower one.

    No call of the kind goes out for `retry_after` seconds (at most half an hour), or without them for as long as the
    new limit has between two calls, and 2 s at least.
    """
    now = timezone.now()
    _learn(provider_id, now)
    limit = _read_limit(provider_id)
    if limit is None:  # staff have just taken theirs away
        return
    asked = max(SHORTEST_WAIT, 60 / limit) if retry_after is None else retry_after
    wait = datetime.timedelta(seconds=max(0.0, min(asked, LONGEST_WAIT)))
    column = f"{kind}_turn_at"
    full_at = now + wait + _saved_up(limit)
    Provider.objects.filter(pk=provider_id).update(**{column: Greatest(Coalesce(F(column), Value(full_at)), full_at)})


def speed_up() -> int:
    """Double every learned limit that was kept to without complaint for ten minutes; return how many there were.

    Beyond 600 calls a minute there is nothing to be learned any more.
    """
    calm = Provider.objects.filter(learned_per_minute__isnull=False, limited_at__lte=timezone.now() - SPEED_UP_AFTER)
    return calm.update(
        learned_per_minute=Case(
            When(learned_per_minute__gt=MOST_LEARNED // 2, then=None),
            default=F("learned_per_minute") * 2,
            output_field=IntegerField(),
        )
    )


def _learn(provider_id: int, now: datetime.datetime) -> None:
    news = Q(limited_at=None) | Q(limited_at__lt=now - SAME_BURST)
    halved = Greatest(Coalesce(F("learned_per_minute") / 2, FIRST_LEARNED), LEAST_LEARNED)
    Provider.objects.filter(news | Q(calls_per_minute=None, learned_per_minute=None), pk=provider_id).update(
        limited_at=now,
        learned_per_minute=Case(
            When(calls_per_minute=None, then=halved),
            default=F("learned_per_minute"),
            output_field=IntegerField(),
        ),
    )


def _read_limit(provider_id: int) -> int | None:
    """Return how many calls of a kind a provider takes in a minute, as staff set it, else as we learned it."""
    staff, learned = Provider.objects.values_list("calls_per_minute", "learned_per_minute").get(pk=provider_id)
    return staff or learned


def _saved_up(limit: int) -> datetime.timedelta:
    """Return how long before it is full a bucket has one call to give."""
    return datetime.timedelta(seconds=max(0.0, 1 - 60 / limit))
