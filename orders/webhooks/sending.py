"""Sending webhooks: claim ── commit ──▶ post, with no transaction open ──▶ record ── commit (ARCHITECTURE 3).

Guarantee: at least once and under one id; never by two workers at the same moment; of one order to one endpoint in the
sequence in which things happened. A claim moves the due time by a lease: whoever dies between sending and recording
leaves a row that is due again when the lease ends. A receiver that fails is left alone for longer and longer, and then
gets one call, not all that have gathered; after days of nothing but failures its endpoint is switched off.
"""

import datetime
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import connection, transaction
from django.utils import timezone

from orders.forwarding import stopping
from orders.models import WebhookDelivery, WebhookEndpoint
from orders.webhooks import describing, reaching, signing
from orders.webhooks.endpoints import Why, erase_removed, switch_off
from orders.webhooks.reaching import Answer

logger = logging.getLogger(__name__)

State = WebhookDelivery.State

LANES = 16
# How many calls one receiver gets at the same time; one that failed last gets a single one.
LANES_OF_ONE = 8
RUN_SECONDS = 15.0
# Far above what one exchange may take (reaching.py).
LEASE = datetime.timedelta(seconds=60)
GATHER_SECONDS = 0.01
WAITS = [datetime.timedelta(seconds=seconds) for seconds in (10, 60, 300, 1800, 7200, 21600, 43200, 86400)]
TRIES_KEPT = 20

FAILURES_TO_PAUSE = 5
SHORTEST_PAUSE, LONGEST_PAUSE = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)
SWITCHED_OFF_AFTER = datetime.timedelta(days=3)
GONE = 410

KEPT = datetime.timedelta(days=30)

# The endpoints that have something due; their locks keep their limits exact and are let go with the claim. An order
# that is being placed holds their key alone, which this lock leaves free.
LOCK_ENDPOINTS = """
SELECT e.id FROM orders_webhookendpoint e
WHERE e.disabled_at IS NULL AND (e.paused_until IS NULL OR e.paused_until <= %(now)s)
    AND EXISTS (SELECT 1 FROM orders_webhookdelivery d
        WHERE d.endpoint_id = e.id AND d.state = 'waiting' AND d.due_at <= %(now)s)
FOR NO KEY UPDATE SKIP LOCKED
"""
# A row is out with a worker while its last try has not said anything and its lease has not ended.
CLAIM = """
WITH due AS (
    SELECT d.id FROM orders_webhookendpoint e CROSS JOIN LATERAL (
        SELECT d.id, d.due_at FROM orders_webhookdelivery d
        WHERE d.endpoint_id = e.id AND d.state = 'waiting' AND d.due_at <= %(now)s AND NOT EXISTS (
            SELECT 1 FROM orders_webhookdelivery earlier WHERE earlier.endpoint_id = d.endpoint_id
                AND earlier.order_id = d.order_id AND earlier.state = 'waiting' AND earlier.id < d.id)
        ORDER BY d.due_at, d.id
        LIMIT greatest(0, CASE WHEN e.failures > 0 THEN 1 ELSE %(each)s::int END - (
            SELECT count(*) FROM orders_webhookdelivery away WHERE away.endpoint_id = e.id
                AND away.state = 'waiting' AND away.due_at > %(now)s AND away.tries -> -1 ->> 'said' IS NULL
                AND away.attempts > 0))
        FOR NO KEY UPDATE SKIP LOCKED
    ) d
    WHERE e.id = ANY(%(endpoints)s::bigint[])
    ORDER BY d.due_at LIMIT %(lanes)s
)
UPDATE orders_webhookdelivery d SET due_at = %(end)s, attempts = d.attempts + 1,
    tries = d.tries || jsonb_build_array(jsonb_build_object('attempt', d.attempts + 1, 'at', %(at)s::text))
FROM due WHERE d.id = due.id RETURNING d.id
"""
# When the failures began that have not been interrupted since: the try that many failures ago.
SINCE = """
SELECT (tried ->> 'at')::timestamptz FROM orders_webhookdelivery d, jsonb_array_elements(d.tries) tried
WHERE d.endpoint_id = %s AND tried ->> 'said' IS NOT NULL ORDER BY 1 DESC OFFSET %s LIMIT 1
"""

_alone = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One attempt that is ours to make until the lease ends; `attempt` is the fence at recording."""

    delivery_id: int
    attempt: int
    message_id: str
    url: str
    secret: str = field(repr=False)  # as it is kept, encrypted
    body: str = field(repr=False)


def deliver_due() -> int:
    """Send what is due until there is no more or the run's time is over; return how many answers were recorded.

    No transaction may be open. One thread of a process does this at a time: another returns at once.
    """
    if not _alone.acquire(blocking=False):
        return 0
    try:
        return _run_lanes()
    finally:
        _alone.release()


def _run_lanes() -> int:
    recorded = 0
    end = time.monotonic() + RUN_SECONDS
    in_flight: dict[Future[Answer], Claim] = {}
    with ThreadPoolExecutor(LANES, "webhook") as pool:
        while True:
            room = LANES - len(in_flight)
            if room and time.monotonic() < end and not stopping.is_set():
                in_flight |= {pool.submit(send, claim): claim for claim in claim_due(room)}
            if not in_flight:
                return recorded
            done, waiting = wait(in_flight, timeout=1, return_when=FIRST_COMPLETED)
            if done and waiting:
                done |= wait(waiting, timeout=GATHER_SECONDS).done
            record({in_flight.pop(future): future.result() for future in done})
            recorded += len(done)


def claim_due(lanes: int) -> list[Claim]:
    """Lease at most `lanes` due deliveries and return them, oldest first; none when nothing is due.

    Opens and commits its own transaction: it must be over before a socket is opened. Waits for no lock.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        now = timezone.now()
        cursor.execute(LOCK_ENDPOINTS, {"now": now})
        endpoints = [endpoint_id for (endpoint_id,) in cursor.fetchall()]
        if not endpoints:
            return []
        values: dict[str, Any] = {
            "now": now,
            "at": now.isoformat(timespec="milliseconds"),
            "end": now + LEASE,
            "each": LANES_OF_ONE,
            "lanes": lanes,
            "endpoints": endpoints,
        }
        cursor.execute(CLAIM, values)
        return _write_claims([delivery_id for (delivery_id,) in cursor.fetchall()])


