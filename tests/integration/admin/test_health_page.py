"""How providers do, at a glance and by service: with what needs a person in front, and only for whoever may see it."""

import datetime
import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog import health
from catalog.models import Provider, ProviderService, Route, Service, Sync
from catalog.providers.errors import Rejected, Unclear
from orders import forwarding
from orders.models import Dispatch
from panel import admin_watching, watching
from tests.conftest import Fund, Place, make_provider
from tests.integration.admin.conftest import allow

pytestmark = pytest.mark.django_db
PAGE = "/admin/health/"
OUTCOMES: list[tuple[object, float]] = [
    *[(object(), 0.2)] * 6,
    (Rejected("No", condition="invalid_link"), 0.1),
    (Unclear("What?", reason="cut"), 1.1),
]


def told(response: Any) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.unescape(response.content.decode())))


def troubles(provider: Provider) -> list[str]:
    return [trouble.text for trouble in watching.watch(Provider.objects.get(pk=provider.pk)).list_troubles()]


def test_the_page_tells_how_each_provider_did(provider: Provider, staff_client: Client) -> None:
    health.count(provider.pk, OUTCOMES)
    Provider.objects.update(balance=Decimal("12.5"), last_success_at=timezone.now())
    Sync.objects.create(provider=provider, state="applied", counts={"new": 3, "gone": 0, "up": 2})
    response = staff_client.get(PAGE)
    text = told(response)
    for words in ("12.5 USD", "150 ms", "980 ms", "6 / 8", "12.5%", "no limit", "New: 3, Rates up: 2"):
        assert words in text
    assert "Vanished" not in text
    assert response.content.count(b"<rect") == 1
    assert "Attempts by hour, 8 in the busiest" in html.unescape(response.content.decode())


def test_a_provider_without_a_past_shows_dashes_and_no_chart(provider: Provider, staff_client: Client) -> None:
    response = staff_client.get(PAGE)
    assert "Sent to it, 24 h nothing" in told(response)
    assert "Half answer within" not in told(response)
    assert b"<rect" not in response.content
    assert "Last sync never" in told(response)


def test_the_page_takes_as_many_queries_for_ten_providers_as_for_one(
    provider: Provider, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(7):
        assert len(watching.watch_all()) == 1
    for _ in range(9):
        make_provider("http://127.0.0.1:9/api/v2")
    with django_assert_num_queries(7):
        assert len(watching.watch_all()) == 10


LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
FAR = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, []),
        ({"balance": 4, "low_balance": 5}, ["Low balance"]),
        ({"balance": 5, "low_balance": 5}, []),
        ({"balance": 4, "low_balance": 5, "enabled": False}, []),
        ({"pause_reason": "key", "paused_until": FAR}, ["It refuses our key"]),
        ({"pause_reason": "key", "paused_until": LONG_AGO}, ["It refuses our key"]),
        ({"pause_reason": "staff", "paused_until": FAR}, []),
        ({"pause_reason": "network", "paused_until": FAR, "last_success_at": FAR}, []),
        ({"pause_reason": "network", "paused_until": FAR, "last_success_at": LONG_AGO}, ["It cannot be reached"]),
        ({"pause_reason": "doubt", "paused_until": FAR}, ["Its answers to orders are unclear"]),
        ({"exchange_rate_days": 7}, []),
        (
            {"exchange_rate_days": 7, "exchange_rate_at": LONG_AGO},
            ["Its exchange rate is too old: nothing of it is sold"],
        ),
    ],
)
def test_what_needs_a_person_is_told(provider: Provider, fields: dict[str, Any], words: list[str]) -> None:
    Provider.objects.update(**fields)
    assert troubles(provider) == words


