"""Two rows in which the documents of this field disagree: a key's style decides, and nowhere else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import api_keys
from accounts.api_keys import KeyTerms
from accounts.models import ApiKey, User
from catalog.models import Service
from orders import lifecycle
from orders.models import Dispatch, Order, Refill
from tests.conftest import Fund, MakeService, Place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]
Api = Callable[..., Any]
WRONG = {"error": "Incorrect order ID"}


@pytest.fixture
def first(customer: User) -> Api:
    """Call with a key that answers as 000_fa79b687568cfb1d.txt has it."""
    key = api_keys.issue_key(customer.pk, terms=KeyTerms(style=ApiKey.Style.FIRST))[1]
    return lambda **params: Client().post("/api/v2", {"key": key, **params}).json()


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(refill=True, refill_after_hours=0)


@pytest.fixture
def orders(customer: User, service: Service, fund: Fund, place: Place) -> list[Order]:
    """Two orders that were delivered."""
    fund(customer, "10")
    made = [place(customer, service) for _ in range(2)]
    for order in made:
        order.dispatches.update(state=Dispatch.State.SENT, remote_id=f"7{order.pk}", due_at=None)
        lifecycle.accept(order.pk)
        lifecycle.advance(order.pk, lifecycle.Report(status="Completed", word="Completed", remains=0))
    return made


def test_many_refills_are_answered_with_the_first_that_was_accepted(first: Api, orders: list[Order]) -> None:
    answer = first(action="refill", orders=f"999999,{orders[0].pk},{orders[1].pk}")
    assert Refill.objects.count() == 2
    assert answer == {"refill": str(Refill.objects.get(order=orders[0]).pk)}
    assert first(action="refill_status", refill=answer["refill"]) == {"status": "Pending"}


def test_where_no_refill_was_accepted_the_first_error_is_told(first: Api, orders: list[Order]) -> None:
    assert first(action="multiple_refill", orders="999999,abc") == WRONG
    first(action="refill", order=orders[0].pk)
    answer = first(action="refill", orders=f"{orders[0].pk},999999")
    assert answer == {"error": "Refill already requested"}


def test_an_unknown_refill_is_named_as_those_documents_name_it(first: Api, api: Api) -> None:
    unknown = {"error": "Incorrect refill ID"}
    assert first(action="refill_status", refill="1") == unknown
    assert first(action="refill_status", refills=",") == unknown
    assert first(action="refill_status", refills="1,abc") == [
        {"refill": 1, "status": unknown},
        {"refill": "abc", "status": unknown},
    ]
    assert api(action="refill_status", refill="1") == {"error": "Refill not found"}


@pytest.mark.parametrize(
    "call",
    [
        {"action": "services"},
        {"action": "balance"},
        {"action": "status", "order": "ID"},
        {"action": "status", "orders": "ID,999999"},
        {"action": "status", "order": "999999"},
        {"action": "refill", "order": "999999"},
        {"action": "refill_status", "refills": ",".join(["1"] * 2)},
        {"action": "cancel", "orders": "ID,999999"},
        {"action": "add"},
        {"action": "nonsense"},
    ],
)
def test_everything_else_is_the_same_in_both_styles(
    api: Api, first: Api, orders: list[Order], call: dict[str, str]
) -> None:
    params = {name: value.replace("ID", str(orders[0].pk)) for name, value in call.items()}
    told = first(**params)
    if call["action"] == "refill_status":
        assert told == [{"refill": 1, "status": {"error": "Incorrect refill ID"}}]
    else:
        assert told == api(**params)
