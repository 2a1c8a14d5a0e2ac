"""Where a dispatch goes when it is not simply accepted: held, parked in doubt, queued again, or on to the next route.

Every function expects the transaction that holds the dispatch's row lock, and writes the order's event itself unless
it says otherwise. A doubtful dispatch never gives way: its first attempt may have been taken (ARCHITECTURE 3).
"""

import datetime
import random

from django.utils import timezone

from catalog.models import Route, Service
from catalog.providers.errors import Reason, Unavailable
from orders import lifecycle
from orders.models import Dispatch, OrderEvent

Kind = OrderEvent.Kind
State = Dispatch.State


FIRST_DELAY = 2
LONGEST_DELAY = 1800
# An order that the same link blocks waits for a delivery, which takes minutes, not seconds.
WAIT_DELAY = 120
JITTER = random.SystemRandom()


def queue_again(dispatch: Dispatch, delay: datetime.timedelta, reason: str) -> None:
    """Try the same dispatch again after a delay; one event for each new reason, not for each attempt."""
    if dispatch.reason != reason:
        lifecycle.note(dispatch.order_id, Kind.ATTEMPT, said(dispatch, reason=reason))
    dispatch.state = State.QUEUED
    dispatch.due_at = timezone.now() + delay
    dispatch.look_at = None
    dispatch.retries += 1
    dispatch.reason = reason[:300]
    dispatch.save(update_fields=["state", "due_at", "look_at", "retries", "reason", "failing_since"])


def next_delay(retries: int, error: Unavailable | None = None) -> datetime.timedelta:
    """Return when to try again: 2 s, doubling, with jitter, at most 30 minutes; `Retry-After` up to the same cap."""
    seconds = min(FIRST_DELAY * 2 ** min(retries, 20), LONGEST_DELAY) * JITTER.uniform(0.5, 1)
    if error is not None and error.reason == Reason.WAIT:
        seconds = max(seconds, WAIT_DELAY)
    if error is not None and error.retry_after is not None:
        seconds = max(seconds, min(error.retry_after, LONGEST_DELAY))
    return datetime.timedelta(seconds=seconds)


def park(dispatch: Dispatch, reason: str, evidence: str = "", *, unknown_text: str = "") -> None:
    """Make an `add` UNCLEAR, doubtful for ever, and looked into from now on. The caller writes the event.

    `unknown_text` is kept while refusals that nobody has classed are the only doubt there ever was: then what the text
    means is all that staff have to say.
    """
    all_unknown = bool(unknown_text) and (not dispatch.doubtful or bool(dispatch.unknown_text))
    dispatch.unknown_text = unknown_text[:300] if all_unknown else ""
    dispatch.state = State.UNCLEAR
    dispatch.due_at = None
    dispatch.hold = ""
    dispatch.doubtful = True
    dispatch.resend_until = None
    dispatch.by_key = False
    dispatch.look_at = timezone.now()
    dispatch.reason = reason[:300]
    doubt = ["doubtful", "resend_until", "by_key", "look_at", "unknown_text"]
    dispatch.save(update_fields=["state", "due_at", "hold", "reason", *doubt])
    add_evidence(dispatch, evidence)


def add_evidence(dispatch: Dispatch, evidence: str) -> None:
    """Keep what came back beside what is known already; the last 8 KB of it."""
    if evidence:
        dispatch.evidence = "\n\n".join(filter(None, [dispatch.evidence, evidence]))[-8192:]
        dispatch.save(update_fields=["evidence"])


def hold(dispatch: Dispatch, why: Dispatch.Hold, reason: str) -> None:
    """Make a dispatch HELD until the cause is gone or staff act; surely nothing was taken by this attempt."""
    dispatch.state = State.HELD
    dispatch.due_at = None
    dispatch.hold = why
    dispatch.reason = reason[:300]
    dispatch.failing_since = None
    dispatch.save(update_fields=["state", "due_at", "hold", "reason", "failing_since"])
    lifecycle.note(dispatch.order_id, Kind.HELD, said(dispatch, hold=why))


def release(dispatch: Dispatch, *, actor_id: int | None = None) -> None:
    """Queue a dispatch again, due now; one in doubt needs a `resend_until`, which is saved with it."""
    dispatch.state = State.QUEUED
    dispatch.due_at = timezone.now()
    dispatch.hold = ""
    dispatch.look_at = None
    dispatch.save(update_fields=["state", "due_at", "hold", "look_at", "resend_until", "by_key"])
    lifecycle.note(dispatch.order_id, Kind.RELEASED, said(dispatch), actor_id=actor_id)


def step_aside(dispatch: Dispatch, why: Dispatch.Hold, reason: str) -> None:
    """Go on to the next route when there is one, else hold: nothing was taken, and the customer is not to lose."""
    if not give_way(dispatch, reason):
        hold(dispatch, why, reason)


def give_way(dispatch: Dispatch, reason: str) -> bool:
    """Reject an `add` in favour of the service's next usable route; False when it is doubtful or there is none."""
    is_add = dispatch.command == Dispatch.Command.ADD
    route = next_route(dispatch) if is_add and not dispatch.doubtful else None
    if route is None:
        return False
    reject(dispatch, reason)
    following = Dispatch.objects.create(
        order_id=dispatch.order_id,
        provider_id=route.provider_service.provider_id,
        provider_service=route.provider_service,
        is_product=dispatch.is_product,
        route_position=route.position,
        due_at=timezone.now(),
    )
    lifecycle.note(dispatch.order_id, Kind.ROUTE, said(dispatch, following=following.pk))
    return True


def next_route(dispatch: Dispatch) -> Route | None:
    """Return the route after a dispatch's own that can be used now."""
    later = Route.objects.filter(
        service_id=dispatch.order.service_id,
        position__gt=dispatch.route_position,
        enabled=True,
        provider_service__rate__gt=0,
        provider_service__vanished_at=None,
        provider_service__waiting="",
        provider_service__provider__enabled=True,
    )
    if dispatch.order.is_spread and dispatch.order.service.type != Service.Type.SUBSCRIPTIONS:
        later = later.exclude(provider_service__dripfeed=False)
    return later.select_related("provider_service").order_by("position").first()


def reject(dispatch: Dispatch, reason: str, evidence: str = "") -> None:
    """Make a dispatch REJECTED for good. The caller writes the event and decides about route and money."""
    dispatch.state = State.REJECTED
    dispatch.due_at = None
    dispatch.hold = ""
    dispatch.look_at = None
    dispatch.settled_at = timezone.now()
    dispatch.reason = reason[:300]
    if evidence:
        dispatch.evidence = evidence
    dispatch.save(update_fields=["state", "due_at", "hold", "look_at", "settled_at", "reason", "evidence"])


def said(dispatch: Dispatch, **more: object) -> dict[str, object]:
    """Return what every event about a dispatch says: which one, where, and why."""
    return {"dispatch": dispatch.pk, "provider": dispatch.provider_id, "reason": dispatch.reason, **more}
