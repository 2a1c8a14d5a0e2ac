"""Settling: what a provider's answer does to the dispatch that asked, in one fenced transaction (ARCHITECTURE 3 and 6).

Only the attempt that holds the lease may settle. An id that comes too late still counts where nothing contradicts
it; any other late answer is kept as evidence. Nothing here waits for the network. Refills and cancels are settled by
their own modules; a cancel that was asked for while an order was being sent is decided here, with it.
"""

import datetime
import logging
from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable, Unclear
from catalog.providers.replies import Added, CancelAccepted, RefillAccepted
from orders import cancels, lifecycle, refills, routing
from orders.claiming import Claim
from orders.models import Dispatch, Order, OrderEvent
from orders.sending import Outcome

logger = logging.getLogger(__name__)

Kind = OrderEvent.Kind
State = Dispatch.State

HOLDS = {Reason.FUNDS: Dispatch.Hold.FUNDS, Reason.KEY: Dispatch.Hold.KEY, Reason.REDIRECT: Dispatch.Hold.REDIRECT}

BIND = """
UPDATE orders_dispatch d SET state = 'SENT', remote_id = answer.remote_id, due_at = NULL, look_at = NULL, hold = '',
    reason = '', settled_at = now(), poll_at = %(poll_at)s
FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(remote_ids)s::text[]) AS answer(id, attempt, remote_id)
WHERE d.id = answer.id AND d.state = 'LEASED' AND d.attempt = answer.attempt
RETURNING d.id
"""


def settle(outcomes: Mapping[Claim, Outcome]) -> None:
    """Settle attempts by their outcomes: orders that got an id together, everything else one by one.

    Fenced, so that settling again what a lost connection left in the open changes nothing that was settled.
    """
    accepted = {claim: outcome.order_id for claim, outcome in outcomes.items() if isinstance(outcome, Added)}
    if accepted:
        settle_accepted(accepted)
    for claim, outcome in outcomes.items():
        if isinstance(outcome, Added):
            continue
        if claim.command == Dispatch.Command.REFILL and not isinstance(outcome, CancelAccepted):
            refills.settle(claim, outcome)
        elif claim.command == Dispatch.Command.CANCEL and not isinstance(outcome, RefillAccepted):
            cancels.settle(claim, outcome)
        elif isinstance(outcome, Exception):
            settle_failed(claim, outcome)


def settle_failed(claim: Claim, outcome: Exception) -> None:
    """Settle one attempt that brought no id, by one of the three errors; any other exception is doubt."""
    with transaction.atomic():
        rows = Dispatch.objects.select_for_update(of=("self",)).select_related("order__service")
        dispatch = rows.get(pk=claim.dispatch_id)
        if dispatch.state != State.LEASED or dispatch.attempt != claim.attempt:
            _keep_late_answer(dispatch, outcome)
        elif isinstance(outcome, Unavailable):
            _settle_unavailable(dispatch, outcome)
        elif isinstance(outcome, Rejected):
            _settle_rejected(dispatch, outcome)
        else:
            _settle_unclear(dispatch, outcome)


def settle_accepted(answers: Mapping[Claim, str]) -> None:
    """Bind the ids that came back at about the same time, in one transaction of few statements.

    What does not fit, because its lease had ended or an id is bound already, is settled by itself.
    """
    left = set(answers)
    try:
        with transaction.atomic():
            bound = _bind_leased(answers)
        left -= bound
    except IntegrityError:
        logger.warning("an id that came back is bound already: settling one by one")
    for claim in left:
        settle_sent(claim, answers[claim])


def settle_sent(claim: Claim, remote_id: str) -> None:
    """Bind a provider's id to the attempt; a late id to whatever the dispatch has become meanwhile.

    An id that another dispatch of the provider has already makes this one UNCLEAR (`remote_id_bound_once`).
    """
    try:
        with transaction.atomic():
            if not _bind_leased({claim: remote_id}):
                _settle_late_id(claim, remote_id)
    except IntegrityError:
        with transaction.atomic():
            dispatch = Dispatch.objects.select_for_update().get(pk=claim.dispatch_id)
            if dispatch.state in {State.LEASED, State.UNCLEAR, State.QUEUED, State.HELD}:
                _doubt(dispatch, f"The provider answered with id {remote_id}, which another order has", remote_id)