def test_three_days_of_balance_are_reckoned_from_what_was_ordered(
    provider: Provider, customer: User, service: Service, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    forwarding.forward_all()
    Provider.objects.update(balance=order.expected_cost)
    assert troubles(provider) == []
    assert watching.watch(Provider.objects.get()).runway == "7 days"
    Provider.objects.update(balance=order.expected_cost * 2 / 7)
    assert troubles(provider) == ["Low balance"]


def test_a_refill_costs_nothing_and_shortens_no_runway(
    provider: Provider, customer: User, service: Service, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "100")
    order = place(customer, service)
    forwarding.forward_all()
    sent = order.dispatches.get()
    Dispatch.objects.create(
        order=order,
        command="refill",
        provider=provider,
        provider_service=sent.provider_service,
        state="SENT",
        remote_id="r1",
        due_at=None,
    )
    Provider.objects.update(balance=order.expected_cost)
    assert watching.watch(Provider.objects.get()).runway == "7 days"


def test_who_needs_a_person_comes_first_and_who_is_off_last() -> None:
    for name, fields in (("Aaa", {"enabled": False}), ("Bbb", {}), ("Ccc", {"balance": 1, "low_balance": 2})):
        make_provider("http://127.0.0.1:9/api/v2", name=name, **fields)
    assert [str(one.provider) for one in watching.watch_all()] == ["Ccc", "Bbb", "Aaa"]


def test_what_just_happened_is_told_so(provider: Provider) -> None:
    now = timezone.now()
    assert admin_watching.tell_since(now) == "just now"
    assert admin_watching.tell_since(now - datetime.timedelta(minutes=3)) == "3\xa0minutes ago"


def test_a_sync_that_waits_is_told_until_somebody_decides(provider: Provider) -> None:
    sync = Sync.objects.create(provider=provider, state="waiting", why="The list is empty")
    Sync.objects.create(provider=provider, state="reading")
    assert troubles(provider) == ["A sync waits: The list is empty"]
    Sync.objects.filter(pk=sync.pk).update(state="dropped")
    assert troubles(provider) == []


def test_services_that_wait_are_told_where_something_is_sold_by_them(provider: Provider, service: Service) -> None:
    unused = ProviderService.objects.create(
        provider=provider, remote_id="x", name="X", type="Default", rate=1, min=1, max=1, waiting="back"
    )
    assert troubles(provider) == []
    Route.objects.create(service=service, provider_service=unused, position=2)
    assert troubles(provider) == ["Services that wait to be confirmed: 1"]


def test_services_are_listed_with_their_answers_the_most_troubled_first(
    unclear: Dispatch, service: Service, customer: User, place: Place, staff_client: Client
) -> None:
    other = ProviderService.objects.create(
        provider=unclear.provider, remote_id="x", name="Calm", type="Default", rate=1, min=1, max=1
    )
    calm = Dispatch.objects.get(pk=place(customer, service).dispatches.get().pk)
    Dispatch.objects.filter(pk=calm.pk).update(
        provider_service=other, state="SENT", remote_id="7", due_at=None, created_at=timezone.now()
    )
    answers = watching.count_answers(unclear.provider)
    assert [(one.service, one.accepted, one.refused, one.unclear, one.orders) for one in answers] == [
        (unclear.provider_service, 0, 0, 1, 1),
        (other, 1, 0, 0, 1),
    ]
    text = told(staff_client.get(f"{PAGE}{unclear.provider.pk}/"))
    assert "1 (100.0%)" in text
    assert text.index(str(unclear.provider_service)) < text.index("Calm")
    assert "Orders that wait for a decision: 1" in text
    Dispatch.objects.update(created_at=timezone.now() - watching.WEEK)
    assert watching.count_answers(unclear.provider) == []


def test_services_are_counted_in_two_queries(
    unclear: Dispatch, provider: Provider, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        assert len(watching.count_answers(provider)) == 1


def test_every_link_of_a_trouble_leads_somewhere(unclear: Dispatch, service: Service, staff_client: Client) -> None:
    Provider.objects.update(balance=1, low_balance=2, exchange_rate_days=1, exchange_rate_at=LONG_AGO)
    Sync.objects.create(provider=unclear.provider, state="waiting")
    ProviderService.objects.update(waiting="back")
    found = watching.watch(Provider.objects.get()).list_troubles()
    assert len(found) == 5
    for trouble in found:
        assert staff_client.get(trouble.url).status_code == 200, trouble


def test_the_front_page_counts_what_needs_a_person(provider: Provider, staff_client: Client) -> None:
    Provider.objects.update(balance=1, low_balance=2)
    Sync.objects.create(provider=provider, state="waiting")
    needs = {str(need.label): need for need in staff_client.get("/admin/").context["needs"]}
    assert needs["Providers low on balance"].count == needs["Syncs that wait"].count == 1
    assert needs["Services to be confirmed"].count == 0
    for need in needs.values():
        assert staff_client.get(need.url).status_code == 200, need


def test_the_pages_are_for_whoever_may_see_providers(
    provider: Provider, helper: User, helper_client: Client, customer_client: Client
) -> None:
    for address in (PAGE, f"{PAGE}{provider.pk}/"):
        assert helper_client.get(address).status_code == 403
        assert customer_client.get(address).status_code == 302
    allow(helper, "catalog.view_provider")
    assert "Health" in told(helper_client.get("/admin/"))
    assert provider.name in told(helper_client.get(PAGE))
    assert helper_client.get(f"{PAGE}{provider.pk + 1}/").status_code == 404
    assert helper_client.post(PAGE).status_code == 405


def test_an_empty_panel_leads_to_the_first_provider(staff_client: Client) -> None:
    assert "There is no provider yet." in told(staff_client.get(PAGE))


def test_every_hour_with_anything_in_it_shows() -> None:
    bars = admin_watching.draw_bars((0, 1, 1000))
    assert [(bar.x, bar.y, bar.height) for bar in bars] == [(6, 30, 2), (12, 0, 32)]
