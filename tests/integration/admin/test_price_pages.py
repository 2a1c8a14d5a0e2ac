import html
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import CustomerGroup, User
from catalog import explaining, pricing
from catalog.models import Category, CustomRate, Markup, Provider, Service
from tests.conftest import MakeService
from tests.integration.admin.conftest import allow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]
RATES = "/admin/catalog/customrate/"


def told(response: Any) -> str:
    return html.unescape(response.content.decode())


def read_steps(response: Any) -> list[tuple[str, str, str]]:
    """Return the steps that a page shows: the name, how, and the rate that each leaves."""
    return [(str(step.name), step.how, step.rate) for step in response.context["steps"]]


def service_form(service: Service, **changes: str) -> dict[str, str]:
    """Return what a service's page posts; its routes and its rule stay as they are."""
    route = service.routes.get()
    values = {
        "name": service.name,
        "category": str(service.category_id),
        "enabled": "on",
        "position": "0",
        "type": service.type,
        "min": "10",
        "max": "100",
        "loss_policy": service.loss_policy,
        "refill_days": "30",
        "refill_after_hours": "24",
        "refill_limit": "0",
        "follows_limits": "on",
        "routes-TOTAL_FORMS": "1",
        "routes-INITIAL_FORMS": "1",
        "routes-0-id": str(route.pk),
        "routes-0-service": str(service.pk),
        "routes-0-position": "1",
        "routes-0-provider_service": str(route.provider_service_id),
        "routes-0-enabled": "on",
        "markups-TOTAL_FORMS": "0",
        "markups-INITIAL_FORMS": "0",
    }
    return values | changes


def test_a_rule_says_what_rates_are_rounded_up_to(staff_client: Client) -> None:
    refused = staff_client.post("/admin/catalog/markup/add/", {"percent": "5", "fixed": "0", "round_to": "0"})
    assert "markup_rounds_to_something" in told(refused)
    staff_client.post("/admin/catalog/markup/add/", {"percent": "5", "fixed": "0", "round_to": "0.05"})
    assert Markup.objects.get().round_to == Decimal("0.05")
    assert "$0.05" in told(staff_client.get("/admin/catalog/markup/"))


def test_a_custom_rate_below_cost_is_warned_of_and_listed_with_what_is_charged(
    make_service: MakeService, customer: User, staff_client: Client
) -> None:
    service = make_service(rate=Decimal("0.9"))
    values = {"user": str(customer.pk), "service": str(service.pk)}
    text = told(staff_client.post(f"{RATES}add/", values | {"rate": "0.25"}, follow=True))
    assert "$0.25 is below the cost of $0.90: the cost is charged instead" in text
    assert "$0.90, the cost" in text
    address = f"{RATES}{CustomRate.objects.get().pk}/change/"
    assert "below the cost" not in told(staff_client.post(address, values | {"rate": "0.9"}, follow=True))
    Service.objects.update(loss_policy=Service.LossPolicy.ALLOW)
    text = told(staff_client.post(address, values | {"rate": "0.25"}, follow=True))
    assert "may be sold at a loss" in text
    assert "$0.90, the cost" not in text


def test_an_own_rate_below_cost_is_warned_of(make_service: MakeService, staff_client: Client) -> None:
    service = make_service(rate=Decimal("0.9"))
    address = f"/admin/catalog/service/{service.pk}/change/"
    text = told(staff_client.post(address, service_form(service, own_rate="0.5"), follow=True))
    assert "$0.50 is below the cost of $0.90: the cost is charged instead" in text
    service.refresh_from_db()
    assert service.own_rate == Decimal("0.5")
    for rate in ("", "1.5"):
        text = told(staff_client.post(address, service_form(service, own_rate=rate), follow=True))
        assert "was changed successfully" in text
        assert "below the cost" not in text
    refused = told(staff_client.post(address, service_form(service, own_rate="0")))
    assert "own_rate_above_zero" in refused


