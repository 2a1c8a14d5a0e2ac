"""Fifty calls of `add` at the same moment, over the whole path, after the same race without its guard was lost."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.db import connection, connections
from django.test import Client

from accounts import ledger
from accounts.models import User
from catalog.models import Service
from orders.models import Dispatch, Order
from tests.conftest import Fund, MakeService
from tests.processes import free_port, serving_panel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
CALLS = 50
POOR = {"error": "Not enough funds on balance"}


def at_once(action: Callable[[int], Any]) -> list[Any]:
    """Run an action in as many threads as there are calls, all released at the same moment."""
    barrier = threading.Barrier(CALLS)

    def run(number: int) -> Any:
        try:
            barrier.wait(30)
            return action(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(run, range(CALLS)))


@pytest.fixture
def offer(make_service: MakeService, customer: User, fund: Fund, api_key: str) -> dict[str, Any]:
    """Parameters that buy for 0.9 of a balance of 9."""
    fund(customer, "9")
    service: Service = make_service(rate=Decimal("0.90"))
    return {"key": api_key, "action": "add", "service": service.pk, "link": "https://e.org/", "quantity": 1000}


@pytest.fixture
def scratch() -> Iterator[Callable[[str], Any]]:
    """Make a balance of ten without a constraint and a list of sales; yield a way to ask for one value."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_balance (amount int); CREATE TABLE scratch_order (number int)")
        cursor.execute("INSERT INTO scratch_balance VALUES (10)")
    yield one_value
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch_balance; DROP TABLE scratch_order")


def one_value(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_without_the_guard_the_same_race_oversells(scratch: Callable[[str], Any]) -> None:
    have_read = threading.Barrier(CALLS)

    def buy_naively(number: int) -> None:
        amount = scratch("SELECT amount FROM scratch_balance")
        have_read.wait(30)
        if amount >= 1:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE scratch_balance SET amount = %s", [amount - 1])
                cursor.execute("INSERT INTO scratch_order VALUES (%s)", [number])

    at_once(buy_naively)
    assert scratch("SELECT count(*) FROM scratch_order") == CALLS
    assert scratch("SELECT amount FROM scratch_balance") == 9


def assert_ten_were_sold(answers: list[Any], customer: User) -> None:
    placed = {answer["order"] for answer in answers if "order" in answer}
    assert len(placed) == 10
    assert [answer for answer in answers if "order" not in answer] == [POOR] * (CALLS - 10)
    assert set(Order.objects.values_list("pk", flat=True)) == placed
    assert Dispatch.objects.count() == 10
    assert ledger.read_balance(customer.pk) == 0


def test_fifty_threads_with_funds_for_ten_place_exactly_ten(offer: dict[str, Any], customer: User) -> None:
    answers = at_once(lambda _: json.loads(Client().post("/api/v2", offer).content))
    assert_ten_were_sold(answers, customer)


def test_fifty_sockets_with_funds_for_ten_place_exactly_ten(offer: dict[str, Any], customer: User) -> None:
    with serving_panel(free_port()) as url:
        answers = at_once(lambda _: requests.post(f"{url}/api/v2", data=offer, timeout=60).json())
    assert_ten_were_sold(answers, customer)


def test_fifty_calls_under_one_idempotency_key_place_one_order(offer: dict[str, Any], customer: User) -> None:
    call = {**offer, "idempotency_key": "same"}
    answers = at_once(lambda _: json.loads(Client().post("/api/v2", call).content))
    assert answers == [{"order": Order.objects.get().pk}] * CALLS
    assert ledger.read_balance(customer.pk) == Decimal("8.1")
