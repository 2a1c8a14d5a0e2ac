"""What staff decide about a dispatch that is UNCLEAR or HELD: three ways out, each one transaction, each with an event.

"It arrived as …" binds the id that staff found at the provider. "Send again" queues the same dispatch, which stays
doubtful if it was. "Cancel and refund" gives the customer the money back. A late id still finds its way (settling.py).
"""

from django.db import IntegrityError, transaction

from accounts.errors import UserError
from catalog import connecting
from catalog.models import Provider
from catalog.providers.errors import ProviderError
from orders import claiming, lifecycle, routing, settling
from orders.models import Dispatch, OrderEvent

Hold = Dispatch.Hold
State = Dispatch.State
RESOLVABLE = (State.UNCLEAR, State.HELD)


def mark_arrived(dispatch_id: int, remote_id: str, *, actor_id: int) -> None:
    """Bind the id under which staff found the order at the provider; raise UserError when another order has it."""
    remote_id = remote_id.strip()
    if not remote_id:
        raise UserError("Enter the ID under which the provider has the order", field="remote_id")
    try:
        with transaction.atomic():
            dispatch = _lock(dispatch_id)
            _note(dispatch, actor_id, how="arrived", remote_id=remote_id)
            settling.bind(dispatch, remote_id)
    except IntegrityError as error:
        raise UserError("Another order has this ID", field="remote_id") from error


@transaction.atomic
def send_again(dispatch_id: int, *, actor_id: int) -> None:
    """Queue an unclear or held dispatch, due now: staff have seen that the provider does not have it."""
    dispatch = _lock(dispatch_id)
    if dispatch.state == State.UNCLEAR:
        _note(dispatch, actor_id, how="send again")
    routing.release(dispatch, actor_id=actor_id)


@transaction.atomic
def cancel_and_refund(dispatch_id: int, *, actor_id: int, why: str) -> None:
    """Reject an unclear or held dispatch, cancel its order and pay back all that is left."""
    dispatch = _lock(dispatch_id)
    routing.reject(dispatch, f"Canceled by staff: {why}")
    _note(dispatch, actor_id, how="cancel and refund", why=why)
    lifecycle.cancel(dispatch.order_id, why="staff", actor_id=actor_id)


def _note(dispatch: Dispatch, actor_id: int, **how: str) -> None:
    lifecycle.note(dispatch.order_id, OrderEvent.Kind.RESOLVED, routing.said(dispatch, **how), actor_id=actor_id)


def _lock(dispatch_id: int) -> Dispatch:
    dispatch = Dispatch.objects.select_for_update(of=("self",)).select_related("order").get(pk=dispatch_id)
    if dispatch.state not in RESOLVABLE:
        raise UserError("Somebody or something else has decided this dispatch already")
    return dispatch


def release_held() -> int:
    """Queue held dispatches whose cause is gone; return how many.

    A refused key, a moved address and missing funds are looked into by reading the balance: a read risks no order.
    """
    released = 0
    for provider in Provider.objects.filter(dispatches__state=State.HELD, enabled=True).distinct():
        released += _release_provider(provider)
    return released


def _release_provider(provider: Provider) -> int:
    held = Dispatch.objects.filter(provider=provider, state=State.HELD)
    if held.filter(hold__in=[Hold.FUNDS, Hold.KEY, Hold.REDIRECT]).exists():
        try:
            connecting.read_balance(provider)
        except ProviderError as error:
            connecting.record_failure(provider, error)
            return 0
    return sum(_release_if_gone(pk, provider.pk) for pk in held.order_by("pk").values_list("pk", flat=True)[:500])


@transaction.atomic
def _release_if_gone(dispatch_id: int, provider_id: int) -> bool:
    dispatch = (
        Dispatch.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("order__service", "provider_service", "provider")
        .filter(pk=dispatch_id, provider_id=provider_id, state=State.HELD)
        .first()
    )
    if dispatch is None or not _cause_is_gone(dispatch):
        return False
    routing.release(dispatch)
    return True


def _cause_is_gone(dispatch: Dispatch) -> bool:
    cost = claiming.expected_cost(dispatch, dispatch.provider.exchange_rate)
    if dispatch.hold == Hold.LOSS:
        return cost <= dispatch.order.charge
    if dispatch.hold == Hold.FUNDS:
        balance = dispatch.provider.balance
        return balance is not None and balance * dispatch.provider.exchange_rate >= cost
    return not connecting.is_paused(dispatch.provider)
