"""Keys beyond their text: what may be written as an address, what a cap lets through, and what an order remembers."""

import datetime
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection, connections
from django.test import Client

from accounts import api_keys, ledger
from accounts.api_keys import KeyTerms, UsedKey
from accounts.errors import NotEnoughFundsError, UserError
from accounts.models import ApiKey, ApiKeyDay, User
from catalog.models import Service
from orders import forms, placing, timeline
from orders.models import Order, OrderEvent
from tests.conftest import Fund, MakeService

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
BEYOND = "Daily limit of this API key exceeded"
CALLERS = 8


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(rate=Decimal("0.90"))


@pytest.fixture
def key(customer: User) -> UsedKey:
    """A key that may spend 2 a day, which is two orders of 0.9."""
    row, _ = api_keys.issue_key(customer.pk, terms=KeyTerms(daily_cap=Decimal(2)))
    return UsedKey(row.pk, row.prefix, daily_cap=row.daily_cap)


@pytest.fixture
def buy(customer: User, service: Service, key: UsedKey) -> Callable[..., int]:
    def place(link: str = "https://e.org/", **more: Any) -> int:
        request = forms.parse_order(service, {"link": link, "quantity": "1000"})
        return placing.place_order(customer.pk, request, **{"api_key": key, **more})

    return place


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", []),
        (" 203.0.113.7 \r\n\r\n2001:DB8::1\n", ["203.0.113.7", "2001:db8::1"]),
        ("203.0.113.7/24\n203.0.113.0/24", ["203.0.113.0/24"]),
        ("203.0.113.7/32", ["203.0.113.7"]),
        ("2001:db8:1:2:3:4:5:6/32", ["2001:db8::/32"]),
        ("::ffff:203.0.113.7\n::ffff:203.0.113.7/120", ["203.0.113.7", "203.0.113.0/24"]),
        ("fe80::1%eth0", ["fe80::1"]),
    ],
)
def test_addresses_are_kept_in_one_spelling(text: str, kept: list[str]) -> None:
    assert api_keys.parse_networks(text) == kept


