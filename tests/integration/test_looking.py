import datetime
import json

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding, syncing
from orders.models import Dispatch, Order, OrderEvent
from tests.conftest import Fund, Place

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def orders(customer: User, service: Service, fund: Fund, place: Place, books: None) -> list[Order]:
    """Four orders that the sandbox has accepted."""
    fund(customer, "1000")
    placed = [place(customer, service) for _ in range(4)]
    forwarding.forward_all()
    return placed


def look() -> None:
    Dispatch.objects.update(poll_at=timezone.now())
    syncing.sync_all()


def asked(sandbox: Sandbox) -> list[str]:
    return [call.get("orders") or call["order"] for call in sandbox.received if call["action"] == "status"]


def test_a_provider_without_batches_is_asked_for_single_orders_from_then_on(
    orders: list[Order], sandbox: Sandbox, provider: Provider
) -> None:
    sandbox.configure(batches=False)
    for order in orders:
        sandbox.set_order(order.dispatches.get().remote_id, status="In progress")
    look()
    assert {order.status for order in Order.objects.all()} == {"In progress"}
    provider.refresh_from_db()
    assert provider.single_until is not None
    before = len(asked(sandbox))
    look()
    assert all("," not in ids for ids in asked(sandbox)[before:])
    assert len(asked(sandbox)) == before + len(orders)


def test_an_order_that_a_batch_leaves_out_is_asked_for_by_itself(orders: list[Order], sandbox: Sandbox) -> None:
    left_out = orders[1].dispatches.get().remote_id
    sandbox.set_order(left_out, status="Completed")
    known = {orders[0].dispatches.get().remote_id: {"status": "In progress"}}
    sandbox.misbehave("status", "raw", body=json.dumps(known))
    look()
    orders[1].refresh_from_db()
    assert orders[1].status == "Completed"
    assert Provider.objects.get().single_until is None


def test_that_a_provider_does_not_know_an_order_is_believed_after_three_looks_over_a_day(
    orders: list[Order], sandbox: Sandbox
) -> None:
    order = orders[0]
    Dispatch.objects.filter(order=order).update(remote_id="999")
    began = timezone.now()
    marks = []
    for hours in (0, 1, 23, 25, 26):
        with time_machine.travel(began + hours * HOUR, tick=True):
            look()
        order.refresh_from_db()
        marks.append(str(order.attention))
    assert marks == ["", "", "", "lost", "lost"]
    assert order.status == "Processing"
    assert order.refunded == 0
    assert order.events.filter(kind=OrderEvent.Kind.ATTENTION).count() == 1


def test_one_good_answer_forgets_that_the_order_was_not_known(orders: list[Order], sandbox: Sandbox) -> None:
    dispatch = orders[0].dispatches.get()
    Dispatch.objects.filter(pk=dispatch.pk).update(remote_id="999")
    began = timezone.now()
    with time_machine.travel(began, tick=True):
        look()
        look()
    Dispatch.objects.filter(pk=dispatch.pk).update(remote_id=dispatch.remote_id)
    with time_machine.travel(began + 25 * HOUR, tick=True):
        look()
    Dispatch.objects.filter(pk=dispatch.pk).update(remote_id="999")
    with time_machine.travel(began + 26 * HOUR, tick=True):
        look()
    dispatch.refresh_from_db()
    assert (dispatch.missing_checks, orders[0].attention) == (1, "")
    assert dispatch.missing_since is not None


def test_what_moved_is_looked_at_sooner_than_what_stands_still(orders: list[Order]) -> None:
    order = orders[0]
    order.created_at = timezone.now() - 100 * HOUR
    moving, still = syncing.next_look(order, moving=True), syncing.next_look(order)
    assert moving is not None
    assert still is not None
    assert moving - timezone.now() <= syncing.LONGEST_WHILE_MOVING < still - timezone.now() <= syncing.LONGEST_INTERVAL
