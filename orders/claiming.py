"""Claiming: deciding, in one short committed transaction, which due dispatches are sent now (ARCHITECTURE 3).

Under the provider row's lock at most `max_in_flight` − LEASED rows are taken, so the limit holds over all machines. The
loss guard runs here, with the cost last read: a row is LEASED, HELD, or gives way to the next route. Refills and
cancels are claimed like orders, and go to the provider that has the order.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.money import EXACT, plain
from catalog import connecting, pacing, pricing
from catalog.models import Provider, Service
from catalog.providers.dialects import dialect
from orders import lifecycle, routing
from orders.forms import FORMS
from orders.models import Dispatch, OrderEvent

# Paused for one of these, a provider will not be back by itself soon: do not let its rows wait for it.
LASTING = {
    Provider.Pause.STAFF: Dispatch.Hold.PAUSED,
    Provider.Pause.KEY: Dispatch.Hold.KEY,
    Provider.Pause.REDIRECT: Dispatch.Hold.REDIRECT,
}

LEASE = """
UPDATE orders_dispatch d SET state = 'LEASED', attempt = d.attempt + 1, cost = claim.cost,
    loss_allowed = claim.loss_allowed, keyed = %(keyed)s AND (d.first_claimed_at IS NULL OR d.keyed),
    first_claimed_at = coalesce(d.first_claimed_at, %(now)s), claimed_at = %(now)s,
    due_at = %(end)s
FROM unnest(%(ids)s::bigint[], %(costs)s::numeric[], %(allowed)s::bool[]) AS claim(id, cost, loss_allowed)
WHERE d.id = claim.id
"""
STOPPED = "The worker stopped before the answer came"


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One attempt that is ours to make until the lease ends; `attempt` is the fence at settling.

    `params` are those of an `add`; a refill or a cancel says no more than `remote_id`, the order's id at the provider.
    """

    dispatch_id: int
    order_id: int
    attempt: int
    key: str
    params: dict[str, str]
    command: str = Dispatch.Command.ADD
    remote_id: str = ""
    is_product: bool = False


def claim_next(provider_id: int, lanes: int, *, keyed: bool = False) -> list[Claim] | None:
    """Lease at most `lanes` due dispatches of a provider and return them.

    None when nothing is due, there is no room, or another worker is claiming; an empty list when rows were due but all
    of them were held or made way. `keyed`: the lanes will tell the provider each dispatch's key. Opens and commits its
    own transaction: it must be over before a socket is opened.
    """
    with transaction.atomic(durable=True):
        provider = Provider.objects.select_for_update(skip_locked=True).filter(pk=provider_id, enabled=True).first()
        if provider is None:
            return None
        paused = connecting.is_paused(provider)
        hold = LASTING.get(Provider.Pause(provider.pause_reason)) if paused and provider.pause_reason else None
        # A provider that was away is asked for its balance before it is sent an order (forwarding.py).
        if (paused and hold is None) or connecting.is_half_open(provider):
            return None
        in_flight = Dispatch.objects.filter(provider=provider, state=Dispatch.State.LEASED).count()
        rows = _lock_due(provider, min(lanes, connecting.lanes(provider) - in_flight))
        if not rows:
            return None
        if hold is not None:
            for dispatch in rows:
                routing.step_aside(dispatch, hold, str(Provider.Pause(provider.pause_reason).label))
            return []
        ready = [dispatch for dispatch in rows if _is_ready(dispatch, provider, keyed=keyed)]
        turns = pacing.take(provider.pk, pacing.Kind.COMMAND, len(ready)) if ready else 0
        return _lease(ready[:turns], provider, keyed=keyed) if turns or not ready else None


def _lock_due(provider: Provider, room: int) -> Sequence[Dispatch]:
    if room <= 0:
        return []
    due = Dispatch.objects.filter(provider=provider, state=Dispatch.State.QUEUED, due_at__lte=timezone.now())
    return list(
        due.select_related("order__service", "provider_service")
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("due_at")[:room]
    )


def _is_ready(dispatch: Dispatch, provider: Provider, *, keyed: bool) -> bool:
    """Tell whether a dispatch may be sent now; otherwise it has been held, parked, or has made way."""
    if dispatch.command != Dispatch.Command.ADD:
        return True
    obstacle = _find_obstacle(dispatch, keyed=keyed) if dispatch.doubtful else ""
    if obstacle:
        routing.park(dispatch, obstacle)
        lifecycle.note(dispatch.order_id, OrderEvent.Kind.UNCLEAR, routing.said(dispatch))
        return False
    return _affordable(dispatch, provider)


def _find_obstacle(dispatch: Dispatch, *, keyed: bool) -> str:
    """Return why a dispatch in doubt may not be sent again after all; empty when it may."""
    if dispatch.resend_until is None or dispatch.resend_until <= timezone.now():
        return "The provider may have forgotten the key by now"
    if dispatch.by_key and not keyed:
        return "The provider takes no key any more"
    return ""


