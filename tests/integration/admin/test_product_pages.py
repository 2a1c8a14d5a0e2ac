"""Products on the admin's pages: made, changed and listed together with their services."""

import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog import pricing
from catalog.models import Category, Markup, Product, ProviderService, Service
from orders import forms, placing
from tests.conftest import Fund, MakeService, make_provider
from tests.integration.admin.conftest import allow
from tests.stocking import keep, make_product

pytestmark = pytest.mark.django_db

LIST = "/admin/catalog/product/"


@pytest.fixture
def category() -> Category:
    return Category.objects.create(name="Licences")


@pytest.fixture
def listed() -> ProviderService:
    """What a provider lists as a product."""
    shelf = make_provider("http://127.0.0.1:9/api/v2", name="Shelf")
    return ProviderService.objects.create(
        provider=shelf,
        remote_id="7",
        name="Mailbox",
        type="Auto",
        rate=Decimal("0.8"),
        min=2,
        max=50,
        is_product=True,
        inventory=31,
    )


def told(response: Any) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.unescape(response.content.decode())))


def values(category: Category, **changed: str) -> dict[str, str]:
    return {
        "name": "Licence of a year",
        "category": str(category.pk),
        "description": "",
        "enabled": "on",
        "source": "stock",
        "row": "",
        "kind": "Auto",
        "require": "",
        "warranty_days": "0",
        "min": "1",
        "max": "5",
        "own_rate": "2.5",
        "unit_cost": "1",
        "percent": "",
        "fixed": "",
        "round_to": "",
        "low_stock": "3",
        **changed,
    }


def test_a_product_of_our_own_is_made_with_its_service(category: Category, staff_client: Client) -> None:
    text = told(staff_client.post(f"{LIST}add/", values(category, require="Your e-mail"), follow=True))
    assert "was added successfully" in text
    product = Product.objects.select_related("service").get()
    service = product.service
    assert (service.name, service.is_product, service.min, service.max) == ("Licence of a year", True, 1, 5)
    assert (product.source, product.require, product.unit_cost, product.low_stock) == (
        "stock",
        "Your e-mail",
        Decimal(1),
        3,
    )
    assert pricing.sell_rate(pricing.load_terms(None)[service.pk]) == Decimal("2.5")
    assert service.routes.count() == 0


def test_a_product_is_changed_and_stays_where_it_comes_from(category: Category, staff_client: Client) -> None:
    product = make_product()
    page = f"{LIST}{product.pk}/change/"
    response = staff_client.get(page)
    assert f'value="{product.service.name}"' in response.content.decode()
    assert 'name="source"' not in response.content.decode()
    changed = values(category, name="Renamed", source="hand", own_rate="0.5", enabled="")
    text = told(staff_client.post(page, changed, follow=True))
    assert "was changed successfully" in text
    product = Product.objects.select_related("service__category").get()
    assert (product.service.name, product.service.category, product.service.enabled) == ("Renamed", category, False)
    assert product.source == "stock"


