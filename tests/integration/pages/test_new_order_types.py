"""New order, type by type: what each asks for, what it costs meanwhile, and what is said about a wrong field."""

import re
from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import User
from orders.models import Order
from tests.conftest import Fund, MakeService, Place
from tests.integration.pages.reading import order_form, read

LINK = "https://example.org/page"
TYPES: dict[str, tuple[dict[str, str], str]] = {
    "SEO": ({"keywords": "one\ntwo", "quantity": "500"}, "1.00000"),
    "Custom Comments Package": ({"comments": "one\ntwo"}, "2.00000"),
    "Mentions": ({"usernames": "@a\nb", "quantity": "500"}, "1.00000"),
    "Mentions with Hashtags": ({"usernames": "a", "hashtags": "#x", "quantity": "500"}, "1.00000"),
    "Mentions Custom List": ({"usernames": "a\nb\nc"}, "0.00600"),
    "Mentions Hashtag": ({"hashtag": "#x", "quantity": "500"}, "1.00000"),
    "Mentions User Followers": ({"username": "reader", "quantity": "500"}, "1.00000"),
    "Mentions Media Likers": ({"media": LINK, "quantity": "500"}, "1.00000"),
    "Comment Likes": ({"username": "reader", "quantity": "500"}, "1.00000"),
    "Comment Replies": ({"username": "reader", "comments": "one\ntwo"}, "0.00400"),
    "Poll": ({"answer_number": "2", "quantity": "500"}, "1.00000"),
    "Invites from Groups": ({"groups": "one\ntwo", "quantity": "500"}, "1.00000"),
    "Web Traffic": (
        {"country": "US", "device": "4", "type_of_traffic": "1", "google_keyword": "garden chairs", "quantity": "500"},
        "1.00000",
    ),
    "Special (1DG)": ({"list": "one\ntwo", "quantity": "500"}, "1.00000"),
    "Special 1 (1DG)": ({"suggest": "one", "search": "two words", "quantity": "500"}, "1.00000"),
}
IGNORED = {"service", "token", "rate", "csrfmiddlewaretoken", "referring_url"}


def asked(client: Client, query: str = "") -> dict[str, str]:
    """Open New order and return what a person can fill in there, with what stands in it."""
    body = client.get(f"/orders/new/{query}").content.decode()
    form = {name: value for name, value in order_form(client, query).items() if name not in IGNORED}
    areas = re.findall(r'<textarea id="(\w+)"[^>]*>\n([^<]*)</textarea>', body)
    choices = re.findall(r'<select id="(\w+)" name="\1" required[^>]*>(.*?)</select>', body)
    chosen = {name: "".join(re.findall(r'value="(\d)" selected', options)) for name, options in choices}
    return form | dict(areas) | chosen


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_asks_for_its_own_fields_alone_and_order_again_fills_them_in(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, books: None, kind: str
) -> None:
    given, charge = TYPES[kind]
    make_service(type=kind, min=1, rate=Decimal(2))
    fund(customer, "10")
    assert asked(customer_client) == dict.fromkeys(["link", *given], "")
    sent = {**order_form(customer_client), "link": LINK, **given}
    price = read(customer_client.post("/orders/new/", {**sent, "link": "", "ask": "price"}))
    assert f"Total ${charge}" in price.text
    assert customer_client.post("/orders/new/", sent).status_code == 303
    order = Order.objects.get()
    assert order.charge == Decimal(charge)
    assert asked(customer_client, f"?again={order.pk}") == {"link": LINK, **given}


def test_a_total_is_shown_before_anything_that_it_does_not_depend_on_is_given(
    customer_client: Client, make_service: MakeService
) -> None:
    service = make_service(type="Web Traffic", rate=Decimal(2))
    values = {"service": str(service.pk), "ask": "price"}
    assert "Total $1.00000" in read(customer_client.post("/orders/new/", {**values, "quantity": "500"})).text
    assert "Enter a quantity to see the total" in read(customer_client.post("/orders/new/", values)).text
    service = make_service(type="Mentions Custom List", min=2, rate=Decimal(2))
    values = {"service": str(service.pk), "ask": "price"}
    assert "Fill in the list to see the total" in read(customer_client.post("/orders/new/", values)).text
    one = read(customer_client.post("/orders/new/", {**values, "usernames": "a"}))
    assert "Quantity less than minimal 2" in one.text


@pytest.mark.parametrize(
    ("kind", "given", "field", "words"),
    [
        ("Poll", {"answer_number": ""}, "answer_number", "Fill this in."),
        ("Poll", {"answer_number": "first"}, "answer_number", "This does not look right."),
        ("Web Traffic", {"country": "US", "device": ""}, "device", "Choose one."),
        (
            "Web Traffic",
            {"country": "US", "device": "1", "type_of_traffic": "2"},
            "referring_url",
            "Fill this in.",
        ),
        ("Mentions", {"usernames": " \n "}, "usernames", "Fill this in."),
        ("Mentions Custom List", {"usernames": "a"}, "usernames", "Quantity less than minimal 10"),
    ],
)
def test_what_is_wrong_with_a_field_of_a_type_stands_below_it_in_plain_words(
    customer_client: Client, make_service: MakeService, kind: str, given: dict[str, str], field: str, words: str
) -> None:
    make_service(type=kind)
    answer = customer_client.post(
        "/orders/new/", {**order_form(customer_client), "link": LINK, "quantity": "50", **given}
    )
    page = read(answer)
    assert answer.status_code == 422
    assert [(tag["name"], "autofocus" in tag) for tag in page.having(aria_invalid="true")] == [(field, True)]
    assert page.having(id=f"{field}-error")
    assert words in page.text


def test_the_lines_of_a_list_are_counted_without_a_script(customer_client: Client, make_service: MakeService) -> None:
    make_service(type="Mentions")
    form = {**order_form(customer_client), "usernames": "a\r\n\r\nb\\nc", "ask": "price"}
    assert "3 lines" in read(customer_client.post("/orders/new/", form)).text


def test_the_order_page_tells_what_was_given(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    traffic = {"country": "US", "device": "4", "type_of_traffic": "2", "referring_url": "https://example.org/<b>"}
    order = place(customer, make_service(type="Web Traffic"), link=LINK, **traffic)
    text = read(customer_client.get(f"/orders/{order.pk}/")).text
    assert "Country US Device Mixed, mobile only Visitors come from A page of your choice" in text
    assert "Referring page https://example.org/<b>" in text
    likes = place(customer, make_service(type="Comment Likes"), link=LINK, username="reader")
    assert f"Link {LINK} " in read(customer_client.get(f"/orders/{likes.pk}/")).text
    listed = place(customer, make_service(type="Mentions"), link=LINK, usernames="a\nb")
    assert "Usernames, one per line (2) a b" in read(customer_client.get(f"/orders/{listed.pk}/")).text
