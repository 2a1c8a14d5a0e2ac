"""The list of services: own rates, search and filters, and news of the week."""

import datetime
import re
from decimal import Decimal

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog import browsing
from catalog.models import Category, CustomRate, Markup, ProviderService, Service, ServiceChange
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
    words = f"Web {service.pk} Website visits Refill Cancel Steady and calm instead of $1.00 $0.90 100 – 50,000"
    assert f"{words} Favourite: {service.pk} Buy" in page.text
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


def names(answer: HttpResponseBase) -> list[str]:
    """Return the names of services in the order of their rows; in these tests they are single letters."""
    return re.findall(r'<td class="what">(?:<details><summary>)?(\w)\b', answer.content.decode())  # type: ignore[attr-defined]  # the test client's answers are not streams


@pytest.mark.parametrize("flag", ["refill", "cancel", "dripfeed"])
def test_a_filter_keeps_what_has_it(customer_client: Client, make_service: MakeService, flag: str) -> None:
    make_service(name="A", **{flag: True})
    make_service(name="B")
    assert names(customer_client.get("/services/", {flag: "1"})) == ["A"]


def test_a_platform_is_a_word_that_several_categories_begin_with(
    customer_client: Client, make_service: MakeService
) -> None:
    for name, category in (("A", "📷 Photos · likes"), ("B", "Photos · views"), ("C", "Maps · reviews")):
        make_service(name=name, category=Category.objects.create(name=category))
    page = read(customer_client.get("/services/"))
    assert "All platforms Photos Category All categories" in page.text
    assert names(customer_client.get("/services/?platform=Photos")) == ["A", "B"]
    assert "selected" in next(
        tag
        for name, tag in read(customer_client.get("/services/?platform=Photos")).tags
        if name == "option" and "value" not in tag
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"sort": "cheap"}, ["C", "A", "D", "B"]),
        ({"sort": "dear"}, ["B", "A", "D", "C"]),
        ({"least": "1"}, ["A", "B", "D"]),
        ({"most": "1.0"}, ["A", "C", "D"]),
        ({"least": "0.5", "most": "1.5", "sort": "cheap"}, ["A", "D"]),
        ({"least": "3", "most": "2"}, []),
        ({"least": "much", "most": "-1", "sort": "colour"}, ["A", "B", "C", "D"]),
        ({"most": "0"}, []),
    ],
)
def test_rates_are_the_customers_own_when_they_decide(
    customer: User, customer_client: Client, make_service: MakeService, query: dict[str, str], found: list[str]
) -> None:
    customer.discount_percent = Decimal(50)
    customer.save()
    made = [
        make_service(name=name, rate=Decimal(rate), loss_policy="allow")
        for name, rate in zip("ABC", "289", strict=False)
    ]
    CustomRate.objects.create(user=customer, service=made[2], rate=Decimal("0.2"))
    make_service(name="D", rate=Decimal(2), loss_policy="allow")
    assert names(customer_client.get("/services/", query)) == found


def test_an_order_by_rates_goes_on_where_one_scrolls(
    customer_client: Client, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "PAGE_SIZE", 2)
    other = Category.objects.create(name="Other")
    for place, name in enumerate("EDCBA"):
        make_service(name=name, rate=Decimal(5 - place), category=other if name in "BD" else None)
    answer = customer_client.get("/services/?sort=cheap&q=")
    seen = names(answer)
    assert not read(answer).having(scope="rowgroup")
    assert "A Other" not in read(answer).text
    assert "B Other" in read(answer).text
    while more := read(answer).having(hx_trigger="revealed"):
        answer = customer_client.get(more[0]["hx-get"], headers=HTMX)
        seen += names(answer)
    assert seen == list("ABCDE")


def test_without_a_script_links_lead_through_everything_that_was_asked_for(
    customer_client: Client, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "PAGE_SIZE", 2)
    for name in "ABCDE":
        make_service(name=name, refill=name != "C", description="x & y")
    address, seen = "/services/?refill=1&q=%26+y", []
    while address:
        answer = customer_client.get(address)
        seen += names(answer)
        links = [tag["href"] for name, tag in read(answer).tags if name == "a" and "from=" in tag.get("href", "")]
        address = links[0] if links else ""
    assert seen == list("ABDE")


