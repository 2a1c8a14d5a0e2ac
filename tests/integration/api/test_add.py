"""Buying through the API: the answer, the refusals, and asking twice without paying twice."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts import api_keys, ledger
from accounts.models import User
from catalog.models import Service
from orders.models import Order, PlacedOnce
from tests.conftest import Fund, MakeService
from tests.integration.api.senders import FORM, JSON, post

Api = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("db", "books")
OTHER = {"error": "Idempotency key was used for another request"}


@pytest.fixture
def offer(make_service: MakeService, customer: User, fund: Fund) -> dict[str, Any]:
    """Parameters that buy for 0.09 of a balance of 10."""
    fund(customer, "10")
    return {
        "action": "add",
        "service": make_service(rate=Decimal("0.90")).pk,
        "link": "https://e.org/",
        "quantity": 100,
    }


def test_each_of_the_three_types_is_bought_with_its_own_fields(
    api: Api, customer: User, make_service: MakeService, fund: Fund
) -> None:
    fund(customer, "10")
    default = make_service(rate=Decimal("0.90"))
    package = make_service(type="Package", rate=Decimal("1.20"), min=1, max=1)
    comments = make_service(type="Custom Comments", rate=Decimal(8), min=1)
    answers = [
        api(action="add", service=default.pk, link="a", quantity="100"),
        api(action="add", service=package.pk, link="b"),
        api(action="add", service=comments.pk, link="c", comments="one\r\ntwo, too", quantity="99"),
    ]
    assert [set(answer) for answer in answers] == [{"order"}] * 3
    assert all(type(answer["order"]) is int and answer["order"] > 0 for answer in answers)
    orders = [Order.objects.get(pk=answer["order"]) for answer in answers]
    assert [(order.quantity, order.charge) for order in orders] == [
        (100, Decimal("0.09")),
        (1, Decimal("1.2")),
        (2, Decimal("0.016")),
    ]
    assert api(action="balance")["balance"] == "8.69400"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"service": ""}, "Incorrect service ID"),
        ({"service": "0"}, "Incorrect service ID"),
        ({"service": "1e1"}, "Incorrect service ID"),
        ({"service": "9" * 30}, "Incorrect service ID"),
        ({"link": "null"}, "Invalid link"),
        ({"link": "a b"}, "Invalid link"),
        ({"quantity": ""}, "Incorrect quantity"),
        ({"quantity": "1,000"}, "Incorrect quantity"),
        ({"quantity": "9"}, "Quantity less than minimal 10"),
        ({"quantity": "100001"}, "Quantity more than maximum 100000"),
        ({"quantity": "20000"}, "Not enough funds on balance"),
        ({"idempotency_key": "x" * 129}, "Incorrect idempotency key"),
    ],
)
def test_a_refusal_has_the_words_of_the_field_and_leaves_nothing(
    api: Api, offer: dict[str, Any], change: dict[str, str], text: str
) -> None:
    assert api(**{**offer, **change}) == {"error": text}
    assert not Order.objects.exists()
    assert api(action="balance")["balance"] == "10.00000"


def test_a_drip_feed_and_a_subscription_are_bought_with_their_own_fields(
    api: Api, customer: User, make_service: MakeService, fund: Fund
) -> None:
    fund(customer, "10")
    spread = make_service(rate=Decimal("0.90"), dripfeed=True)
    followed = make_service(type="Subscriptions", rate=Decimal(2))
    wish = {"username": "@carla", "min": 10, "max": 50, "posts": 3, "old_posts": 0, "delay": 0, "expiry": "31/12/2999"}
    answers = [
        api(action="add", service=spread.pk, link="a", quantity=100, runs=10, interval=30),
        api(action="add", service=followed.pk, **wish),
    ]
    orders = [Order.objects.get(pk=answer["order"]) for answer in answers]
    assert [(order.quantity, order.parts, order.charge) for order in orders] == [
        (1000, 10, Decimal("0.9")),
        (150, 3, Decimal("0.3")),
    ]
    told = api(action="status", orders=",".join(str(order.pk) for order in orders))
    assert [told[str(order.pk)]["remains"] for order in orders] == ["1000", "150"]


def test_drip_feed_is_refused_in_the_words_of_its_fields(api: Api, make_service: MakeService) -> None:
    plain, spread = make_service(), make_service(dripfeed=True)
    wish = {"action": "add", "link": "a", "quantity": 100, "runs": 10, "interval": 30}
    assert api(**wish, service=plain.pk) == {"error": "Dripfeed is not supported by this service"}
    assert api(**{**wish, "runs": 1001}, service=spread.pk) == {"error": "Incorrect runs"}
    assert api(**{**wish, "interval": "null"}, service=spread.pk) == {"error": "Incorrect interval"}


def test_a_service_that_cannot_be_bought_is_refused(api: Api, offer: dict[str, Any]) -> None:
    service = Service.objects.get()
    service.routes.update(enabled=False)
    assert api(**offer) == {"error": "Service is not available"}
    Service.objects.update(enabled=False)
    assert api(**offer) == {"error": "Incorrect service ID"}


@pytest.mark.parametrize("value", ["1000.0", "1e3", "true", "[1000]", '{"a": 1000}', '"1000 "', "1000"])
def test_a_quantity_in_json_is_taken_as_it_is_written(api_key: str, offer: dict[str, Any], value: str) -> None:
    body = json.dumps({"key": api_key, **offer, "quantity": "HERE"}).replace('"HERE"', value)
    taken = value.strip('" ') == "1000"
    assert ("order" in post("/api/v2", body, JSON)) is taken
    assert Order.objects.count() == taken


def test_the_same_key_and_request_place_one_order_however_they_are_written(
    api: Api, api_key: str, offer: dict[str, Any], customer: User
) -> None:
    first = api(**offer, idempotency_key="k")
    again = [
        api(**offer, idempotency_key="k"),
        api(**{**offer, "quantity": " +0100 "}, idempotency_key=" k "),
        api(**offer, request_id="k"),
        api(**offer, request_id="other", idempotency_key="k"),
        post("/api/v2", json.dumps({"key": api_key, **offer}), JSON, **{"Idempotency-Key": "k"}),
        post("/api/v2", json.dumps({"key": api_key, **offer, "request_id": "k"}), JSON, **{"Idempotency-Key": "other"}),
    ]
    assert again == [first] * len(again)
    assert Order.objects.count() == 1
    assert ledger.read_balance(customer.pk) == Decimal("9.91")


def test_another_request_under_the_same_key_is_an_error(api: Api, offer: dict[str, Any]) -> None:
    api(**offer, idempotency_key="k")
    assert api(**{**offer, "quantity": 101}, idempotency_key="k") == OTHER
    assert api(**{**offer, "link": "x"}, idempotency_key="k") == OTHER
    assert Order.objects.count() == 1


def test_a_key_belongs_to_the_customer_and_not_to_one_of_his_api_keys(
    api: Api, offer: dict[str, Any], customer: User, stranger: User, fund: Fund
) -> None:
    first = api(**offer, idempotency_key="k")
    second_key = api_keys.issue_key(customer.pk)[1]
    assert api(**{**offer, "key": second_key}, idempotency_key="k") == first
    fund(stranger, "10")
    foreign_key = api_keys.issue_key(stranger.pk)[1]
    assert api(**{**offer, "key": foreign_key}, idempotency_key="k") != first


def test_without_a_key_the_same_request_is_a_second_order(api: Api, offer: dict[str, Any]) -> None:
    for nothing in ("", "null", "undefined"):
        api(**offer, idempotency_key=nothing)
    assert Order.objects.count() == 3


def test_a_placing_that_failed_leaves_its_key_free(api: Api, offer: dict[str, Any], customer: User, fund: Fund) -> None:
    dear = {**offer, "quantity": 20_000}
    assert api(**dear, idempotency_key="k") == {"error": "Not enough funds on balance"}
    assert not PlacedOnce.objects.exists()
    fund(customer, "10")
    assert "order" in api(**dear, idempotency_key="k")


def test_an_idempotency_key_that_cannot_be_read_is_refused(api_key: str, offer: dict[str, Any]) -> None:
    """It could not be told from another one, so it would protect from nothing."""
    for unreadable in ("\ud800", "a\x00", ["k"], {"k": 1}):
        call = {"key": api_key, **offer, "idempotency_key": unreadable}
        assert post("/api/v2", json.dumps(call), JSON) == {"error": "Incorrect idempotency key"}
    assert post(
        "/api/v2", f"key={api_key}&action=add&idempotency_key=%FF&service={offer['service']}&link=x&quantity=100", FORM
    ) == {"error": "Incorrect idempotency key"}
    assert not Order.objects.exists()


def test_an_order_costs_seven_queries_and_eight_with_a_key(
    api: Api, offer: dict[str, Any], django_assert_num_queries: Any
) -> None:
    """Key, service, terms, order, money; two more are this test's savepoint where a transaction begins and ends."""
    api(action="balance")
    with django_assert_num_queries(7):
        api(**offer)
    with django_assert_num_queries(8):
        api(**offer, idempotency_key="k")
    with django_assert_num_queries(6):
        api(**offer, idempotency_key="k")


@pytest.mark.parametrize("change", [{"enabled": False}, {"min": 500}, {"max": 11}])
def test_a_repeated_call_is_the_same_order_although_the_service_has_changed_since(
    api: Api, customer: User, make_service: MakeService, fund: Fund, change: dict[str, Any]
) -> None:
    service = make_service()
    fund(customer, "10")
    call = {"action": "add", "service": service.pk, "link": "https://example.org/", "quantity": 20}
    first = api(**call, idempotency_key="k")
    Service.objects.filter(pk=service.pk).update(**change)
    assert api(**call, idempotency_key="k") == first
    assert "error" in api(**call, idempotency_key="another")
    assert "error" in api(**call | {"quantity": 21}, idempotency_key="k")
    assert Order.objects.count() == 1
