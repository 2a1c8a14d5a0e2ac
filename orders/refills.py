"""Refills: a wish to have delivered again what was lost, forwarded through the outbox and followed (PROTOCOL 8).

Guarantee: at most one open refill per order; no refill moves money or reopens an order; one bad answer ends none. Rows
are locked in one sequence everywhere: dispatch, order, refill.
"""

import datetime
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db import connection, transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone

from accounts.errors import UserError
from catalog import connecting, pacing
from catalog.models import Provider
from catalog.providers import statuses
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError
from catalog.providers.replies import ItemError, RefillAccepted, RefillReport
from orders import lifecycle, offering, postponing
from orders.claiming import Claim
from orders.models import Dispatch, Order, OrderEvent, Refill
from orders.offering import Offer

logger = logging.getLogger(__name__)

Kind = OrderEvent.Kind
State = Dispatch.State
Status = Refill.Status
News = Mapping[str, RefillReport | ItemError]

FOLLOWING: dict[str, frozenset[str]] = {
    Status.PENDING: frozenset({Status.IN_PROGRESS, Status.COMPLETED, Status.REJECTED, Status.ERROR}),
    Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.REJECTED, Status.ERROR}),
}
WHY: dict[str, str] = {Status.REJECTED: "refill_refused", Status.ERROR: "refill_failed"}
NO_NEWS = "no_news"
UNKNOWN = "refill_unknown"

MOST_ROUNDS = 10
MOST_SINGLES = 10
LONGEST_INTERVAL = datetime.timedelta(hours=6)
# A provider that cannot be asked is not asked by every tick.
RETRY_AFTER = 60
# How long a refill without an id, or one that the provider does not know, may keep its order from another.
EXPIRES_AFTER = datetime.timedelta(days=2)

TAKE_DUE = """
UPDATE orders_refill SET poll_at = %(again)s WHERE id IN (
    SELECT r.id FROM orders_refill r JOIN orders_dispatch d ON d.id = r.dispatch_id
    WHERE d.provider_id = %(provider)s AND r.poll_at <= %(now)s
    ORDER BY r.poll_at LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED
) RETURNING id, remote_id
"""


@transaction.atomic
def request_refill(user_id: int, order_id: int, *, actor_id: int | None = None) -> Refill:
    """Record a customer's wish for a refill and queue it for the provider that has the order.

    Raises UserError in the wire's words when there is no such order of his, or it cannot be refilled now.
    """
    orders = Order.objects.select_for_update(of=("self",)).select_related("service")
    order = orders.filter(pk=order_id, user_id=user_id).first()
    if order is None:
        raise UserError("Incorrect order ID", field="order")
    taker = offering.read_takers([order]).get(order.pk)
    obstacle = offering.find_obstacle(order, taker, list(order.refills.all()), timezone.now())
    if obstacle is not None:
        raise UserError(obstacle.value, field="order")
    taken = Dispatch.objects.get(order=order, command=Dispatch.Command.ADD, state=State.SENT)
    dispatch = Dispatch.objects.create(
        order=order,
        command=Dispatch.Command.REFILL,
        provider_id=taken.provider_id,
        provider_service_id=taken.provider_service_id,
        route_position=taken.route_position,
        due_at=timezone.now(),
    )
    refill = Refill.objects.create(order=order, dispatch=dispatch)
    _note(refill, actor_id=actor_id)
    return refill


def offer(order: Order, now: datetime.datetime | None = None) -> Offer:
    """Say whether a page is to offer a refill of an order, and if not, why."""
    return with_offers([order], now)[order.pk]


def with_offers(orders: Sequence[Order], now: datetime.datetime | None = None) -> dict[int, Offer]:
    """Say for each of some orders whether a page is to offer a refill; three queries at most for all of them."""
    now = now or timezone.now()
    prefetch_related_objects(orders, "service")
    candidates = [order for order in orders if order.service.refill and order.status in lifecycle.ENDED]
    takers = offering.read_takers(candidates) if candidates else {}
    earlier: dict[int, list[Refill]] = defaultdict(list)
    for refill in Refill.objects.filter(order__in=list(takers)) if takers else ():
        earlier[refill.order_id].append(refill)
    return {
        order.pk: offering.offer_refill(order, takers.get(order.pk), earlier.get(order.pk, []), now) for order in orders
    }


def settle(claim: Claim, outcome: RefillAccepted | ItemError | Exception | None) -> None:
    """Settle one attempt to forward a refill, fenced, in a transaction of its own.

    None means that the answer said nothing about it.
    """
    with transaction.atomic():
        dispatch = postponing.lock_attempt(claim)
        if dispatch is None:
            logger.warning("refill dispatch %s: answer after the lease: %s", claim.dispatch_id, outcome)
            return
        refill = Refill.objects.select_for_update().get(dispatch=dispatch)
        if isinstance(outcome, RefillAccepted):
            postponing.accept(dispatch, outcome.refill_id[:100])
            refill.remote_id = dispatch.remote_id
            # One without an id cannot be asked for: it expires.
            refill.poll_at = _next_look(refill) if refill.remote_id else None
            refill.save(update_fields=["remote_id", "poll_at"])
            return
        why = postponing.postpone(dispatch, outcome)
        if why:
            _change(refill, Status.ERROR if why == postponing.UNAVAILABLE else Status.REJECTED, why)


