"""A provider's products come in and are put on sale, from a shell and through the wizard, as its services are."""

import html
import re
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.errors import UserError
from accounts.models import User
from catalog import browsing, choosing, favourites, importing, listing, pricing, updates
from catalog.choosing import Choice, Price
from catalog.models import Category, Markup, Product, Provider, ProviderService, Service, ServiceChange
from catalog.providers.sandbox import Sandbox
from orders import placing
from tests.conftest import MakeService
from tests.integration.products import listed, open_stall, sold, stock_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def stall(db: None, sandbox: Sandbox) -> Provider:
    return open_stall(sandbox)


@pytest.fixture
def shelf(provider: Provider) -> Provider:
    """A provider whose two lists were read, and of which nothing is sold yet."""
    Provider.objects.filter(pk=provider.pk).update(dialect="1dg")
    provider.refresh_from_db()
    values: dict[str, Any] = {"provider": provider, "min": 1, "max": 10, "type": "Auto"}
    rows: tuple[tuple[str, bool, str, str, str, dict[str, Any]], ...] = (
        (
            "1",
            True,
            "Netflix, a month",
            "Netflix",
            "2.5",
            {"require": "Your account", "in_stock": True, "inventory": 4},
        ),
        ("2", True, "Tuning", "Work", "5", {"type": "service", "in_stock": False}),
        ("3", True, "Gift", "Work", "0", {}),
        ("1", False, "Visits", "Web", "0.9", {"type": "Default"}),
    )
    for remote_id, is_product, name, category, rate, fields in rows:
        ProviderService.objects.create(
            remote_id=remote_id,
            is_product=is_product,
            name=name,
            category=category,
            rate=Decimal(rate),
            **values | fields,
        )
    return provider


def told(response: Any) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.unescape(response.content.decode())))


def run(name: str, *arguments: str) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


def test_an_import_makes_products_with_a_route_and_their_stock(stall: Provider, sandbox: Sandbox) -> None:
    service = sold(1)
    assert (service.type, service.per, service.min, service.max) == ("Default", 1, 1, 10)
    assert (service.category.name, service.enabled, service.refill) == ("Keys", True, False)
    assert (service.product.source, service.product.kind) == (Product.Source.PROVIDER, Product.Kind.AUTO)
    assert (listed(1).in_stock, listed(1).inventory) == (True, 40)
    again = importing.import_services(stall, is_product=True)
    assert (again.added, again.changed, again.unchanged, again.vanished) == (0, 0, 10, 0)


def test_an_import_of_products_takes_no_service_off_sale(stall: Provider, sandbox: Sandbox) -> None:
    services = ProviderService.objects.filter(is_product=False)
    assert services.filter(vanished_at=None).count() == len(sandbox.services)
    stock_up(sandbox, {1: None})
    assert importing.import_services(stall, is_product=True).vanished == 1
    assert services.filter(vanished_at=None).count() == len(sandbox.services)
    assert listed(1).vanished_at is not None


def test_a_shell_imports_and_follows_products_where_it_is_told_to(sandbox: Sandbox, provider: Provider) -> None:
    sandbox.configure(has_products=True)
    stock_up(sandbox, {})
    with pytest.raises(CommandError, match="did not list its products: Its dialect has no products"):
        run("import_services", provider.name, "--products")
    Provider.objects.update(dialect="1dg")
    assert "added 10" in run("import_services", provider.name, "--products", "--markup", "20", "--category", "keys")
    assert pricing.list_rate(pricing.load_terms(None)[sold(1).pk]) == 3
    assert not ProviderService.objects.filter(is_product=False).exists()
    stock_up(sandbox, {1: {"rate": 2.6, "require": "Your account"}})
    out = run("sync_services", provider.name, "--products", "--dry-run").splitlines()
    assert "rate: 2.5 → 2.6 USD (+4.0 %); the buyer must enter: – → Your account" in out[1]
    assert out[-1] == "Nothing was written."
    assert listed(1).rate == Decimal("2.5")
    assert run("sync_services", provider.name, "--products").splitlines()[-1] == "Applied."
    assert (listed(1).rate, sold(1).product.require) == (Decimal("2.6"), "Your account")
    sandbox.misbehave("products", "html")
    with pytest.raises(CommandError, match="did not list its products"):
        run("sync_services", provider.name, "--products")


