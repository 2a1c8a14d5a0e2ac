"""The products a customer may buy: how they are listed and found, and the page on which one is bought."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import ledger
from accounts.models import User
from catalog.models import Category, Provider, ProviderService, Service
from orders.models import Order
from tests.conftest import Fund, MakeProduct
from tests.integration.pages.reading import read

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

KEYS = ["AAAA-1111", "BBBB-2222", "CCCC-3333"]
HTMX = {"HX-Request": "true"}


def form_of(client: Client, product: Service) -> dict[str, str]:
    """Open a product and return the fields of its form as the page gave them."""
    return read(client.get(f"/products/{product.pk}/")).forms["order"]


def buy(client: Client, product: Service, **values: str) -> Any:
    return client.post(f"/products/{product.pk}/", {**form_of(client, product), **values})


def test_products_are_listed_by_category_with_price_stock_and_what_must_be_entered(
    customer: User, customer_client: Client, make_product: MakeProduct
) -> None:
    User.objects.filter(pk=customer.pk).update(discount_percent=10)
    make_product(lines=KEYS, require="Your account", warranty_days=30, description="Opens every door")
    make_product(name="Letter", source="hand", category=Category.objects.create(name="Paper"))
    make_product(name="Nothing left")
    page = read(customer_client.get("/products/"))
    for words in (
        "Licence key You enter: Your account 30 days of warranty",
        "Opens every door",
        "instead of $2.50 $2.25",
        "3 in stock",
        "Keys",
        "Paper",
    ):
        assert words in page.text
    assert "Letter instead of $2.50 $2.25 In stock" in page.text
    assert "Nothing left instead of $2.50 $2.25 Out of stock" in page.text


def test_services_and_products_are_listed_apart(
    customer_client: Client, make_product: MakeProduct, service: Service
) -> None:
    product = make_product(lines=KEYS)
    assert "Licence key" not in read(customer_client.get("/services/")).text
    assert service.name not in read(customer_client.get("/products/")).text
    assert customer_client.get(f"/products/{service.pk}/").status_code == 404
    assert customer_client.get(f"/products/{product.pk}/").status_code == 200


@pytest.mark.parametrize(
    ("query", "told"), [("q=licence", "3 in stock"), ("q=keys+licence", "3 in stock"), ("q=letter", "Nothing found")]
)
def test_a_product_is_found_by_words_of_its_name_and_category(
    customer_client: Client, make_product: MakeProduct, query: str, told: str
) -> None:
    make_product(lines=KEYS)
    answer = customer_client.get(f"/products/?{query}", headers=HTMX)
    assert told in read(answer).text
    assert answer["HX-Replace-Url"] == f"/products/?{query}"


def test_many_products_come_page_by_page_in_a_fixed_number_of_queries(
    customer_client: Client, make_product: MakeProduct, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(51):
        make_product(name=f"Card {number:02}", source="hand")
    with django_assert_max_num_queries(12):
        first = read(customer_client.get("/products/"))
    assert "Card 49" in first.text
    assert "Card 50" not in first.text
    rest = read(customer_client.get("/products/?from=50&under=1", headers=HTMX))
    assert "Card 50" in rest.text
    assert "Show more" not in rest.text


def test_a_product_is_bought_for_the_total_that_was_shown(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    product = make_product(lines=KEYS)
    page = read(customer_client.get(f"/products/{product.pk}/"))
    assert "From 1 to 3" in page.text
    assert "Total $2.50000 Balance after $7.50000" in page.text
    priced = customer_client.post(f"/products/{product.pk}/", {"ask": "price", "quantity": "2"}, headers=HTMX)
    assert "Total $5.00000 Balance after $5.00000" in read(priced).text
    answer = buy(customer_client, product, quantity="2")
    order = Order.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.pk}/")
    assert (order.quantity, order.charge, order.status) == (2, Decimal(5), "Completed")
    assert ledger.read_balance(customer.pk) == 5
    told = read(customer_client.get(answer["Location"]))
    assert "Bought for $5.00000." in told.text


def test_a_double_click_buys_once(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    product = make_product(lines=KEYS[:1])
    values = {**form_of(customer_client, product), "quantity": "1"}
    answers = [customer_client.post(f"/products/{product.pk}/", values) for _ in range(2)]
    assert len({answer["Location"] for answer in answers}) == 1
    assert ledger.read_balance(customer.pk) == Decimal("7.5")


def test_a_page_that_is_changed_and_sent_again_asks_first(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    product = make_product(lines=KEYS)
    values = {**form_of(customer_client, product), "quantity": "1"}
    customer_client.post(f"/products/{product.pk}/", values)
    again = customer_client.post(f"/products/{product.pk}/", {**values, "quantity": "2"})
    assert again.status_code == 422
    assert "This page has placed an order already" in read(again).text
    fresh = read(again).forms["order"]
    assert fresh["token"] not in {"", values["token"]}
    assert customer_client.post(f"/products/{product.pk}/", fresh).status_code == 303


def test_a_price_that_moved_is_never_charged_unseen(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    product = make_product(lines=KEYS)
    values = form_of(customer_client, product)
    Service.objects.filter(pk=product.pk).update(own_rate=Decimal(3))
    answer = customer_client.post(f"/products/{product.pk}/", values)
    assert answer.status_code == 422
    assert "The price moved from $2.50 to $3.00" in read(answer).text
    assert not Order.objects.exists()
    assert customer_client.post(f"/products/{product.pk}/", read(answer).forms["order"]).status_code == 303


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"quantity": ""}, "Incorrect quantity"),
        ({"quantity": "0"}, "Quantity less than minimal 1"),
        ({"quantity": "101"}, "Quantity more than maximum 100"),
        ({"quantity": "4"}, "Not enough stock"),
        ({"require": " "}, "Fill this in."),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_charged(
    customer: User,
    customer_client: Client,
    fund: Fund,
    make_product: MakeProduct,
    values: dict[str, str],
    told: str,
) -> None:
    fund(customer, "1000")
    product = make_product(lines=KEYS, require="Your account")
    answer = buy(customer_client, product, **{"require": "me@example.org", **values})
    assert answer.status_code == 422
    page = read(answer)
    assert told in page.text
    name = next(iter(values))
    assert page.having(id=name, aria_invalid="true")
    if name == "quantity":
        assert "me@example.org" in page.text
    assert not Order.objects.exists()


def test_what_cannot_be_afforded_says_how_much_is_missing(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "1")
    product = make_product(lines=KEYS)
    assert "You need $1.50 more." in read(customer_client.get(f"/products/{product.pk}/")).text
    answer = buy(customer_client, product)
    assert answer.status_code == 422
    assert "Not enough funds" in read(answer).text


def test_what_is_out_of_stock_has_no_form(
    customer_client: Client, make_product: MakeProduct, provider: Provider
) -> None:
    own, theirs = make_product(), make_product(provider=provider, remote_id="7")
    ProviderService.objects.filter(remote_id="7").update(in_stock=False)
    for product in (own, theirs):
        page = read(customer_client.get(f"/products/{product.pk}/"))
        assert "out of stock" in page.text
        assert "order" not in page.forms


def test_more_than_there_are_is_told_before_it_is_sent(customer_client: Client, make_product: MakeProduct) -> None:
    product = make_product(lines=KEYS)
    priced = customer_client.post(f"/products/{product.pk}/", {"ask": "price", "quantity": "4"}, headers=HTMX)
    assert "There are not so many of it right now." in read(priced).text


def test_a_product_off_sale_is_not_there(customer_client: Client, make_product: MakeProduct) -> None:
    product = make_product(lines=KEYS, enabled=False)
    assert customer_client.get(f"/products/{product.pk}/").status_code == 404
    assert customer_client.post(f"/products/{product.pk}/", {"quantity": "1"}).status_code == 404
    assert "Licence key" not in read(customer_client.get("/products/")).text


def test_the_pages_are_sound_html(customer_client: Client, make_product: MakeProduct) -> None:
    product = make_product(lines=KEYS, require="Your account", warranty_days=1, description="One\n\nTwo")
    for address in ("/products/", f"/products/{product.pk}/"):
        page = read(customer_client.get(address))
        assert (page.misplaced, page.open) == ([], []), address
