"""Fifty identical calls at the same moment over real sockets, to a server of several processes (PROTOCOL 12)."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts import api_keys, ledger
from accounts.models import Transfer, User
from catalog.models import Service
from orders import massing
from orders.models import Dispatch, Order, PlacedOnce
from tests.conftest import Fund, MakeService
from tests.faults.test_races import at_once
from tests.processes import answers, collected_static, free_port, running, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
CALLS = 50
# Fifty calls at once are what is looked at here, and no abuse.
UNLIMITED = {"API_KEY_CALLS_PER_SECOND": "0", "API_ADDRESS_CALLS_PER_SECOND": "0"}
OTHER = {"error": "Idempotency key was used for another request"}
Call = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def panel(django_db_setup: None) -> Iterator[str]:
    """Serve the panel as in production, by several processes of several threads each, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    several = ["--workers", "3", "--blocking-threads", "4", "--no-ws", "--no-log"]
    served = {"STATIC_ROOT": collected_static(), **UNLIMITED}
    with running([*command, *several, "panel.wsgi:application"], **served):
        wait_for(lambda: answers(port), what=f"the panel on port {port}")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def call(panel: str) -> Call:
    """Return a way to send a form to `/api/v2` and read the answer."""
    return lambda params: requests.post(f"{panel}/api/v2", data=params, timeout=60).json()


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(rate=Decimal("0.90"))


@pytest.fixture
def offer(service: Service, customer: User, fund: Fund, api_key: str) -> dict[str, Any]:
    """Parameters that buy for 0.9 of a balance of 90."""
    fund(customer, "90")
    return {"key": api_key, "action": "add", "service": service.pk, "link": "https://e.org/", "quantity": 1000}


def assert_orders(number: int, customer: User, balance: str) -> None:
    """Prove that so many orders exist, each queued and charged once, and that the balance is what is left."""
    charges = Transfer.objects.filter(reason=Transfer.Reason.CHARGE).count()
    assert (Order.objects.count(), Dispatch.objects.count(), charges) == (number, number, number)
    assert ledger.read_balance(customer.pk) == Decimal(balance)


@pytest.fixture
def scratch() -> Iterator[None]:
    """Make a list of keys and one of sales, both without a constraint."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_key (key text); CREATE TABLE scratch_sale (number int)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch_key; DROP TABLE scratch_sale")


def test_looking_for_the_key_before_writing_it_sells_fifty_times(scratch: None) -> None:
    """The code to be feared: fifty calls look for the key, none finds it, and then all of them act."""
    have_looked = threading.Barrier(CALLS)

    def buy_naively(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM scratch_key WHERE key = 'same'")
            found = cursor.fetchone()[0]
            have_looked.wait(30)
            if not found:
                cursor.execute("INSERT INTO scratch_key VALUES ('same')")
                cursor.execute("INSERT INTO scratch_sale VALUES (%s)", [number])

    at_once(buy_naively, CALLS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM scratch_sale")
        assert cursor.fetchone()[0] == CALLS


def test_fifty_identical_calls_without_a_key_are_fifty_orders(
    call: Call, offer: dict[str, Any], customer: User
) -> None:
    told = at_once(lambda _: call(offer), CALLS)
    assert len({answer["order"] for answer in told}) == CALLS
    assert_orders(CALLS, customer, "45")


def test_fifty_identical_calls_with_one_key_are_one_order_and_fifty_equal_answers(
    call: Call, offer: dict[str, Any], customer: User
) -> None:
    told = at_once(lambda _: call({**offer, "idempotency_key": "same"}), CALLS)
    assert told == [{"order": Order.objects.get().pk}] * CALLS
    assert_orders(1, customer, "89.1")


def test_fifty_identical_calls_with_one_key_and_money_for_one_order_all_get_it(
    call: Call, offer: dict[str, Any], customer: User
) -> None:
    """None of those who come second may hear of missing funds: the order that they ask for is paid."""
    told = at_once(lambda _: call({**offer, "quantity": 100_000, "idempotency_key": "same"}), CALLS)
    assert told == [{"order": Order.objects.get().pk}] * CALLS
    assert_orders(1, customer, "0")


def test_fifty_different_calls_with_one_key_place_the_first_and_refuse_the_others(
    call: Call, offer: dict[str, Any], customer: User
) -> None:
    told = at_once(lambda n: call({**offer, "link": f"https://e.org/{n}", "idempotency_key": "same"}), CALLS)
    order = Order.objects.get()
    assert told.count(OTHER) == CALLS - 1
    assert told[int(order.link.rpartition("/")[2])] == {"order": order.pk}
    assert_orders(1, customer, "89.1")


def test_the_key_counts_for_all_api_keys_of_a_customer_at_the_same_moment(
    call: Call, offer: dict[str, Any], customer: User
) -> None:
    keys = [offer["key"], api_keys.issue_key(customer.pk, name="second")[1]]
    told = at_once(lambda n: call({**offer, "key": keys[n % 2], "request_id": "same"}), CALLS)
    assert told == [{"order": Order.objects.get().pk}] * CALLS
    assert_orders(1, customer, "89.1")


def test_every_key_of_many_that_are_sent_five_times_each_places_its_own_order(
    call: Call, offer: dict[str, Any], customer: User
) -> None:
    told = at_once(lambda n: call({**offer, "idempotency_key": f"key-{n % 10}"}), CALLS)
    assert set(Counter(answer["order"] for answer in told).values()) == {5}
    assert all(told[n] == told[n % 10] for n in range(CALLS))
    assert_orders(10, customer, "81")


def test_calls_that_fail_at_the_same_moment_leave_their_key_to_the_one_that_can_pay(
    call: Call, offer: dict[str, Any], customer: User, fund: Fund
) -> None:
    dear = {**offer, "quantity": 100_000, "link": "https://e.org/dear", "idempotency_key": "same"}
    call(offer)
    assert at_once(lambda _: call(dear), CALLS) == [{"error": "Not enough funds on balance"}] * CALLS
    assert not PlacedOnce.objects.exists()
    fund(customer, "1")
    told = at_once(lambda _: call(dear), CALLS)
    assert told == [{"order": Order.objects.latest("pk").pk}] * CALLS
    assert_orders(2, customer, "0.1")


def test_a_mass_order_that_is_sent_eight_times_at_once_places_each_line_once(
    panel: str, service: Service, customer: User, customer_client: Client, fund: Fund
) -> None:
    """Double clicks, reloads and impatience: whichever answer the customer sees, it is the same."""
    fund(customer, "90")
    lines = "\n".join(f"{service.pk}|https://e.org/{n % 20}|1000" for n in range(40))
    page = massing.check(customer.pk, {"lines": lines})
    sent = {"place": "1", "lines": page.text, "token": page.token, "rates": page.rates, "csrfmiddlewaretoken": "c" * 32}
    cookies = {name: customer_client.cookies[name].value for name in (settings.SESSION_COOKIE_NAME,)}
    cookies[settings.CSRF_COOKIE_NAME] = "c" * 32

    told = at_once(
        lambda _: requests.post(f"{panel}/orders/mass/", data=sent, cookies=cookies, timeout=60).text, times=8
    )

    shown = ", ".join(str(pk) for pk in sorted(Order.objects.values_list("pk", flat=True)))
    assert [sorted_ids(html) for html in told] == [shown] * 8
    assert_orders(40, customer, "54")


def sorted_ids(html: str) -> str:
    """Return the ids that a result page says were placed."""
    ids = html.partition('<code id="placed-ids">')[2].partition("</code>")[0].split(", ")
    return ", ".join(sorted(ids, key=int))
