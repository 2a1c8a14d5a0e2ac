import datetime
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from catalog import classing, connecting, secrets
from catalog.models import Provider, ProviderService, RefusalText, Route, Service
from catalog.providers.sandbox import Sandbox
from orders import cancels, forwarding, refills, resolving, syncing
from orders.models import Cancel, Dispatch, Order, OrderEvent, Refill
from tests.conftest import Fund, Place, make_provider

State = Dispatch.State
Meaning = RefusalText.Meaning
STRANGE = "The moon is in the wrong house"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]


@pytest.fixture
def unclear(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Dispatch:
    """A dispatch that the sandbox accepted without saying so."""
    fund(customer, "100")
    sandbox.misbehave("add", "reset")
    order = place(customer, service)
    forwarding.forward_all()
    dispatch = order.dispatches.get()
    assert dispatch.state == State.UNCLEAR
    return dispatch


def test_it_arrived_as(unclear: Dispatch, staff: User) -> None:
    resolving.mark_arrived(unclear.pk, " 70001 ", actor_id=staff.pk)
    unclear.refresh_from_db()
    assert (unclear.state, unclear.remote_id) == (State.SENT, "70001")
    assert unclear.poll_at is not None
    assert Order.objects.get().status == "Processing"
    assert unclear.order.events.get(kind="resolved").actor == staff


def test_an_id_that_another_order_has_is_refused(
    unclear: Dispatch, staff: User, customer: User, service: Service, place: Place
) -> None:
    other = place(customer, service)
    forwarding.forward_all()
    with pytest.raises(UserError, match="Another order has this ID"):
        resolving.mark_arrived(unclear.pk, other.dispatches.get().remote_id, actor_id=staff.pk)
    unclear.refresh_from_db()
    assert unclear.state == State.UNCLEAR
    assert not unclear.order.events.filter(kind="resolved").exists()


def test_send_again_stays_doubtful(unclear: Dispatch, staff: User, sandbox: Sandbox) -> None:
    resolving.send_again(unclear.pk, actor_id=staff.pk)
    forwarding.forward_all()
    unclear.refresh_from_db()
    assert (unclear.state, unclear.attempt, unclear.doubtful) == (State.SENT, 2, True)


def test_cancel_and_refund(unclear: Dispatch, staff: User, customer: User) -> None:
    resolving.cancel_and_refund(unclear.pk, actor_id=staff.pk, why="looked, not there")
    order = Order.objects.get()
    assert (order.status, order.refunded) == ("Canceled", order.charge)
    assert ledger.read_balance(customer.pk) == 100


@pytest.mark.parametrize("second", ["mark_arrived", "send_again", "cancel_and_refund"])
def test_what_is_decided_cannot_be_decided_again(unclear: Dispatch, staff: User, second: str) -> None:
    resolving.cancel_and_refund(unclear.pk, actor_id=staff.pk, why="gone")
    ways = {
        "mark_arrived": lambda: resolving.mark_arrived(unclear.pk, "1", actor_id=staff.pk),
        "send_again": lambda: resolving.send_again(unclear.pk, actor_id=staff.pk),
        "cancel_and_refund": lambda: resolving.cancel_and_refund(unclear.pk, actor_id=staff.pk, why="gone"),
    }
    with pytest.raises(UserError, match="decided"):
        ways[second]()


def test_missing_funds_release_the_order_when_they_are_there(
    customer: User, service: Service, provider: Provider, sandbox: Sandbox, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    sandbox.misbehave("add", "error", body="Not enough funds on balance")
    sandbox.misbehave("balance", "raw", body='{"balance": "0.00000", "currency": "USD"}')
    order = place(customer, service)
    forwarding.forward_all()
    assert order.dispatches.get().hold == Dispatch.Hold.FUNDS
    assert resolving.release_held() == 0
    assert resolving.release_held() == 1
    forwarding.forward_all()
    assert order.dispatches.get().state == State.SENT


def test_a_refused_key_pauses_and_a_good_one_lets_everything_go_on(
    customer: User, service: Service, provider: Provider, sandbox: Sandbox, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    good = provider.key_encrypted
    Provider.objects.update(key_encrypted=secrets.encrypt("wrong"))
    first, second = place(customer, service), place(customer, service)
    forwarding.forward_all()
    assert {first.dispatches.get().hold, second.dispatches.get().hold} == {Dispatch.Hold.KEY}
    assert resolving.release_held() == 0

    Provider.objects.update(key_encrypted=good)
    assert resolving.release_held() == 2
    forwarding.forward_all()
    assert sandbox.accepted(first.link) == sandbox.accepted(second.link) == 1


def test_a_cost_that_came_down_again_releases_the_order(
    customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    remote = service.routes.get().provider_service
    dear, remote.rate = remote.rate, remote.rate * 100
    remote.save()
    forwarding.forward_all()
    assert order.dispatches.get().hold == Dispatch.Hold.LOSS
    assert resolving.release_held() == 0
    remote.rate = dear
    remote.save()
    assert resolving.release_held() == 1


def test_a_provider_that_fails_again_and_again_is_paused_and_comes_back(
    customer: User, service: Service, provider: Provider, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    url = provider.api_url
    Provider.objects.update(api_url="http://127.0.0.1:9/api/v2")
    for _ in range(connecting.FAILURES_TO_PAUSE):
        place(customer, service)
    forwarding.forward_all()
    provider.refresh_from_db()
    assert connecting.is_paused(provider)
    assert provider.pause_reason == Provider.Pause.NETWORK
    assert forwarding.due_providers() == []

    Provider.objects.update(api_url=url, paused_until=None)
    Dispatch.objects.update(due_at=provider.created_at)
    forwarding.forward_all()
    assert set(Dispatch.objects.values_list("state", flat=True)) == {State.SENT}
    provider.refresh_from_db()
    assert (provider.failures, provider.pause_reason) == (0, "")


def test_a_key_that_cannot_be_decrypted_holds_the_orders_and_says_so(
    customer: User, service: Service, provider: Provider, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    good = provider.key_encrypted
    Provider.objects.update(key_encrypted="garbage")
    order = place(customer, service)
    forwarding.forward_all()
    provider.refresh_from_db()
    assert order.dispatches.get().hold == Dispatch.Hold.KEY
    assert "enter it again" in provider.last_error

    Provider.objects.update(key_encrypted=good)
    assert resolving.release_held() == 1


def test_what_staff_send_again_may_be_sent_for_a_month(unclear: Dispatch, staff: User, sandbox: Sandbox) -> None:
    resolving.send_again(unclear.pk, actor_id=staff.pk)
    unclear.refresh_from_db()
    assert (unclear.state, unclear.look_at) == (State.QUEUED, None)
    assert unclear.resend_until is not None
    assert unclear.resend_until > timezone.now() + datetime.timedelta(days=29)


def test_what_the_customer_wants_canceled_is_not_sent_again(unclear: Dispatch, staff: User, sandbox: Sandbox) -> None:
    cancels.request_cancel(unclear.order.user_id, unclear.order_id)
    with pytest.raises(UserError, match="cancel and refund it instead"):
        resolving.send_again(unclear.pk, actor_id=staff.pk)
    resolving.cancel_and_refund(unclear.pk, actor_id=staff.pk, why="looked, not there")
    order = Order.objects.get()
    assert (order.status, order.refunded) == ("Canceled", order.charge)
    assert Cancel.objects.get().status == Cancel.Status.DONE


def test_what_arrived_has_its_cancel_passed_on(
    unclear: Dispatch, staff: User, service: Service, provider: Provider
) -> None:
    Service.objects.update(cancel=True)
    cancels.request_cancel(unclear.order.user_id, unclear.order_id)
    resolving.mark_arrived(unclear.pk, "70001", actor_id=staff.pk)
    cancel = Cancel.objects.get()
    assert cancel.status == Cancel.Status.ASKED
    assert cancel.dispatch is not None
    assert (cancel.dispatch.command, cancel.dispatch.state) == ("cancel", State.QUEUED)


@pytest.fixture
def completed(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Order:
    """An order that was delivered long enough ago for a refill."""
    Service.objects.update(refill=True, cancel=True)
    fund(customer, "100")
    order = place(customer, service)
    forwarding.forward_all()
    sandbox.set_order(order.dispatches.get().remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    Order.objects.update(ended_at=timezone.now() - datetime.timedelta(hours=30))
    order.refresh_from_db()
    return order


@pytest.fixture
def unclear_refill(completed: Order, sandbox: Sandbox) -> Dispatch:
    """The dispatch of a refill that was refused with a text that nobody has classed."""
    refills.request_refill(completed.user_id, completed.pk)
    sandbox.misbehave("refill", "error", body=STRANGE)
    forwarding.forward_all()
    dispatch = completed.dispatches.get(command="refill")
    assert (dispatch.state, dispatch.doubtful, dispatch.unknown_text) == (State.UNCLEAR, False, STRANGE)
    return dispatch


@pytest.fixture
def unclear_cancel(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Dispatch:
    """The dispatch of a cancel that was refused with a text that nobody has classed."""
    Service.objects.update(cancel=True)
    fund(customer, "100")
    order = place(customer, service)
    forwarding.forward_all()
    cancels.request_cancel(customer.pk, order.pk)
    sandbox.misbehave("cancel", "error", body=STRANGE)
    forwarding.forward_all()
    dispatch = order.dispatches.get(command="cancel")
    assert (dispatch.state, dispatch.unknown_text) == (State.UNCLEAR, STRANGE)
    return dispatch


def test_a_refill_is_refused_and_the_customer_is_told_without_our_own_words(
    unclear_refill: Dispatch, staff: User
) -> None:
    resolving.refuse(unclear_refill.pk, actor_id=staff.pk, why="they never refill on Mondays")
    unclear_refill.refresh_from_db()
    refill = Refill.objects.get()
    assert (unclear_refill.state, refill.status, refill.why) == (State.REJECTED, Refill.Status.REJECTED, "staff")
    assert refill.ended_at is not None
    public = OrderEvent.objects.filter(kind__in=OrderEvent.PUBLIC).order_by("-pk")
    assert public[0].data == {"refill": refill.pk, "to": "Rejected", "why": "staff"}
    resolved = OrderEvent.objects.get(kind="resolved")
    assert (resolved.actor, resolved.data["why"]) == (staff, "they never refill on Mondays")
    order = Order.objects.get()
    assert (order.status, order.refunded) == ("Completed", Decimal(0))


def test_a_cancel_is_refused_and_the_order_goes_on(unclear_cancel: Dispatch, staff: User) -> None:
    resolving.refuse(unclear_cancel.pk, actor_id=staff.pk, why="too late")
    unclear_cancel.refresh_from_db()
    cancel, order = Cancel.objects.get(), Order.objects.get()
    assert (unclear_cancel.state, cancel.status, cancel.why) == (State.REJECTED, Cancel.Status.REFUSED, "staff")
    assert (order.status, order.refunded) == ("Processing", Decimal(0))
    assert OrderEvent.objects.filter(kind="cancel").latest("pk").data == {"to": "refused", "why": "staff"}


def test_a_refill_is_sent_again_without_being_in_doubt(unclear_refill: Dispatch, staff: User) -> None:
    resolving.send_again(unclear_refill.pk, actor_id=staff.pk)
    forwarding.forward_all()
    unclear_refill.refresh_from_db()
    assert (unclear_refill.state, unclear_refill.doubtful) == (State.SENT, False)
    with pytest.raises(UserError, match="decided"):
        resolving.refuse(unclear_refill.pk, actor_id=staff.pk, why="too late")
    assert Refill.objects.get().status in Refill.OPEN


def test_each_command_has_its_own_ways_out(unclear_refill: Dispatch, staff: User) -> None:
    with pytest.raises(UserError, match="sent again or refused"):
        resolving.mark_arrived(unclear_refill.pk, "70001", actor_id=staff.pk)
    with pytest.raises(UserError, match="sent again or refused"):
        resolving.cancel_and_refund(unclear_refill.pk, actor_id=staff.pk, why="x")
    assert Order.objects.get().refunded == 0


def test_an_order_cannot_be_refused_like_a_refill(unclear: Dispatch, staff: User) -> None:
    with pytest.raises(UserError, match="Only a refill"):
        resolving.refuse(unclear.pk, actor_id=staff.pk, why="x")


@pytest.fixture
def strange(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> list[Dispatch]:
    """Three orders that were refused with a text that nobody has classed, written in three ways."""
    fund(customer, "100")
    orders = []
    for text in (STRANGE, f"{STRANGE.upper()}.", f"  {STRANGE}"):
        sandbox.misbehave("add", "error", body=text)
        orders.append(place(customer, service))
        forwarding.forward_all()
    return [order.dispatches.get() for order in orders]


def settle(dispatch: Dispatch, meaning: str, staff: User) -> int:
    classing.class_text(dispatch.provider_id, dispatch.unknown_text, meaning, actor_id=staff.pk)
    return resolving.settle_classed(dispatch.provider_id, dispatch.unknown_text, actor_id=staff.pk)


@pytest.mark.parametrize(
    ("meaning", "state", "hold", "status"),
    [
        (Meaning.LINK, State.REJECTED, "", "Canceled"),
        (Meaning.QUANTITY, State.REJECTED, "", "Canceled"),
        (Meaning.FINAL, State.REJECTED, "", "Canceled"),
        (Meaning.SERVICE, State.REJECTED, "", "Canceled"),
        (Meaning.FUNDS, State.HELD, "funds", "Pending"),
        (Meaning.KEY, State.HELD, "key", "Pending"),
        (Meaning.LATER, State.QUEUED, "", "Pending"),
        (Meaning.WAIT, State.QUEUED, "", "Pending"),
    ],
)
def test_what_a_text_means_settles_everything_that_waits_with_it(
    strange: list[Dispatch], staff: User, meaning: str, state: str, hold: str, status: str
) -> None:
    assert settle(strange[0], meaning, staff) == 3
    for dispatch in Dispatch.objects.select_related("order"):
        assert (dispatch.state, dispatch.hold, dispatch.order.status) == (state, hold, status)
        assert dispatch.order.refunded == (dispatch.order.charge if status == "Canceled" else 0)
        assert dispatch.order.events.get(kind="resolved").actor == staff
    assert settle(strange[0], meaning, staff) == 0


def test_a_text_that_staff_must_look_at_each_time_settles_nothing(strange: list[Dispatch], staff: User) -> None:
    assert settle(strange[0], Meaning.UNCLEAR, staff) == 0
    assert set(Dispatch.objects.values_list("state", "doubtful")) == {(State.UNCLEAR, True)}


def test_a_text_that_nobody_has_classed_settles_nothing(strange: list[Dispatch], staff: User) -> None:
    with pytest.raises(UserError, match="Nobody has said"):
        resolving.settle_classed(strange[0].provider_id, STRANGE, actor_id=staff.pk)


def test_only_dispatches_with_that_text_at_that_provider_are_settled(
    strange: list[Dispatch], sandbox: Sandbox, staff: User
) -> None:
    first, second, third = strange
    Dispatch.objects.filter(pk=second.pk).update(provider=make_provider(sandbox.url))
    Dispatch.objects.filter(pk=third.pk).update(unknown_text="")  # doubt of another kind came over it
    assert settle(first, Meaning.FINAL, staff) == 1
    assert [dispatch.state for dispatch in Dispatch.objects.order_by("pk")] == ["REJECTED", "UNCLEAR", "UNCLEAR"]


@pytest.mark.parametrize("meaning", [Meaning.SERVICE, Meaning.FUNDS])
def test_a_text_that_means_elsewhere_sends_the_order_elsewhere(
    strange: list[Dispatch], service: Service, sandbox: Sandbox, staff: User, meaning: str
) -> None:
    first = service.routes.get().provider_service
    remote = ProviderService.objects.create(
        provider=make_provider(sandbox.url),
        remote_id=first.remote_id,
        name=first.name,
        type=first.type,
        rate=first.rate,
        min=first.min,
        max=first.max,
    )
    Route.objects.create(service=service, provider_service=remote, position=2)
    settle(strange[0], meaning, staff)
    forwarding.forward_all()
    for order in Order.objects.all():
        assert [row.state for row in order.dispatches.order_by("pk")] == [State.REJECTED, State.SENT]
        assert sandbox.accepted(order.link) == 1


@pytest.mark.parametrize("meaning", [Meaning.LATER, Meaning.SERVICE, Meaning.KEY])
def test_a_refusal_after_all_lets_a_wish_to_cancel_come_true(
    strange: list[Dispatch], staff: User, meaning: str
) -> None:
    wanted = strange[0]
    cancels.request_cancel(wanted.order.user_id, wanted.order_id)
    settle(wanted, meaning, staff)
    order = Order.objects.get(pk=wanted.order_id)
    assert (order.status, order.refunded) == ("Canceled", order.charge)
    assert Cancel.objects.get().status == Cancel.Status.DONE


def test_with_its_meaning_the_doubt_is_gone(strange: list[Dispatch], sandbox: Sandbox, staff: User) -> None:
    settle(strange[0], Meaning.LATER, staff)
    sandbox.misbehave("add", "error", body="Invalid link", times=3)
    forwarding.forward_all()
    assert set(Dispatch.objects.values_list("state", flat=True)) == {State.REJECTED}
    assert set(Order.objects.values_list("status", flat=True)) == {"Canceled"}


@pytest.mark.parametrize(
    ("meaning", "state", "status"),
    [
        (Meaning.FINAL, State.REJECTED, "Rejected"),
        (Meaning.SERVICE, State.REJECTED, "Rejected"),
        (Meaning.LATER, State.QUEUED, "Pending"),
        (Meaning.WAIT, State.QUEUED, "Pending"),
        (Meaning.KEY, State.HELD, "Pending"),
        (Meaning.FUNDS, State.HELD, "Pending"),
        (Meaning.UNCLEAR, State.UNCLEAR, "Pending"),
    ],
)
def test_a_text_about_a_refill_settles_the_refill_and_leaves_the_order(
    unclear_refill: Dispatch, staff: User, meaning: str, state: str, status: str
) -> None:
    settle(unclear_refill, meaning, staff)
    unclear_refill.refresh_from_db()
    assert (unclear_refill.state, Refill.objects.get().status) == (state, status)
    order = Order.objects.get()
    assert (order.status, order.refunded) == ("Completed", Decimal(0))


def test_a_text_about_a_cancel_refuses_it(unclear_cancel: Dispatch, staff: User) -> None:
    assert settle(unclear_cancel, Meaning.FINAL, staff) == 1
    assert Cancel.objects.get().status == Cancel.Status.REFUSED
    assert Order.objects.get().status == "Processing"


def test_a_refill_that_was_held_goes_on_when_the_cause_is_gone(completed: Order, sandbox: Sandbox) -> None:
    """Its order may cost more than was charged by now: that is no reason to keep a refill back."""
    refills.request_refill(completed.user_id, completed.pk)
    sandbox.misbehave("refill", "error", body="Invalid API key")
    forwarding.forward_all()
    held = completed.dispatches.get(command="refill")
    assert (held.state, held.hold) == (State.HELD, Dispatch.Hold.KEY)
    ProviderService.objects.update(rate=1000)
    assert resolving.release_held() == 1
    forwarding.forward_all()
    held.refresh_from_db()
    assert held.state == State.SENT


def test_what_is_in_doubt_and_was_not_allowed_to_be_sent_again_is_left_to_staff(unclear: Dispatch) -> None:
    Dispatch.objects.update(state=State.HELD, hold=Dispatch.Hold.PAUSED, resend_until=None)
    assert resolving.release_held() == 0


End = Callable[[str, int | None], Decimal]


@pytest.fixture
def end(completed: Order, staff: User) -> End:
    def end_it(status: str, remains: int | None) -> Decimal:
        return resolving.end_by_hand(completed.pk, status, remains, actor_id=staff.pk, why="they told us")

    return end_it


def test_an_order_that_ended_wrongly_is_ended_by_hand(completed: Order, customer: User, staff: User, end: End) -> None:
    half = completed.quantity // 2
    assert end("Partial", half) == completed.charge / 2
    completed.refresh_from_db()
    assert (completed.status, completed.refunded) == ("Partial", completed.charge / 2)
    assert end("Canceled", None) == completed.charge / 2
    assert ledger.read_balance(customer.pk) == 100
    assert set(completed.events.filter(kind="resolved").values_list("actor", flat=True)) == {staff.pk}


@pytest.mark.parametrize(("status", "remains"), [("Partial", None), ("Partial", 0), ("Completed", None), ("Odd", None)])
def test_an_end_that_cannot_be_is_refused(completed: Order, end: End, status: str, remains: int | None) -> None:
    with pytest.raises(UserError):
        end(status, remains)
    completed.refresh_from_db()
    assert (completed.status, completed.refunded) == ("Completed", Decimal(0))


def test_an_order_that_nobody_knows_the_whereabouts_of_is_not_ended_by_hand(unclear: Dispatch, staff: User) -> None:
    with pytest.raises(UserError, match="decide"):
        resolving.end_by_hand(unclear.order_id, "Canceled", None, actor_id=staff.pk, why="x")


def test_a_preview_says_what_would_come_back_and_changes_nothing(completed: Order, customer: User, staff: User) -> None:
    before = ledger.read_balance(customer.pk), OrderEvent.objects.count()
    assert resolving.preview_end(completed.pk, "Canceled", None, actor_id=staff.pk) == completed.charge
    completed.refresh_from_db()
    assert (completed.status, completed.refunded) == ("Completed", Decimal(0))
    assert (ledger.read_balance(customer.pk), OrderEvent.objects.count()) == before
