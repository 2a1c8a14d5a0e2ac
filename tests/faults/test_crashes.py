"""SIGKILL at each row of the crash table (orders/forwarding.py), on a real Celery worker, which is then started again.

Afterwards nothing is lost, the provider has seen no order twice, and the books balance.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen

import psycopg
import pytest
from django.db import connection

from accounts import ledger
from accounts.models import User
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import auditing
from orders.models import Dispatch, Order
from tests.conftest import Fund, Place
from tests.faults.test_fault_matrix import full_backlog, point_at
from tests.processes import ROOT, database_url, kill, redis_url, running, wait_for, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker]
State = Dispatch.State
StartWorker = Callable[[], AbstractContextManager[Popen[str]]]

# Shorter than in production, so that the sweep after a crash does not take minutes.
LEASE = {"DISPATCH_LEASE_SECONDS": "3", "PROVIDER_READ_TIMEOUT": "20"}


@pytest.fixture
def start_worker(tmp_path: Path) -> StartWorker:
    return lambda: worker(tmp_path, **LEASE)


@pytest.fixture
def order(customer: User, service: Service, fund: Fund, place: Place) -> Order:
    fund(customer, "100")
    return place(customer, service)


@pytest.fixture(autouse=True)
def nothing_lost_or_doubled(db: None, sandbox: Sandbox) -> Iterator[None]:
    yield
    assert all(sandbox.accepted(link) <= 1 for link in Order.objects.values_list("link", flat=True))
    assert auditing.find_differences() == []


def state(order: Order) -> str:
    return order.dispatches.get().state


@pytest.fixture
def other_session() -> Iterator[psycopg.Connection]:
    """A second connection, to hold locks that the worker then waits for."""
    with psycopg.connect(database_url()) as session:
        yield session


def blocked_statements() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        count: int = cursor.fetchone()[0]
        return count


def test_killed_before_the_placing_commit_nothing_happened(
    customer: User, service: Service, fund: Fund, other_session: psycopg.Connection
) -> None:
    fund(customer, "100")
    other_session.execute(
        "SELECT 1 FROM accounts_ledgeraccount WHERE user_id = %s AND kind = 'customer' FOR UPDATE", [customer.pk]
    )
    code = (
        "import django; django.setup()\n"
        "from catalog.models import Service\nfrom orders import placing\nfrom orders.forms import OrderRequest\n"
        f"service = Service.objects.get(pk={service.pk})\n"
        f"placing.place_order({customer.pk}, OrderRequest(service, 'https://example.org/', {service.min}))\n"
    )
    with running([sys.executable, "-c", code], DJANGO_SETTINGS_MODULE="panel.settings", PYTHONPATH=str(ROOT)) as buyer:
        wait_for(blocked_statements, what="the charge that waits for the balance")
        kill(buyer)
    other_session.rollback()
    wait_for(lambda: not blocked_statements(), what="the dead session to be rolled back")
    assert Order.objects.count() == Dispatch.objects.count() == 0
    assert ledger.read_balance(customer.pk) == 100


def test_killed_after_the_placing_commit_the_order_is_sent_once_by_the_next_worker(
    order: Order, sandbox: Sandbox, start_worker: StartWorker
) -> None:
    assert state(order) == State.QUEUED
    with start_worker():
        wait_for(lambda: state(order) == State.SENT, what="the order to be sent")
    assert sandbox.accepted(order.link) == 1


def crash_and_restart(crash: Callable[[Popen[str]], None], start_worker: StartWorker, order: Order) -> None:
    """Run a worker, let the crash point kill it, start another, and see the order end up in doubt and stay there."""
    with start_worker() as process:
        crash(process)
        kill(process)
    assert state(order) == State.LEASED
    with start_worker():
        wait_for(lambda: state(order) == State.UNCLEAR, what="the ended lease to be swept")
    order.refresh_from_db()
    assert order.status == Order.Status.PENDING
    assert order.refunded == 0


def test_killed_after_the_claim_before_connecting(
    order: Order, provider: Provider, sandbox: Sandbox, start_worker: StartWorker
) -> None:
    def crash(_: Popen[str]) -> None:
        wait_for(lambda: state(order) == State.LEASED, what="the claim")

    with full_backlog() as url:
        point_at(provider, url)
        crash_and_restart(crash, start_worker, order)
    assert sandbox.accepted(order.link) == 0


def test_killed_after_the_provider_accepted(order: Order, sandbox: Sandbox, start_worker: StartWorker) -> None:
    sandbox.misbehave("add", "hang", seconds=60)
    crash_and_restart(
        lambda _: wait_for(lambda: sandbox.accepted(order.link), what="the provider to accept"), start_worker, order
    )
    assert sandbox.accepted(order.link) == 1


def test_killed_after_the_reply_before_the_settle_commit(
    order: Order, sandbox: Sandbox, start_worker: StartWorker, other_session: psycopg.Connection
) -> None:
    sandbox.misbehave("add", "hang", seconds=1)

    def crash(_: Popen[str]) -> None:
        wait_for(lambda: sandbox.accepted(order.link), what="the provider to accept")
        other_session.execute("SELECT 1 FROM orders_dispatch WHERE order_id = %s FOR UPDATE", [order.pk])
        wait_for(blocked_statements, what="the settling that waits for the row")

    crash_and_release(crash, start_worker, order, other_session)
    assert sandbox.accepted(order.link) == 1


def test_killed_during_the_settle_commit(
    order: Order, sandbox: Sandbox, start_worker: StartWorker, other_session: psycopg.Connection
) -> None:
    def crash(_: Popen[str]) -> None:
        # The dispatch has been written and the order waits for us: the transaction is open in the middle.
        wait_for(blocked_statements, what="the settling that waits for the order")

    other_session.execute("SELECT 1 FROM orders_order WHERE id = %s FOR NO KEY UPDATE", [order.pk])
    crash_and_release(crash, start_worker, order, other_session)
    assert sandbox.accepted(order.link) == 1


def crash_and_release(
    crash: Callable[[Popen[str]], None], start_worker: StartWorker, order: Order, other_session: psycopg.Connection
) -> None:
    """As crash_and_restart, with a lock that is let go once the worker is dead."""
    with start_worker() as process:
        crash(process)
        kill(process)
    other_session.rollback()
    wait_for(lambda: not blocked_statements(), what="the dead session to be rolled back")
    assert state(order) == State.LEASED
    with start_worker():
        wait_for(lambda: state(order) == State.UNCLEAR, what="the ended lease to be swept")


def test_a_worker_that_is_asked_to_stop_settles_what_is_in_flight(
    order: Order, sandbox: Sandbox, start_worker: StartWorker
) -> None:
    sandbox.misbehave("add", "slow", seconds=2)
    with start_worker() as process:
        wait_for(lambda: state(order) == State.LEASED, what="the claim")
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
    assert state(order) == State.SENT


def test_orders_placed_while_the_broker_is_away_are_sent_when_it_is_back(
    order: Order, customer: User, service: Service, sandbox: Sandbox, place: Place, tmp_path: Path
) -> None:
    """The web process never speaks to the broker: a worker without one sends nothing, and one with it sends all."""
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with worker(tmp_path, **LEASE, **nowhere):
        second = place(customer, service)
        done = threading.Event()
        done.wait(1)
        assert {state(order), state(second)} == {State.QUEUED}
    with worker(tmp_path, **LEASE, REDIS_URL=redis_url()):
        wait_for(lambda: {state(order), state(second)} == {State.SENT}, what="both orders to be sent")
    assert sandbox.accepted(order.link) == sandbox.accepted(second.link) == 1
