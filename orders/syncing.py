"""Syncing: asking providers what became of accepted orders, many at a time; the news goes to lifecycle.advance.

Guarantee: one answer about one order never touches another; a failed call changes no order. `Dispatch.poll_at` says
when to look again, and who has waited longest is looked at first, so that nobody starves however many are open. Young
and moving orders are looked at often, old ones rarely, ended ones ever more rarely for a week, since a provider may
correct itself. One run makes a bounded number of rounds of a bounded number of queries, and of calls as many as the
provider's rate limit allows (catalog/pacing.py).
"""

import datetime
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.money import EXACT, round_charge
from catalog import connecting, pacing
from catalog.models import Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError
from catalog.providers.replies import ItemError, ProductReport, StatusReport
from orders import delivering, lifecycle, parts, refills
from orders.asking import Answers, ask
from orders.models import ChildOrder, Dispatch, Order, OrderEvent, Refill

logger = logging.getLogger(__name__)

RUN_SECONDS = 20.0
MOST_ROUNDS = 30
MOST_CALLS = 10  # in one round
LONGEST_INTERVAL = datetime.timedelta(hours=6)
LONGEST_WHILE_MOVING = datetime.timedelta(minutes=30)
# A provider that cannot be asked is not asked by every tick.
RETRY_AFTER = 60
LOOK_AFTER_END = datetime.timedelta(days=7)
# Then batches are tried again: it may have been a bad hour.
SINGLE_FOR = datetime.timedelta(minutes=30)
# That a provider does not know an order is believed only late (PROTOCOL 6.4).
BELIEVED_AFTER = datetime.timedelta(hours=24)
BELIEVED_CHECKS = 3
LONGEST_NOTE = 300  # its column

_guard = threading.Lock()
_at_work: set[int] = set()

TAKE_DUE = """
UPDATE orders_dispatch SET poll_at = %(again)s WHERE id IN (
    SELECT id FROM orders_dispatch
    WHERE provider_id = %(provider)s AND poll_at <= %(now)s AND is_product = %(products)s
    ORDER BY poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING remote_id, order_id, id
"""

COUNT_DUE = """
SELECT count(*) FROM (
    SELECT FROM orders_dispatch WHERE provider_id = %(provider)s AND poll_at <= %(now)s
        AND is_product = %(products)s LIMIT %(limit)s
) due
"""

LOOK_AGAIN = """
UPDATE orders_dispatch d SET poll_at = next.at,
    missing_checks = CASE WHEN next.missing THEN least(d.missing_checks + 1, 1000) ELSE 0 END,
    missing_since = CASE WHEN next.missing THEN coalesce(d.missing_since, %(now)s) END
FROM unnest(%(orders)s::bigint[], %(times)s::timestamptz[], %(missing)s::bool[]) AS next(order_id, at, missing)
WHERE d.order_id = next.order_id AND d.state = 'SENT' AND d.command = 'add'
RETURNING d.order_id, d.missing_checks >= %(checks)s AND d.missing_since <= %(believed)s
"""


class Due(NamedTuple):
    """An accepted order to be looked at, and the dispatch that a provider accepted."""

    order_id: int
    dispatch_id: int


def due_providers(*, everything: bool = False) -> list[int]:
    """Return the providers with something to look at now; also disabled ones: what was ordered is still coming."""
    now = timezone.now()
    until = {"poll_at__isnull": False} if everything else {"poll_at__lte": now}
    orders = Dispatch.objects.filter(**until).order_by().values("provider_id")
    children = ChildOrder.objects.filter(**until).order_by().values("dispatch__provider_id")
    wishes = Refill.objects.filter(**until).order_by().values("dispatch__provider_id")
    return list(
        Provider.objects.filter(pk__in=orders.union(children, wishes)).order_by("pk").values_list("pk", flat=True)
    )


def sync_alone(provider_id: int) -> int:
    """Look at a provider's due orders unless a thread of this process is at it already."""
    with _guard:
        if provider_id in _at_work:
            return 0
        _at_work.add(provider_id)
    try:
        return sync_provider(provider_id)
    finally:
        with _guard:
            _at_work.discard(provider_id)


