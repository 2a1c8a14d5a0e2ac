"""One order's page: its story in plain words, newest first, and every refund's arithmetic in one line."""

from decimal import Decimal

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from orders import lifecycle, timeline
from orders.lifecycle import Report
from orders.models import Order, OrderEvent
from orders.timeline import Step
from tests.conftest import Fund, MakeService, Place
from tests.integration.pages.reading import read


@pytest.fixture
def order(customer: User, make_service: MakeService, fund: Fund, place: Place) -> Order:
    fund(customer, "100")
    return place(customer, make_service(rate=Decimal("11.5")), quantity="1000", link="https://example.org/story")


def story(order: Order) -> list[Step]:
    fresh = Order.objects.get(pk=order.pk)
    return timeline.tell(fresh, fresh.events.all())


def accept(order: Order) -> None:
    with transaction.atomic():
        lifecycle.accept(order.pk)


def test_a_partial_order_tells_its_story_with_the_sums(order: Order) -> None:
    accept(order)
    lifecycle.advance(order.pk, Report("In progress", start_count=7, remains=1000))
    lifecycle.advance(order.pk, Report("Partial", remains=157))
    assert [(step.title, step.detail, step.sum) for step in story(order)] == [
        (
            "843 of 1,000 delivered, the rest came back",
            "",
            "11.50 × 157 ÷ 1,000 = $1.80550 returned to your balance",
        ),
        ("Started", "Start count 7", ""),
        ("Accepted for delivery", "", ""),
        ("Placed and paid", "", "11.50 × 1,000 ÷ 1000 = $11.50000"),
    ]


def test_a_second_refund_is_told_less_what_had_come_back(order: Order) -> None:
    lifecycle.advance(order.pk, Report("Partial", remains=100))
    lifecycle.advance(order.pk, Report("Partial", remains=300))
    newest = story(order)[0]
    assert newest.title == "More came back"
    assert newest.sum == "11.50 × 300 ÷ 1,000 = $3.45000, less $1.15000 before: $2.30000 returned to your balance"


def test_a_partial_whose_remains_cannot_be_is_told_as_being_looked_at(order: Order) -> None:
    lifecycle.advance(order.pk, Report("Partial", remains=None))
    assert (story(order)[0].title, story(order)[0].detail) == (
        "Ended early",
        "What comes back to you is being looked at.",
    )
    lifecycle.advance(order.pk, Report("Partial", remains=10))
    assert [step.title for step in story(order)][:2] == ["The undelivered part came back", "Ended early"]


@pytest.mark.parametrize(
    ("why", "words"),
    [("invalid_link", "The link was not accepted."), ("unavailable", "It could not be delivered.")],
)
def test_a_canceled_order_says_why_and_what_came_back(order: Order, why: str, words: str) -> None:
    with transaction.atomic():
        lifecycle.cancel(order.pk, why=why)
    newest = story(order)[0]
    assert (newest.title, newest.detail) == ("Canceled, and the money came back", words)
    assert newest.sum == "$11.50000 returned to your balance"


def test_canceled_after_partial_brings_back_the_rest(order: Order) -> None:
    lifecycle.advance(order.pk, Report("Partial", remains=100))
    lifecycle.advance(order.pk, Report("Canceled"))
    assert story(order)[0].sum == "$11.50000, less $1.15000 before: $10.35000 returned to your balance"


def test_what_happens_between_us_and_providers_is_not_told(customer_client: Client, order: Order) -> None:
    for kind in set(OrderEvent.Kind) - set(OrderEvent.PUBLIC):
        lifecycle.note(order.pk, kind, {"reason": "secret of ours"})
    assert [step.title for step in story(order)] == ["Placed and paid"]
    assert "secret of ours" not in customer_client.get(f"/orders/{order.pk}/").content.decode()


def test_a_package_is_told_by_its_price(customer: User, make_service: MakeService, fund: Fund, place: Place) -> None:
    fund(customer, "100")
    order = place(customer, make_service(type="Package", min=1, max=1, rate=Decimal(24)))
    assert story(order)[0].sum == "Package price $24.00000"


def test_the_page_shows_the_facts(customer_client: Client, order: Order) -> None:
    lifecycle.advance(order.pk, Report("Partial", start_count=7, remains=157))
    page = read(customer_client.get(f"/orders/{order.pk}/"))
    assert "Paid $11.50000 Returned $1.80550 Net $9.69450 Delivered 843 / 1,000" in page.text
    assert "Start count 7 Remains 157" in page.text
    assert "https://example.org/story" in page.text
    assert "Rate $11.50 per 1000" in page.text


def test_comments_are_shown_as_they_were_given(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    order = place(customer, make_service(type="Custom Comments", min=1), comments="<i>first</i>\nsecond")
    answer = customer_client.get(f"/orders/{order.pk}/")
    assert "&lt;i&gt;first&lt;/i&gt;\nsecond" in answer.content.decode()
    assert "The 2 comments you gave" in read(answer).text


def test_an_open_order_is_followed_and_an_ended_one_is_not(customer_client: Client, order: Order) -> None:
    address = f"/orders/{order.pk}/"
    assert read(customer_client.get(address)).having(id="watch")[0]["hx-get"] == address
    lifecycle.advance(order.pk, Report("Completed", remains=0))
    news = customer_client.get(address, headers={"HX-Request": "true"})
    page = read(news)
    assert "<html" not in news.content.decode()
    assert "Delivered in full" in page.text
    assert {tag["id"] for tag in page.having(hx_swap_oob="true")} == {
        "state",
        "story",
        "facts",
        "actions",
        "wishes",
        "purse",
    }
    assert "hx-get" not in page.having(id="watch")[0]


def test_the_page_needs_few_queries(
    customer_client: Client, order: Order, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    accept(order)
    lifecycle.advance(order.pk, Report("Partial", remains=157))
    with django_assert_num_queries(7):  # session, user, order, events, refills, cancels, balance
        customer_client.get(f"/orders/{order.pk}/")
