"""Parts: the runs of a drip-feed and the posts of a subscription, as rows that are looked at alone (PROTOCOL 9).

Guarantee: a part carries no money and never comes back from its end, but for a provider that corrects Completed; that
one lacks something is written in the same transaction as what its order gives back for it (lifecycle.settle_parts).
"""

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from catalog import connecting, pacing
from catalog.models import Provider
from catalog.providers.client import Client
from catalog.providers.replies import StatusReport
from orders import asking, lifecycle
from orders.models import ChildOrder, Order

Status = Order.Status

MOST_ROUNDS = 20
RETRY_AFTER = 60
LONGEST_INTERVAL = datetime.timedelta(hours=1)
LOOK_AFTER_END = datetime.timedelta(days=7)
LONGEST_ID = 100
# An end with something lacking is the last word; Completed may still be put right.
FOLLOWING = lifecycle.ALLOWED | {Status.PARTIAL: frozenset()}

STORE = """
INSERT INTO orders_childorder (order_id, dispatch_id, remote_id, status)
SELECT %(order)s, %(dispatch)s, listed.remote_id, 'Pending'
FROM unnest(%(remote_ids)s::text[]) WITH ORDINALITY AS listed(remote_id, place)
WHERE NOT EXISTS (
    SELECT FROM orders_childorder known
    WHERE known.dispatch_id = %(dispatch)s AND known.remote_id = listed.remote_id
)
ORDER BY listed.place
ON CONFLICT DO NOTHING
"""

TAKE_DUE = """
UPDATE orders_childorder SET poll_at = %(again)s WHERE id IN (
    SELECT child.id FROM orders_childorder child JOIN orders_dispatch dispatch ON dispatch.id = child.dispatch_id
    WHERE dispatch.provider_id = %(provider)s AND child.poll_at <= %(now)s
    ORDER BY child.poll_at LIMIT %(limit)s FOR UPDATE OF child SKIP LOCKED
) RETURNING id
"""

WRITE = """
UPDATE orders_childorder child SET status = news.status, start_count = news.start_count, remains = news.remains,
    ended_at = news.ended_at, poll_at = news.poll_at
FROM unnest(%(ids)s::bigint[], %(before)s::text[], %(statuses)s::text[], %(start_counts)s::bigint[],
    %(remains)s::bigint[], %(ended)s::timestamptz[], %(looks)s::timestamptz[])
    AS news(id, before, status, start_count, remains, ended_at, poll_at)
WHERE child.id = news.id AND child.status = news.before
"""


@dataclass(frozen=True, slots=True)
class News:
    """A part as it is to be written, and the status that it had when it was read."""

    child: ChildOrder
    before: str


def store_children(order_id: int, dispatch_id: int, remote_ids: Sequence[str]) -> None:
    """Keep the runs or posts that a provider lists and that are not known yet; one statement."""
    listed = [remote_id for remote_id in dict.fromkeys(remote_ids) if len(remote_id) <= LONGEST_ID]
    with connection.cursor() as cursor:
        cursor.execute(STORE, {"order": order_id, "dispatch": dispatch_id, "remote_ids": listed})


def sync(provider: Provider, client: Client) -> int:
    """Ask after a provider's due runs and posts, and settle the orders whose parts lack something; return how many.

    Raises ProviderError when nobody answers. No transaction may be open.
    """
    single = provider.single_until is not None and provider.single_until > timezone.now()
    size = 1 if single else client.connection.dialect.batch_size
    looked = 0
    for _round in range(MOST_ROUNDS):
        now = timezone.now()
        due = ChildOrder.objects.filter(dispatch__provider=provider, poll_at__lte=now)
        if not due.exists() or not pacing.take(provider.pk, pacing.Kind.READ, 1):
            break
        batch = _take_due(provider, size, now)
        if batch:
            _look_at(provider, client, batch, size)
            looked += len(batch)
    return looked


def _take_due(provider: Provider, limit: int, now: datetime.datetime) -> list[ChildOrder]:
    """Take due parts out of the way of other workers, and return them with their orders."""
    patience = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + RETRY_AFTER
    again = now + datetime.timedelta(seconds=patience)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE_DUE, {"provider": provider.pk, "now": now, "again": again, "limit": limit})
        taken = [row[0] for row in cursor.fetchall()]
    return list(ChildOrder.objects.filter(pk__in=taken).select_related("order"))


def _look_at(provider: Provider, client: Client, batch: Sequence[ChildOrder], size: int) -> None:
    remote_ids = list(dict.fromkeys(child.remote_id for child in batch))
    answers = asking.ask(
        client, remote_ids, size=size, spare=lambda wanted: pacing.take(provider.pk, pacing.Kind.READ, wanted)
    )
    if answers.failures and not answers.news:
        raise answers.failures[0]
    now = timezone.now()
    quiet: list[News] = []
    lacking: dict[int, list[News]] = defaultdict(list)
    for child in batch:
        answer = answers.news.get(child.remote_id)
        before = child.status
        lacks = isinstance(answer, StatusReport) and _follow(child, answer, now)
        child.poll_at = next_look(child, now)
        (lacking[child.order_id] if lacks else quiet).append(News(child, before))
    _write(quiet)
    for order_id, news in lacking.items():
        with transaction.atomic():
            _write(news)
            lifecycle.settle_parts(order_id)


def _follow(child: ChildOrder, answer: StatusReport, now: datetime.datetime) -> bool:
    """Take the news of a part in memory; tell whether what it lacks may have changed."""
    child.start_count = child.start_count or answer.start_count
    if answer.status in FOLLOWING[child.status]:
        child.status = str(answer.status)
        child.remains = answer.remains
        if child.status in lifecycle.ENDED:
            child.ended_at = child.ended_at or now
        return child.status in {Status.PARTIAL, Status.CANCELED}
    corrected = child.status == answer.status == Status.PARTIAL and child.remains != answer.remains
    if corrected or (child.ended_at is None and answer.remains is not None):
        child.remains = answer.remains
    return corrected


def _write(news: Sequence[News]) -> None:
    """Write parts as they were followed, unless another worker has taken them further meanwhile."""
    children = [one.child for one in news]
    rows: dict[str, Any] = {
        "ids": [child.pk for child in children],
        "before": [one.before for one in news],
        "statuses": [child.status for child in children],
        "start_counts": [child.start_count for child in children],
        "remains": [child.remains for child in children],
        "ended": [child.ended_at for child in children],
        "looks": [child.poll_at for child in children],
    }
    if children:
        with connection.cursor() as cursor:
            cursor.execute(WRITE, rows)


def next_look(child: ChildOrder, now: datetime.datetime) -> datetime.datetime | None:
    """Return when to ask after a part again; None when it is canceled, or it or its order ended a week ago."""
    if child.status == Status.CANCELED:
        return None
    if child.ended_at is None:
        shortest = datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS)
        return now + max(min((now - child.created_at) / 20, LONGEST_INTERVAL), shortest)
    ago = now - child.ended_at
    parent_ended = child.order.ended_at
    if ago > LOOK_AFTER_END or (parent_ended is not None and now - parent_ended > LOOK_AFTER_END):
        return None
    return now + max(ago / 4, datetime.timedelta(hours=1))
