"""Cancels on the wire: a list even for one, 1 for a wish that is recorded, and money only where it is certain."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from catalog.models import Service
from orders import lifecycle
from orders.models import Cancel, Dispatch, Order
from tests.conftest import Fund, MakeService, Place

Api = Callable[..., Any]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]

WRONG = {"error": "Incorrect order ID"}
NOT_ALLOWED = {"error": "Cancel not allowed"}


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(cancel=True)


@pytest.fixture
def order(customer: User, service: Service, fund: Fund, place: Place) -> Order:
    fund(customer, "10")
    return place(customer, service)


def send(order: Order) -> None:
    order.dispatches.update(state=Dispatch.State.SENT, remote_id=f"7{order.pk}", due_at=None)
    lifecycle.accept(order.pk)


@pytest.mark.parametrize("field", ["order", "orders"])
def test_one_id_is_answered_with_a_list(api: Api, order: Order, field: str) -> None:
    assert api(action="cancel", **{field: order.pk}) == [{"order": order.pk, "cancel": 1}]
    assert api(action="status", order=order.pk)["status"] == "Canceled"
    assert api(action="status", order=order.pk)["charge"] == "0.00000"


def test_a_wish_about_an_order_that_a_provider_has_is_recorded_and_pays_nothing_back(api: Api, order: Order) -> None:
    send(order)
    for _ in range(2):
        assert api(action="cancel", orders=order.pk) == [{"order": order.pk, "cancel": 1}]
    status = api(action="status", order=order.pk)
    assert (status["status"], status["charge"] != "0.00000") == ("Processing", True)
    assert Cancel.objects.get().status == Cancel.Status.ASKED


def test_every_id_of_a_batch_has_an_answer_of_its_own(
    api: Api, order: Order, customer: User, stranger: User, service: Service, fund: Fund, place: Place
) -> None:
    fund(stranger, "10")
    foreign, ended = place(stranger, service), place(customer, service)
    lifecycle.advance(ended.pk, lifecycle.Report(status="Completed", word="Completed", remains=0))
    answer = api(action="cancel", orders=f"{foreign.pk}, {ended.pk},abc,{order.pk},999999,{order.pk}")
    assert answer == [
        {"order": foreign.pk, "cancel": WRONG},
        {"order": ended.pk, "cancel": NOT_ALLOWED},
        {"order": "abc", "cancel": WRONG},
        {"order": order.pk, "cancel": 1},
        {"order": 999999, "cancel": WRONG},
    ]
    foreign.refresh_from_db()
    assert foreign.status == "Pending"


def test_an_order_whose_service_takes_no_cancels_is_canceled_only_while_nobody_has_it(
    api: Api, order: Order, customer: User, service: Service, place: Place
) -> None:
    other = place(customer, service)
    send(other)
    Service.objects.update(cancel=False)
    assert api(action="cancel", orders=f"{order.pk},{other.pk}") == [
        {"order": order.pk, "cancel": 1},
        {"order": other.pk, "cancel": NOT_ALLOWED},
    ]


@pytest.mark.parametrize("text", ["", ",", "null"])
def test_a_list_without_ids_is_an_error(api: Api, order: Order, text: str) -> None:
    assert api(action="cancel", orders=text) == WRONG
    assert api(action="cancel") == WRONG


def test_ids_beyond_the_first_hundred_are_told_so_and_nothing_is_done_for_them(api: Api, order: Order) -> None:
    texts = [*(str(900_000 + number) for number in range(100)), str(order.pk)]
    answer = api(action="cancel", orders=",".join(texts))
    assert answer[100] == {"order": order.pk, "cancel": {"error": "Limit of 100 IDs exceeded"}}
    order.refresh_from_db()
    assert order.status == "Pending"
