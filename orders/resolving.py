"""What staff decide: about a dispatch that is UNCLEAR or HELD, about a text nobody had classed, about an order's end.

Each decision is one transaction with an event that names who made it, and looks again under the row's lock: whoever
loses a race is told. For an order there are three ways out: "it arrived as …" binds the id that staff found, "send
again" queues the same dispatch, which stays doubtful if it was, "cancel and refund" gives the money back. A refill or a
cancel, harmless twice, is sent again or refused. A late id still finds its way (settling.py).
"""

import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.errors import UserError
from catalog import classing, connecting
from catalog.models import Provider
from catalog.providers.errors import ProviderError
from catalog.providers.refusals import Refusal, normalise
from orders import cancels, claiming, lifecycle, refills, routing, settling
from orders.models import Cancel, Dispatch, Order, OrderEvent, Refill

Command = Dispatch.Command
Hold = Dispatch.Hold
State = Dispatch.State
RESOLVABLE = (State.UNCLEAR, State.HELD)

# Staff have looked: however long the provider is away meanwhile, nobody has to look again.
RESEND_FOR = datetime.timedelta(days=30)
HELD_FOR = {"operator": Hold.KEY, "operator_failover": Hold.FUNDS}


def mark_arrived(dispatch_id: int, remote_id: str, *, actor_id: int) -> None:
    """Bind the id under which staff found the order at the provider; raise UserError when another order has it."""
    remote_id = remote_id.strip()
    if not remote_id:
        raise UserError("Enter the ID under which the provider has the order", field="remote_id")
    try:
        with transaction.atomic():
            dispatch = _lock_add(dispatch_id)
            _note(dispatch, actor_id, how="arrived", remote_id=remote_id)
            settling.bind(dispatch, remote_id)
    except IntegrityError as error:
        raise UserError("Another order has this ID", field="remote_id") from error


@transaction.atomic
def send_again(dispatch_id: int, *, actor_id: int) -> None:
    """Queue an unclear or held dispatch, due now: of an order in doubt staff have seen that nobody has it.

    Raises UserError when the customer waits for the order to be canceled.
    """
    dispatch = _lock(dispatch_id)
    if dispatch.command == Command.ADD and wants_cancel(dispatch.order_id):
        raise UserError("The customer has asked to cancel this order: cancel and refund it instead")
    if dispatch.state == State.UNCLEAR:
        _note(dispatch, actor_id, how="send again")
    if dispatch.doubtful:
        dispatch.resend_until = timezone.now() + RESEND_FOR
        dispatch.by_key = False
    routing.release(dispatch, actor_id=actor_id)


@transaction.atomic
def cancel_and_refund(dispatch_id: int, *, actor_id: int, why: str) -> None:
    """Reject an unclear or held dispatch, cancel its order and pay back all that is left."""
    dispatch = _lock_add(dispatch_id)
    routing.reject(dispatch, f"Canceled by staff: {why}")
    _note(dispatch, actor_id, how="cancel and refund", why=why)
    lifecycle.cancel(dispatch.order_id, why="staff", actor_id=actor_id)


@transaction.atomic
def refuse(dispatch_id: int, *, actor_id: int, why: str) -> None:
    """Refuse a refill or a cancel that is unclear or held; the order stays as it is and no money moves."""
    dispatch = _lock(dispatch_id)
    if dispatch.command == Command.ADD:
        raise UserError("Only a refill or a cancellation can be refused")
    routing.reject(dispatch, f"Refused by staff: {why}")
    _note(dispatch, actor_id, how="refuse", why=why)
    _end_wish(dispatch, "staff")


def wants_cancel(order_id: int) -> bool:
    """Tell whether a customer asked to cancel an order before anybody knew whether a provider has it."""
    return Cancel.objects.filter(order_id=order_id, status=Cancel.Status.ASKED, dispatch=None).exists()


def find_waiting(provider_id: int, text: str) -> list[int]:
    """Return the dispatches that wait because a provider's text, in whatever letters and spacing, was not classed."""
    waiting = Dispatch.objects.filter(provider_id=provider_id, state=State.UNCLEAR).exclude(unknown_text="")
    spoken = normalise(text)
    rows = waiting.order_by("pk").values_list("pk", "unknown_text")
    return [pk for pk, unknown_text in rows if normalise(unknown_text) == spoken]


def settle_classed(provider_id: int, text: str, *, actor_id: int) -> int:
    """Settle what waits with a text by what it means now, one transaction each; return how many are decided.

    Raises UserError while nobody has said what the text means.
    """
    refusal = classing.read_refusals(provider_id).get(normalise(text))
    if refusal is None:
        raise UserError("Nobody has said yet what this text means", field="meaning")
    return sum(_settle_classed(pk, refusal, actor_id) for pk in find_waiting(provider_id, text))