@pytest.mark.parametrize("text", ["example.org", "203.0.113", "203.0.113.7/33", "203.0.113.7 203.0.113.8", "/8"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(UserError, match="is no address"):
        api_keys.parse_networks(f"203.0.113.1\n{text}")


def test_the_number_of_addresses_is_bounded() -> None:
    lines = [f"10.0.{n}.1" for n in range(api_keys.MOST_NETWORKS + 1)]
    assert len(api_keys.parse_networks("\n".join(lines[1:]))) == api_keys.MOST_NETWORKS
    with pytest.raises(UserError, match="At most 50"):
        api_keys.parse_networks("\n".join(lines))


def test_a_cap_is_reached_to_the_last_place_and_not_passed(
    customer: User, key: UsedKey, buy: Callable[..., int], fund: Fund
) -> None:
    fund(customer, "10")
    exact = UsedKey(key.id, key.prefix, daily_cap=Decimal("1.80000"))
    buy(api_key=exact)
    buy(api_key=exact)
    with pytest.raises(UserError, match=BEYOND):
        buy(api_key=exact)
    assert ApiKeyDay.objects.get().spent == Decimal("1.8")
    assert (Order.objects.count(), ledger.read_balance(customer.pk)) == (2, Decimal("8.2"))


def test_an_order_that_alone_is_beyond_the_cap_leaves_nothing(
    customer: User, key: UsedKey, buy: Callable[..., int], fund: Fund
) -> None:
    fund(customer, "10")
    with pytest.raises(UserError, match=BEYOND):
        buy(api_key=UsedKey(key.id, key.prefix, daily_cap=Decimal("0.89999")), idempotency_key="k")
    assert not ApiKeyDay.objects.exists()
    assert not Order.objects.exists()
    buy(idempotency_key="k")


def test_without_a_cap_nothing_is_counted(customer: User, buy: Callable[..., int], fund: Fund) -> None:
    fund(customer, "10")
    row, _ = api_keys.issue_key(customer.pk)
    buy(api_key=UsedKey(row.pk, row.prefix))
    buy(api_key=None)
    assert not ApiKeyDay.objects.exists()


def test_an_order_that_could_not_be_paid_was_not_counted(customer: User, buy: Callable[..., int]) -> None:
    assert ledger.read_balance(customer.pk) == 0
    with pytest.raises(NotEnoughFundsError):
        buy()
    assert not ApiKeyDay.objects.exists()


def test_asking_twice_under_one_key_counts_once(customer: User, buy: Callable[..., int], fund: Fund) -> None:
    fund(customer, "10")
    assert len({buy(idempotency_key="k") for _ in range(4)}) == 1
    assert ApiKeyDay.objects.get().spent == Decimal("0.9")


def test_the_next_day_in_utc_has_a_cap_of_its_own(customer: User, buy: Callable[..., int], fund: Fund) -> None:
    fund(customer, "10")
    noon = datetime.datetime(2027, 1, 31, 23, 59, 59, tzinfo=datetime.UTC)
    with time_machine.travel(noon, tick=False) as clock:
        for _ in range(2):
            buy()
        with pytest.raises(UserError, match=BEYOND):
            buy()
        clock.shift(1)
        buy()
    spent = dict(ApiKeyDay.objects.values_list("day", "spent"))
    assert spent == {noon.date(): Decimal("1.8"), datetime.date(2027, 2, 1): Decimal("0.9")}


def test_callers_at_the_same_moment_do_not_pass_the_cap_together(
    customer: User, buy: Callable[..., int], fund: Fund
) -> None:
    fund(customer, "100")
    outcomes = at_once(lambda _: said(buy))
    assert sorted(outcomes) == [BEYOND] * (CALLERS - 2) + ["placed"] * 2
    assert Order.objects.count() == 2
    assert ApiKeyDay.objects.get().spent == Decimal("1.8")


def test_without_the_condition_in_the_statement_the_same_race_passes_the_cap() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_day (spent numeric); INSERT INTO scratch_day VALUES (0)")
    have_read = threading.Barrier(CALLERS)

    def spend_naively(_: int) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT spent FROM scratch_day")
            spent = cursor.fetchone()[0]
            have_read.wait(30)
            if spent + Decimal("0.9") > 2:
                return BEYOND
            cursor.execute("UPDATE scratch_day SET spent = spent + 0.9")
        return "placed"

    try:
        assert at_once(spend_naively) == ["placed"] * CALLERS
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE scratch_day")


def test_a_cap_is_told_on_the_wire(customer: User, service: Service, fund: Fund) -> None:
    fund(customer, "10")
    text = api_keys.issue_key(customer.pk, terms=KeyTerms(daily_cap=Decimal("0.5")))[1]
    call = {"key": text, "action": "add", "service": service.pk, "link": "https://e.org/", "quantity": 1000}
    assert Client().post("/api/v2", call).json() == {"error": BEYOND}


def test_an_order_remembers_its_key_and_tells_it_to_its_customer(
    customer: User, key: UsedKey, buy: Callable[..., int], fund: Fund
) -> None:
    fund(customer, "10")
    event = OrderEvent.objects.get(order_id=buy(idempotency_key="shop-7"))
    assert event.data["api_key"] == key.id
    told = timeline.tell(event.order, [event])[0]
    assert told.detail == f"With API key {key.prefix}…, idempotency key shop-7."
    assert ApiKey.objects.get().digest not in str(event.data)
    event = OrderEvent.objects.get(order_id=buy())
    assert timeline.tell(event.order, [event])[0].detail == f"With API key {key.prefix}…."


def test_an_order_from_the_page_has_no_key(customer: User, buy: Callable[..., int], fund: Fund) -> None:
    fund(customer, "10")
    event = OrderEvent.objects.get(order_id=buy(api_key=None, idempotency_key="form"))
    assert set(event.data) == {"rate", "units", "charge", "per"}
    assert timeline.tell(event.order, [event])[0].detail == ""


def said(buy: Callable[..., int]) -> str:
    try:
        buy()
    except UserError as error:
        return error.text
    return "placed"


def at_once(action: Callable[[int], str]) -> list[str]:
    """Run an action in as many threads as there are callers, all released at the same moment."""
    barrier = threading.Barrier(CALLERS)

    def run(number: int) -> str:
        try:
            barrier.wait(30)
            return action(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(run, range(CALLERS)))
