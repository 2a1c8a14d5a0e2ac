"""The status of one order and of many: shape, words, money, and whose orders they are."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from catalog.models import Service
from orders import lifecycle
from orders.models import Order
from tests.conftest import Fund, MakeService, Place

Api = Callable[..., Any]

# 003_31070e689288a311.txt, `status`
SEED = {"charge": "0.27819", "start_count": "3572", "status": "Partial", "remains": "157", "currency": "USD"}
WRONG = {"error": "Incorrect order ID"}
BEYOND = {"error": "Limit of 100 IDs exceeded"}


@pytest.fixture
def order(customer: User, make_service: MakeService, fund: Fund, place: Place) -> Order:
    """An order of 1000 units for 0.84."""
    fund(customer, "10")
    return place(customer, make_service(rate=Decimal("0.84")), quantity="1000")


def test_a_new_order_has_every_key_of_the_seed_and_nothing_empty(api: Api, order: Order) -> None:
    answer = api(action="status", order=order.pk)
    assert answer == {
        "charge": "0.84000",
        "start_count": "0",
        "status": "Pending",
        "remains": "1000",
        "currency": "USD",
    }
    assert {name: type(value) for name, value in answer.items()} == {name: type(value) for name, value in SEED.items()}


def test_a_partial_order_shows_what_it_cost_in_the_end(api: Api, order: Order, books: None) -> None:
    report = lifecycle.Report(status="Partial", word="Partial", start_count=3572, remains=157)
    lifecycle.advance(order.pk, report)
    assert api(action="status", order=order.pk) == {
        "charge": "0.70812",
        "start_count": "3572",
        "status": "Partial",
        "remains": "157",
        "currency": "USD",
    }


def test_a_canceled_order_costs_nothing_without_an_exponent(api: Api, order: Order, books: None) -> None:
    lifecycle.advance(order.pk, lifecycle.Report(status="Canceled", word="Canceled"))
    assert api(action="status", order=order.pk)["charge"] == "0.00000"


@pytest.mark.parametrize("word", Order.Status.values)
def test_only_the_six_words_are_used(api: Api, order: Order, word: str) -> None:
    Order.objects.update(status=word)
    assert api(action="status", order=order.pk)["status"] == word


@pytest.mark.parametrize(("remains", "shown"), [(None, "1000"), (-2, "0"), (0, "0"), (7, "7")])
def test_remains_is_the_quantity_until_the_first_report_and_never_below_zero(
    api: Api, order: Order, remains: int | None, shown: str
) -> None:
    Order.objects.update(remains=remains)
    assert api(action="status", order=order.pk)["remains"] == shown


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "+1", "1.0", "1e5", "0x1", "１", "abc", "1 2", "9" * 18, "9" * 19, "9" * 30, "'", "%00", "é"],
)
def test_what_is_no_order_of_ours_is_said_so(api: Api, order: Order, text: str) -> None:
    assert api(action="status", order=text) == WRONG


def test_an_order_of_somebody_else_is_unknown(
    api: Api, order: Order, stranger: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(stranger, "10")
    foreign = place(stranger, make_service())
    assert api(action="status", order=foreign.pk) == WRONG
    assert api(action="status", orders=f"{foreign.pk},{order.pk}")[str(foreign.pk)] == WRONG


def test_a_batch_is_keyed_by_the_ids_as_they_were_sent(api: Api, order: Order) -> None:
    number = str(order.pk)
    answer = api(action="status", orders=f" {number} ,00{number}, {number},,10, x y ,{number}.0,１")
    one = api(action="status", order=number)
    assert answer == {number: one, f"00{number}": one, "10": WRONG, "x y": WRONG, f"{number}.0": WRONG, "１": WRONG}


def test_a_batch_of_one_is_still_an_object(api: Api, order: Order) -> None:
    one = api(action="status", order=order.pk)
    assert api(action="status", orders=order.pk) == {str(order.pk): one}
    assert api(action="status", order=f"{order.pk},") == {str(order.pk): one}


@pytest.mark.parametrize("text", [",", " , ,"])
def test_a_batch_without_ids_is_refused(api: Api, text: str) -> None:
    assert api(action="status", orders=text) == WRONG
    assert api(action="status") == WRONG


def test_ids_beyond_the_first_hundred_distinct_ones_get_an_error_of_their_own(api: Api, order: Order) -> None:
    others = [str(number) for number in range(500_000, 500_099)]
    texts = [*others, str(order.pk), *others, "7000", f"0{order.pk}"]
    answer = api(action="status", orders=",".join(texts))
    assert len(answer) == 102
    assert answer[str(order.pk)]["status"] == "Pending"
    assert [answer[text] for text in ("500000", "7000", f"0{order.pk}")] == [WRONG, BEYOND, BEYOND]


def test_one_order_or_a_hundred_cost_two_queries(
    api: Api, customer: User, service: Service, fund: Fund, place: Place, django_assert_num_queries: Any
) -> None:
    fund(customer, "100")
    ids = [place(customer, service).pk for _ in range(5)]
    api(action="balance")
    for call in ({"order": ids[0]}, {"orders": ",".join(map(str, [*ids, *range(90_000, 90_095)]))}):
        with django_assert_num_queries(2):
            api(action="status", **call)
