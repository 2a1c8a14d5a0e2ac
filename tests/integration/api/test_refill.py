"""Refills on the wire: the shapes of seed 003, whose orders they are, and what a batch does about a wrong id."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from orders import lifecycle, refills
from orders.models import Dispatch, Order, Refill
from tests.conftest import Fund, MakeService, Place

Api = Callable[..., Any]
Make = Callable[..., Order]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]

WRONG = {"error": "Incorrect order ID"}
NOT_FOUND = {"error": "Refill not found"}
BEYOND = {"error": "Limit of 100 IDs exceeded"}
DONE = lifecycle.Report(status="Completed", word="Completed", remains=0)


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(refill=True)


@pytest.fixture
def make(customer: User, service: Service, fund: Fund, place: Place) -> Make:
    """Make an order that was completed two days ago."""

    def completed(user: User = customer) -> Order:
        fund(user, "10")
        order = place(user, service)
        order.dispatches.update(state=Dispatch.State.SENT, remote_id=f"7{order.pk}", due_at=None)
        lifecycle.advance(order.pk, DONE)
        Order.objects.filter(pk=order.pk).update(ended_at=timezone.now() - datetime.timedelta(days=2))
        return order

    return completed


def test_one_refill_answers_with_its_id_as_text(api: Api, make: Make) -> None:
    answer = api(action="refill", order=make().pk)
    assert answer == {"refill": str(Refill.objects.get().pk)}


def test_many_refills_answer_with_a_list_of_numbers_and_errors(api: Api, make: Make) -> None:
    first, second = make(), make()
    Order.objects.filter(pk=second.pk).update(status="In progress", ended_at=None)
    answer = api(action="refill", orders=f"{first.pk}, {second.pk},abc,,999999,007")
    assert answer == [
        {"order": first.pk, "refill": Refill.objects.get().pk},
        {"order": second.pk, "refill": {"error": "The order is not completed"}},
        {"order": "abc", "refill": WRONG},
        {"order": 999999, "refill": WRONG},
        {"order": "007", "refill": WRONG},
    ]


@pytest.mark.parametrize("action", ["refill", "multiple_refill"])
def test_a_comma_list_in_the_singular_field_asks_for_many(api: Api, make: Make, action: str) -> None:
    orders = [make(), make()]
    answer = api(action=action, order=",".join(str(order.pk) for order in orders))
    assert [item["order"] for item in answer] == [order.pk for order in orders]
    assert {item["refill"] for item in answer} == set(Refill.objects.values_list("pk", flat=True))


def test_asking_again_makes_no_second_refill(api: Api, make: Make) -> None:
    order = make()
    api(action="refill", order=order.pk)
    assert api(action="refill", order=order.pk) == {"error": "Refill already requested"}
    assert api(action="refill", orders=f"{order.pk},0{order.pk}") == [
        {"order": order.pk, "refill": {"error": "Refill already requested"}},
        {"order": f"0{order.pk}", "refill": {"error": "Refill already requested"}},
    ]
    assert Refill.objects.count() == 1


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "abc", "1 2", "9" * 18, "9" * 30, "'", "undefined"])
def test_what_is_no_order_of_ours_is_said_so(api: Api, make: Make, text: str) -> None:
    assert api(action="refill", order=text) == WRONG


@pytest.mark.parametrize("field", ["order", "orders"])
@pytest.mark.parametrize("text", [",", " , ", "null"])
def test_a_list_without_ids_is_an_error(api: Api, field: str, text: str) -> None:
    assert api(action="refill", **{field: text}) == WRONG


def test_an_order_and_a_refill_of_somebody_else_are_unknown(api: Api, make: Make, stranger: User) -> None:
    foreign = make(stranger)
    assert api(action="refill", order=foreign.pk) == WRONG
    assert api(action="refill", orders=foreign.pk) == [{"order": foreign.pk, "refill": WRONG}]
    assert not Refill.objects.exists()
    refill = refills.request_refill(stranger.pk, foreign.pk)
    assert api(action="refill_status", refill=refill.pk) == NOT_FOUND
    assert api(action="refill_status", refills=refill.pk) == [{"refill": refill.pk, "status": NOT_FOUND}]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("Pending", "Pending"),
        ("In progress", "In progress"),
        ("Completed", "Completed"),
        ("Rejected", "Rejected"),
        ("Error", "Rejected"),
    ],
)
def test_a_refills_status_is_told_in_the_words_of_the_wire(api: Api, make: Make, status: str, word: str) -> None:
    refill = api(action="refill", order=make().pk)["refill"]
    Refill.objects.update(status=status)
    assert api(action="refill_status", refill=refill) == {"status": word}
    assert api(action="refill_status", refills=refill) == [{"refill": int(refill), "status": word}]


@pytest.mark.parametrize("action", ["refill_status", "multiple_refill_status"])
def test_the_status_of_many_refills_is_a_list(
    api: Api, make: Make, action: str, django_assert_max_num_queries: Any
) -> None:
    numbers = [int(api(action="refill", order=make().pk)["refill"]) for _ in range(2)]
    with django_assert_max_num_queries(3):
        answer = api(action=action, refill=f"{numbers[0]},{numbers[1]},abc,999999")
    assert answer == [
        {"refill": numbers[0], "status": "Pending"},
        {"refill": numbers[1], "status": "Pending"},
        {"refill": "abc", "status": NOT_FOUND},
        {"refill": 999999, "status": NOT_FOUND},
    ]


@pytest.mark.parametrize("text", ["", "0", "abc", "9" * 30, ","])
def test_what_is_no_refill_of_ours_is_said_so(api: Api, make: Make, text: str) -> None:
    assert api(action="refill_status", refill=text) == NOT_FOUND


def test_ids_beyond_the_first_hundred_are_told_so_and_nothing_is_done_for_them(api: Api, make: Make) -> None:
    order = make()
    texts = [*(str(900_000 + number) for number in range(100)), str(order.pk)]
    answer = api(action="refill", orders=",".join(texts))
    assert answer[99]["refill"] == WRONG
    assert answer[100] == {"order": order.pk, "refill": BEYOND}
    assert not Refill.objects.exists()
    assert api(action="refill_status", refills=",".join(texts))[100] == {"refill": order.pk, "status": BEYOND}
