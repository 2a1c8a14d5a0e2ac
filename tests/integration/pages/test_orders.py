"""The list of orders: tabs, search, pages, and rows that tell their news."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog.models import Service
from orders import browsing, lifecycle, refills
from orders.lifecycle import Report
from orders.models import Dispatch, Order
from tests.conftest import Fund, MakeService, Place
from tests.integration.pages.reading import read, rows

HTMX = {"HX-Request": "true"}


@pytest.fixture
def three(customer: User, service: Service, fund: Fund, place: Place) -> list[Order]:
    fund(customer, "100")
    return [place(customer, service, link=f"https://example.org/{name}") for name in ("a", "b", "c")]


def tabs(answer: object) -> dict[str, str]:
    """Return the counts by tab, as the page shows them."""
    page = read(answer)  # type: ignore[arg-type]  # whatever the test client answered
    words = page.text.split(" Orders, newest first")[0]
    shown = {}
    for label in ("All", *Order.Status.values):
        shown[label] = words.rsplit(f"{label} ", 1)[1].split()[0] if f"{label} " in words else ""
    return shown


def test_orders_are_listed_newest_first_with_their_counts(customer_client: Client, three: list[Order]) -> None:
    lifecycle.advance(three[0].pk, Report("Completed", remains=0))
    answer = customer_client.get("/orders/")
    assert rows(answer) == [order.pk for order in reversed(three)]
    counts = tabs(answer)
    assert (counts["All"], counts["Pending"], counts["Completed"], counts["Canceled"]) == ("3", "2", "1", "0")


def test_a_tab_shows_its_status_alone(customer_client: Client, three: list[Order]) -> None:
    lifecycle.advance(three[1].pk, Report("In progress", remains=5))
    assert rows(customer_client.get("/orders/?status=in-progress")) == [three[1].pk]
    assert rows(customer_client.get("/orders/?status=canceled")) == []


@pytest.mark.parametrize(("text", "found"), [("example.org/b", [1]), ("EXAMPLE.ORG/C", [2]), ("nothing", [])])
def test_search_looks_into_links(customer_client: Client, three: list[Order], text: str, found: list[int]) -> None:
    assert rows(customer_client.get("/orders/", {"q": text})) == [three[place].pk for place in found]


def test_search_finds_an_order_by_its_id_and_by_its_service(
    customer: User, customer_client: Client, three: list[Order], make_service: MakeService, fund: Fund, place: Place
) -> None:
    other = place(customer, make_service(name="Captions by hand"), link="@x")
    assert rows(customer_client.get("/orders/", {"q": str(other.pk)})) == [other.pk]
    assert rows(customer_client.get("/orders/", {"q": "by HAND"})) == [other.pk]
    assert other.pk in rows(customer_client.get("/orders/", {"q": str(other.service_id)}))


def test_nobody_sees_the_orders_of_another(
    stranger: User, customer_client: Client, three: list[Order], service: Service, fund: Fund, place: Place
) -> None:
    fund(stranger, "100")
    foreign = place(stranger, service, link="https://example.org/foreign")
    assert foreign.pk not in rows(customer_client.get("/orders/"))
    assert rows(customer_client.get("/orders/", {"q": str(foreign.pk)})) == []
    assert rows(customer_client.get("/orders/", {"open": f"{foreign.pk},{three[0].pk}"}, headers=HTMX)) == [three[0].pk]
    assert customer_client.get(f"/orders/{foreign.pk}/").status_code == 404


def test_older_orders_stand_on_the_next_page(
    customer: User, customer_client: Client, service: Service, fund: Fund, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "PAGE_SIZE", 2)
    fund(customer, "100")
    ids = [place(customer, service).pk for _ in range(5)]
    seen: list[int] = []
    address = "/orders/"
    while address:
        answer = customer_client.get(address)
        seen += rows(answer)
        older = read(answer).having(rel="next")
        address = f"/orders/{older[0]['href']}" if older else ""
    assert seen == ids[::-1]


def test_the_rows_that_are_open_tell_their_news_and_then_are_asked_no_more(
    customer_client: Client, three: list[Order]
) -> None:
    first, second, third = (order.pk for order in three)
    watch = read(customer_client.get("/orders/")).having(id="watch")[0]["hx-get"]
    assert watch.endswith(f"open={third},{second},{first}")
    lifecycle.advance(second, Report("Partial", remains=three[1].quantity))
    news = customer_client.get(watch, headers=HTMX)
    assert rows(news) == [third, second, first]
    page = read(news)
    assert "Partial" in page.text
    assert page.having(id="watch")[0]["hx-get"].endswith(f"open={third},{first}")
    assert page.having(id="purse", hx_swap_oob="true")
    assert page.having(id="tabs", hx_swap_oob="true")


def test_a_page_of_ended_orders_asks_for_nothing(customer_client: Client, three: list[Order]) -> None:
    for order in three:
        lifecycle.advance(order.pk, Report("Completed", remains=0))
    assert "hx-get" not in read(customer_client.get("/orders/")).having(id="watch")[0]


def test_a_refund_is_seen_in_its_row(
    customer_client: Client, customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    order = place(customer, make_service(), quantity="1000")
    lifecycle.advance(order.pk, Report("Partial", remains=100))
    text = read(customer_client.get("/orders/")).text
    assert "$0.81000 instead of $0.90" in text


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "No orders yet"), ("?status=partial", "No orders here"), ("?q=zebra", "Nothing found")],
)
def test_every_empty_list_says_why(customer_client: Client, query: str, words: str) -> None:
    assert words in read(customer_client.get(f"/orders/{query}")).text


def test_only_web_addresses_can_be_clicked(
    customer: User, customer_client: Client, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    order = place(customer, service, link="javascript:alert(1)")
    place(customer, service, link="HTTPS://example.org/x")
    for address in ("/orders/", f"/orders/{order.pk}/"):
        links = [tag.get("href", "") for name, tag in read(customer_client.get(address)).tags if name == "a"]
        assert not [link for link in links if link.startswith("javascript:")]
    assert "HTTPS://example.org/x" in [
        tag.get("href", "") for name, tag in read(customer_client.get("/orders/")).tags if name == "a"
    ]


def test_the_number_of_queries_does_not_grow_with_the_orders(
    customer: User,
    customer_client: Client,
    service: Service,
    fund: Fund,
    place: Place,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    fund(customer, "100")
    Service.objects.update(refill=True, refill_after_hours=0, cancel=True)
    placed = [place(customer, service) for _ in range(12)]
    for order in placed[6:]:
        Dispatch.objects.filter(order=order).update(state="SENT", due_at=None, remote_id=f"up-{order.pk}")
        lifecycle.advance(order.pk, Report("Completed", remains=0))
        refills.request_refill(customer.pk, order.pk)
    ids = ",".join(str(order.pk) for order in placed)
    # session, user, tabs, orders, balance; dispatches and refills, dispatches and cancels, what is unsent or refilled
    with django_assert_num_queries(11):
        customer_client.get("/orders/")
    with django_assert_num_queries(11):
        customer_client.get("/orders/", {"open": ids}, headers=HTMX)


def test_wild_addresses_are_no_failure_of_ours(customer_client: Client, three: list[Order]) -> None:
    for text in ("9" * 30, "\x00", "-1", "%", "١٢", "'"):
        for name in ("q", "before", "status", "open"):
            assert customer_client.get("/orders/", {name: text}).status_code == 200
            assert customer_client.get("/orders/", {name: text}, headers=HTMX).status_code == 200
    assert customer_client.get(f"/orders/{'9' * 30}/").status_code == 404
