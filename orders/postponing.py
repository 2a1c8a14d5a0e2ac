"""Refills and cancels that a provider did not accept: asked for again, held, shown to staff, or refused (PROTOCOL 4).

Both are harmless twice, so that nothing here is ever in doubt: what brought no clear answer is simply sent again.
"""

import datetime
import logging

from django.conf import settings
from django.utils import timezone

from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable
from catalog.providers.replies import ItemError
from orders import lifecycle, routing
from orders.claiming import Claim
from orders.models import Dispatch, Order, OrderEvent

logger = logging.getLogger(__name__)

Kind = OrderEvent.Kind
State = Dispatch.State

UNAVAILABLE = "unavailable"
HOLDS = {Reason.KEY: Dispatch.Hold.KEY, Reason.REDIRECT: Dispatch.Hold.REDIRECT}
# One id's own error that is about the whole call.
CALL_REFUSED = frozenset({"rate_limited", "maintenance"})
ORDER_UNKNOWN = "order_unknown"
ASK_LATER = datetime.timedelta(hours=1)
PATIENCE = datetime.timedelta(hours=48)
# A young order may not yet be known everywhere (PROTOCOL 6.4).
PATIENCE_FOR_UNKNOWN = datetime.timedelta(hours=24)


def lock_attempt(claim: Claim) -> Dispatch | None:
    """Lock the dispatch of an attempt and then its order; None when the attempt no longer holds its lease.

    Everybody locks in this sequence: dispatch, order, refill or cancel. Expects a transaction.
    """
    dispatch = Dispatch.objects.select_for_update().get(pk=claim.dispatch_id)
    if dispatch.state != State.LEASED or dispatch.attempt != claim.attempt:
        return None
    Order.objects.select_for_update().get(pk=dispatch.order_id)
    return dispatch


def accept(dispatch: Dispatch, remote_id: str = "") -> None:
    """Make a dispatch SENT; many providers give no id for what they accepted. Expects its row lock."""
    dispatch.state = State.SENT
    dispatch.due_at = None
    dispatch.reason = ""
    dispatch.unknown_text = ""
    dispatch.remote_id = remote_id
    dispatch.settled_at = timezone.now()
    dispatch.save(update_fields=["state", "due_at", "reason", "unknown_text", "remote_id", "settled_at"])


def postpone(dispatch: Dispatch, outcome: ItemError | Exception | None) -> str:
    """Decide about an attempt that was not accepted: return the code of why it is refused, empty while it goes on.

    Expects the dispatch's row lock. None means that the answer said nothing about this one.
    """
    if isinstance(outcome, Rejected):
        return _refuse(dispatch, outcome.text, outcome.condition, outcome.evidence)
    if isinstance(outcome, ItemError):
        return _weigh(dispatch, outcome)
    if isinstance(outcome, Unavailable) and outcome.reason in HOLDS:
        routing.hold(dispatch, HOLDS[outcome.reason], outcome.text)
        return ""
    if outcome is not None and not isinstance(outcome, ProviderError):
        logger.error("dispatch %s: not sent", dispatch.pk, exc_info=outcome)
    return _try_again(dispatch, outcome)


def _weigh(dispatch: Dispatch, error: ItemError) -> str:
    """Decide by the class of a refusal that is about this order alone."""
    if not error.refusal_class:
        _show_to_staff(dispatch, error.text)
        return ""
    if error.refusal_class in {"final", "failover"}:
        return _refuse(dispatch, error.text, error.condition)
    if error.refusal_class == "operator":
        routing.hold(dispatch, Dispatch.Hold.KEY, error.text)
        return ""
    if error.refusal_class == "ambiguous" or error.condition in CALL_REFUSED:
        return _try_again(dispatch, Unavailable(error.text, reason=Reason.MAINTENANCE))
    is_unknown = error.condition == ORDER_UNKNOWN
    if _age(dispatch) > (PATIENCE_FOR_UNKNOWN if is_unknown else PATIENCE):
        return _refuse(dispatch, error.text, error.condition)
    routing.queue_again(dispatch, routing.next_delay(dispatch.retries) if is_unknown else ASK_LATER, error.text)
    return ""


def _try_again(dispatch: Dispatch, error: Exception | None) -> str:
    """Queue an attempt that came to nothing again, or give up after GIVE_UP_HOURS."""
    text = "The answer said nothing about it" if error is None else str(error) or type(error).__name__
    if _age(dispatch) > datetime.timedelta(hours=settings.GIVE_UP_HOURS):
        evidence = error.evidence if isinstance(error, ProviderError) else ""
        return _refuse(dispatch, f"Given up: {text}", UNAVAILABLE, evidence)
    told = error if isinstance(error, Unavailable) else None
    routing.queue_again(dispatch, routing.next_delay(dispatch.retries, told), text)
    return ""


def _refuse(dispatch: Dispatch, text: str, why: str, evidence: str = "") -> str:
    routing.reject(dispatch, text, evidence)
    lifecycle.note(dispatch.order_id, Kind.REFUSED, routing.said(dispatch, condition=why))
    return why


def _show_to_staff(dispatch: Dispatch, text: str) -> None:
    """Make a dispatch UNCLEAR because of a text that nobody has classed; there is no doubt about anything else."""
    dispatch.state = State.UNCLEAR
    dispatch.due_at = None
    dispatch.unknown_text = dispatch.reason = text[:300]
    dispatch.save(update_fields=["state", "due_at", "unknown_text", "reason"])
    lifecycle.note(dispatch.order_id, Kind.UNCLEAR, routing.said(dispatch))


def _age(dispatch: Dispatch) -> datetime.timedelta:
    return timezone.now() - dispatch.created_at
