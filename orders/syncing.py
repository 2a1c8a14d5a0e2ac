"""Syncing: asking providers what became of accepted orders, a batch at a time; the news goes to lifecycle.advance.

Guarantee: one answer about one order never touches another; a failed call changes no order. `Dispatch.poll_at` says
when to look again: young orders often, old ones rarely, ended ones ever more rarely for a week, since a provider may
correct itself.
"""

import datetime
import logging

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.money import EXACT, round_charge
from catalog import connecting
from catalog.models import Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError
from catalog.providers.replies import ItemError, StatusReport
from orders import lifecycle
from orders.models import Dispatch, Order

logger = logging.getLogger(__name__)

LONGEST_INTERVAL = 1800
# A provider that cannot be asked is not asked by every tick.
RETRY_AFTER = 60
LOOK_AFTER_END = datetime.timedelta(days=7)

TAKE_DUE = """
UPDATE orders_dispatch SET poll_at = %(again)s WHERE id IN (
    SELECT id FROM orders_dispatch
    WHERE provider_id = %(provider)s AND poll_at <= %(now)s
    ORDER BY poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING remote_id, order_id
"""

LOOK_AGAIN = """
UPDATE orders_dispatch d SET poll_at = next.at
FROM unnest(%(orders)s::bigint[], %(times)s::timestamptz[]) AS next(order_id, at)
WHERE d.order_id = next.order_id AND d.state = 'SENT' AND d.command = 'add'
"""


def due_providers(*, everything: bool = False) -> list[int]:
    """Return the providers with an order to look at now; also disabled ones, since what was ordered is still coming."""
    waiting = Dispatch.objects.filter(poll_at__isnull=False)
    if not everything:
        waiting = waiting.filter(poll_at__lte=timezone.now())
    return list(waiting.order_by().values_list("provider_id", flat=True).distinct())


def sync_provider(provider_id: int, *, everything: bool = False) -> int:
    """Look at a provider's due orders, batch by batch, until none is due; return how many were looked at.

    `everything` makes all of its orders due first that are looked at at all.
    """
    provider = Provider.objects.get(pk=provider_id)
    looked = 0
    now = timezone.now()
    if everything:
        Dispatch.objects.filter(provider_id=provider_id, poll_at__gt=now).update(poll_at=now)
    patience = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + RETRY_AFTER
    again = now + datetime.timedelta(seconds=patience)
    try:
        with connecting.connect(provider) as client:
            batch_size = client.connection.dialect.batch_size
            while batch := _take_due(provider_id, batch_size, now=now, again=again):
                answers = _ask(client, list(batch))
                _apply(provider, batch, answers)
                looked += len(batch)
    except ProviderError as error:
        logger.warning("provider %s: status not read: %s", provider, error)
        connecting.record_failure(provider, error)
    else:
        connecting.record_success(provider)
    return looked


def _take_due(provider_id: int, limit: int, *, now: datetime.datetime, again: datetime.datetime) -> dict[str, int]:
    """Take due orders out of the way of other workers, and return order ids by remote id."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE_DUE, {"provider": provider_id, "now": now, "again": again, "limit": limit})
        return dict(cursor.fetchall())


def _ask(client: Client, remote_ids: list[str]) -> dict[str, StatusReport | ItemError]:
    """Ask for a batch; what is missing from the answer is unknown, and asked for singly (PROTOCOL 1.6).

    What is known already does not go down with a single question that fails.
    """
    answers = client.status(remote_ids)
    for missing in [remote_id for remote_id in remote_ids if remote_id not in answers]:
        try:
            answers |= client.status([missing])
        except ProviderError as error:
            logger.warning("order %s there: status not read: %s", missing, error)
            break
    return answers


def _apply(provider: Provider, batch: dict[str, int], answers: dict[str, StatusReport | ItemError]) -> None:
    orders = Order.objects.in_bulk(batch.values())
    times: dict[int, datetime.datetime | None] = {}
    counted: dict[int, lifecycle.Report] = {}
    for remote_id, order_id in batch.items():
        order, answer = orders[order_id], answers.get(remote_id)
        if isinstance(answer, StatusReport):
            report = read_report(provider, answer)
            if lifecycle.moves(order, report):
                order = lifecycle.advance(order_id, report)
            elif lifecycle.counts(order, report):
                counted[order_id] = report
        elif answer is not None:
            # Believed only late: a young order may not be in their list yet (PROTOCOL 6.4).
            logger.warning("order %s: provider %s says: %s", order_id, provider, answer.text)
        times[order_id] = next_look(order)
    if counted:
        lifecycle.take_counts(counted)
    with connection.cursor() as cursor:
        cursor.execute(LOOK_AGAIN, {"orders": list(times), "times": list(times.values())})


def read_report(provider: Provider, answer: StatusReport) -> lifecycle.Report:
    """Turn a provider's answer into a report in the panel's currency; its `charge` is used for reports alone."""
    cost = None
    if answer.charge is not None and answer.charge >= 0:
        cost = round_charge(EXACT.multiply(answer.charge, provider.exchange_rate))
    return lifecycle.Report(
        status=answer.status,
        word=answer.word,
        start_count=answer.start_count,
        remains=answer.remains,
        cost=cost,
    )


def next_look(order: Order) -> datetime.datetime | None:
    """Return when to ask after an order again; None when it is canceled, or ended a week ago."""
    now = timezone.now()
    if order.status == Order.Status.CANCELED:
        return None
    if order.ended_at is None:
        seconds = (now - order.created_at).total_seconds() / 20
        return now + datetime.timedelta(seconds=max(settings.SYNC_EVERY_SECONDS, min(seconds, LONGEST_INTERVAL)))
    ago = now - order.ended_at
    return None if ago > LOOK_AFTER_END else now + max(ago / 4, datetime.timedelta(hours=1))


def sync_all(*, everything: bool = False) -> int:
    """Look at every provider's due orders (all open ones with `everything`); return how many were looked at."""
    return sum(
        sync_provider(provider_id, everything=everything) for provider_id in due_providers(everything=everything)
    )