def test_a_rate_below_cost_is_warned_of(category: Category, staff_client: Client) -> None:
    text = told(staff_client.post(f"{LIST}add/", values(category, own_rate="0.5"), follow=True))
    assert "$0.50 is below the cost of $1.00: the cost is charged instead." in text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"own_rate": ""}, "What is our own needs a rate"),
        ({"own_rate": "0"}, "It must be above zero"),
        ({"min": "6"}, "At least 1, and no more than the most"),
        ({"source": "provider"}, "Choose the provider's product"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_what_cannot_be_sold_is_not_made(
    category: Category, staff_client: Client, changed: dict[str, str], message: str
) -> None:
    assert message in told(staff_client.post(f"{LIST}add/", values(category, **changed)))
    assert Service.objects.count() == Product.objects.count() == 0


def test_a_providers_product_is_sold_by_markup(
    category: Category, listed: ProviderService, make_service: MakeService, staff_client: Client
) -> None:
    make_service(name="No product")
    response = staff_client.get(f"{LIST}add/")
    assert "Shelf · 7 · Mailbox · 0.8 USD" in told(response)
    assert "· No product" not in told(response)
    new = values(category, source="provider", row=str(listed.pk), own_rate="", percent="50", min="2", max="50")
    assert "was added successfully" in told(staff_client.post(f"{LIST}add/", new, follow=True))
    product = Product.objects.select_related("service").get()
    assert product.service.routes.get().provider_service == listed
    assert pricing.sell_rate(pricing.load_terms(None)[product.pk]) == Decimal("1.2")
    page = f"{LIST}{product.pk}/change/"
    text = staff_client.get(page).content.decode()
    assert re.search(r'name="percent" value="50"', text)
    staff_client.post(page, {**new, "percent": ""})
    assert not Markup.objects.filter(service=product.pk).exists()


def test_the_list_says_what_each_costs_and_how_many_are_there(
    category: Category, listed: ProviderService, staff_client: Client
) -> None:
    stocked, hand = make_product(name="Stocked", low_stock=5), make_product(name="By hand", source="hand")
    keep(stocked, "a\nb")
    new = values(category, name="Theirs", source="provider", row=str(listed.pk), own_rate="1.3")
    staff_client.post(f"{LIST}add/", new)
    rows = {
        name: told_row
        for told_row in staff_client.get(LIST).content.decode().split("<tr")
        for name in ("Stocked", "By hand", "Theirs")
        if f">{name}<" in told_row
    }
    assert re.search(r">\s*2\s*<", rows["Stocked"])
    assert "$2.50" in rows["Stocked"]
    assert re.search(r">\s*31\s*<", rows["Theirs"])
    assert "$1.30" in rows["Theirs"]
    assert hand.source == "hand"
    text = told(staff_client.get(f"{LIST}?stock=low"))
    assert "Stocked" in text
    assert "Theirs" not in text


def test_the_list_takes_as_many_queries_for_many_as_for_one(
    staff_client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        keep(make_product(), f"line {number}")
    with django_assert_max_num_queries(20):
        staff_client.get(LIST)


@pytest.mark.django_db(transaction=True)
def test_what_needs_staff_is_on_the_front_page(customer: User, fund: Fund, staff_client: Client) -> None:
    low, hand = make_product(low_stock=2), make_product(source="hand")
    keep(low, "one")
    fund(customer, "10")
    order_id = placing.place_order(customer.pk, forms.parse_order(hand.service, {"quantity": "1"}))
    needs = {str(need.label): need for need in staff_client.get("/admin/").context["needs"]}
    assert needs["Products low on stock"].count == 1
    assert low.service.name in told(staff_client.get(needs["Products low on stock"].url))
    assert needs["To be delivered by hand"].count == 1
    assert str(order_id) in told(staff_client.get(needs["To be delivered by hand"].url))


def test_staff_who_may_only_look_get_no_form(helper: User, helper_client: Client) -> None:
    product = make_product(name="To be seen")
    assert helper_client.get(LIST).status_code == 403
    allow(helper, "catalog.view_product")
    text = told(helper_client.get(f"{LIST}{product.pk}/change/"))
    assert "To be seen" in text
    assert "Upload lines" not in text
    assert helper_client.get(f"{LIST}add/").status_code == 403
    assert helper_client.post(f"{LIST}{product.pk}/change/", {"name": "x"}).status_code == 403
    assert "Uploads of stock" not in told(helper_client.get("/admin/"))


def test_a_product_shares_the_services_page_but_not_what_no_product_has(staff_client: Client) -> None:
    product = make_product()
    page = staff_client.get(f"/admin/catalog/service/{product.pk}/change/")
    assert page.status_code == 200
    assert b'name="refill"' not in page.content
    assert f"/admin/catalog/service/{product.pk}/".encode() not in staff_client.get("/admin/catalog/service/").content
