"""The list of services: own rates, search, and a first paint that stays small."""

from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog import browsing
from catalog.models import Category, Markup, ProviderService
from tests.conftest import MakeService
from tests.integration.pages.reading import read

HTMX = {"HX-Request": "true"}


def test_a_service_is_listed_with_what_a_buyer_wants_to_know(
    customer: User, customer_client: Client, make_service: MakeService
) -> None:
    customer.discount_percent = Decimal(10)
    customer.save()
    service = make_service(
        rate=Decimal("0.5"), min=100, max=50_000, refill=True, cancel=True, description="Steady\nand calm"
    )
    Markup.objects.create(percent=Decimal(100))
    page = read(customer_client.get("/services/"))
    words = f"Web {service.pk} Website visits Refill Cancel Steady and calm instead of $1.00 $0.90 100 – 50,000 Buy"
    assert words in page.text
    assert page.having(href=f"/orders/new/?service={service.pk}")


def test_a_package_is_priced_by_the_piece(customer_client: Client, make_service: MakeService) -> None:
    make_service(type="Package", min=1, max=1, rate=Decimal(24))
    assert "$24.00 each package" in read(customer_client.get("/services/")).text


def test_what_cannot_be_sold_now_is_not_listed(customer_client: Client, make_service: MakeService) -> None:
    make_service(name="Off sale", enabled=False)
    vanished = make_service(name="Vanished")
    ProviderService.objects.filter(routes__service=vanished).update(rate=0)
    text = read(customer_client.get("/services/")).text
    assert "Off sale" not in text
    assert "Vanished" not in text
    assert "Nothing is on sale yet" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "caption"}, ["Captions"]),
        ({"q": "hand TEXT"}, ["Captions"]),
        ({"q": "zebra"}, []),
        ({"category": "web"}, ["Visits"]),
        ({"q": "id"}, ["Visits"]),
    ],
)
def test_search_finds_by_words_id_and_category(
    customer_client: Client, make_service: MakeService, query: dict[str, str], found: list[str]
) -> None:
    visits = make_service(name="Visits")
    text = Category.objects.create(name="Text", position=1)
    make_service(name="Captions", category=text, description="Written by hand")
    ids = {"web": str(visits.category_id), "id": str(visits.pk)}
    asked = {name: ids.get(value, value) for name, value in query.items()}
    page = read(customer_client.get("/services/", asked, headers=HTMX))
    assert [name for name in ("Visits", "Captions") if name in page.text] == found
    assert ("Nothing found" in page.text) is not bool(found)


def test_further_services_come_as_one_scrolls_without_a_second_heading(
    customer_client: Client, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "PAGE_SIZE", 2)
    text = Category.objects.create(name="Text", position=1)
    for number in range(5):
        make_service(name=f"Service {number}", category=text if number > 2 else None)
    seen, headings = [], []
    answer = customer_client.get("/services/")
    while True:
        page = read(answer)
        seen += [name for name in (f"Service {number}" for number in range(5)) if f" {name} " in page.text]
        headings.append(len(page.having(scope="rowgroup")))
        more = [tag for tag in page.having(hx_trigger="revealed") if tag]
        if not more:
            break
        answer = customer_client.get(more[0]["hx-get"], headers=HTMX)
    assert seen == [f"Service {number}" for number in range(5)]
    assert headings == [1, 1, 0]


def test_five_thousand_services_have_a_small_first_paint_and_few_queries(
    customer_client: Client,
    make_service: MakeService,
    django_assert_num_queries: DjangoAssertNumQueries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(120):
        make_service(name=f"A service with a name of usual length, number {number}", description="Words. " * 20)
    with django_assert_num_queries(6):  # session, user, services, terms, categories, balance
        answer = customer_client.get("/services/")
    assert len(answer.content) < 150_000
    assert read(answer).having(hx_trigger="revealed")


def test_wild_addresses_are_no_failure_of_ours(customer_client: Client, make_service: MakeService) -> None:
    make_service()
    for text in ("9" * 30, "9" * 18, "\x00", "-1", "%", "١٢"):
        for name in ("q", "category", "from", "under"):
            assert customer_client.get("/services/", {name: text}).status_code == 200
