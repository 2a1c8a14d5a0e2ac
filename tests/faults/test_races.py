"""Races on orders and money, each after the same race without its guard has been seen to go wrong."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from accounts.money import share
from catalog import pricing
from catalog.models import Provider, Service
from catalog.providers.replies import Added
from catalog.providers.sandbox import Sandbox
from orders import claiming, forwarding, lifecycle, placing, resolving, settling
from orders.forms import OrderRequest
from orders.models import Dispatch, Order
from tests.conftest import Fund, Place
from tests.processes import database_url, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
State = Dispatch.State


def at_once(action: Callable[[int], Any], times: int) -> list[Any]:
    """Run an action in as many threads, each with its own connection, all released at the same moment."""
    barrier = threading.Barrier(times)

    def run(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return action(number)
        except UserError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@pytest.fixture
def purse() -> Iterator[None]:
    """Make a scratch table with one balance and one with sales, both without any constraint."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_purse (balance numeric NOT NULL); CREATE TABLE scratch_sale (n int)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch_purse; DROP TABLE scratch_sale")


def query(sql: str) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return Decimal(cursor.fetchone()[0])


def race_naively(times: int, spend: str) -> None:
    """Read the scratch balance, wait until everybody has read it, then act on what was read: the code to be feared."""
    have_read = threading.Barrier(times)

    def act(number: int) -> None:
        balance = query("SELECT balance FROM scratch_purse")
        have_read.wait(30)
        if balance >= 1:
            with connection.cursor() as cursor:
                cursor.execute(spend, [balance - 1])
                cursor.execute("INSERT INTO scratch_sale VALUES (%s)", [number])

    at_once(act, times)


def test_without_the_guard_fifty_buyers_oversell_a_balance_for_ten(purse: None) -> None:
    query("INSERT INTO scratch_purse VALUES (10) RETURNING 1")
    race_naively(50, "UPDATE scratch_purse SET balance = %s")
    assert query("SELECT count(*) FROM scratch_sale") == 50
    assert query("SELECT balance FROM scratch_purse") == 9


def test_fifty_buyers_at_once_with_funds_for_ten_place_exactly_ten(
    customer: User, service: Service, fund: Fund, books: None
) -> None:
    request = OrderRequest(service, "https://example.org/", service.min)
    price = pricing.quote(pricing.load_terms(customer.pk)[service.pk], service.min).charge
    fund(customer, str(price * 10))

    outcomes = at_once(lambda _: placing.place_order(customer.pk, request), 50)

    assert sum(isinstance(outcome, int) for outcome in outcomes) == 10
    assert Order.objects.count() == Dispatch.objects.count() == 10
    assert ledger.read_balance(customer.pk) == 0


def test_without_the_guard_every_worker_sends_the_same_row(purse: None) -> None:
    query("INSERT INTO scratch_purse VALUES (1) RETURNING 1")
    race_naively(4, "UPDATE scratch_purse SET balance = %s")
    assert query("SELECT count(*) FROM scratch_sale") == 4


