import datetime
import json
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import User
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding, syncing
from orders.models import Dispatch, Order
from tests.conftest import Fund, Place


@pytest.fixture
def orders(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place, books: None) -> list[Order]:
    """Three orders that the sandbox has accepted."""
    fund(customer, "1000")
    placed = [place(customer, service) for _ in range(3)]
    forwarding.forward_all()
    return placed


def remote_id(order: Order) -> str:
    return order.dispatches.get().remote_id


def look() -> None:
    Dispatch.objects.update(poll_at=timezone.now())
    syncing.sync_all()


def statuses(orders: list[Order]) -> list[str]:
    for order in orders:
        order.refresh_from_db()
    return [order.status for order in orders]


def test_an_accepted_order_is_processing_until_there_is_news(orders: list[Order]) -> None:
    assert statuses(orders) == ["Processing"] * 3


def test_news_of_many_orders_comes_in_one_call(orders: list[Order], sandbox: Sandbox) -> None:
    for order, word in zip(orders, ("In progress", "Completed", "Canceled"), strict=True):
        sandbox.set_order(remote_id(order), status=word)
    before = len(sandbox.received)
    look()
    assert statuses(orders) == ["In progress", "Completed", "Canceled"]
    assert [call["action"] for call in sandbox.received[before:]] == ["status"]
    assert orders[2].refunded == orders[2].charge


def test_what_is_wrong_with_one_order_is_no_news_about_the_others(orders: list[Order], sandbox: Sandbox) -> None:
    sandbox.set_order(remote_id(orders[0]), status="Completed")
    sandbox.set_order(remote_id(orders[1]), status="Wobbling")
    Dispatch.objects.filter(order=orders[2]).update(remote_id="999")
    look()
    assert statuses(orders) == ["Completed", "Processing", "Processing"]
    assert [order.attention for order in orders] == ["", Order.Attention.UNKNOWN_WORD, ""]


@pytest.mark.parametrize("kind", ["html", "http500", "empty", "cut", "garbage", "refuse_429"])
def test_a_call_that_fails_changes_no_order(orders: list[Order], sandbox: Sandbox, kind: str) -> None:
    sandbox.set_order(remote_id(orders[0]), status="Completed")
    sandbox.misbehave("status", kind, times=10)
    look()
    assert statuses(orders) == ["Processing"] * 3
    sandbox.behave()
    look()
    assert statuses(orders)[0] == "Completed"


def test_a_partial_delivery_comes_back_through_the_wire(orders: list[Order], sandbox: Sandbox) -> None:
    order = orders[0]
    sandbox.set_order(remote_id(order), status="Partial", remains=1, start_count=7)
    look()
    order.refresh_from_db()
    assert (order.status, order.remains, order.start_count) == ("Partial", 1, 7)
    assert order.refunded == (order.charge / order.quantity).quantize(Decimal("0.00001"), rounding="ROUND_FLOOR")


def test_an_order_that_is_not_due_is_not_asked_for(orders: list[Order], sandbox: Sandbox) -> None:
    Dispatch.objects.update(poll_at=timezone.now() + datetime.timedelta(hours=1))
    before = len(sandbox.received)
    assert syncing.sync_all() == 0
    assert len(sandbox.received) == before
    assert syncing.sync_all(everything=True) == 3


def test_young_orders_are_looked_at_often_and_old_ones_rarely(orders: list[Order], provider: Provider) -> None:
    order, now = orders[0], timezone.now()
    order.refresh_from_db()

    def wait(**age: float) -> datetime.timedelta:
        order.created_at = now - datetime.timedelta(**age)
        following = syncing.next_look(order)
        assert following is not None
        return following - now

    assert wait(seconds=1) < wait(hours=1) < wait(hours=5) < wait(days=3) < datetime.timedelta(hours=6)
    order.ended_at = now
    assert wait(days=3) >= datetime.timedelta(hours=1)
    order.ended_at = now - datetime.timedelta(days=8)
    assert syncing.next_look(order) is None


def test_a_canceled_order_is_not_looked_at_again(orders: list[Order], sandbox: Sandbox) -> None:
    sandbox.set_order(remote_id(orders[0]), status="Canceled")
    look()
    assert orders[0].dispatches.get().poll_at is None


def test_the_cost_that_a_provider_reports_is_kept_in_the_panels_currency(
    orders: list[Order], provider: Provider, sandbox: Sandbox
) -> None:
    Provider.objects.update(exchange_rate=Decimal("0.5"))
    sandbox.set_order(remote_id(orders[0]), status="In progress", charge="2")
    look()
    orders[0].refresh_from_db()
    assert orders[0].reported_cost == 1


def test_what_is_known_does_not_go_down_with_a_single_question_that_fails(
    orders: list[Order], sandbox: Sandbox
) -> None:
    sandbox.set_order(remote_id(orders[0]), status="Completed")
    report = {"charge": "1", "start_count": "0", "status": "Completed", "remains": "0"}
    known = json.dumps({remote_id(orders[0]): report})
    sandbox.misbehave("status", "raw", body=known)
    sandbox.misbehave("status", "html")
    look()
    assert statuses(orders) == ["Completed", "Processing", "Processing"]
    look()
    assert statuses(orders)[0] == "Completed"
