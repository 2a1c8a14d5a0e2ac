"""The list of services: its shape, its order, what is on it, and that its rates are the ones that are charged."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import CustomerGroup, User
from catalog.models import Category, CustomRate, Markup, Service
from orders.models import Order
from tests.conftest import Fund, MakeService

Api = Callable[..., Any]

# 003_31070e689288a311.txt, `services`
SEED = {
    "service": 1,
    "name": "Followers",
    "type": "Default",
    "category": "First Category",
    "rate": "0.90",
    "min": "50",
    "max": "10000",
    "refill": True,
    "cancel": True,
}
OURS = {"dripfeed": True, "desc": ""}


def remote(service: Service) -> Any:
    return service.routes.get().provider_service


def test_a_service_has_every_key_of_the_seed_with_its_type(api: Api, make_service: MakeService) -> None:
    made = make_service(
        name="Followers", category=Category.objects.create(name="First Category"), min=50, max=10_000, refill=True
    )
    (row,) = api(action="services")
    assert {name: type(value) for name, value in row.items()} == {
        name: type(value) for name, value in (SEED | OURS).items()
    }
    assert row | {"cancel": True} == SEED | {"service": made.pk, "rate": "0.9", "dripfeed": False, "desc": ""}


def test_drip_feed_and_subscriptions_are_listed_as_they_are_sold(api: Api, make_service: MakeService) -> None:
    make_service(dripfeed=True)
    make_service(type="Subscriptions", min=10, max=500)
    rows = [(row["type"], row["dripfeed"], row["min"], row["max"]) for row in api(action="services")]
    assert rows == [("Default", True, "10", "100000"), ("Subscriptions", False, "10", "500")]


def test_services_stand_by_category_and_position(api: Api, make_service: MakeService) -> None:
    last = Category.objects.create(name="Last", position=2)
    first = Category.objects.create(name="First", position=1)
    made = [make_service(category=category, position=at) for category, at in [(last, 1), (first, 2), (first, 1)]]
    assert [row["service"] for row in api(action="services")] == [made[2].pk, made[1].pk, made[0].pk]


def test_only_what_can_be_bought_is_listed(api: Api, make_service: MakeService) -> None:
    hidden, without_route, vanished, listed = [make_service() for _ in range(4)]
    Service.objects.filter(pk=hidden.pk).update(enabled=False)
    without_route.routes.update(enabled=False)
    gone = remote(vanished)
    gone.vanished_at = gone.read_at
    gone.save()
    assert [row["service"] for row in api(action="services")] == [listed.pk]


def test_an_empty_shop_has_an_empty_list(api: Api) -> None:
    assert api(action="services") == []


@pytest.mark.parametrize(
    ("dialect", "overrides", "ours", "theirs", "shown"),
    [
        ("perfectpanel", {}, True, True, True),
        ("perfectpanel", {}, False, True, False),
        ("perfectpanel", {}, True, False, False),
        ("perfectpanel", {}, True, None, False),
        ("perfectpanel", {"cancel": "none"}, True, True, False),
        ("1dg", {}, True, True, False),
        ("1dg", {"cancel": "order"}, True, True, True),
        ("gone", {}, True, True, False),
    ],
)
def test_cancel_is_promised_only_where_it_can_be_kept(
    api: Api, make_service: MakeService, dialect: str, overrides: Any, ours: Any, theirs: Any, shown: Any
) -> None:
    source = remote(make_service(cancel=ours))
    source.cancel = theirs
    source.save()
    source.provider.dialect, source.provider.dialect_overrides = dialect, overrides
    source.provider.save()
    assert api(action="services")[0]["cancel"] is shown


@pytest.mark.parametrize("rate", ["0.00000001", "0.1234567", "1E+3", "95200", "8.50"])
def test_the_rate_shown_is_the_very_one_that_is_charged(
    api: Api, customer: User, make_service: MakeService, fund: Fund, rate: str
) -> None:
    service = make_service(rate=Decimal(rate), min=1)
    Markup.objects.create(percent=Decimal("12.5"), fixed=Decimal("0.0001"))
    customer.discount_percent = Decimal(3)
    customer.save()
    fund(customer, "1000000")
    shown = api(action="services")[0]["rate"]
    assert "e" not in shown.lower()
    order = Order.objects.get(pk=api(action="add", service=service.pk, link="x", quantity=1000)["order"])
    assert order.rate == Decimal(shown)
    assert order.charge == pytest.approx(order.rate, abs=Decimal("0.00001"))


def test_each_customer_sees_his_own_rate(api: Api, customer: User, stranger: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal(1))
    CustomRate.objects.create(user=stranger, service=service, rate=Decimal(7))
    assert api(action="services")[0]["rate"] == "1"
    CustomRate.objects.create(user=customer, service=service, rate=Decimal("1.5"))
    assert api(action="services")[0]["rate"] == "1.5"


def test_the_next_answer_has_what_was_changed_before_it(api: Api, customer: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal(1))
    assert api(action="services")[0]["rate"] == "1"
    Markup.objects.create(percent=100)
    assert api(action="services")[0]["rate"] == "2"
    group = CustomerGroup.objects.create(name="Resellers", discount_percent=10)
    User.objects.filter(pk=customer.pk).update(group=group)
    assert api(action="services")[0]["rate"] == "1.8"
    Service.objects.filter(pk=service.pk).update(name="Another")
    assert api(action="services")[0]["name"] == "Another"
    service.routes.update(enabled=False)
    assert api(action="services") == []


def test_a_list_of_any_length_costs_four_queries_and_while_nothing_changes_two(
    api: Api, make_service: MakeService, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        make_service(cancel=True)
    api(action="balance")
    with django_assert_num_queries(4):
        assert len(api(action="services")) == 5
    with django_assert_num_queries(2):
        assert len(api(action="services")) == 5