def sync_provider(provider_id: int, *, everything: bool = False) -> int:
    """Look at a provider's due orders, runs, posts and refills; return how many orders were looked at.

    `everything` makes all of its orders due first that are looked at at all.
    """
    provider = Provider.objects.get(pk=provider_id)
    if everything:
        now = timezone.now()
        Dispatch.objects.filter(provider_id=provider_id, poll_at__gt=now).update(poll_at=now)
    looked = 0
    try:
        with connecting.connect(provider) as client:
            looked = _look(provider, client, products=False)
            looked += _look(provider, client, products=True)
            parts.sync(provider, client)
            refills.sync(provider, client)
    except ProviderError as error:
        logger.warning("provider %s: status not read: %s", provider, error)
        connecting.record_failure(provider, error)
    return looked


def _look(provider: Provider, client: Client, *, products: bool) -> int:
    """Make rounds until nothing is due, the run's time is over, or nobody answers. Raises ProviderError.

    Orders of products have ids of their own there, so they are never looked at together with others.
    """
    looked, end = 0, time.monotonic() + RUN_SECONDS
    single = provider.single_until is not None and provider.single_until > timezone.now()
    size = 1 if single else client.connection.dialect.batch_size
    for _round in range(MOST_ROUNDS):
        now = timezone.now()
        calls = _take_turns(provider, size, now, products=products)
        if calls == 0 and not _wait_for_turn(provider, end):
            break
        batch = _take_due(provider, calls * size, now=now, products=products) if calls else {}
        if calls and not batch:
            break
        if batch:
            looked += _look_at(provider, client, batch, size, products=products)
        if time.monotonic() > end:
            break
    return looked


