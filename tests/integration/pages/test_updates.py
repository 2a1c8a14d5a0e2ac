"""The page of updates and its feed: what changed, when, from what to what, and for whom it matters."""

import datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog import favourites, publishing, updates
from catalog.models import Markup, ProviderService, Route, Service, ServiceChange
from orders.models import Order
from tests.conftest import Fund, MakeService, Place
from tests.integration.pages.reading import read

ATOM = "{http://www.w3.org/2005/Atom}"
DAY = datetime.timedelta(days=1)


def change(service: Service, kind: str, before: str = "", after: str = "", **fields: Any) -> ServiceChange:
    return ServiceChange.objects.create(service=service, kind=kind, before=before, after=after, **fields)


def shown(client: Client, query: str = "") -> list[int]:
    """Return the ids of the changes that a page shows, in its order."""
    tags = read(client.get(f"/updates/{query}")).tags
    return [int(tag["id"].removeprefix("change-")) for _, tag in tags if tag.get("id", "").startswith("change-")]


@pytest.mark.parametrize(
    ("kind", "before", "after", "words"),
    [
        ("new", "", "0.84", "New {} $0.84 per 1000 Buy"),
        ("enabled", "", "0.840000", "On sale again {} $0.84 per 1000 Buy"),
        ("disabled", "0.84", "", "No longer on sale {} before $0.84 per 1000"),
        ("up", "0.84", "1.2", "Dearer {} before $0.84 → $1.20 per 1000 Buy"),
        ("down", "1200", "0.000001", "Cheaper {} before $1,200.00 → $0.000001 per 1000 Buy"),
        ("limits", "10-50000", "10-100000", "Other limits {} before 10 – 50,000 → 10 – 100,000 Buy"),
        ("limits", "10 – 500", "20 – 500", "Other limits {} before 10 – 500 → 20 – 500 Buy"),
    ],
)
def test_a_change_is_told_with_what_was_before(
    customer_client: Client, make_service: MakeService, kind: str, before: str, after: str, words: str
) -> None:
    service = make_service(name="Captions", enabled=kind != "disabled")
    change(service, kind, before, after)
    page = read(customer_client.get("/updates/"))
    assert words.format(f"{service.pk} · Captions") in page.text
    assert bool(page.having(href=f"/orders/new/?service={service.pk}")) is (kind != "disabled")


def test_what_no_provider_has_any_more_cannot_be_bought_from_its_last_change(
    customer_client: Client, make_service: MakeService
) -> None:
    gone, back = make_service(), make_service()
    for service in (gone, back):
        change(service, "disabled", "1")
    ProviderService.objects.filter(routes__service=gone).update(vanished_at=timezone.now())
    page = read(customer_client.get("/updates/"))
    assert not page.having(href=f"/orders/new/?service={gone.pk}")
    assert page.having(href=f"/orders/new/?service={back.pk}")


def test_a_change_is_told_at_the_list_price_wherever_it_is_told(
    customer: User, customer_client: Client, stranger: User, client: Client, make_service: MakeService
) -> None:
    customer.discount_percent = Decimal(10)
    customer.save()
    service = make_service(rate=Decimal("0.5"))
    publishing.publish()
    Markup.objects.create(percent=Decimal(100))
    publishing.publish()
    assert "before $0.50 → $1.00 per 1000" in read(customer_client.get("/updates/")).text
    summary = feed(client).findtext(f"{ATOM}entry/{ATOM}summary")
    assert summary == "$0.50 → $1.00 per 1000"
    assert updates.read_since(None, 1)[0][2:4] == ("0.5", "1")
    # The same number is the list price of who has a discount, and the rate of who has none.
    assert "instead of $1.00 $0.90 ↑ list was $0.50" in read(customer_client.get("/services/")).text
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    assert f"{service.pk} Website visits $1.00 ↑ was $0.50" in read(client.get("/services/")).text


def test_what_was_never_on_sale_leaves_no_trace(
    customer_client: Client, client: Client, make_service: MakeService
) -> None:
    make_service(name="Seen")
    publishing.publish()
    make_service(name="Hidden: off sale", enabled=False)
    make_service(name="Hidden: unknown", type="Unknown", enabled=False)
    make_service(name="Hidden: without a cost", rate=Decimal(0))
    waiting = make_service(name="Hidden: waiting")
    ProviderService.objects.filter(routes__service=waiting).update(waiting="back")
    Route.objects.filter(service=make_service(name="Hidden: without a route")).delete()
    Service.objects.filter(name__startswith="Hidden").update(max=99_999)
    publishing.publish()
    for address in ("/updates/", "/updates.atom", "/services/?q=hidden", "/services/?changed=1"):
        assert b"Hidden" not in customer_client.get(address).content, address
    assert updates.read_since(None, 500) == []


