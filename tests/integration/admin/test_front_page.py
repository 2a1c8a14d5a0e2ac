import html
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.admin_pages import amount
from accounts.models import User
from catalog.models import Provider, Service
from orders import forwarding
from orders.models import Dispatch, Order
from panel import dashboard
from tests.conftest import Fund, Place
from tests.integration.admin.conftest import allow

pytestmark = pytest.mark.django_db(transaction=True)


def told(response: Any) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_what_needs_a_person_comes_first_with_links_to_it(unclear: Dispatch, staff_client: Client) -> None:
    response = staff_client.get("/admin/")
    needs = {str(need.label): need for need in response.context["needs"]}
    assert needs["Unclear: may have been taken"].count == 1
    assert needs["Held: surely not taken"].count == 0
    for need in needs.values():
        assert staff_client.get(need.url).status_code == 200
    text = told(response)
    assert text.index("Needs you") < text.index("Turnover")


def test_today_is_reckoned_from_orders(
    customer: User, service: Service, fund: Fund, place: Place, staff_client: Client
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    Order.objects.filter(pk=place(customer, service).pk).update(created_at=timezone.now() - dashboard.WEEK)
    figures = {str(figure.label): figure for figure in staff_client.get("/admin/").context["figures"]}
    assert figures["Orders"].today == "1"
    assert figures["Turnover"].today == amount(order.charge)


def test_the_books_are_proved_on_demand(
    customer: User, service: Service, fund: Fund, place: Place, staff_client: Client
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    assert "to the last digit" not in told(staff_client.get("/admin/"))
    assert "to the last digit" in told(staff_client.get("/admin/?books"))
    Order.objects.filter(pk=order.pk).update(charge=order.charge + 1)
    assert f"order {order.pk}: charge" in told(staff_client.get("/admin/?books"))


def test_a_providers_balance_says_how_long_it_lasts(
    provider: Provider, customer: User, service: Service, fund: Fund, place: Place, staff_client: Client
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    forwarding.forward_all()
    Provider.objects.update(balance=order.expected_cost * 10)
    assert "70 days" in told(staff_client.get("/admin/"))


def test_staff_see_nothing_that_they_may_not(unclear: Dispatch, helper: User, helper_client: Client) -> None:
    text = told(helper_client.get("/admin/?books"))
    for word in ("Unclear", "Turnover", "books", "Providers", "Transfers", unclear.provider.name):
        assert word not in text
    allow(helper, "orders.view_dispatch")
    text = told(helper_client.get("/admin/?books"))
    assert "Unclear" in text
    assert "Orders to be looked at" not in text
    assert "Turnover" not in text
    assert "Transfers" not in text


def test_customers_stay_outside(customer_client: Client) -> None:
    assert customer_client.get("/admin/").status_code == 302


def test_an_empty_panel_shows_the_first_steps(staff_client: Client) -> None:
    assert "Add a provider" in told(staff_client.get("/admin/"))
