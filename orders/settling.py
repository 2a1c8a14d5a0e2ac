"""Settling: what a provider's answer does to the dispatch that asked, in one fenced transaction (ARCHITECTURE 3 and 6).

Only the attempt that holds the lease may settle. An id that comes too late still counts where nothing contradicts
it; any other late answer is kept as evidence. Nothing here waits for the network.
"""

import datetime
import logging
import random
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable
from catalog.providers.replies import Added
from orders import lifecycle, routing
from orders.claiming import Claim
from orders.models import Dispatch, Order, OrderEvent

logger = logging.getLogger(__name__)

Kind = OrderEvent.Kind
State = Dispatch.State

FIRST_DELAY = 2
LONGEST_DELAY = 1800
# An order that the same link blocks waits for a delivery, which takes minutes, not seconds.
WAIT_DELAY = 120
HOLDS = {Reason.FUNDS: Dispatch.Hold.FUNDS, Reason.KEY: Dispatch.Hold.KEY, Reason.REDIRECT: Dispatch.Hold.REDIRECT}
JITTER = random.SystemRandom()

BIND = """
UPDATE orders_dispatch d SET state = 'SENT', remote_id = answer.remote_id, due_at = NULL, hold = '', reason = '',
    settled_at = now(), poll_at = %(poll_at)s
FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(remote_ids)s::text[]) AS answer(id, attempt, remote_id)
WHERE d.id = answer.id AND d.state = 'LEASED' AND d.attempt = answer.attempt
RETURNING d.id
"""


def settle(outcomes: Mapping[Claim, Added | Exception]) -> None:
    """Settle attempts by their outcomes: replies with an id together, everything else one by one.

    Fenced, so that settling again what a lost connection left in the open changes nothing that was settled.
    """
    accepted = {claim: outcome.order_id for claim, outcome in outcomes.items() if isinstance(outcome, Added)}
    if accepted:
        settle_accepted(accepted)
    for claim, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            settle_failed(claim, outcome)


def settle_failed(claim: Claim, outcome: Exception) -> None:
    """Settle one attempt that brought no id, by one of the three errors; any other exception is doubt."""
    with transaction.atomic():
        dispatch = Dispatch.objects.select_for_update().select_related("order").get(pk=claim.dispatch_id)
        if dispatch.state != State.LEASED or dispatch.attempt != claim.attempt:
            _keep_late_answer(dispatch, outcome)
        elif isinstance(outcome, Unavailable):
            _settle_unavailable(dispatch, outcome)
        elif isinstance(outcome, Rejected):
            _settle_rejected(dispatch, outcome)
        else:
            _settle_unclear(dispatch, outcome)


def settle_accepted(answers: Mapping[Claim, str]) -> None:
    """Bind the ids that came back at about the same time, in one transaction of two statements.

    What does not fit, because its lease had ended or an id is bound already, is settled by itself.
    """
    claims = {claim.dispatch_id: claim for claim in answers}
    rows: dict[str, Any] = {
        "ids": list(claims),
        "attempts": [claim.attempt for claim in answers],
        "remote_ids": list(answers.values()),
        "poll_at": timezone.now() + datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS),
    }
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(BIND, rows)
            bound = {claims.pop(dispatch_id).order_id for (dispatch_id,) in cursor.fetchall()}
            if bound:
                lifecycle.accept(*bound)
    except IntegrityError:
        claims = {claim.dispatch_id: claim for claim in answers}
    for claim in claims.values():
        settle_sent(claim, answers[claim])


def settle_sent(claim: Claim, remote_id: str) -> None:
    """Bind a provider's id to the attempt; a late id to whatever the dispatch has become meanwhile.

    An id that another dispatch of the provider has already makes this one UNCLEAR (`remote_id_bound_once`).
    """
    try:
        with transaction.atomic():
            leased = Dispatch.objects.filter(pk=claim.dispatch_id, state=State.LEASED, attempt=claim.attempt)
            if leased.update(**_sent(remote_id)):
                lifecycle.accept(claim.order_id)
            else:
                _settle_late_id(claim, remote_id)
    except IntegrityError:
        with transaction.atomic():
            dispatch = Dispatch.objects.select_for_update().get(pk=claim.dispatch_id)
            if dispatch.state in {State.LEASED, State.UNCLEAR, State.QUEUED, State.HELD}:
                _doubt(dispatch, f"The provider answered with id {remote_id}, which another order has", remote_id)