def test_a_group_is_made_and_its_users_are_counted(customer: User, stranger: User, staff_client: Client) -> None:
    staff_client.post("/admin/accounts/customergroup/add/", {"name": "Resellers", "discount_percent": "12.5"})
    group = CustomerGroup.objects.get()
    assert group.discount_percent == Decimal("12.5")
    User.objects.filter(pk=customer.pk).update(group=group)
    listed = f"/admin/accounts/user/?group__id__exact={group.pk}"
    assert f'<a href="{listed}"' in told(staff_client.get("/admin/accounts/customergroup/"))
    text = told(staff_client.get(listed))
    assert customer.email in text
    assert stranger.email not in text


def test_a_discount_beyond_a_hundred_percent_is_refused(staff_client: Client) -> None:
    values = {"name": "Resellers", "discount_percent": "100.01"}
    assert "group_discount_within_percent" in told(staff_client.post("/admin/accounts/customergroup/add/", values))
    assert not CustomerGroup.objects.exists()


def test_a_user_joins_a_group_on_his_page(customer: User, staff_client: Client) -> None:
    group = CustomerGroup.objects.create(name="Resellers", discount_percent=10)
    values = {"email": customer.email, "username": customer.username, "discount_percent": "0", "is_active": "on"}
    values |= {"api_keys-TOTAL_FORMS": "0", "api_keys-INITIAL_FORMS": "0"}
    staff_client.post(f"/admin/accounts/user/{customer.pk}/change/", values | {"group": str(group.pk)})
    customer.refresh_from_db()
    assert customer.group == group


def test_what_follows_the_provider_and_refills_are_set_on_a_services_page(
    make_service: MakeService, staff_client: Client
) -> None:
    service = make_service()
    address = f"/admin/catalog/service/{service.pk}/change/"
    staff_client.post(address, service_form(service, follows_name="on", follows_limits="", refill_limit="3"))
    service.refresh_from_db()
    assert (service.follows_name, service.follows_limits, service.follows_flags) == (True, False, False)
    assert (service.refill_days, service.refill_after_hours, service.refill_limit) == (30, 24, 3)


def test_the_way_of_a_price_is_told_from_the_provider_to_the_customer(
    make_service: MakeService, customer: User, staff_client: Client
) -> None:
    service = make_service(rate=Decimal("0.9"))
    provider = service.routes.get().provider_service.provider
    Provider.objects.update(currency="EUR", exchange_rate=Decimal("1.1"))
    Markup.objects.create(percent=500)
    Markup.objects.create(category=service.category, percent=20, fixed=Decimal("0.004"), round_to=Decimal("0.05"))
    group = CustomerGroup.objects.create(name="Resellers", discount_percent=Decimal("12.5"))
    User.objects.filter(pk=customer.pk).update(discount_percent=5, group=group)
    page = f"/admin/catalog/service/{service.pk}/price/"
    response = staff_client.get(page, {"customer": "Carla@example.org"})
    remote_id = service.routes.get().provider_service.remote_id
    assert read_steps(response) == [
        ("Provider's rate", f"{provider.name}, its service {remote_id}, by route 1", "0.9 EUR"),
        ("Cost", "× 1.1, the exchange rate", "$0.99"),
        ("Markup", f"+ 20 % + $0.004 (Category: {service.category})", "$1.192"),
        ("Rounded up", "to a multiple of $0.05", "$1.20"),
        ("Discount", "− 12.5 % (of his group Resellers)", "$1.05"),
        ("Charged", "per 1000, rounded up to 6 places", "$1.05"),
        ("Left for us", "5.7 % of it, when the provider is paid", "$0.06"),
    ]
    assert "$1.192" in told(response)
    anybody = read_steps(staff_client.get(page))
    assert anybody[4] == ("Charged", "per 1000, rounded up to 6 places", "$1.20")


def test_a_price_that_was_lifted_or_is_allowed_below_cost_says_so(
    make_service: MakeService, customer: User, staff_client: Client
) -> None:
    service = make_service(rate=Decimal(2), own_rate=Decimal("2.5"), type="Package")
    CustomRate.objects.create(user=customer, service=service, rate=Decimal("0.5"))
    page = f"/admin/catalog/service/{service.pk}/price/"
    for_him = {"customer": str(customer.pk)}
    assert read_steps(staff_client.get(page, for_him))[2:] == [
        ("Own rate", "set for this service, whatever the cost and the markups", "$2.50"),
        ("Custom rate", "his own for this service; no discount on top", "$0.50"),
        ("Lifted to the cost", "nothing is sold below it", "$2.00"),
        ("Charged", "for one, rounded up to 6 places", "$2.00"),
        ("Left for us", "0.0 % of it, when the provider is paid", "$0.00"),
    ]
    Service.objects.update(loss_policy=Service.LossPolicy.ALLOW)
    assert read_steps(staff_client.get(page, for_him))[4:] == [
        ("Below cost", "this service may be sold at a loss", "$0.50"),
        ("Charged", "for one, rounded up to 6 places", "$0.50"),
        ("Left for us", "-300.0 % of it, when the provider is paid", "−$1.50"),
    ]