def test_from_a_list_of_products_to_products_on_sale_in_the_wizard(shelf: Provider, staff_client: Client) -> None:
    address = f"/admin/catalog/provider/{shelf.pk}/import/products/"
    text = told(staff_client.get(address))
    assert "Import products from" in text
    assert "Web" not in text.split("Choose all that is new")[0].split("Search")[-1]
    text = told(staff_client.get(address, {"category": "Netflix"}))
    assert "Auto · 1–10 · the buyer must enter: Your account · 4 in stock" in text
    assert "out of stock" in told(staff_client.get(address, {"category": "Work"}))
    text = told(staff_client.post(address, {"all": "1", "next": "1"}, follow=True))
    assert "3 products chosen" in text
    values = {"percent": "20", "fixed": "0.01", "round_to": "0.5"}
    text = told(staff_client.post(f"{address}prices/", values | {"show": "1"}, follow=True))
    assert "1 · Netflix, a month Netflix · Auto $2.50 $3.50 28.6%" in text
    assert "Not on sale: it lists no rate" in text
    staff_client.post(f"{address}prices/", values | {"next": "1"})
    names = {"template": "{name} (new)", "category_0": "Films", "category_1": "Films", "next": "1"}
    text = told(staff_client.post(f"{address}names/", names, follow=True))
    assert "Netflix, a month (new) Films · Auto" in text
    assert "Tuning (new) Films · Service" in text
    assert Service.objects.count() == 0
    text = told(staff_client.post(f"{address}confirm/", follow=True))
    assert "2 products put on sale, 1 imported, not on sale" in text
    service = sold(1)
    assert (service.name, service.category.name, service.type) == ("Netflix, a month (new)", "Films", "Default")
    assert (service.product.source, service.product.kind) == (Product.Source.PROVIDER, Product.Kind.AUTO)
    assert (service.product.require, sold(2).product.kind) == ("Your account", Product.Kind.SERVICE)
    rule = Markup.objects.get(service=service)
    assert (rule.percent, rule.fixed, rule.round_to) == (Decimal(20), Decimal("0.01"), Decimal("0.5"))
    assert pricing.list_rate(pricing.load_terms(None)[service.pk]) == Decimal("3.5")
    assert not Service.objects.filter(is_product=False).exists()


def test_the_two_wizards_keep_what_was_chosen_apart(shelf: Provider, staff_client: Client) -> None:
    address = f"/admin/catalog/provider/{shelf.pk}/import/"
    staff_client.post(f"{address}products/", {"all": "1"})
    assert "3 products chosen" in told(staff_client.get(f"{address}products/"))
    assert "0 services chosen" in told(staff_client.get(address))
    service_row = shelf.services.get(is_product=False)
    staff_client.post(f"{address}products/", {"row": [str(service_row.pk)], "shown": f"{service_row.pk}"})
    assert "3 products chosen" in told(staff_client.get(f"{address}products/"))


def test_a_choice_of_products_makes_no_service_of_a_row_that_is_one(shelf: Provider) -> None:
    rows = set(shelf.services.values_list("pk", flat=True))
    done = choosing.put_on_sale(Choice(shelf, rows, Price(), is_product=True))
    assert (done.on_sale, done.off_sale, done.left_out) == (2, 1, 1)
    assert Product.objects.count() == 3


def test_what_is_sold_already_leads_to_its_page(stall: Provider, staff_client: Client) -> None:
    page = staff_client.get(f"/admin/catalog/provider/{stall.pk}/import/products/?category=Keys")
    assert f"/admin/catalog/product/{sold(1).pk}/change/" in page.content.decode()
    ProviderService.objects.filter(pk=listed(1).pk).update(waiting="back")
    page = staff_client.get("/admin/catalog/sync/waiting/")
    assert f"/admin/catalog/product/{sold(1).pk}/change/" in page.content.decode()


def test_the_page_of_a_provider_that_sells_products_leads_to_them(shelf: Provider, staff_client: Client) -> None:
    page = f"/admin/catalog/provider/{shelf.pk}/change/"
    text = told(staff_client.get(page))
    assert "Import products" in text
    assert "Sync products" in text
    sync = shelf.syncs.filter(is_product=True)
    staff_client.post(f"/admin/catalog/sync/{shelf.pk}/start/?products=1&review=1")
    assert sync.get().counts == {"review": 1}
    assert "Products" in told(staff_client.get("/admin/catalog/sync/"))
    Provider.objects.update(dialect="perfectpanel")
    assert "Import products" not in told(staff_client.get(page))


def test_a_product_stands_nowhere_that_services_do(
    stall: Provider, customer: User, customer_client: Client, make_service: MakeService
) -> None:
    product, service = sold(1), make_service(name="Visits for you")
    Category.objects.filter(pk=product.category_id).update(name="Keys alone")
    assert f'"service":{service.pk},'.encode() in listing.read_list(customer.pk)
    assert f'"service":{product.pk},'.encode() not in listing.read_list(customer.pk)
    found = browsing.read_page(customer.pk, browsing.Wanted(), 0)
    assert product.pk not in {offer.service.pk for offer in found.offers}
    assert "Keys alone" not in {category.name for category in browsing.list_categories()}
    text = told(customer_client.get("/orders/new/", {"service": product.pk}))
    assert product.name not in text
    with pytest.raises(UserError, match="Incorrect service ID"):
        placing.find_service(str(product.pk))
    with pytest.raises(UserError, match="not available"):
        favourites.toggle(customer.pk, product.pk)


def test_updates_tell_of_products_but_lead_to_no_order_of_a_service(stall: Provider, customer: User) -> None:
    ServiceChange.objects.create(service=sold(1), kind="up", before="2.5", after="3")
    update = updates.read_page(customer.pk).days[0].updates[0]
    assert (update.change.service, update.unit, update.on_sale) == (sold(1), "each", False)