def sync(provider: Provider, client: Client) -> int:
    """Ask a provider what became of its due refills; return how many were looked at. No transaction may be open.

    Raises ProviderError when it does not answer; then nothing was changed.
    """
    looked, size = 0, client.connection.dialect.batch_size
    for _round in range(MOST_ROUNDS):
        if not pacing.take(provider.pk, pacing.Kind.READ, 1):
            break
        batch = _take_due(provider, size)
        if not batch:
            break
        _apply(batch, _ask(provider, client, list(dict.fromkeys(batch.values()))))
        looked += len(batch)
    return looked


def _take_due(provider: Provider, limit: int) -> dict[int, str]:
    """Take due refills out of the way of other workers, and return their remote ids."""
    now = timezone.now()
    patience = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + RETRY_AFTER
    again = now + datetime.timedelta(seconds=patience)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_DUE, {"provider": provider.pk, "now": now, "again": again, "limit": limit})
        return dict(cursor.fetchall())


def _ask(provider: Provider, client: Client, remote_ids: list[str]) -> News:
    """Ask about a batch, and singly about some of those that the answer leaves out (PROTOCOL 1.6)."""
    news = client.refill_status(remote_ids)
    silent = [remote_id for remote_id in remote_ids if remote_id not in news]
    for remote_id in silent[:MOST_SINGLES] if len(remote_ids) > 1 else ():
        if not pacing.take(provider.pk, pacing.Kind.READ, 1):
            break
        try:
            news |= client.refill_status([remote_id])
        except ProviderError as error:
            logger.warning("provider %s: refill %s not read: %s", provider, remote_id, error)
            break
    return news


def _apply(batch: Mapping[int, str], news: News) -> None:
    refills = Refill.objects.select_related("dispatch").in_bulk(list(batch))
    looked: list[Refill] = []
    for refill_id, remote_id in batch.items():
        refill, answer = refills[refill_id], news.get(remote_id)
        if _is_missing(answer):
            _count_missing(refill)
        elif isinstance(answer, RefillReport):
            if refill.dispatch.missing_since is not None:
                Dispatch.objects.filter(pk=refill.dispatch_id).update(missing_since=None)
            if answer.status is None:
                logger.warning("refill %s: unknown word %s", refill_id, answer.word)
            elif answer.status in FOLLOWING.get(refill.status, ()):
                move(refill_id, answer.status, WHY.get(answer.status, ""))
        elif answer is not None:
            logger.warning("refill %s: %s", refill_id, answer.text)
        refill.poll_at = _next_look(refill)
        looked.append(refill)
    _look_again(looked)


def _look_again(refills: Sequence[Refill]) -> None:
    """Write when to look again at those that are still open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_refill r SET poll_at = next.at "
            "FROM unnest(%s::bigint[], %s::timestamptz[]) AS next(id, at) WHERE r.id = next.id AND r.ended_at IS NULL",
            [[refill.pk for refill in refills], [refill.poll_at for refill in refills]],
        )


def _is_missing(answer: RefillReport | ItemError | None) -> bool:
    """Tell whether a provider says that it does not know a refill; one says so in place of a status (PROTOCOL 3.7)."""
    if isinstance(answer, ItemError):
        return answer.condition == UNKNOWN
    return answer is not None and statuses.normalise(answer.word) == "not found"


def _count_missing(refill: Refill) -> None:
    """Believe only after days that a provider does not know what it accepted."""
    since = refill.dispatch.missing_since
    if since is None:
        Dispatch.objects.filter(pk=refill.dispatch_id).update(missing_since=timezone.now())
    elif timezone.now() - since > EXPIRES_AFTER:
        move(refill.pk, Status.ERROR, UNKNOWN)


@transaction.atomic
def move(refill_id: int, status: str, why: str = "") -> bool:
    """Change a refill's status where the table allows it, under the order's lock; tell whether it did."""
    Order.objects.select_for_update(of=("self",)).get(refills=refill_id)
    refill = Refill.objects.select_for_update().get(pk=refill_id)
    if status not in FOLLOWING.get(refill.status, ()):
        return False
    _change(refill, status, why)
    return True


def expire_refills() -> int:
    """End refills that were accepted without an id two days ago, so that their orders are free; return how many."""
    before = timezone.now() - EXPIRES_AFTER
    silent = Refill.objects.filter(
        status__in=Refill.OPEN, remote_id="", dispatch__state=State.SENT, dispatch__settled_at__lt=before
    )
    return sum(move(refill_id, Status.ERROR, NO_NEWS) for refill_id in silent.values_list("pk", flat=True)[:500])


def _change(refill: Refill, status: str, why: str) -> None:
    """Write a status and its event. Expects the locks of order and refill."""
    refill.status = status
    refill.why = why[:40]
    if status not in Refill.OPEN:
        refill.ended_at = timezone.now()
        refill.poll_at = None
    refill.save(update_fields=["status", "why", "ended_at", "poll_at"])
    _note(refill)


def _note(refill: Refill, *, actor_id: int | None = None) -> None:
    said = {"refill": refill.pk, "to": str(refill.status)} | ({"why": refill.why} if refill.why else {})
    lifecycle.note(refill.order_id, Kind.REFILL, said, actor_id=actor_id)


def _next_look(refill: Refill) -> datetime.datetime:
    """Return when to ask after a refill again: young ones often, old ones rarely."""
    now = timezone.now()
    shortest = datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS)
    return now + max(min((now - refill.created_at) / 20, LONGEST_INTERVAL), shortest)
