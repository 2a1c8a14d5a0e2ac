"""Claiming: deciding, in one short committed transaction, which due dispatches are sent now (ARCHITECTURE 3).

Under the provider row's lock at most `max_in_flight` − LEASED rows are taken, so the limit holds over all machines. The
loss guard runs here, with the cost last read: a row is LEASED, HELD, or gives way to the next route.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.money import EXACT, plain
from catalog import connecting, pricing
from catalog.models import Provider, Service
from orders import lifecycle, routing
from orders.models import Dispatch, OrderEvent

# Paused for one of these, a provider will not be back by itself soon: do not let its rows wait for it.
LASTING = {
    Provider.Pause.STAFF: Dispatch.Hold.PAUSED,
    Provider.Pause.KEY: Dispatch.Hold.KEY,
    Provider.Pause.REDIRECT: Dispatch.Hold.REDIRECT,
}


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One attempt that is ours to make until the lease ends; `attempt` is the fence at settling."""

    dispatch_id: int
    order_id: int
    attempt: int
    key: str
    params: dict[str, str]


def claim_next(provider_id: int, lanes: int) -> list[Claim] | None:
    """Lease at most `lanes` due dispatches of a provider and return them.

    None when nothing is due, there is no room, or another worker is claiming; an empty list when rows were due but all
    of them were held or made way. Opens and commits its own transaction: it must be over before a socket is opened.
    """
    with transaction.atomic(durable=True):
        provider = Provider.objects.select_for_update(skip_locked=True).filter(pk=provider_id, enabled=True).first()
        if provider is None:
            return None
        paused = connecting.is_paused(provider)
        hold = LASTING.get(Provider.Pause(provider.pause_reason)) if paused and provider.pause_reason else None
        if paused and hold is None:
            return None
        in_flight = Dispatch.objects.filter(provider=provider, state=Dispatch.State.LEASED).count()
        rows = _lock_due(provider, min(lanes, provider.max_in_flight - in_flight))
        if not rows:
            return None
        if hold is not None:
            for dispatch in rows:
                routing.step_aside(dispatch, hold, str(Provider.Pause(provider.pause_reason).label))
            return []
        return _lease([dispatch for dispatch in rows if _affordable(dispatch, provider)])


def _lock_due(provider: Provider, room: int) -> Sequence[Dispatch]:
    if room <= 0:
        return []
    due = Dispatch.objects.filter(provider=provider, state=Dispatch.State.QUEUED, due_at__lte=timezone.now())
    return list(
        due.select_related("order__service", "provider_service")
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("due_at")[:room]
    )


def _affordable(dispatch: Dispatch, provider: Provider) -> bool:
    """Tell whether an order may be sent at the cost last read; otherwise hold it or make way, as its service says."""
    service = dispatch.order.service
    cost = expected_cost(dispatch, provider.exchange_rate)
    if cost <= dispatch.order.charge or service.loss_policy == Service.LossPolicy.ALLOW:
        return True
    why = f"cost {plain(cost)} exceeds charge {plain(dispatch.order.charge)}"
    make_way = service.loss_policy == Service.LossPolicy.NEXT_ROUTE
    if not (make_way and routing.give_way(dispatch, why)):
        routing.hold(dispatch, Dispatch.Hold.LOSS, why)
    return False


def expected_cost(dispatch: Dispatch, exchange_rate: Decimal) -> Decimal:
    """Return what an order would cost at the rate last read, in the panel's currency, rounded up to 5 places."""
    rate = EXACT.multiply(dispatch.provider_service.rate, exchange_rate)
    return pricing.total(rate, dispatch.order.quantity, flat=dispatch.order.service.is_package)


def _lease(rows: Sequence[Dispatch]) -> list[Claim]:
    if not rows:
        return []
    now = timezone.now()
    Dispatch.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=Dispatch.State.LEASED,
        attempt=F("attempt") + 1,
        claimed_at=now,
        due_at=now + datetime.timedelta(seconds=settings.DISPATCH_LEASE_SECONDS),
    )
    return [Claim(row.pk, row.order_id, row.attempt + 1, str(row.key), describe(row)) for row in rows]


def describe(dispatch: Dispatch) -> dict[str, str]:
    """Return the parameters of `add` for an order, as the provider is to read them (PROTOCOL 2)."""
    order = dispatch.order
    params = {"service": dispatch.provider_service.remote_id, "link": order.link}
    if order.service.type == Service.Type.DEFAULT:
        params["quantity"] = str(order.quantity)
    return params | {name: str(value) for name, value in order.details.items()}


def sweep_ended_leases() -> int:
    """Make every dispatch whose lease ran out UNCLEAR: the request may have been read. Return how many there were."""
    with transaction.atomic():
        ended = list(
            Dispatch.objects.select_for_update(skip_locked=True).filter(
                state=Dispatch.State.LEASED, due_at__lt=timezone.now()
            )
        )
        for dispatch in ended:
            routing.park(dispatch, "The worker stopped before the answer came")
            lifecycle.note(dispatch.order_id, OrderEvent.Kind.UNCLEAR, routing.said(dispatch))
    return len(ended)
