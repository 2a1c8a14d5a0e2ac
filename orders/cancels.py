"""Cancels: at once while no provider has the order, else a wish that is forwarded; money follows the provider's report.

Guarantee: an order is either paid back and never sent, or sent and the wish forwarded; asking twice is one wish. Rows
are locked in one sequence everywhere: dispatch, order, cancel. The end of an order closes its cancel (lifecycle.py).
"""

import datetime
import logging
from collections.abc import Collection, Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone

from accounts.errors import UserError
from catalog.providers.replies import CancelAccepted, ItemError
from orders import lifecycle, offering, postponing, routing
from orders.claiming import Claim
from orders.models import Cancel, Dispatch, Order, OrderEvent
from orders.offering import Offer, Way

logger = logging.getLogger(__name__)

Kind = OrderEvent.Kind
State = Dispatch.State
Status = Cancel.Status

NOT_ALLOWED = "Cancel not allowed"
NOT_SUPPORTED = "cancel_not_supported"


@transaction.atomic
def request_cancel(user_id: int, order_id: int, *, actor_id: int | None = None) -> Cancel:
    """Cancel an order at once where surely nobody has it, else record the wish; return it, or the one that is open.

    The dispatch's row lock keeps the claim away. Raises UserError in the wire's words when there is no such order of
    his, it has ended, or its provider takes no cancels.
    """
    if not Order.objects.filter(pk=order_id, user_id=user_id).exists():
        raise UserError("Incorrect order ID", field="order")
    dispatch = _lock_live_add(order_id)
    order = Order.objects.select_for_update(of=("self",)).select_related("service").get(pk=order_id)
    way = offering.cancel_way(order, offering.read_takers([order]).get(order_id))
    cancel = order.cancels.filter(status__in=Cancel.OPEN).first()
    if cancel is None:
        if way == Way.NONE:
            raise UserError(NOT_ALLOWED, field="order")
        cancel = Cancel.objects.create(order=order)
        _note(cancel, actor_id=actor_id)
        if way == Way.FORWARDED and dispatch is not None:
            _forward(cancel, dispatch)
    if way == Way.AT_ONCE and dispatch is not None:
        honour(dispatch, actor_id=actor_id)
        cancel.refresh_from_db()
    return cancel


def offer(order: Order) -> Offer:
    """Say whether a page is to offer a cancel of an order, and if not, why."""
    return with_offers([order])[order.pk]


def with_offers(orders: Sequence[Order]) -> dict[int, Offer]:
    """Say for each of some orders whether a page is to offer a cancel; three queries at most for all of them."""
    prefetch_related_objects(orders, "service")
    candidates = [order for order in orders if order.status not in lifecycle.ENDED]
    takers = offering.read_takers(candidates) if candidates else {}
    asked: set[int] = set()
    if takers:
        asked.update(
            Cancel.objects.filter(order__in=list(takers), status__in=Cancel.OPEN).values_list("order_id", flat=True)
        )
    return {
        order.pk: offering.offer_cancel(order, takers.get(order.pk), is_asked=order.pk in asked) for order in orders
    }


def settle(claim: Claim, outcome: CancelAccepted | ItemError | Exception | None) -> None:
    """Settle one attempt to forward a cancel, fenced, in a transaction of its own; no money moves.

    None means that the answer said nothing about it.
    """
    with transaction.atomic():
        dispatch = postponing.lock_attempt(claim)
        if dispatch is None:
            logger.warning("cancel dispatch %s: answer after the lease: %s", claim.dispatch_id, outcome)
            return
        cancel = Cancel.objects.select_for_update().get(dispatch=dispatch)
        if isinstance(outcome, CancelAccepted):
            postponing.accept(dispatch)
            if cancel.status == Status.ASKED:
                _change(cancel, Status.NOTED)
        elif cancel.status not in Cancel.OPEN:
            routing.reject(dispatch, "The order has ended")
        else:
            why = postponing.postpone(dispatch, outcome)
            if why:
                _change(cancel, Status.REFUSED, why)
    if isinstance(outcome, CancelAccepted):
        _look_soon(claim.order_id)


def honour(dispatch: Dispatch, *, actor_id: int | None = None) -> bool:
    """Cancel and refund an order that surely nobody took and whose customer asked for it; tell whether that was so.

    Expects the dispatch's row lock, and an attempt that was surely not taken.
    """
    if dispatch.doubtful:
        return False
    if not Cancel.objects.filter(order_id=dispatch.order_id, status=Status.ASKED, dispatch=None).exists():
        return False
    routing.reject(dispatch, "Canceled by the customer")
    lifecycle.cancel(dispatch.order_id, why="customer", actor_id=actor_id)
    return True


def after_accept(order_ids: Collection[int]) -> None:
    """Forward the cancels that were asked for while their orders were being sent.

    Expects the transaction that made their dispatches SENT, with the locks of dispatches and orders. One query when
    there are none.
    """
    asked = Cancel.objects.filter(order__in=order_ids, status=Status.ASKED, dispatch=None)
    cancels = list(asked.select_related("order__service").order_by("pk"))
    if not cancels:
        return
    takers = offering.read_takers([cancel.order for cancel in cancels])
    sent = Dispatch.objects.filter(order__in=list(takers), command=Dispatch.Command.ADD, state=State.SENT)
    dispatches = {dispatch.order_id: dispatch for dispatch in sent}
    for cancel in cancels:
        if offering.takes_cancels(cancel.order, takers[cancel.order_id]):
            _forward(cancel, dispatches[cancel.order_id])
        else:
            _change(cancel, Status.REFUSED, NOT_SUPPORTED)


def _lock_live_add(order_id: int) -> Dispatch | None:
    """Lock the dispatch of an order itself; None when every provider refused it.

    Whoever rejects a dispatch in favour of the next route holds its lock: once it is let go, the next one is there.
    """
    live = Dispatch.objects.filter(order_id=order_id, command=Dispatch.Command.ADD).exclude(state=State.REJECTED)
    while live.exists():
        dispatch = live.select_for_update().first()
        if dispatch is not None:
            return dispatch
    return None


def _forward(cancel: Cancel, taken: Dispatch) -> None:
    """Queue the cancel of an order for the provider that has it."""
    cancel.dispatch = Dispatch.objects.create(
        order_id=cancel.order_id,
        command=Dispatch.Command.CANCEL,
        provider_id=taken.provider_id,
        provider_service_id=taken.provider_service_id,
        route_position=taken.route_position,
        due_at=timezone.now(),
    )
    cancel.save(update_fields=["dispatch"])


def _look_soon(order_id: int) -> None:
    """Ask after an order soon: its money follows what the provider reports."""
    soon = timezone.now() + datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS)
    sent = Dispatch.objects.filter(order_id=order_id, command=Dispatch.Command.ADD, state=State.SENT)
    sent.filter(poll_at__gt=soon).update(poll_at=soon)


def _change(cancel: Cancel, status: str, why: str = "") -> None:
    """Write a status and its event. Expects the locks of order and cancel."""
    cancel.status = status
    cancel.why = why[:40]
    if status not in Cancel.OPEN:
        cancel.ended_at = timezone.now()
    cancel.save(update_fields=["status", "why", "ended_at"])
    _note(cancel)


def _note(cancel: Cancel, *, actor_id: int | None = None) -> None:
    said = {"to": str(cancel.status)} | ({"why": cancel.why} if cancel.why else {})
    lifecycle.note(cancel.order_id, Kind.CANCEL, said, actor_id=actor_id)
