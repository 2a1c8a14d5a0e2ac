"""Runs and posts at a provider that is really there: they are listed, looked at, and settled with their order."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import ledger
from accounts.models import User
from catalog import connecting
from catalog.models import Provider, Service
from catalog.providers.errors import ProviderError
from catalog.providers.sandbox import Sandbox
from orders import forwarding, parts, syncing
from orders.models import ChildOrder, Dispatch, Order
from tests.conftest import Fund, MakeService, Place, remote_service


@pytest.fixture
def order(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place, books: None) -> Order:
    """Ten runs that the sandbox has accepted."""
    fund(customer, "100")
    service.dripfeed = True
    placed = place(customer, service, quantity="100", runs="10", interval="30")
    forwarding.forward_all()
    return placed


def remote_id(order: Order) -> str:
    return order.dispatches.get().remote_id


def look(order: Order) -> Order:
    Dispatch.objects.filter(state="SENT").update(poll_at=timezone.now())
    ChildOrder.objects.update(poll_at=timezone.now())
    syncing.sync_all()
    return Order.objects.get(pk=order.pk)


def test_a_drip_feed_goes_out_with_the_quantity_of_one_run(order: Order, sandbox: Sandbox) -> None:
    (sent,) = [call for call in sandbox.received if call["action"] == "add"]
    assert (sent["quantity"], sent["runs"], sent["interval"], sent["link"]) == ("100", "10", "30", order.link)
    assert (order.quantity, order.parts) == (1000, 10)


def test_a_subscription_goes_out_without_link_and_quantity(
    customer: User, make_service: MakeService, sandbox: Sandbox, fund: Fund, place: Place, books: None
) -> None:
    row = remote_service(sandbox, "Subscriptions")
    service = make_service(type="Subscriptions", remote_id=str(row["service"]), min=10, max=5000, rate=row["rate"])
    fund(customer, "100")
    wish = {"username": "@carla", "min": "10", "max": "100", "posts": "4", "old_posts": "1", "delay": "5"}
    order = place(customer, service, **wish, expiry="2999-12-31")
    forwarding.forward_all()
    (sent,) = [call for call in sandbox.received if call["action"] == "add"]
    assert {"link", "quantity"}.isdisjoint(sent)
    assert (sent["username"], sent["expiry"], sent["old_posts"]) == ("carla", "31/12/2999", "1")
    sandbox.set_order(remote_id(order), status="Expired", posts=2)
    after = look(order)
    assert (after.status, after.parts, after.parts_done) == ("Partial", 5, 2)
    assert after.refunded == (after.charge * 3 / 5).quantize(Decimal("0.00001"), rounding="ROUND_FLOOR")


def test_runs_are_listed_and_looked_at(order: Order, sandbox: Sandbox) -> None:
    first, second = sandbox.add_child(remote_id(order)), sandbox.add_child(remote_id(order))
    sandbox.set_order(first, status="Completed", remains=0, start_count=70)
    sandbox.set_order(second, status="In progress", remains=60)
    after = look(order)
    assert [(child.remote_id, child.status, child.start_count, child.remains) for child in after.children.all()] == [
        (first, "Completed", 70, 0),
        (second, "In progress", 0, 60),
    ]
    before = after.children.count()
    look(order)
    assert order.children.count() == before


def test_runs_that_are_known_are_not_written_again(order: Order, django_assert_num_queries: Any) -> None:
    dispatch = order.dispatches.get()
    parts.store_children(order.pk, dispatch.pk, ["a", "b", "a"])
    with django_assert_num_queries(1):
        parts.store_children(order.pk, dispatch.pk, ["c", "b", "a", "x" * 101])
    assert [child.remote_id for child in order.children.all()] == ["a", "b", "c"]


def test_a_run_that_ends_after_its_canceled_order_is_settled_once(order: Order, sandbox: Sandbox) -> None:
    children = [sandbox.add_child(remote_id(order)) for _ in range(4)]
    for child in children[:3]:
        sandbox.set_order(child, status="Completed", remains=0)
    sandbox.set_order(children[3], status="In progress", remains=90)
    sandbox.set_order(remote_id(order), status="Canceled", runs=4)
    after = look(order)
    assert (after.status, after.refunded) == ("Canceled", after.charge * 6 / 10)
    sandbox.set_order(children[3], status="Partial", remains=40)
    for _ in range(3):
        after = look(order)
    assert (after.refunded, after.remains) == (after.charge * 64 / 100, 640)
    assert ledger.read_balance(order.user_id) == 100 - after.charge + after.refunded


def test_a_run_that_was_completed_may_be_corrected_and_no_other_end(order: Order, sandbox: Sandbox) -> None:
    completed, partial, canceled = [sandbox.add_child(remote_id(order)) for _ in range(3)]
    sandbox.set_order(completed, status="Completed", remains=0)
    sandbox.set_order(partial, status="Partial", remains=10)
    sandbox.set_order(canceled, status="Canceled", remains=100)
    sandbox.set_order(remote_id(order), status="Partial", runs=3)
    look(order)
    sandbox.set_order(completed, status="Canceled", remains=100)
    sandbox.set_order(partial, status="Canceled", remains=100)
    sandbox.set_order(canceled, status="Completed", remains=0)
    after = look(order)
    assert [child.status for child in after.children.all()] == ["Canceled", "Partial", "Canceled"]
    assert after.refunded == after.charge * 91 / 100


def test_a_word_nobody_knows_and_a_run_nobody_knows_change_nothing(order: Order, sandbox: Sandbox) -> None:
    strange, lost = [sandbox.add_child(remote_id(order)) for _ in range(2)]
    look(order)
    sandbox.set_order(strange, status="Wobbling")
    ChildOrder.objects.filter(remote_id=lost).update(remote_id="999")
    look(order)
    assert {child.status for child in ChildOrder.objects.exclude(remote_id=lost)} == {"Pending"}
    assert not ChildOrder.objects.filter(poll_at__lte=timezone.now()).exists()


def test_a_call_that_fails_changes_no_run_and_is_made_again_later(
    order: Order, sandbox: Sandbox, provider: Provider
) -> None:
    child = sandbox.add_child(remote_id(order))
    look(order)
    sandbox.set_order(child, status="Canceled", remains=100)
    sandbox.misbehave("status", "http500", times=10)
    ChildOrder.objects.update(poll_at=timezone.now())
    with connecting.connect(provider) as client, pytest.raises(ProviderError):
        parts.sync(provider, client)
    assert ChildOrder.objects.get(poll_at__gt=timezone.now()).status == "Pending"


def test_runs_of_another_provider_are_not_asked_for(order: Order, sandbox: Sandbox, provider: Provider) -> None:
    sandbox.add_child(remote_id(order))
    look(order)
    ChildOrder.objects.update(poll_at=timezone.now())
    other = Provider.objects.create(name="Other", api_url=provider.api_url, key_encrypted=provider.key_encrypted)
    with connecting.connect(other) as client:
        assert parts.sync(other, client) == 0


def test_many_runs_are_looked_at_in_few_queries(
    order: Order, sandbox: Sandbox, provider: Provider, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        sandbox.add_child(remote_id(order))
    look(order)
    ChildOrder.objects.update(poll_at=timezone.now())
    with connecting.connect(provider) as client, django_assert_max_num_queries(10):
        assert parts.sync(provider, client) == 8


def test_runs_are_looked_at_ever_more_rarely_and_not_for_ever(order: Order) -> None:
    now = timezone.now()
    child = ChildOrder(order=order, created_at=now, status="In progress")

    def wait(**age: float) -> datetime.timedelta:
        child.created_at = now - datetime.timedelta(**age)
        following = parts.next_look(child, now)
        assert following is not None
        return following - now

    assert wait(seconds=1) < wait(hours=1) < wait(days=1) == wait(days=30)
    child.status, child.ended_at = "Completed", now - datetime.timedelta(days=1)
    assert wait(days=2) == datetime.timedelta(hours=6)
    order.ended_at = now - datetime.timedelta(days=8)
    assert parts.next_look(child, now) is None
    order.ended_at, child.ended_at = None, now - datetime.timedelta(days=8)
    assert parts.next_look(child, now) is None
    child.status, child.ended_at = "Canceled", now
    assert parts.next_look(child, now) is None


def test_a_paused_subscription_is_refunded_once_however_often_it_is_looked_at(
    customer: User, make_service: MakeService, sandbox: Sandbox, fund: Fund, place: Place, books: None
) -> None:
    """The undelivered share paid again at every poll is a real panel's fault (SCREENS 5.3)."""
    row = remote_service(sandbox, "Subscriptions")
    service = make_service(type="Subscriptions", remote_id=str(row["service"]), min=10, max=5000, rate=row["rate"])
    fund(customer, "100")
    order = place(customer, service, username="carla", min="10", max="100", posts="4", delay="0")
    forwarding.forward_all()
    sandbox.set_order(remote_id(order), status="Paused", posts=1)
    with time_machine.travel(timezone.now(), tick=True) as clock:
        for _ in range(5):
            clock.shift(3600)
            after = look(order)
            assert (after.status, after.refunded, after.attention) == ("Processing", Decimal(0), "")
        sandbox.set_order(remote_id(order), status="Canceled", posts=1)
        for _ in range(3):
            clock.shift(3600)
            after = look(order)
    assert (after.status, after.refunded) == ("Canceled", after.charge * 3 / 4)
    assert after.events.filter(kind="refunded").count() == 1