def _affordable(dispatch: Dispatch, provider: Provider) -> bool:
    """Tell whether an order may be sent at the cost last read; otherwise hold it or make way, as its service says."""
    service = dispatch.order.service
    cost = dispatch.cost = expected_cost(dispatch, provider.exchange_rate)
    dispatch.loss_allowed = service.loss_policy == Service.LossPolicy.ALLOW
    if cost <= dispatch.order.charge or dispatch.loss_allowed:
        return True
    why = f"cost {plain(cost)} exceeds charge {plain(dispatch.order.charge)}"
    make_way = service.loss_policy == Service.LossPolicy.NEXT_ROUTE
    if not (make_way and routing.give_way(dispatch, why)):
        routing.hold(dispatch, Dispatch.Hold.LOSS, why)
    return False


def expected_cost(dispatch: Dispatch, exchange_rate: Decimal) -> Decimal:
    """Return what an order would cost at the rate last read, in the panel's currency, rounded up to 5 places."""
    rate = EXACT.multiply(dispatch.provider_service.rate, exchange_rate)
    return pricing.total(rate, dispatch.order.quantity, per=dispatch.order.service.per)


def _lease(rows: Sequence[Dispatch], provider: Provider, *, keyed: bool) -> list[Claim]:
    if not rows:
        return []
    now = timezone.now()
    values: dict[str, Any] = {
        "ids": [row.pk for row in rows],
        "costs": [row.cost for row in rows],
        "allowed": [row.loss_allowed for row in rows],
        "keyed": keyed,
        "now": now,
        "end": now + datetime.timedelta(seconds=settings.DISPATCH_LEASE_SECONDS),
    }
    with connection.cursor() as cursor:
        cursor.execute(LEASE, values)
    remote_ids = _read_remote_ids([row.order_id for row in rows if row.command != Dispatch.Command.ADD])
    return [
        Claim(
            row.pk,
            row.order_id,
            row.attempt + 1,
            str(row.key),
            describe(row, provider) if row.command == Dispatch.Command.ADD else {},
            row.command,
            remote_ids.get(row.order_id, ""),
            row.is_product,
        )
        for row in rows
    ]


def _read_remote_ids(order_ids: Sequence[int]) -> dict[int, str]:
    """Return the ids under which the provider that has them knows orders."""
    if not order_ids:
        return {}
    sent = Dispatch.objects.filter(order_id__in=order_ids, command=Dispatch.Command.ADD, state=Dispatch.State.SENT)
    return dict(sent.order_by().values_list("order_id", "remote_id"))


def describe(dispatch: Dispatch, provider: Provider) -> dict[str, str]:
    """Return the parameters of `add` for an order, as the provider is to read them (PROTOCOL 2, 3.9)."""
    order = dispatch.order
    if dispatch.is_product:
        return {"product": dispatch.provider_service.remote_id, "quantity": str(order.quantity), **order.details}
    params = {"service": dispatch.provider_service.remote_id}
    # Of a type that was taken from the service since the sale, no more is known than that superfluous words do no harm.
    form = FORMS.get(order.service.type, FORMS[Service.Type.DEFAULT])
    if "link" in form.fields:
        params["link"] = order.link
    if form.counted == "quantity":
        params["quantity"] = str(order.quantity)
    # Of a drip-feed the quantity of one run stands in the details.
    params |= {name: str(value) for name, value in order.details.items()}
    if "expiry" in params:
        params["expiry"] = _write_date(params["expiry"], provider)
    return params


def _write_date(text: str, provider: Provider) -> str:
    """Write a date, kept as d/m/Y, in the provider's form (PROTOCOL 1.5)."""
    if dialect(provider.dialect, provider.dialect_overrides).expiry_format == "d/m/Y":
        return text
    return "-".join(reversed(text.split("/")))


def sweep_ended_leases() -> int:
    """Take care of every dispatch whose lease ran out, and return how many there were.

    The request may have been read: an `add` becomes UNCLEAR; a refill or a cancel, harmless twice, is sent again.
    """
    with transaction.atomic():
        ended = list(
            Dispatch.objects.select_for_update(skip_locked=True).filter(
                state=Dispatch.State.LEASED, due_at__lt=timezone.now()
            )
        )
        for dispatch in ended:
            if dispatch.command != Dispatch.Command.ADD:
                routing.queue_again(dispatch, routing.next_delay(dispatch.retries), STOPPED)
                continue
            routing.park(dispatch, STOPPED)
            lifecycle.note(dispatch.order_id, OrderEvent.Kind.UNCLEAR, routing.said(dispatch))
    return len(ended)
