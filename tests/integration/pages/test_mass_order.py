"""Mass order: every line checked and priced before, told of after, and placed once however often the page is sent."""

import re
from decimal import Decimal
from typing import Any

from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import ledger
from accounts.models import User
from catalog.models import Markup, Service
from orders.models import Order
from tests.conftest import Fund, MakeService
from tests.integration.pages.reading import read

PAGE = "/orders/mass/"


def check(client: Client, *lines: str) -> Any:
    """Open the page, write lines into its box, and have them checked."""
    box = read(client.get(PAGE)).forms["box"]
    return client.post(PAGE, {**box, "lines": "\r\n".join(lines)})


def box_text(response: Any) -> str:
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", response.content.decode(), re.DOTALL)
    assert found
    return found[1]


def test_lines_are_checked_with_their_prices_and_nothing_is_placed(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    service = make_service(rate=Decimal("0.84"), min=100)
    fund(customer, "10")
    answer = check(customer_client, f"{service.pk} | https://e.org/a | 2500", f"{service.pk} | https://e.org/b | 99")
    page = read(answer)
    assert answer.status_code == 200
    assert f"{service.pk} · Website visits https://e.org/a 2,500 $2.10 Ready" in page.text
    assert "https://e.org/b 99 – Quantity less than minimal 100" in page.text
    assert "1 line cannot be placed as it is: 2" in page.text
    assert "Lines to be placed 1 Lines left out 1 Total $2.10000 Balance after $7.90000" in page.text
    assert "Place 1 order · $2.10" in page.text
    assert page.having(href="#line-2")
    assert page.having(id="line-2")
    assert not Order.objects.exists()


def test_placing_tells_of_each_line_its_order_or_its_error_and_keeps_the_others_in_the_box(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, books: None
) -> None:
    service = make_service(rate=Decimal("0.84"))
    fund(customer, "10")
    bad = f"{service.pk} | <b>two words</b> | 1000"
    form = read(check(customer_client, f"{service.pk} | https://e.org/a | 1000", bad)).forms["place"]
    answer = customer_client.post(PAGE, form)
    order, page = Order.objects.get(), read(answer)
    assert "1 order received Charged $0.84000 , balance now $9.16000 ." in page.text
    assert f"Placed: order {order.pk}" in page.text
    assert page.having(href=f"/orders/{order.pk}/")
    assert "Nothing was charged for them; they are in the box again." in page.text
    assert box_text(answer) == bad.replace("<", "&lt;").replace(">", "&gt;")
    assert "<b>two" not in answer.content.decode()
    assert page.forms["box"]["token"] != form["token"]
    assert "place" not in page.forms


def test_the_same_page_sent_again_places_nothing_more(
    customer: User, customer_client: Client, service: Service, fund: Fund, books: None
) -> None:
    fund(customer, "100")
    lines = [f"{service.pk}|https://e.org/{n}|{service.min}" for n in range(3)]
    form = read(check(customer_client, *lines)).forms["place"]
    pages = [read(customer_client.post(PAGE, form)).text for _ in range(3)]
    assert pages[0] == pages[1] == pages[2]
    assert Order.objects.count() == 3


def test_a_page_that_is_gone_back_to_says_what_it_has_placed(
    customer: User, customer_client: Client, service: Service, fund: Fund
) -> None:
    fund(customer, "100")
    line = f"{service.pk}|https://e.org/|{service.min}"
    checked = read(check(customer_client, line))
    customer_client.post(PAGE, checked.forms["place"])
    page = read(customer_client.post(PAGE, {**checked.forms["box"], "lines": line}))
    assert f"Placed before: order {Order.objects.get().pk}" in page.text
    assert "place" not in page.forms


def test_too_little_money_for_all_lines_is_told_before_and_there_is_nothing_to_press(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    service = make_service(rate=Decimal("0.84"))
    fund(customer, "1")
    page = read(check(customer_client, *[f"{service.pk}|https://e.org/{n}|1000" for n in range(2)]))
    assert "You need $0.68 more, or fewer lines." in page.text
    assert "place" not in page.forms


def test_a_price_that_moved_is_told_at_its_line_and_nothing_is_charged(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    service = make_service(rate=Decimal("0.80"))
    fund(customer, "10")
    form = read(check(customer_client, f"{service.pk}|https://e.org/|1000")).forms["place"]
    Markup.objects.create(percent=Decimal(50))
    page = read(customer_client.post(PAGE, form))
    assert "The price moved from $0.80 to $1.20. Check the line again to accept it." in page.text
    assert (Order.objects.count(), ledger.read_balance(customer.pk)) == (0, Decimal(10))


def test_a_service_that_wants_comments_is_sent_to_new_order(customer_client: Client, make_service: MakeService) -> None:
    service = make_service(type="Custom Comments")
    page = read(check(customer_client, f"{service.pk}|https://e.org/|10"))
    assert "This service needs more than a link and a quantity. Order it under New order." in page.text


def test_an_empty_box_and_one_too_full_keep_their_text_and_say_why(customer_client: Client) -> None:
    empty, full = check(customer_client, " "), check(customer_client, *["1|x|1"] * 501)
    assert (empty.status_code, full.status_code) == (422, 422)
    assert "Write at least one line." in read(empty).text
    assert "Send at most 500 lines, and 256 kB, at a time." in read(full).text
    assert box_text(full).count("1|x|1") == 501


def test_a_customer_cannot_place_services_that_are_not_on_sale_by_their_number(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    secret = make_service(name="Not yet announced", enabled=False)
    fund(customer, "10")
    page = read(check(customer_client, f"{secret.pk}|https://e.org/|100"))
    assert "Incorrect service ID" in page.text
    assert "announced" not in page.text


def test_the_page_costs_the_same_queries_for_one_line_and_for_many(
    customer_client: Client, make_service: MakeService, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Session and customer, then balance, keys, services and terms."""
    services = [make_service() for _ in range(3)]
    for many in (1, 50):
        lines = [f"{service.pk}|https://e.org/{n}|50" for service in services for n in range(many)]
        form = {"token": "", "lines": "\n".join(lines)}
        with django_assert_num_queries(6):
            assert customer_client.post(PAGE, form).status_code == 200


def test_the_sidebar_leads_to_mass_order(customer_client: Client) -> None:
    assert read(customer_client.get("/orders/new/")).having(href=PAGE, **{"class": "entry"})
    assert read(customer_client.get(PAGE)).having(href=PAGE, aria_current="page")
