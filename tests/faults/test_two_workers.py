"""Two workers with a beat each, and every tick delivered many times over: nothing is sent, or paid back, twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, connections

from accounts.models import User
from accounts.money import share
from catalog import connecting
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import tasks
from orders.models import Dispatch, Order
from panel.celery import app
from tests.conftest import Fund, Place
from tests.processes import redis_url, wait_for, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker]

LOAD = 40
COPIES = 15
QUICK = {"DISPATCH_LEASE_SECONDS": "20", "PROVIDER_READ_TIMEOUT": "10"}


@pytest.fixture
def slow_sandbox(sandbox: Sandbox) -> Sandbox:
    """Answers take a while, so that whoever claims what is claimed already has the time to do so."""
    sandbox.misbehave("add", "slow", times=10**6, seconds=0.05)
    return sandbox


@pytest.fixture
def load(customer: User, service: Service, provider: Provider, fund: Fund, place: Place) -> list[Order]:
    fund(customer, "1000")
    return [place(customer, service) for _ in range(LOAD)]


@contextmanager
def delivering(provider: Provider) -> Iterator[None]:
    """Deliver every tick again and again meanwhile, as a broker that lost its acknowledgements does."""
    stop = threading.Event()
    ticks = (tasks.forward_due, tasks.sync_due, tasks.sweep_ended_leases)
    runs = (tasks.forward_provider, tasks.sync_provider)

    def deliver() -> None:
        with app.connection_for_write(redis_url()) as broker:
            while not stop.wait(0.5):
                for _ in range(COPIES):
                    for tick in ticks:
                        app.send_task(tick.name, connection=broker, expires=10)
                    for run in runs:
                        app.send_task(run.name, (provider.pk,), connection=broker, expires=10)

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_two_workers_with_a_beat_each_send_and_refund_every_order_once(
    load: list[Order], provider: Provider, slow_sandbox: Sandbox, books: None, tmp_path: Path
) -> None:
    left = load[0].quantity // 2
    schedules = [tmp_path / "first", tmp_path / "second"]
    for schedule in schedules:
        schedule.mkdir()
    with worker(schedules[0], **QUICK), worker(schedules[1], **QUICK), delivering(provider):
        wait_for(lambda: Dispatch.objects.filter(state="SENT").count() == LOAD, what="every order to be sent")
        for remote_id in slow_sandbox.orders:
            slow_sandbox.set_order(remote_id, status="Partial", remains=left)
        wait_for(lambda: Order.objects.filter(status="Partial").count() == LOAD, what="every order to end")

    assert [slow_sandbox.accepted(order.link) for order in load] == [1] * LOAD
    assert set(Dispatch.objects.values_list("state", "attempt")) == {("SENT", 1)}
    for order in Order.objects.all():
        assert order.refunded == share(order.charge, left, order.quantity)
        assert order.events.filter(kind="refunded").count() == 1


@pytest.fixture
def scratch_queue(load: list[Order]) -> Iterator[None]:
    """The same load in an outbox without states, leases or constraints."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_queue (link text, sent boolean NOT NULL DEFAULT false)")
        cursor.executemany("INSERT INTO scratch_queue (link) VALUES (%s)", [(order.link,) for order in load])
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch_queue")


def test_without_the_claim_two_workers_send_every_order_twice(
    load: list[Order], provider: Provider, service: Service, slow_sandbox: Sandbox, scratch_queue: None
) -> None:
    """The code to be feared: read what is to be sent, send it, then write down that it was sent."""
    have_read = threading.Barrier(2)
    remote_id = service.routes.get().provider_service.remote_id

    def work(_: int) -> None:
        try:
            with connection.cursor() as cursor, connecting.connect(provider) as client:
                cursor.execute("SELECT link FROM scratch_queue WHERE NOT sent")
                links = [link for (link,) in cursor.fetchall()]
                have_read.wait(30)
                for link in links:
                    client.add({"service": remote_id, "link": link, "quantity": str(service.min)})
                    cursor.execute("UPDATE scratch_queue SET sent = true WHERE link = %s", [link])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert [slow_sandbox.accepted(order.link) for order in load] == [2] * LOAD
