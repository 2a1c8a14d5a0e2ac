import pytest

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from catalog import connecting, secrets
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding, resolving
from orders.models import Dispatch, Order
from tests.conftest import Fund, Place

State = Dispatch.State


@pytest.fixture
def unclear(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place, books: None) -> Dispatch:
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