def test_the_way_of_a_price_says_what_is_missing(
    make_service: MakeService, customer: User, staff_client: Client
) -> None:
    service = make_service(rate=Decimal(2))
    page = f"/admin/catalog/service/{service.pk}/price/"
    response = staff_client.get(page, {"customer": "nobody@example.org"})
    assert "There is no such customer" in told(response)
    assert read_steps(response) == []
    assert "cannot be sold" not in told(response)
    response = staff_client.get(page)
    assert [name for name, _how, _rate in read_steps(response)] == [
        "Provider's rate",
        "Cost",
        "Markup",
        "Charged",
        "Left for us",
    ]
    assert ("Discount", "none", "$2.00") in read_steps(staff_client.get(page, {"customer": customer.email}))
    service.routes.update(enabled=False)
    response = staff_client.get(page)
    assert read_steps(response) == []
    assert "It cannot be sold now" in told(response)


@pytest.mark.parametrize("scope", ["", "provider", "category", "service"])
def test_the_rule_that_is_named_is_the_one_that_counts(make_service: MakeService, scope: str) -> None:
    service = make_service(rate=Decimal(1))
    other = make_service(category=Category.objects.create(name="Other"))
    provider = service.routes.get().provider_service.provider
    scopes: dict[str, dict[str, Any]] = {
        "": {},
        "provider": {"provider": provider},
        "category": {"category": service.category},
    }
    scopes["service"] = {"service": service}
    for percent, (name, of) in enumerate(scopes.items(), start=1):
        Markup.objects.create(percent=percent, **of)
        if name == scope:
            break
    Markup.objects.create(percent=50, service=other)
    Markup.objects.create(percent=60, category=other.category)
    terms = pricing.load_terms(None, [service.pk])[service.pk]
    markup = explaining.find_markup(terms)
    assert markup is not None
    assert markup.percent == terms.percent == percent


def test_a_customers_rates_are_listed_on_the_way_from_his_page(
    make_service: MakeService, customer: User, staff_client: Client
) -> None:
    service = make_service(rate=Decimal(1), own_rate=Decimal(3))
    User.objects.filter(pk=customer.pk).update(discount_percent=10)
    address = f"/admin/catalog/service/?customer={customer.pk}"
    assert f'href="{address}"' in told(staff_client.get(f"/admin/accounts/user/{customer.pk}/change/"))
    text = told(staff_client.get(address))
    price = f"/admin/catalog/service/{service.pk}/price/?customer={customer.pk}"
    assert f'href="{price}"' in text
    assert "$2.70" in text
    assert f"The rates are those of {customer.email}" in text
    assert read_steps(staff_client.get(price))[-2][2] == "$2.70"
    anybody = told(staff_client.get("/admin/catalog/service/"))
    assert "$3.00" in anybody
    assert "$2.70" not in anybody
    assert "The rates are those of" not in anybody


def test_who_may_not_look_at_customers_sees_nobodys_rates(
    make_service: MakeService, customer: User, helper: User, helper_client: Client
) -> None:
    service = make_service(rate=Decimal(1), own_rate=Decimal(3))
    User.objects.filter(pk=customer.pk).update(discount_percent=10)
    page = f"/admin/catalog/service/{service.pk}/price/"
    assert helper_client.get(page).status_code == 403
    allow(helper, "catalog.view_service")
    response = helper_client.get(page, {"customer": customer.email})
    assert read_steps(response)[-2][2] == "$3.00"
    assert 'name="customer"' not in told(response)
    assert "$2.70" not in told(helper_client.get("/admin/catalog/service/", {"customer": str(customer.pk)}))