def _bind_leased(answers: Mapping[Claim, str]) -> set[Claim]:
    """Make the attempts that still hold their leases SENT; return which they are. Raises IntegrityError."""
    rows: dict[str, Any] = {
        "ids": [claim.dispatch_id for claim in answers],
        "attempts": [claim.attempt for claim in answers],
        "remote_ids": list(answers.values()),
        "poll_at": _first_look(),
    }
    with connection.cursor() as cursor:
        cursor.execute(BIND, rows)
        found = {dispatch_id for (dispatch_id,) in cursor.fetchall()}
    bound = {claim for claim in answers if claim.dispatch_id in found}
    if bound:
        _accept([claim.order_id for claim in bound])
    return bound


def _accept(order_ids: Collection[int]) -> None:
    lifecycle.accept(*order_ids)
    cancels.after_accept(order_ids)


def _first_look() -> datetime.datetime:
    return timezone.now() + datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS)


def bind(dispatch: Dispatch, remote_id: str) -> None:
    """Make a locked dispatch SENT under an id; raise IntegrityError when another one has it."""
    Dispatch.objects.filter(pk=dispatch.pk).update(
        state=State.SENT,
        remote_id=remote_id,
        due_at=None,
        look_at=None,
        hold="",
        reason="",
        settled_at=timezone.now(),
        poll_at=_first_look(),
    )
    _accept([dispatch.order_id])


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
        routing.add_evidence(dispatch, f"Later answer: {outcome}")


def _settle_unavailable(dispatch: Dispatch, error: Unavailable) -> None:
    now = timezone.now()
    if error.reason in HOLDS or error.reason == Reason.WAIT:
        dispatch.failing_since = None
    else:
        dispatch.failing_since = dispatch.failing_since or now
    if dispatch.doubtful and (error.reason in HOLDS or error.reason == Reason.WAIT):
        _doubt(dispatch, error.text, error.evidence)
    elif cancels.honour(dispatch):
        return
    elif error.reason in HOLDS:
        routing.step_aside(dispatch, HOLDS[error.reason], error.text)
    elif _given_up(dispatch, now):
        routing.reject(dispatch, f"Given up: {error.text}", error.evidence)
        lifecycle.note(dispatch.order_id, Kind.REFUSED, routing.said(dispatch))
        lifecycle.cancel(dispatch.order_id, why="unavailable")
    else:
        routing.queue_again(dispatch, routing.next_delay(dispatch.retries, error), error.text)


def _given_up(dispatch: Dispatch, now: datetime.datetime) -> bool:
    patience = datetime.timedelta(hours=settings.GIVE_UP_HOURS)
    return not dispatch.doubtful and dispatch.failing_since is not None and now - dispatch.failing_since > patience


def _settle_rejected(dispatch: Dispatch, error: Rejected) -> None:
    if dispatch.doubtful:
        _doubt(dispatch, f"Refused after an attempt in doubt: {error.text}", error.evidence)
        return
    refused = routing.said(dispatch, reason=error.text, condition=error.condition)
    lifecycle.note(dispatch.order_id, Kind.REFUSED, refused)
    dispatch.evidence = error.evidence
    if cancels.honour(dispatch):
        return
    if error.failover and routing.give_way(dispatch, error.text):
        return
    routing.reject(dispatch, error.text, error.evidence)
    lifecycle.cancel(dispatch.order_id, why=error.condition)


def _settle_unclear(dispatch: Dispatch, error: Exception) -> None:
    evidence = error.evidence if isinstance(error, ProviderError) else ""
    unknown = error.text if isinstance(error, Unclear) and error.reason == "unknown_refusal" else ""
    _doubt(dispatch, str(error) or type(error).__name__, evidence, unknown_text=unknown)


def _doubt(dispatch: Dispatch, reason: str, evidence: str, *, unknown_text: str = "") -> None:
    routing.park(dispatch, reason, evidence, unknown_text=unknown_text)
    lifecycle.note(dispatch.order_id, Kind.UNCLEAR, routing.said(dispatch))