def test_a_package_has_its_price_by_the_piece(customer_client: Client, make_service: MakeService) -> None:
    change(make_service(type="Package", min=1, max=1), "up", "24", "25.5")
    assert "before $24.00 → $25.50 each" in read(customer_client.get("/updates/")).text


def test_changes_stand_newest_first_under_their_days(
    customer_client: Client, make_service: MakeService, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    service = make_service()
    at = datetime.datetime(2026, 3, 1, 18, 0, tzinfo=datetime.UTC)  # half past eleven in the evening there
    old = change(service, "up", "1", "2", created_at=at)
    new = [change(service, "down", "2", "1", created_at=at + datetime.timedelta(hours=hours)) for hours in (1, 2)]
    assert shown(customer_client) == [new[1].pk, new[0].pk, old.pk]
    text = read(customer_client.get("/updates/")).text
    assert text.index("Monday, 2 March 2026") < text.index("01:30") < text.index("00:30")
    assert text.index("00:30") < text.index("Sunday, 1 March 2026") < text.index("23:30")


def test_a_kind_shows_its_changes_alone(customer_client: Client, make_service: MakeService) -> None:
    service = make_service()
    made = {kind: change(service, kind, "1", "2").pk for kind in ServiceChange.Kind.values}
    for kind, pk in made.items():
        assert shown(customer_client, f"?kind={kind}") == [pk]
    assert len(shown(customer_client)) == len(made)


def test_favourites_and_used_services_are_marked_and_can_be_shown_alone(
    customer: User, stranger: User, customer_client: Client, make_service: MakeService, fund: Fund, place: Place
) -> None:
    starred, used, over, neither = [make_service() for _ in range(4)]
    for user in (customer, stranger):
        fund(user, "100")
    favourites.toggle(customer.pk, starred.pk)
    favourites.toggle(stranger.pk, neither.pk)
    place(customer, used)
    place(stranger, neither)
    Order.objects.filter(pk=place(customer, over).pk).update(created_at=timezone.now() - 91 * DAY)
    rows = [change(service, "up", "1", "2").pk for service in (starred, used, over, neither)]
    assert shown(customer_client, "?mine=starred") == [rows[0]]
    assert shown(customer_client, "?mine=used") == [rows[1]]
    assert shown(customer_client, "?mine=used&kind=down") == []
    text = read(customer_client.get("/updates/")).text
    assert text.count("You use this") == 1
    assert text.count("Website visits Favourite") == 1


def test_older_changes_stand_on_the_next_page(
    customer_client: Client, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "PAGE_SIZE", 2)
    service = make_service()
    made = [change(service, "up", "1", "2").pk for _ in range(5)] + [change(service, "down", "1", "2").pk]
    query, seen = "?kind=up", []
    while query:
        answer = customer_client.get(f"/updates/{query}")
        seen += shown(customer_client, query)
        query = next(iter(link["href"] for link in read(answer).having(rel="next")), "")
    assert seen == made[4::-1]


def test_without_changes_the_page_says_what_it_is_for(customer_client: Client) -> None:
    assert "No updates yet" in read(customer_client.get("/updates/")).text
    assert "Star services" in read(customer_client.get("/updates/?mine=starred")).text
    assert "Nothing changed here" in read(customer_client.get("/updates/?kind=up")).text


def test_a_page_of_any_length_costs_as_many_queries(
    customer_client: Client, make_service: MakeService, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        change(make_service(), "up", "1", "2")
    with django_assert_num_queries(7):  # session, user, stars, used, changes, terms, balance
        assert len(shown(customer_client)) == 12


def test_only_customers_see_the_page(client: Client, db: None) -> None:
    assert client.get("/updates/")["Location"] == "/account/login/?next=/updates/"


def test_wild_addresses_are_no_failure_of_ours(customer_client: Client, make_service: MakeService) -> None:
    change(make_service(), "up", "no number", "2.2.2-7")
    for text in ("9" * 30, "9" * 18, "\x00", "-1", "%", "١٢", "0"):
        for name in ("kind", "mine", "before"):
            assert customer_client.get("/updates/", {name: text}).status_code == 200


def feed(client: Client, **headers: str) -> ET.Element:
    answer = client.get("/updates.atom", headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/atom+xml; charset=utf-8")
    return ET.fromstring(answer.content)  # noqa: S314 - our own


def test_the_feed_tells_everybody_the_same_changes(client: Client, make_service: MakeService) -> None:
    service = make_service(name='Visits <b> & "more"\x07')
    for kind, before, after in (("new", "", "0.9"), ("up", "0.9", "1"), ("limits", "10-20", "10-30")):
        change(service, kind, before, after)
    entries = feed(client).findall(f"{ATOM}entry")
    name = f'{service.pk} · Visits <b> & "more" '
    assert [(entry.findtext(f"{ATOM}title"), entry.findtext(f"{ATOM}summary")) for entry in entries] == [
        (f"Other limits: {name}", "10 – 20 → 10 – 30"),
        (f"Dearer: {name}", "$0.90 → $1.00 per 1000"),
        (f"New: {name}", "$0.90 per 1000"),
    ]
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 3
    assert all(entry.findtext(f"{ATOM}updated") for entry in entries)
    links = [entry.find(f"{ATOM}link") for entry in entries]
    assert all(link is not None and f"/services/?q={service.pk}#" in link.get("href", "") for link in links)


def test_the_feed_has_what_an_atom_feed_must_have(client: Client, make_service: MakeService) -> None:
    made = change(make_service(), "up", "1", "2")
    root = feed(client)
    assert root.findtext(f"{ATOM}author/{ATOM}name") == "Reseller Panel"
    assert root.findtext(f"{ATOM}title") == "Reseller Panel · Updates"
    assert root.findtext(f"{ATOM}id") == "http://testserver/updates/"
    assert root.findtext(f"{ATOM}updated") == made.created_at.isoformat()
    own = next(link for link in root.findall(f"{ATOM}link") if link.get("rel") == "self")
    assert own.get("href") == "http://testserver/updates.atom"


def test_the_feed_knows_nothing_of_who_asks(
    client: Client, customer: User, customer_client: Client, make_service: MakeService
) -> None:
    customer.discount_percent = Decimal(50)
    customer.save()
    change(make_service(), "up", "1", "2")
    answers = [asking.get("/updates.atom") for asking in (client, customer_client)]
    assert answers[0].content == answers[1].content
    assert "Cookie" not in answers[1].get("Vary", "")
    assert not answers[1].cookies
    assert "public" in answers[1]["Cache-Control"]


@pytest.mark.parametrize(("header", "validator"), [("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")])
def test_who_has_the_feed_is_not_sent_it_again_until_it_changes(
    client: Client, make_service: MakeService, header: str, validator: str
) -> None:
    service = make_service()
    change(service, "up", "1", "2", created_at=timezone.now() - DAY)
    seen = client.get("/updates.atom")[validator]
    again = client.get("/updates.atom", headers={header: seen})
    assert (again.status_code, again.content) == (304, b"")
    change(service, "down", "2", "1")
    assert client.get("/updates.atom", headers={header: seen}).status_code == 200


def test_an_empty_feed_stays_the_same(client: Client, db: None) -> None:
    first = client.get("/updates.atom")
    assert not feed(client).findall(f"{ATOM}entry")
    assert first["Last-Modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_the_feed_holds_the_newest_hundred_in_one_query(
    client: Client, make_service: MakeService, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    service = make_service()
    ServiceChange.objects.bulk_create(
        ServiceChange(service=service, kind="up", before=str(number), after="1") for number in range(130)
    )
    with django_assert_num_queries(1):
        entries = feed(client).findall(f"{ATOM}entry")
    assert len(entries) == 100
    assert (entries[0].findtext(f"{ATOM}summary") or "").startswith("$129.00")


def test_a_shop_may_keep_its_prices_to_itself(
    client: Client, customer_client: Client, make_service: MakeService, settings: LazySettings
) -> None:
    change(make_service(), "up", "1", "2")
    assert read(customer_client.get("/updates/")).having(type="application/atom+xml")
    settings.PUBLIC_PRICES = False
    assert client.get("/updates.atom").status_code == 404
    assert customer_client.get("/updates.atom").status_code == 404
    assert not read(customer_client.get("/updates/")).having(href="/updates.atom")
