"""Webhooks under races and crashes: one worker at a time for each delivery, in order, and none lost with a worker.

Each race comes after the same race without its guard has been seen to go wrong.
"""

import datetime
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from orders import lifecycle
from orders.models import Order, WebhookDelivery, WebhookEndpoint
from orders.webhooks import endpoints, sending
from orders.webhooks.reaching import Answer
from tests.conftest import Fund, Place
from tests.faults.test_races import at_once
from tests.processes import database_url, kill, wait_for, worker
from tests.receiving import Receiver, receiving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
State = WebhookDelivery.State
WORKERS = 4


@pytest.fixture
def orders(customer: User, service: Service, endpoint: WebhookEndpoint, fund: Fund, place: Place) -> list[Order]:
    """Ten orders with four events each."""
    fund(customer, "100")
    placed = [place(customer, service) for _ in range(10)]
    for order in placed:
        lifecycle.accept(order.pk)
        for status in ("In progress", "Completed"):
            lifecycle.advance(order.pk, lifecycle.Report(status=status, word=status))
    return placed


def test_without_the_claim_every_worker_sends_every_delivery(
    orders: list[Order], endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    have_read = threading.Barrier(WORKERS)

    def send_naively(_: int) -> None:
        """Read what is due, wait until everybody has read it, then send it: the code to be feared."""
        rows = list(endpoint.deliveries.filter(state=State.WAITING, kind="placed").order_by("pk"))
        have_read.wait(30)
        for row in rows:
            secret = row.endpoint.secret_encrypted
            sending.send(sending.Claim(row.pk, 1, f"msg_{row.pk}", row.endpoint.url, secret, "{}"))

    at_once(send_naively, WORKERS)
    assert set(Counter(call.id for call in receiver.calls).values()) == {WORKERS}


def test_workers_that_run_at_once_send_each_delivery_once_and_each_orders_in_sequence(
    orders: list[Order], endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    at_once(lambda _: sending._run_lanes(), WORKERS)
    sending.deliver_due()
    assert set(Counter(call.id for call in receiver.calls).values()) == {1}
    told = defaultdict(list)
    for call in receiver.calls:
        told[call.said["data"]["order"]].append(call.said["type"])
    story = ["order.placed", "order.accepted", "order.status", "order.status"]
    assert dict(told) == {order.pk: story for order in orders}
    assert set(endpoint.deliveries.values_list("state", "attempts")) == {(State.SENT, 1)}


@pytest.mark.parametrize(("failures", "most"), [(0, sending.LANES_OF_ONE), (6, 1)])
def test_over_all_workers_a_receiver_that_failed_gets_one_call_at_a_time(
    failures: int, most: int, orders: list[Order], endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    WebhookEndpoint.objects.update(failures=failures)
    claims = [claim for claims in at_once(lambda _: sending.claim_due(16), WORKERS) for claim in claims]
    assert 1 <= len(claims) <= most
    assert len(sending.claim_due(16)) + len(claims) == most


def test_an_answer_that_comes_after_the_lease_is_dropped_and_the_next_attempt_counts(
    orders: list[Order], endpoint: WebhookEndpoint
) -> None:
    first = sending.claim_due(1)[0]
    WebhookDelivery.objects.filter(pk=first.delivery_id).update(due_at=orders[0].created_at)
    second = next(claim for claim in sending.claim_due(16) if claim.delivery_id == first.delivery_id)
    assert (second.attempt, second.message_id, second.body) == (2, first.message_id, first.body)
    sending.record({first: Answer(500, "late")})
    assert WebhookDelivery.objects.get(pk=first.delivery_id).tries[1].get("said") is None
    sending.record({second: Answer(200, "in time")})
    delivery = WebhookDelivery.objects.get(pk=first.delivery_id)
    assert (delivery.state, [tried.get("said") for tried in delivery.tries]) == (State.SENT, [None, "in time"])


def test_an_order_is_placed_while_the_endpoint_is_being_claimed(
    customer: User, service: Service, orders: list[Order], endpoint: WebhookEndpoint, place: Place
) -> None:
    with psycopg.connect(database_url()) as session:
        session.execute(sending.LOCK_ENDPOINTS, {"now": timezone.now()})
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        order = place(customer, service)
        assert sending.claim_due(16) == []
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert endpoint.deliveries.filter(order=order).count() == 1


def place_slowly(order: Order, meanwhile: Callable[[], object]) -> None:
    """Write an event of an order, let something happen before its commit, and commit."""
    with psycopg.connect(database_url()) as session:
        session.execute("INSERT INTO orders_orderevent (order_id, kind, data) VALUES (%s, 'status', '{}')", [order.pk])
        meanwhile()
        session.commit()


def test_a_row_that_is_deleted_meanwhile_undoes_what_happens_to_an_order(
    orders: list[Order], endpoint: WebhookEndpoint
) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        place_slowly(orders[0], WebhookEndpoint.objects.all().delete)


def test_an_endpoint_that_is_removed_meanwhile_undoes_nothing(orders: list[Order], endpoint: WebhookEndpoint) -> None:
    events = orders[0].events.count()
    place_slowly(orders[0], lambda: endpoints.remove(endpoint.pk))
    assert orders[0].events.count() == events + 1
    assert sending.claim_due(16) == []


def test_one_slow_receiver_keeps_nothing_from_another(
    customer: User, orders: list[Order], endpoint: WebhookEndpoint, receiver: Receiver, stranger: User
) -> None:
    with receiving() as quick:
        theirs, _ = endpoints.add_endpoint(stranger.pk, quick.url, ["status"])
        endpoints.send_test(theirs.pk)
        receiver.gate.clear()
        thread = threading.Thread(target=at_once, args=(lambda _: sending.deliver_due(), 1))
        thread.start()
        try:
            wait_for(lambda: quick.calls, what="the quick one's test")
            wait_for(lambda: theirs.deliveries.get().state == State.SENT, what="its answer to be recorded")
        finally:
            receiver.gate.set()
            thread.join()
    assert receiver.most_at_once == sending.LANES_OF_ONE


@pytest.mark.worker
def test_killed_between_sending_and_recording_it_is_sent_again_under_the_same_id(
    customer: User,
    service: Service,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    tmp_path: Path,
    fund: Fund,
    place: Place,
) -> None:
    fund(customer, "100")
    WebhookEndpoint.objects.update(kinds=["placed"])
    place(customer, service)
    receiver.gate.clear()
    with worker(tmp_path, WEBHOOK_NETWORKS="127.0.0.0/8") as process:
        wait_for(lambda: receiver.calls, what="the first call")
        kill(process)
    receiver.gate.set()
    delivery = endpoint.deliveries.get()
    assert (delivery.state, delivery.attempts) == (State.WAITING, 1)
    assert datetime.timedelta(0) < delivery.due_at - timezone.now() <= sending.LEASE
    assert sending.deliver_due() == 0
    WebhookDelivery.objects.update(due_at=timezone.now())
    assert sending.deliver_due() == 1
    first, second = receiver.calls
    assert (first.id, first.body) == (second.id, second.body)
    assert endpoint.deliveries.get().state == State.SENT