@transaction.atomic
def end_by_hand(order_id: int, status: str, remains: int | None, *, actor_id: int, why: str) -> Decimal:
    """End an order as Completed, Partial or Canceled on the word of staff; return what the customer gets back by it.

    Raises UserError where that cannot be done (lifecycle.end_by_hand).
    """
    before = Order.objects.select_for_update().values_list("refunded", flat=True).get(pk=order_id)
    return lifecycle.end_by_hand(order_id, status, remains, actor_id=actor_id, why=why).refunded - before


def preview_end(order_id: int, status: str, remains: int | None, *, actor_id: int) -> Decimal:
    """Return what a customer would get back if an order were ended so: it is done, and undone. Raises UserError."""
    with transaction.atomic():
        returned = end_by_hand(order_id, status, remains, actor_id=actor_id, why="")
        transaction.set_rollback(True)
    return returned


@transaction.atomic
def _settle_classed(dispatch_id: int, refusal: Refusal, actor_id: int) -> bool:
    """Do with a dispatch what would have been done had its text been known, and tell whether that decides it.

    A text is kept only where it was all the doubt there ever was: with its meaning the doubt is gone.
    """
    rows = Dispatch.objects.select_for_update(of=("self",)).select_related("order__service")
    dispatch = rows.filter(pk=dispatch_id, state=State.UNCLEAR).exclude(unknown_text="").first()
    if dispatch is None or refusal.refusal_class == "ambiguous":
        return False
    Order.objects.select_for_update().get(pk=dispatch.order_id)
    _note(dispatch, actor_id, how="classed", text=dispatch.unknown_text, means=refusal.condition)
    dispatch.doubtful = False
    dispatch.unknown_text = ""
    dispatch.save(update_fields=["doubtful", "unknown_text"])
    if dispatch.command == Command.ADD:
        _settle_add(dispatch, refusal, actor_id)
    elif refusal.refusal_class in {"later", "wait"}:
        routing.release(dispatch, actor_id=actor_id)
    elif refusal.refusal_class in HELD_FOR:
        routing.hold(dispatch, Hold.KEY, dispatch.reason)
    else:
        routing.reject(dispatch, dispatch.reason)
        _end_wish(dispatch, refusal.condition)
    return True


def _settle_add(dispatch: Dispatch, refusal: Refusal, actor_id: int) -> None:
    """Let an order go the way of a refusal: again, to the next route, on hold, or canceled and refunded."""
    if cancels.honour(dispatch, actor_id=actor_id):
        return
    if refusal.refusal_class in {"later", "wait"}:
        routing.release(dispatch, actor_id=actor_id)
    elif refusal.refusal_class != "final" and routing.give_way(dispatch, dispatch.reason):
        return
    elif refusal.refusal_class in HELD_FOR:
        routing.hold(dispatch, HELD_FOR[refusal.refusal_class], dispatch.reason)
    else:
        routing.reject(dispatch, dispatch.reason)
        lifecycle.cancel(dispatch.order_id, why=refusal.condition, actor_id=actor_id)


def _end_wish(dispatch: Dispatch, why: str) -> None:
    """End the refill or the cancel that a rejected dispatch was to pass on, and tell the customer why."""
    if dispatch.command == Command.REFILL:
        refills.move(dispatch.refill.pk, Refill.Status.REJECTED, why)
        return
    refused = Cancel.Status.REFUSED
    wish = Cancel.objects.filter(dispatch=dispatch, status__in=Cancel.OPEN)
    if wish.update(status=refused, why=why[:40], ended_at=timezone.now()):
        lifecycle.note(dispatch.order_id, OrderEvent.Kind.CANCEL, {"to": refused, "why": why})


def _note(dispatch: Dispatch, actor_id: int, **how: str) -> None:
    lifecycle.note(dispatch.order_id, OrderEvent.Kind.RESOLVED, routing.said(dispatch, **how), actor_id=actor_id)


def _lock(dispatch_id: int) -> Dispatch:
    """Lock a dispatch that waits for a person, and then its order, as everybody does."""
    dispatch = Dispatch.objects.select_for_update().get(pk=dispatch_id)
    if dispatch.state not in RESOLVABLE:
        raise UserError("Somebody or something else has decided this dispatch already")
    Order.objects.select_for_update().get(pk=dispatch.order_id)
    return dispatch


def _lock_add(dispatch_id: int) -> Dispatch:
    dispatch = _lock(dispatch_id)
    if dispatch.command != Command.ADD:
        raise UserError("A refill or a cancellation can only be sent again or refused")
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
    # What is in doubt and was never allowed to be sent again is left to staff.
    held = Dispatch.objects.filter(~Q(doubtful=True, resend_until=None), provider=provider, state=State.HELD)
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
    if dispatch.command != Command.ADD:
        return not connecting.is_paused(dispatch.provider)
    cost = claiming.expected_cost(dispatch, dispatch.provider.exchange_rate)
    if dispatch.hold == Hold.LOSS:
        return cost <= dispatch.order.charge
    if dispatch.hold == Hold.FUNDS:
        balance = dispatch.provider.balance
        return balance is not None and balance * dispatch.provider.exchange_rate >= cost
    return not connecting.is_paused(dispatch.provider)