def _sent(remote_id: str) -> dict[str, object]:
    now = timezone.now()
    return {
        "state": State.SENT,
        "remote_id": remote_id,
        "due_at": None,
        "hold": "",
        "settled_at": now,
        "poll_at": now + datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS),
        "reason": "",
    }


def bind(dispatch: Dispatch, remote_id: str) -> None:
    """Make a locked dispatch SENT under an id; raise IntegrityError when another one has it."""
    Dispatch.objects.filter(pk=dispatch.pk).update(**_sent(remote_id))
    lifecycle.accept(dispatch.order_id)


def _settle_late_id(claim: Claim, remote_id: str) -> None:
    dispatch = Dispatch.objects.select_for_update().get(pk=claim.dispatch_id)
    if dispatch.remote_id == remote_id:
        return
    if dispatch.state in {State.UNCLEAR, State.QUEUED, State.HELD}:
        bind(dispatch, remote_id)
    else:
        # A newer attempt is out, or it ended otherwise: a second order may exist there. Money is not touched.
        data = routing.said(dispatch, remote_id=remote_id)
        lifecycle.mark(claim.order_id, Order.Attention.GHOST, Kind.GHOST, data)


def _keep_late_answer(dispatch: Dispatch, outcome: Exception) -> None:
    logger.warning("dispatch %s: answer after the lease: %s", dispatch.pk, outcome)
    if dispatch.state == State.UNCLEAR:
        routing.park(dispatch, dispatch.reason, f"Later answer: {outcome}")


def _settle_unavailable(dispatch: Dispatch, error: Unavailable) -> None:
    now = timezone.now()
    if error.reason in HOLDS or error.reason == Reason.WAIT:
        dispatch.failing_since = None
    else:
        dispatch.failing_since = dispatch.failing_since or now
    if dispatch.doubtful and (error.reason in HOLDS or error.reason == Reason.WAIT):
        _doubt(dispatch, error.text, error.evidence)
    elif error.reason in HOLDS:
        routing.step_aside(dispatch, HOLDS[error.reason], error.text)
    elif _given_up(dispatch, now):
        routing.reject(dispatch, f"Given up: {error.text}", error.evidence)
        lifecycle.note(dispatch.order_id, Kind.REFUSED, routing.said(dispatch))
        lifecycle.cancel(dispatch.order_id, why="unavailable")
    else:
        routing.queue_again(dispatch, next_delay(dispatch.retries, error), error.text)


def _given_up(dispatch: Dispatch, now: datetime.datetime) -> bool:
    patience = datetime.timedelta(hours=settings.GIVE_UP_HOURS)
    return not dispatch.doubtful and dispatch.failing_since is not None and now - dispatch.failing_since > patience


def next_delay(retries: int, error: Unavailable) -> datetime.timedelta:
    """Return when to try again: 2 s, doubling, with jitter, at most 30 minutes; `Retry-After` up to the same cap."""
    seconds = min(FIRST_DELAY * 2 ** min(retries, 20), LONGEST_DELAY) * JITTER.uniform(0.5, 1)
    if error.reason == Reason.WAIT:
        seconds = max(seconds, WAIT_DELAY)
    if error.retry_after is not None:
        seconds = max(seconds, min(error.retry_after, LONGEST_DELAY))
    return datetime.timedelta(seconds=seconds)


def _settle_rejected(dispatch: Dispatch, error: Rejected) -> None:
    if dispatch.doubtful:
        _doubt(dispatch, f"Refused after an attempt in doubt: {error.text}", error.evidence)
        return
    refused = routing.said(dispatch, reason=error.text, condition=error.condition)
    lifecycle.note(dispatch.order_id, Kind.REFUSED, refused)
    dispatch.evidence = error.evidence
    if error.failover and routing.give_way(dispatch, error.text):
        return
    routing.reject(dispatch, error.text, error.evidence)
    lifecycle.cancel(dispatch.order_id, why=error.condition)


def _settle_unclear(dispatch: Dispatch, error: Exception) -> None:
    evidence = error.evidence if isinstance(error, ProviderError) else ""
    _doubt(dispatch, str(error) or type(error).__name__, evidence)


def _doubt(dispatch: Dispatch, reason: str, evidence: str) -> None:
    routing.park(dispatch, reason, evidence)
    lifecycle.note(dispatch.order_id, Kind.UNCLEAR, routing.said(dispatch))
