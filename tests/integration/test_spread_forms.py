"""Orders that are spread over runs or posts: what they must say, what they cost, and asking twice for one."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog.models import Service
from orders import forms, placing
from tests.conftest import Fund, MakeService, Place

RUNS = {"link": "x", "quantity": "100", "runs": "10", "interval": "30"}
POSTS = {"username": "carla", "min": "10", "max": "100", "posts": "4", "delay": "0"}


def test_a_drip_feed_is_paid_for_all_of_its_runs(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "10")
    order = place(customer, make_service(rate=Decimal("2.5"), dripfeed=True), **{**RUNS, "runs": " 010 "})
    assert (order.quantity, order.parts, order.parts_done, order.remains) == (1000, 10, 0, 1000)
    assert (order.charge, order.details) == (Decimal("2.5"), {"quantity": "100", "runs": "10", "interval": "30"})
    placed = {"rate": "2.5", "units": 1000, "charge": "2.5", "per": 1000, "parts": 10}
    assert order.events.get().data == placed


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"runs": "1001"}, "Incorrect runs"),
        ({"runs": "-2"}, "Incorrect runs"),
        ({"runs": "ten"}, "Incorrect runs"),
        ({"runs": ""}, "Incorrect runs"),
        ({"interval": ""}, "Incorrect interval"),
        ({"interval": "0"}, "Incorrect interval"),
        ({"interval": "10081"}, "Incorrect interval"),
        ({"interval": "1.5"}, "Incorrect interval"),
        ({"quantity": ""}, "Incorrect quantity"),
        ({"quantity": "9"}, "Quantity less than minimal 10"),
        ({"quantity": "101"}, "Quantity more than maximum 1000"),
    ],
)
def test_a_drip_feed_that_is_wrong_is_refused_by_its_field(
    make_service: MakeService, values: dict[str, str], text: str
) -> None:
    with pytest.raises(UserError) as error:
        forms.parse_order(make_service(dripfeed=True, max=1000), {**RUNS, **values})
    assert error.value.text == text


@pytest.mark.parametrize("values", [{"runs": ""}, {"runs": "0", "interval": "0"}, {"runs": "1", "interval": "30"}])
def test_no_runs_or_one_are_an_ordinary_order_also_where_it_could_be_spread(
    make_service: MakeService, values: dict[str, str]
) -> None:
    request = forms.parse_order(make_service(dripfeed=True), {"link": "x", "quantity": "20", **values})
    assert (request.units, request.parts, request.details) == (20, 1, {})


def test_a_subscription_is_paid_for_the_most_it_may_come_to(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "10")
    service = make_service(type="Subscriptions", rate=Decimal("2.5"))
    order = place(customer, service, **{**POSTS, "username": " @carla "}, old_posts="1", expiry="2999-01-02")
    assert (order.link, order.quantity, order.parts, order.charge) == ("carla", 500, 5, Decimal("1.25"))
    wish = {**POSTS, "old_posts": "1", "expiry": "02/01/2999"}
    assert order.details == wish


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("username", ""),
        ("username", "car la"),
        ("username", "https://example.org/carla"),
        ("username", "@@carla"),
        ("username", "c" * 65),
        ("username", "çarla"),
        ("min", ""),
        ("min", "9"),
        ("min", "1001"),
        ("max", "9"),
        ("max", "1001"),
        ("max", ""),
        ("posts", ""),
        ("posts", "0"),
        ("posts", "-1"),
        ("posts", "10001"),
        ("old_posts", "-1"),
        ("old_posts", "many"),
        ("delay", ""),
        ("delay", "7"),
        ("delay", "601"),
        ("expiry", "31/02/2999"),
        ("expiry", "02.01.2999"),
        ("expiry", "2999-1-2-3"),
        ("expiry", "01/01/2020"),
        ("expiry", "٠١/٠١/٢٩٩٩"),
    ],
)
def test_a_subscription_that_is_wrong_is_refused_by_its_field(make_service: MakeService, name: str, value: str) -> None:
    with pytest.raises(UserError) as error:
        forms.parse_order(make_service(type="Subscriptions", max=1000), {**POSTS, name: value})
    assert (error.value.text, error.value.field) == (f"Incorrect {name}", name)


def test_a_subscription_to_more_than_can_be_reckoned_is_refused(make_service: MakeService) -> None:
    service = make_service(type="Subscriptions", max=10**12)
    with pytest.raises(UserError, match="Incorrect max"):
        forms.parse_order(service, {**POSTS, "max": "999999999999"})


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%Y-%m-%d"])
def test_a_subscription_may_end_today_and_not_yesterday(make_service: MakeService, form: str) -> None:
    service = make_service(type="Subscriptions")
    today = timezone.localdate()
    assert forms.parse_order(service, {**POSTS, "expiry": today.strftime(form)}).details["expiry"]
    with pytest.raises(UserError, match="Incorrect expiry"):
        forms.parse_order(service, {**POSTS, "expiry": (today - datetime.timedelta(days=1)).strftime(form)})


@pytest.mark.parametrize(
    ("kind", "wish", "other"),
    [
        ("Default", RUNS, {"runs": "5"}),
        ("Default", RUNS, {"interval": "31"}),
        ("Default", RUNS, {"quantity": "1000", "runs": "1"}),
        ("Subscriptions", POSTS, {"min": "11"}),
        ("Subscriptions", POSTS, {"delay": "5"}),
        ("Subscriptions", POSTS, {"posts": "3", "old_posts": "1"}),
        ("Subscriptions", POSTS, {"expiry": "2999-01-01"}),
    ],
)
def test_a_key_stands_for_every_detail_of_what_is_spread(
    customer: User, make_service: MakeService, fund: Fund, place: Place, kind: str, wish: Any, other: Any
) -> None:
    fund(customer, "10")
    service = make_service(type=kind, dripfeed=kind == "Default")
    first = place(customer, service, key="k", **wish)
    assert place(customer, service, key="k", **wish) == first
    with pytest.raises(UserError, match="another request"):
        place(customer, service, key="k", **{**wish, **other})


@pytest.mark.parametrize(("kind", "wish"), [("Default", RUNS), ("Subscriptions", {**POSTS, "expiry": "02/12/2026"})])
def test_a_repeated_call_finds_its_order_although_the_day_or_the_service_has_moved_on(
    customer: User, make_service: MakeService, fund: Fund, place: Place, kind: str, wish: dict[str, str]
) -> None:
    fund(customer, "10")
    service = make_service(type=kind, dripfeed=kind == "Default")
    with time_machine.travel(datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC), tick=False):
        first = place(customer, service, key="k", **wish)
    Service.objects.update(dripfeed=False, max=50, enabled=False)
    with time_machine.travel(datetime.datetime(2026, 12, 4, 12, tzinfo=datetime.UTC), tick=False):
        assert placing.find_placed(customer.pk, "k", str(service.pk), wish) == first.pk
        assert placing.find_placed(customer.pk, "k", str(service.pk), {**wish, "quantity": "5", "min": "5"}) is None
