"""The page of a product order: what was handed over is shown when its buyer asks, to nobody else, and that is noted."""

import html
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Provider
from orders import delivering, lifecycle, placing, replacing
from orders.forms import parse_order
from orders.models import DeliveredLine, Delivery, Order, Replacement, Reveal
from tests.conftest import Fund, MakeProduct
from tests.integration.pages.reading import find_texts, read, rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

KEYS = ["AAAA-1111", "BBBB <2222>", "CCCC-3333"]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def order(customer: User, fund: Fund, make_product: MakeProduct) -> Order:
    """Three lines of our own stock, with a warranty."""
    fund(customer, "100")
    return buy(customer, make_product(lines=KEYS, warranty_days=30).pk, quantity="3")


@pytest.fixture
def stranger_client(stranger: User) -> Client:
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    return client


def buy(user: User, product_id: int, **values: str) -> Order:
    request = parse_order(placing.find_product(str(product_id)), {"quantity": "1", **values})
    return Order.objects.get(pk=placing.place_order(user.pk, request))


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def test_an_order_of_a_product_tells_of_pieces_and_not_of_a_link(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand", require="Your account").pk, require="me@example.org")
    page = read(customer_client.get(f"/orders/{order.pk}/"))
    for words in (
        "Your account me@example.org",
        "$2.50 each",
        "Pieces 1",
        "Paid. Our staff deliver it.",
        "Licence key",
    ):
        assert words in page.text
    for words in ("Start count", "Link", "Cancel order"):
        assert words not in page.text


def test_the_list_of_orders_shows_pieces(order: Order, customer_client: Client) -> None:
    answer = customer_client.get("/orders/")
    assert rows(answer) == [order.pk]
    page = read(answer)
    assert "Licence key 3 pieces" in page.text
    assert page.having(href=f"/products/{order.service_id}/?quantity=3")


def test_no_line_is_in_a_page_before_it_is_asked_for(order: Order, customer_client: Client) -> None:
    for address in (f"/orders/{order.pk}/", "/orders/"):
        for headers in ({}, HTMX):
            answer = customer_client.get(address, headers=headers)
            assert not any(key in text(answer) for key in KEYS)
            assert "no-store" in answer["Cache-Control"]
    assert not Reveal.objects.exists()
    assert "Never shown to anybody so far." in text(customer_client.get(f"/orders/{order.pk}/"))


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_lines_are_shown_when_asked_for_and_that_is_noted(
    order: Order, customer: User, customer_client: Client, headers: dict[str, str]
) -> None:
    answer = customer_client.post(f"/orders/{order.pk}/lines/", headers=headers, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 200
    assert ("<h1" in text(answer)) is not bool(headers)
    assert "no-store" in answer["Cache-Control"]
    assert "private" in answer["Cache-Control"]
    page = answer.content.decode()
    assert [key in html.unescape(page) for key in KEYS] == [True] * 3
    if not headers:
        assert (read(answer).misplaced, read(answer).open) == ([], [])
    reveal = Reveal.objects.get()
    assert (reveal.actor, reveal.way, reveal.address) == (customer, "page", "192.0.2.7")
    assert "From 192.0.2.7." in text(customer_client.get(f"/orders/{order.pk}/"))


def test_that_staff_read_it_is_told_without_their_address(order: Order, staff: User, customer_client: Client) -> None:
    delivering.reveal(order, actor_id=staff.pk, way=Reveal.Way.PAGE, address="192.0.2.9")
    page = text(customer_client.get(f"/orders/{order.pk}/"))
    assert "Last read by our staff" in page
    assert "192.0.2.9" not in page


def test_what_is_copied_is_the_lines_alone(order: Order, customer_client: Client) -> None:
    page = customer_client.post(f"/orders/{order.pk}/lines/").content.decode()
    assert read(customer_client.post(f"/orders/{order.pk}/lines/")).having(data_copy="goods")
    assert find_texts(page, "pre") == {"goods": "".join(f"{key}\n" for key in KEYS)}


def test_lines_come_as_a_file_that_nobody_keeps(order: Order, customer_client: Client) -> None:
    answer = customer_client.post(f"/orders/{order.pk}/file/")
    assert answer.content.decode() == "".join(f"{key}\n" for key in KEYS)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="order-{order.pk}.txt"'
    assert {"no-store", "private"} <= set(answer["Cache-Control"].split(", "))
    assert answer["Referrer-Policy"] == "no-referrer"
    assert Reveal.objects.get().way == "file"


@pytest.mark.parametrize("page", ["", "lines/", "file/", "replace/"])
def test_another_customer_finds_no_such_page(order: Order, stranger_client: Client, page: str) -> None:
    address = f"/orders/{order.pk}/{page}"
    answer = stranger_client.post(address, {"lines": "1", "reason": "x"}) if page else stranger_client.get(address)
    assert answer.status_code == 404
    assert not Reveal.objects.exists()
    assert not Replacement.objects.exists()


@pytest.mark.parametrize("page", ["lines/", "file/", "replace/"])
def test_staff_find_no_such_page_among_the_customers(order: Order, staff_client: Client, page: str) -> None:
    assert staff_client.post(f"/orders/{order.pk}/{page}").status_code == 404


def test_lines_are_never_shown_by_an_address_alone(order: Order, customer_client: Client) -> None:
    for page in ("lines", "file"):
        assert customer_client.get(f"/orders/{order.pk}/{page}/").status_code == 405
        guarded = Client(enforce_csrf_checks=True)
        guarded.force_login(order.user, backend="django.contrib.auth.backends.ModelBackend")
        assert guarded.post(f"/orders/{order.pk}/{page}/").status_code == 403
    assert not Reveal.objects.exists()


def test_while_nothing_was_handed_over_there_is_nothing_to_show(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand").pk)
    assert "Nothing has been handed over yet" in text(customer_client.get(f"/orders/{order.pk}/"))
    for page in ("lines", "file"):
        answer = customer_client.post(f"/orders/{order.pk}/{page}/")
        assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.pk}/")
    assert not Reveal.objects.exists()


def test_what_staff_hand_over_appears_on_a_page_that_is_open(
    customer: User, staff: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand").pk, quantity="2")
    delivering.deliver_by_hand(order.pk, ["one"], actor_id=staff.pk)
    answer = customer_client.get(f"/orders/{order.pk}/", headers=HTMX)
    news = read(answer)
    assert news.having(id="delivery", hx_swap_oob="true")
    assert "1 line is ready for you." in news.text
    assert not news.having(id="lines"), "what is shown right now must stay"
    assert news.having(id="watch", data_watch="")


def test_an_order_that_a_provider_took_is_in_progress_to_everybody(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct, provider: Provider
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(provider=provider, remote_id="7").pk)
    Order.objects.filter(pk=order.pk).update(status="Processing")
    for address in (f"/orders/{order.pk}/", "/orders/"):
        badges = find_badges(text(customer_client.get(address)))
        assert badges == ["In progress"], address


def find_badges(page: str) -> list[str]:
    return [part.split("<")[0] for part in page.split('is-in-progress">')[1:]]


def test_what_is_being_fetched_is_told_so(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct, provider: Provider
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(provider=provider, remote_id="7").pk)
    lifecycle.advance(order.pk, lifecycle.Report("Completed"))
    delivering.expect({order.pk: "the-secret-result"})
    answer = customer_client.get(f"/orders/{order.pk}/")
    assert "It is ready, and being fetched." in text(answer)
    assert "the-secret-result" not in text(answer)
    assert read(answer).having(id="watch", data_watch="")


def test_a_note_of_the_order_is_shown(order: Order, customer_client: Client) -> None:
    Order.objects.filter(pk=order.pk).update(note="Use it in the web shop")
    assert "Note: Use it in the web shop" in text(customer_client.get(f"/orders/{order.pk}/"))


def test_a_replacement_is_asked_for_by_the_numbers_of_lines(order: Order, customer_client: Client) -> None:
    answer = customer_client.post(f"/orders/{order.pk}/replace/", {"lines": "1, 2-3", "reason": "They do not work"})
    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.pk}/")
    asked = Replacement.objects.get()
    assert sorted(asked.lines.values_list("position", flat=True)) == [1, 2, 3]
    page = read(customer_client.get(f"/orders/{order.pk}/"))
    for words in ("Replacement of 3 lines asked for", "They do not work", "A replacement is being looked at.", "Open"):
        assert words in page.text
    assert (page.misplaced, page.open) == ([], [])


def test_the_answer_appears_on_a_page_that_is_open(
    order: Order, customer: User, staff: User, customer_client: Client
) -> None:
    line = DeliveredLine.objects.get(position=2)
    asked = replacing.request_replacement(customer.pk, order.pk, [line.pk], "bad")
    assert read(customer_client.get(f"/orders/{order.pk}/")).having(id="watch", data_watch="")
    replacing.refuse(asked.pk, actor_id=staff.pk, answer="It works here")
    news = read(customer_client.get(f"/orders/{order.pk}/", headers=HTMX))
    assert news.having(id="claims", hx_swap_oob="true")
    assert "Answer: It works here" in news.text
    assert not news.having(id="reason"), "what is being typed must stay"
    assert not news.having(id="watch", data_watch="")


@pytest.mark.parametrize("numbers", ["", "4", "0", "1-4", "3-1", "one", "1;2", "1-999999999"])
def test_numbers_that_name_no_line_are_told_and_what_was_typed_is_kept(
    order: Order, customer_client: Client, numbers: str
) -> None:
    answer = customer_client.post(f"/orders/{order.pk}/replace/", {"lines": numbers, "reason": "They do not work"})
    assert answer.status_code == 422
    assert "Give the numbers of the lines" in text(answer)
    assert "They do not work" in text(answer)
    assert not Replacement.objects.exists()


def test_the_customer_reads_the_answer_and_gets_the_other_lines(
    order: Order, customer: User, staff: User, customer_client: Client
) -> None:
    second = DeliveredLine.objects.get(position=2)
    asked = replacing.request_replacement(customer.pk, order.pk, [second.pk], "bad")
    replacing.refuse(asked.pk, actor_id=staff.pk, answer="It works here")
    page = text(customer_client.get(f"/orders/{order.pk}/"))
    assert "Answer: It works here" in page
    assert "Replacement refused" in page
    asked = replacing.request_replacement(customer.pk, order.pk, [second.pk], "still bad")
    replacing.grant(asked.pk, actor_id=staff.pk, lines=["NEWW-4444"])
    page = text(customer_client.get(f"/orders/{order.pk}/"))
    assert "1 line replaced" in page
    assert "NEWW-4444" not in page
    shown = customer_client.post(f"/orders/{order.pk}/lines/")
    assert find_texts(shown.content.decode(), "pre")["goods"].splitlines() == [KEYS[0], KEYS[2], "NEWW-4444"]
    assert [tag["data-number"] for tag in read(shown).having() if "data-number" in tag] == ["1", "3", "4"]


def test_a_delivery_of_many_lines_shows_some_and_has_all_in_the_file(
    customer: User, staff: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "5000")
    order = buy(customer, make_product(source="hand", max=1000).pk, quantity="502")
    delivering.deliver_by_hand(order.pk, [f"key {number}" for number in range(502)], actor_id=staff.pk)
    shown = customer_client.post(f"/orders/{order.pk}/lines/")
    assert "2 more are in the file." in text(shown)
    assert len(find_texts(shown.content.decode(), "pre")["goods"].splitlines()) == 500
    assert len(customer_client.post(f"/orders/{order.pk}/file/").content.splitlines()) == 502


def test_an_order_without_a_delivery_has_no_warranty_to_claim(
    customer: User, customer_client: Client, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand", warranty_days=3).pk)
    answer = customer_client.post(f"/orders/{order.pk}/replace/", {"lines": "1", "reason": "bad"})
    assert answer.status_code == 422
    assert not Delivery.objects.exists()