def test_what_is_searched_for_stands_in_the_address(customer_client: Client, make_service: MakeService) -> None:
    make_service()
    asked = {"q": "a&b", "category": "", "refill": "1", "least": "0.50", "starred": "on", "sort": "cheap", "x": "y"}
    answer = customer_client.get("/services/", asked, headers=HTMX)
    assert answer["HX-Replace-Url"] == "/services/?q=a%26b&refill=1&starred=1&least=0.50&sort=cheap"
    assert customer_client.get("/services/", {"q": ""}, headers=HTMX)["HX-Replace-Url"] == "/services/"
    assert "HX-Replace-Url" not in customer_client.get("/services/?from=2", headers=HTMX)


def change(service: Service, kind: str, before: str, after: str, *, days: float = 0) -> None:
    at = timezone.now() - datetime.timedelta(days=days)
    ServiceChange.objects.create(service=service, kind=kind, before=before, after=after, created_at=at)


def test_a_rate_that_moved_this_week_shows_what_it_was_before(
    customer_client: Client, make_service: MakeService
) -> None:
    risen, fallen, back, old, limits = [make_service(rate=Decimal(1)) for _ in range(5)]
    change(risen, "up", "0.7", "0.8", days=8)
    change(risen, "up", "0.8", "0.9", days=6)
    change(risen, "up", "0.9", "1")
    change(fallen, "down", "1.25", "1")
    change(back, "up", "1", "2", days=2)
    change(back, "down", "2", "1", days=1)
    change(old, "up", "0.5", "1", days=7.1)
    change(limits, "limits", "10-20", "10-100000")
    page = read(customer_client.get("/services/"))
    assert page.text.count(" was ") == 2
    assert f"{risen.pk} Website visits $1.00 ↑ was $0.80" in page.text
    assert f"{fallen.pk} Website visits $1.00 ↓ was $1.25" in page.text
    answer = customer_client.get("/services/?changed=1")
    assert [int(pk) for pk in re.findall(r'<td class="id">(\d+)', answer.content.decode())] == [
        risen.pk,
        fallen.pk,
        back.pk,
        limits.pk,
    ]


def test_a_moved_list_rate_is_named_so_where_the_customer_pays_another(
    customer: User, customer_client: Client, make_service: MakeService
) -> None:
    customer.discount_percent = Decimal(10)
    customer.save()
    Markup.objects.create(percent=Decimal(100))
    own, listed = make_service(rate=Decimal("0.5")), make_service(rate=Decimal("0.5"))
    CustomRate.objects.create(user=customer, service=own, rate=Decimal(3))
    for service in (own, listed):
        change(service, "up", "0.8", "1")
    at_cost = make_service(rate=Decimal(2))
    Markup.objects.create(service=at_cost, percent=Decimal(0))
    change(at_cost, "up", "1.5", "2")
    text = read(customer_client.get("/services/")).text
    assert f"{listed.pk} Website visits instead of $1.00 $0.90 ↑ list was $0.80" in text
    assert f"{at_cost.pk} Website visits $2.00 ↑ list was $1.50" in text  # then he paid less
    assert text.count(" was ") == 2


def test_a_rate_that_moved_while_it_was_off_sale_shows_what_it_was_before(
    customer_client: Client, make_service: MakeService
) -> None:
    dearer, same, new = [make_service(rate=Decimal(1)) for _ in range(3)]
    for service, before in ((dearer, "0.8"), (same, "1")):
        change(service, "disabled", before, "", days=2)
        change(service, "enabled", "", "1", days=1)
    change(new, "new", "", "1", days=1)
    text = read(customer_client.get("/services/")).text
    assert f"{dearer.pk} Website visits $1.00 ↑ was $0.80" in text
    assert text.count(" was ") == 1


def test_a_long_description_is_cut_and_says_where_the_rest_is(
    customer_client: Client, make_service: MakeService
) -> None:
    long, short = make_service(description="Words. " * 200), make_service(description="Words. " * 20)
    page = read(customer_client.get("/services/"))
    assert page.text.count("Read it all") == 1
    assert len(page.having(href=f"/orders/new/?service={long.pk}")) == 2
    assert len(page.having(href=f"/orders/new/?service={short.pk}")) == 1


def test_wild_addresses_are_no_failure_of_ours(customer_client: Client, make_service: MakeService) -> None:
    make_service()
    for text in ("9" * 30, "9" * 18, "\x00", "-1", "%", "١٢"):
        for name in (
            "q",
            "category",
            "from",
            "under",
            "platform",
            "least",
            "most",
            "sort",
            "refill",
            "starred",
            "changed",
        ):
            assert customer_client.get("/services/", {name: text}).status_code == 200