def test_workers_that_forward_at_once_send_each_order_once(
    customer: User, service: Service, provider: Provider, sandbox: Sandbox, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    orders = [place(customer, service) for _ in range(20)]

    at_once(lambda _: forwarding.forward_provider(provider.pk), 4)
    forwarding.forward_all()

    assert [sandbox.accepted(order.link) for order in orders] == [1] * 20
    assert set(Dispatch.objects.values_list("state", "attempt")) == {(State.SENT, 1)}


def test_the_limit_of_requests_in_flight_holds_over_all_workers(
    customer: User, service: Service, provider: Provider, sandbox: Sandbox, fund: Fund, place: Place
) -> None:
    provider.max_in_flight = 3
    provider.save()
    fund(customer, "100")
    for _ in range(12):
        place(customer, service)
    claimed = at_once(lambda _: claiming.claim_next(provider.pk, 8) or [], 4)
    leased = [claim for claims in claimed if isinstance(claims, list) for claim in claims]
    assert len(leased) <= 3
    assert Dispatch.objects.filter(state=State.LEASED).count() == len(leased)
    claiming.claim_next(provider.pk, 8)
    assert Dispatch.objects.filter(state=State.LEASED).count() == 3


def claim_one(provider: Provider) -> claiming.Claim:
    claims = claiming.claim_next(provider.pk, 1)
    assert claims
    return claims[0]


def test_a_reply_that_crosses_the_sweeper_still_counts(
    customer: User, service: Service, provider: Provider, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    claim = claim_one(provider)
    Dispatch.objects.update(due_at=order.created_at)
    assert claiming.sweep_ended_leases() == 1
    assert order.dispatches.get().state == State.UNCLEAR

    settling.settle({claim: Added("70001", None, "")})

    order.refresh_from_db()
    assert order.dispatches.get().state == State.SENT
    assert order.status == Order.Status.PROCESSING


def test_an_id_that_comes_after_the_refund_is_a_ghost_and_moves_no_money(
    customer: User, staff: User, service: Service, provider: Provider, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    claim = claim_one(provider)
    Dispatch.objects.update(due_at=order.created_at)
    claiming.sweep_ended_leases()
    resolving.cancel_and_refund(claim.dispatch_id, actor_id=staff.pk, why="not found there")

    settling.settle({claim: Added("70001", None, "")})

    order.refresh_from_db()
    assert order.status == Order.Status.CANCELED
    assert order.attention == Order.Attention.GHOST
    assert order.refunded == order.charge


def test_an_id_of_an_older_attempt_is_a_ghost_while_a_newer_one_is_out(
    customer: User, staff: User, service: Service, provider: Provider, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    first = claim_one(provider)
    Dispatch.objects.update(due_at=order.created_at)
    claiming.sweep_ended_leases()
    resolving.send_again(first.dispatch_id, actor_id=staff.pk)
    second = claim_one(provider)

    settling.settle({first: Added("70001", None, "")})
    order.refresh_from_db()
    assert order.attention == Order.Attention.GHOST

    settling.settle({second: Added("70002", None, "")})
    assert order.dispatches.get().remote_id == "70002"


def test_an_id_that_another_order_has_makes_the_dispatch_unclear(
    customer: User, service: Service, provider: Provider, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    place(customer, service)
    place(customer, service)
    for _ in range(2):
        settling.settle({claim_one(provider): Added("70001", None, "")})
    assert sorted(Dispatch.objects.values_list("state", flat=True)) == [State.SENT, State.UNCLEAR]


def test_two_members_of_staff_deciding_at_once_decide_once(
    customer: User, staff: User, service: Service, provider: Provider, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    claim = claim_one(provider)
    Dispatch.objects.update(due_at=order.created_at)
    claiming.sweep_ended_leases()

    def decide(number: int) -> None:
        if number % 2:
            resolving.cancel_and_refund(claim.dispatch_id, actor_id=staff.pk, why="gone")
        else:
            resolving.mark_arrived(claim.dispatch_id, f"7000{number}", actor_id=staff.pk)

    outcomes = at_once(decide, 6)
    assert sum(outcome is None for outcome in outcomes) == 1


def test_the_same_report_from_many_workers_refunds_once(
    customer: User, service: Service, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    order = place(customer, service, quantity=str(service.min))
    report = lifecycle.Report(status="Partial", word="Partial", remains=service.min // 2)
    at_once(lambda _: lifecycle.advance(order.pk, report), 8)
    order.refresh_from_db()
    assert order.refunded == share(order.charge, service.min // 2, service.min)
    assert order.events.filter(kind="refunded").count() == 1


def test_fifty_calls_with_one_idempotency_key_place_one_order(
    customer: User, service: Service, fund: Fund, books: None
) -> None:
    fund(customer, "100")
    request = OrderRequest(service, "https://example.org/", service.min)
    outcomes = at_once(lambda _: placing.place_order(customer.pk, request, idempotency_key="same"), 50)
    assert len(set(outcomes)) == 1
    assert Order.objects.count() == 1


def test_a_customer_who_buys_waits_for_no_lock_of_a_status_update(
    customer: User, service: Service, fund: Fund, place: Place
) -> None:
    """An order that is locked elsewhere does not keep its customer from buying another."""
    fund(customer, "100")
    order = place(customer, service)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Order.objects.select_for_update().get(pk=order.pk)
            locked.set()
            done.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        wait_for(locked.is_set, what="the lock")
        place(customer, service)
    finally:
        done.set()
        thread.join()
    assert Order.objects.count() == 2


def test_a_dispatch_that_is_being_decided_elsewhere_is_passed_over(
    customer: User, service: Service, provider: Provider, fund: Fund, place: Place
) -> None:
    """Whoever holds a dispatch's row, a person who cancels it say, is neither waited for nor overtaken."""
    fund(customer, "100")
    decided, other = place(customer, service), place(customer, service)
    with psycopg.connect(database_url()) as session:
        session.execute("SELECT 1 FROM orders_dispatch WHERE order_id = %s FOR UPDATE", [decided.pk])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        claims = claiming.claim_next(provider.pk, 8) or []
        assert [claim.order_id for claim in claims] == [other.pk]
    claims = claiming.claim_next(provider.pk, 8) or []
    assert [claim.order_id for claim in claims] == [decided.pk]
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


def test_an_id_that_another_order_has_makes_even_a_held_dispatch_unclear(
    customer: User, service: Service, provider: Provider, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    place(customer, service)
    settling.settle({claim_one(provider): Added("70001", None, "")})
    order = place(customer, service)
    claim = claim_one(provider)
    order.dispatches.update(state=State.HELD, due_at=None, hold=Dispatch.Hold.LOSS)
    settling.settle({claim: Added("70001", None, "")})
    assert order.dispatches.get().state == State.UNCLEAR
