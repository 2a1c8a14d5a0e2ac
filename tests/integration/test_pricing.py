"""Which terms a price is made of: the rule that wins, the discount that counts, and what is not sold at all."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import CustomerGroup, User
from catalog import pricing
from catalog.models import CustomRate, Markup, Provider, ProviderService, Route, Service
from tests.conftest import Fund, MakeService, Place, make_provider


def read_rate(user: User, service: Service) -> Decimal:
    return pricing.sell_rate(pricing.load_terms(user.pk)[service.pk])


def remote(service: Service) -> ProviderService:
    return service.routes.get().provider_service


def test_the_rule_that_wins_gives_percent_fixed_and_steps_together(customer: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal(1))
    Markup.objects.create(percent=10, round_to=Decimal("0.5"))
    assert read_rate(customer, service) == Decimal("1.5")
    Markup.objects.create(provider=remote(service).provider, percent=20)
    assert read_rate(customer, service) == Decimal("1.2")
    Markup.objects.create(category=service.category, fixed=Decimal("0.03"), round_to=Decimal("0.02"))
    assert read_rate(customer, service) == Decimal("1.04")
    Markup.objects.create(service=service, percent=7, round_to=Decimal("0.01"))
    assert read_rate(customer, service) == Decimal("1.07")


@pytest.mark.parametrize(
    ("cost", "step", "listed"),
    [
        ("0.841", "0.01", "0.85"),
        ("0.85", "0.01", "0.85"),
        ("0.85000001", "0.01", "0.86"),
        ("0.9", "5", "5"),
        ("0.0000001", "0.000001", "0.000001"),
    ],
)
def test_a_list_rate_is_rounded_up_to_a_multiple(
    customer: User, make_service: MakeService, cost: str, step: str, listed: str
) -> None:
    service = make_service(rate=Decimal(cost))
    Markup.objects.create(percent=0, round_to=Decimal(step))
    assert read_rate(customer, service) == Decimal(listed)


def test_a_discount_on_a_rounded_rate_may_leave_finer_steps(customer: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal("0.5"))
    Markup.objects.create(percent=100, round_to=Decimal("0.99"))
    User.objects.filter(pk=customer.pk).update(discount_percent=Decimal("3.33"))
    terms = pricing.load_terms(customer.pk)[service.pk]
    assert pricing.list_rate(terms) == Decimal("1.98")
    assert pricing.sell_rate(terms) == Decimal("1.914066")


@pytest.mark.parametrize(("own", "of_group", "counts"), [("5", "10", "10"), ("10", "5", "10"), ("5", None, "5")])
def test_the_larger_discount_counts(
    customer: User, make_service: MakeService, own: str, of_group: str | None, counts: str
) -> None:
    service = make_service(rate=Decimal(1))
    Markup.objects.create(percent=100)
    group = CustomerGroup.objects.create(name="Resellers", discount_percent=Decimal(of_group)) if of_group else None
    User.objects.filter(pk=customer.pk).update(discount_percent=Decimal(own), group=group)
    terms = pricing.load_terms(customer.pk)[service.pk]
    assert terms.discount_percent == Decimal(counts)
    assert pricing.sell_rate(terms) == 2 - 2 * Decimal(counts) / 100


def test_an_own_rate_is_the_list_rate_whatever_markups_say(
    customer: User, stranger: User, make_service: MakeService
) -> None:
    service = make_service(rate=Decimal(1), own_rate=Decimal("1.2345678"))
    Markup.objects.create(percent=500, round_to=Decimal(1))
    terms = pricing.load_terms(customer.pk)[service.pk]
    assert pricing.list_rate(terms) == pricing.sell_rate(terms) == Decimal("1.234568")
    User.objects.filter(pk=customer.pk).update(discount_percent=10)
    assert read_rate(customer, service) == Decimal("1.111112")
    CustomRate.objects.create(user=stranger, service=service, rate=Decimal("1.1"))
    assert read_rate(stranger, service) == Decimal("1.1")


def test_rates_that_staff_set_are_lifted_to_the_cost_unless_a_loss_is_allowed(
    customer: User, make_service: MakeService
) -> None:
    service = make_service(rate=Decimal(2), own_rate=Decimal(1))
    terms = pricing.load_terms(customer.pk)[service.pk]
    assert pricing.list_rate(terms) == pricing.sell_rate(terms) == 2
    CustomRate.objects.create(user=customer, service=service, rate=Decimal("0.5"))
    assert read_rate(customer, service) == 2
    Service.objects.filter(pk=service.pk).update(loss_policy=Service.LossPolicy.ALLOW)
    terms = pricing.load_terms(customer.pk)[service.pk]
    assert (pricing.list_rate(terms), pricing.sell_rate(terms)) == (Decimal(1), Decimal("0.5"))


@pytest.mark.parametrize("kind", ["Package", "Custom Comments Package"])
def test_a_package_is_paid_as_one_whole(customer: User, make_service: MakeService, kind: str) -> None:
    service = make_service(type=kind, rate=Decimal("2.5"), min=1, max=1)
    assert pricing.quote(pricing.load_terms(customer.pk)[service.pk], 1).charge == Decimal("2.5")


@pytest.mark.parametrize(
    "values", [{"waiting": "back"}, {"waiting": "reused"}, {"vanished_at": timezone.now()}, {"rate": 0}]
)
def test_what_a_provider_does_not_surely_offer_is_not_sold(
    customer: User, make_service: MakeService, values: dict[str, Any]
) -> None:
    service = make_service()
    ProviderService.objects.filter(pk=remote(service).pk).update(**values)
    assert pricing.load_terms(customer.pk) == {}


def test_the_next_route_is_sold_while_the_first_one_waits_for_a_person(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    service = make_service(rate=Decimal(1))
    dearer = ProviderService.objects.create(
        provider=make_provider("http://127.0.0.1/"), remote_id="2", name="x", type="Default", rate=3, min=1, max=10**6
    )
    Route.objects.create(service=service, provider_service=dearer, position=2)
    ProviderService.objects.exclude(pk=dearer.pk).update(waiting="back")
    fund(customer, "10")
    order = place(customer, service)
    assert (order.rate, order.dispatches.get().provider_service) == (Decimal(3), dearer)


@pytest.mark.parametrize(("days", "age", "sold"), [(0, 400, True), (7, 6.9, True), (7, 7.1, False)])
def test_a_provider_whose_exchange_rate_is_too_old_sells_nothing(
    customer: User, make_service: MakeService, days: int, age: float, sold: Any
) -> None:
    service = make_service()
    set_at = timezone.now() - datetime.timedelta(days=age)
    Provider.objects.update(exchange_rate_days=days, exchange_rate_at=set_at)
    assert (service.pk in pricing.load_terms(customer.pk, [service.pk])) is sold