def _write_claims(delivery_ids: list[int]) -> list[Claim]:
    """Return claims of leased rows; what has no body yet gets the one that it will have for ever."""
    rows = WebhookDelivery.objects.filter(pk__in=delivery_ids).order_by("pk")
    leased = list(rows.select_related("endpoint", "event", "order"))
    new = [delivery for delivery in leased if not delivery.body]
    for delivery in new:
        delivery.body = describing.describe(delivery)
    if new:
        WebhookDelivery.objects.bulk_update(new, ["body"])
    return [
        Claim(
            delivery.pk,
            delivery.attempts,
            describing.name_message(delivery),
            delivery.endpoint.url,
            delivery.endpoint.secret_encrypted,
            delivery.body,
        )
        for delivery in leased
    ]


def send(claim: Claim) -> Answer:
    """Make one attempt and return what came of it, never raising: a lane has nobody to catch for it."""
    at = int(timezone.now().timestamp())
    try:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "reseller-panel-webhooks/1.0",
            "webhook-id": claim.message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": signing.sign(claim.secret, claim.message_id, at, claim.body),
        }
        return reaching.post(claim.url, claim.body.encode(), headers)
    except InvalidToken:
        return Answer(None, "The secret cannot be read any more: renew it")
    except Exception:
        logger.exception("webhook delivery %s was not sent", claim.delivery_id)
        return Answer(None, "It could not be sent")


@transaction.atomic
def record(answers: Mapping[Claim, Answer]) -> None:
    """Write what came of attempts, and what their endpoints make of it.

    An answer to an attempt whose lease has ended, and that another worker repeats by now, is dropped.
    """
    if not answers:
        return
    claims = {claim.delivery_id: claim for claim in answers}
    rows = WebhookDelivery.objects.select_for_update(no_key=True).filter(pk__in=list(claims), state=State.WAITING)
    heard: dict[int, list[Answer]] = defaultdict(list)
    changed = []
    for delivery in rows.order_by("pk"):
        claim = claims[delivery.pk]
        if delivery.attempts != claim.attempt:
            logger.warning("webhook delivery %s: an answer after the lease", delivery.pk)
            continue
        _settle(delivery, answers[claim])
        changed.append(delivery)
        heard[delivery.endpoint_id].append(answers[claim])
    WebhookDelivery.objects.bulk_update(changed, ["state", "tries", "due_at", "ended_at"])
    for endpoint_id in sorted(heard):
        _judge(WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id), heard[endpoint_id])


def _settle(delivery: WebhookDelivery, answer: Answer) -> None:
    now = timezone.now()
    heard = {"status": answer.status, "said": answer.said, "seconds": round(answer.seconds, 3)}
    delivery.tries = [*delivery.tries[-TRIES_KEPT:-1], {**delivery.tries[-1], **heard}]
    if answer.ok:
        delivery.state, delivery.ended_at = State.SENT, now
    elif delivery.attempts > len(WAITS):
        delivery.state, delivery.ended_at = State.FAILED, now
    else:
        delivery.due_at = now + WAITS[delivery.attempts - 1]


def _judge(endpoint: WebhookEndpoint, answers: Iterable[Answer]) -> None:
    """Count failures in a row; pause an endpoint that has many, and switch it off after days of nothing else.

    Expects the endpoint's lock, and the answers written.
    """
    now = timezone.now()
    for answer in answers:
        endpoint.failures = 0 if answer.ok else endpoint.failures + 1
        if answer.status == GONE:
            switch_off(endpoint, Why.GONE)
    endpoint.paused_until = None
    if endpoint.failures >= FAILURES_TO_PAUSE:
        doublings = min(endpoint.failures - FAILURES_TO_PAUSE, 10)
        endpoint.paused_until = now + min(SHORTEST_PAUSE * 2**doublings, LONGEST_PAUSE)
        if _failing_since(endpoint) <= now - SWITCHED_OFF_AFTER:
            switch_off(endpoint, Why.FAILING)
    endpoint.save(update_fields=["failures", "paused_until", "disabled_at", "disabled_why"])


def _failing_since(endpoint: WebhookEndpoint) -> datetime.datetime:
    with connection.cursor() as cursor:
        cursor.execute(SINCE, [endpoint.pk, endpoint.failures - 1])
        row: tuple[datetime.datetime] | None = cursor.fetchone()
    return row[0] if row else timezone.now()


def prune_deliveries() -> int:
    """Forget deliveries of more than 30 days ago that ended or whose endpoint is off, and removed endpoints."""
    erase_removed()
    before = timezone.now() - KEPT
    old = WebhookDelivery.objects.filter(created_at__lt=before).exclude(
        state=State.WAITING, endpoint__disabled_at__isnull=True
    )
    return old.delete()[0]
