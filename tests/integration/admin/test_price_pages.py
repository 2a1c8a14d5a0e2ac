import html
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import CustomerGroup, User
from catalog.models import CustomRate, Markup, Service
from tests.conftest import MakeService

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]
RATES = "/admin/catalog/customrate/"


def told(response: Any) -> str:
    return html.unescape(response.content.decode())


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