def _take_turns(provider: Provider, size: int, now: datetime.datetime, *, products: bool) -> int:
    """Return how many calls may be made now for what is due; a bucket is asked for no more than are needed."""
    if not pacing.is_limited(provider):
        return MOST_CALLS
    with connection.cursor() as cursor:
        limit = MOST_CALLS * size
        cursor.execute(COUNT_DUE, {"provider": provider.pk, "now": now, "limit": limit, "products": products})
        due: int = cursor.fetchone()[0]
    # Nothing due: one call that finds nothing ends the run.
    return pacing.take(provider.pk, pacing.Kind.READ, -(-due // size)) if due else MOST_CALLS


def _wait_for_turn(provider: Provider, end: float) -> bool:
    """Wait until another call may go out; False when that is not before the end of the run."""
    turn = pacing.next_turn(provider.pk, pacing.Kind.READ)
    seconds = 0.0 if turn is None else max((turn - timezone.now()).total_seconds(), 0.0)
    if time.monotonic() + seconds > end:
        return False
    time.sleep(seconds)
    return True


def _take_due(provider: Provider, limit: int, *, now: datetime.datetime, products: bool) -> dict[str, Due]:
    """Take due orders out of the way of other workers, and return them by remote id."""
    patience = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + RETRY_AFTER
    again = now + datetime.timedelta(seconds=patience)
    with transaction.atomic(), connection.cursor() as cursor:
        values: dict[str, Any] = {
            "provider": provider.pk,
            "now": now,
            "again": again,
            "limit": limit,
            "products": products,
        }
        cursor.execute(TAKE_DUE, values)
        return {remote_id: Due(order_id, dispatch_id) for remote_id, order_id, dispatch_id in cursor.fetchall()}


def _look_at(provider: Provider, client: Client, batch: Mapping[str, Due], size: int, *, products: bool) -> int:
    """Ask about a batch and apply what is known; raise the failure when nobody answered at all."""
    answers = ask(
        client,
        list(batch),
        size=size,
        spare=lambda wanted: pacing.take(provider.pk, pacing.Kind.READ, wanted),
        products=products,
    )
    if answers.failures and not answers.news:
        raise answers.failures[0]
    for failure in answers.failures:
        logger.warning("provider %s: some statuses not read: %s", provider, failure)
        connecting.record_failure(provider, failure)
    if answers.news:
        connecting.record_success(provider)
    if answers.singles_only:
        logger.warning("provider %s answers no batches: asked for single orders for a while", provider)
        Provider.objects.filter(pk=provider.pk).update(single_until=timezone.now() + SINGLE_FOR)
    if products:
        # First: what its buyer sees completed has its goods on their way, wherever a crash stops this.
        _take_goods(batch, answers)
    _apply(provider, batch, answers)
    return len(batch)


def _apply(provider: Provider, batch: Mapping[str, Due], answers: Answers) -> None:
    """Write what is known about a batch: in few statements, and one transaction for each order that moves."""
    orders = Order.objects.defer("details", "link").in_bulk([batch[remote_id].order_id for remote_id in answers.news])
    looks: dict[int, tuple[datetime.datetime | None, bool]] = {}
    counted: dict[int, lifecycle.Report] = {}
    for remote_id, answer in answers.news.items():
        order = orders[batch[remote_id].order_id]
        if isinstance(answer, ItemError):
            logger.info("order %s: provider %s says: %s", order.pk, provider, answer.text)
            looks[order.pk] = next_look(order), answer.condition == "order_unknown"
            continue
        report = read_report(provider, answer, order)
        moving = True
        if isinstance(answer, StatusReport) and order.is_spread and answer.children:
            parts.store_children(order.pk, batch[remote_id].dispatch_id, answer.children)
        if lifecycle.moves(order, report):
            order = lifecycle.advance(order.pk, report)
        elif lifecycle.counts(order, report):
            counted[order.pk] = report
        else:
            moving = False
        looks[order.pk] = next_look(order, moving=moving), False
    if counted:
        lifecycle.take_counts(counted)
    if looks:
        _look_again(looks, orders)


def _look_again(looks: Mapping[int, tuple[datetime.datetime | None, bool]], orders: Mapping[int, Order]) -> None:
    """Write when to look again, and tell staff of orders that the provider has not known for a day."""
    values: dict[str, Any] = {
        "orders": list(looks),
        "times": [at for at, _missing in looks.values()],
        "missing": [missing for _at, missing in looks.values()],
        "checks": BELIEVED_CHECKS,
        "now": timezone.now(),
        "believed": timezone.now() - BELIEVED_AFTER,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOOK_AGAIN, values)
        lost = [order_id for order_id, is_lost in cursor.fetchall() if is_lost]
    for order_id in lost:
        if orders[order_id].ended_at is None and orders[order_id].attention != Order.Attention.LOST:
            lifecycle.mark(order_id, Order.Attention.LOST, OrderEvent.Kind.ATTENTION, {})


def read_report(provider: Provider, answer: StatusReport | ProductReport, order: Order) -> lifecycle.Report:
    """Turn a provider's answer into a report in the panel's currency; its `charge` is used for reports alone."""
    cost = None
    if answer.charge is not None and answer.charge >= 0:
        cost = round_charge(EXACT.multiply(answer.charge, provider.exchange_rate))
    if isinstance(answer, ProductReport):
        # What remains is said of a partial order alone (PROTOCOL 3.9).
        remains = 0 if answer.remains is None and answer.status == Order.Status.COMPLETED else answer.remains
        return lifecycle.Report(status=answer.status, word=answer.word, remains=remains, cost=cost)
    done = answer.posts if answer.runs is None else answer.runs
    return lifecycle.Report(
        status=answer.status,
        word=answer.word,
        start_count=answer.start_count,
        remains=answer.remains,
        cost=cost,
        parts_done=done if order.is_spread else None,
    )


def _take_goods(batch: Mapping[str, Due], answers: Answers) -> None:
    """Keep what a provider says about orders of products beside their status: notes, and goods ready to be fetched."""
    told = {batch[key].order_id: answer for key, answer in answers.news.items() if isinstance(answer, ProductReport)}
    for order_id, answer in told.items():
        if answer.note:
            note = answer.note[:LONGEST_NOTE]
            Order.objects.filter(pk=order_id).exclude(note=note).update(note=note)
    ready = {Order.Status.COMPLETED, Order.Status.PARTIAL}
    delivering.expect({key: answer.result for key, answer in told.items() if answer.result and answer.status in ready})


def next_look(order: Order, *, moving: bool = False) -> datetime.datetime | None:
    """Return when to ask after an order again; None when it is canceled, or ended a week ago."""
    now = timezone.now()
    if order.status == Order.Status.CANCELED:
        return None
    if order.ended_at is None:
        longest = LONGEST_WHILE_MOVING if moving else LONGEST_INTERVAL
        shortest = datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS)
        return now + max(min((now - order.created_at) / 20, longest), shortest)
    ago = now - order.ended_at
    return None if ago > LOOK_AFTER_END else now + max(ago / 4, datetime.timedelta(hours=1))


def sync_all(*, everything: bool = False) -> int:
    """Look at every provider's due orders (all open ones with `everything`); return how many were looked at."""
    return sum(
        sync_provider(provider_id, everything=everything) for provider_id in due_providers(everything=everything)
    )
