import html
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import User
from catalog import following, importing, pricing, reading
from catalog.models import Provider, ProviderService, Sync
from catalog.providers.sandbox import Sandbox
from tests.integration.admin.conftest import allow
from tests.integration.products import open_stall, stock_up

pytestmark = pytest.mark.django_db
LIST = "/admin/catalog/sync/"


@pytest.fixture
def shop(provider: Provider, sandbox: Sandbox) -> Provider:
    """A provider that lists four services, 1 to 4, at rate 1, all of them on sale here as they are."""
    sandbox.services.clear()
    for number in range(1, 5):
        sandbox.set_service(
            number, name=f"Visits <plan> {number}", type="Default", category="Web", rate="1", min="10", max="1000"
        )
    importing.import_services(provider)
    return provider


def told(response: Any) -> str:
    assert response.status_code == 200
    text = re.sub(r"<(script|style)\b.*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def page(client: Client, sync: Sync, **query: str) -> str:
    return told(client.get(f"{LIST}{sync.pk}/change/", query))


def decide(client: Client, sync: Sync, **values: Any) -> str:
    return told(client.post(reverse("admin:catalog_sync_decide", args=[sync.pk]), values, follow=True))


@pytest.fixture
def waiting(shop: Provider, sandbox: Sandbox) -> Sync:
    """A sync that waits: one rate up, one down, one gone, one new."""
    sandbox.set_service(1, rate="1.5")
    sandbox.set_service(2, rate="0.5")
    sandbox.remove_service(3)
    sandbox.set_service(9, name="New one", type="Default", category="Web", rate="3", min="1", max="5")
    return following.sync_provider(shop.pk, review=True)


def test_a_button_asks_for_the_list_and_the_page_comes_again_until_it_is_read(
    shop: Provider, staff_client: Client, staff: User
) -> None:
    response = staff_client.post(f"{reverse('admin:catalog_sync_start', args=[shop.pk])}?review=1", follow=True)
    assert "a worker reads the list within seconds" in told(response)
    assert response["Refresh"] == "2"
    sync = Sync.objects.get()
    assert (sync.state, sync.actor) == (Sync.State.READING, staff)
    assert staff_client.post(reverse("admin:catalog_sync_start", args=[shop.pk])).status_code == 302
    assert Sync.objects.count() == 1
    following.sync_alone(shop.pk)
    response = staff_client.get(f"{LIST}{sync.pk}/change/")
    assert "Refresh" not in response
    assert "Nothing differed" in told(response)


def test_progress_is_told_in_numbers(shop: Provider, staff_client: Client) -> None:
    reading.request_sync(shop.pk)
    sync = reading.begin(shop.pk)
    assert sync is not None
    assert "The list is being read" in page(staff_client, sync)
    sync.rows = 10
    reading.go_on(sync, done=4)
    response = staff_client.get(f"{LIST}{sync.pk}/change/")
    assert "4 of 10 compared" in told(response)
    assert b'value="4" max="10"' in response.content
    sync.changes.create(remote_id="1", name="Half of the truth", kind="new", after={"rate": "1"})
    sync.rows = 50_000
    reading.go_on(sync, done=50_000)
    text = page(staff_client, sync)
    assert "All 50,000 are compared" in text
    assert "Half of the truth" not in text


def test_the_page_shows_before_and_after_and_the_margin_after(waiting: Sync, staff_client: Client) -> None:
    text = page(staff_client, waiting)
    assert "To be looked at first" in text
    assert "Rates that rose count already" in text
    assert "1 · Visits <plan> 1 Changed rate: 1 → 1.5 USD (+50.0 %) margin 0.0 %" in text
    assert "2 · Visits <plan> 2 Changed rate: 1 → 0.5 USD (-50.0 %)" in text
    assert "3 · Visits <plan> 3 Vanished · Not listed any more." in text
    assert "9 · New one New category: Web rate: 3 USD min: 1 max: 5" in text
    assert text.count("margin") == 2
    assert "State Waits for a person" in text
    assert "All (4) New (1) Changed (2) Vanished (1)" in text
    only = page(staff_client, waiting, kind="gone")
    assert "3 · Visits" in only
    assert "2 · Visits" not in only


def test_all_of_it_is_applied_and_undone_with_a_line_in_its_history(
    waiting: Sync, staff_client: Client, staff: User
) -> None:
    assert "Applied." in decide(staff_client, waiting, way="apply")
    waiting.refresh_from_db()
    assert (waiting.state, waiting.actor) == (Sync.State.APPLIED, staff)
    assert len(pricing.load_terms(None)) == 3
    assert "decided that already" in decide(staff_client, waiting, way="apply")
    text = told(staff_client.post(reverse("admin:catalog_sync_undo", args=[waiting.pk]), follow=True))
    assert "Undone; 0 had been changed since and stay." in text
    assert len(pricing.load_terms(None)) == 4
    assert "can be undone" in told(
        staff_client.post(reverse("admin:catalog_sync_undo", args=[waiting.pk]), follow=True)
    )
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == ["Applied.", "Undone"]


def test_only_what_is_ticked_is_applied(waiting: Sync, staff_client: Client) -> None:
    gone = waiting.changes.get(kind="gone")
    assert "nothing to apply" in decide(staff_client, waiting, way="ticked")
    assert "What was ticked is applied." in decide(staff_client, waiting, way="ticked", change=[gone.pk, "x", 99999999])
    waiting.refresh_from_db()
    assert waiting.state == Sync.State.WAITING
    assert ProviderService.objects.get(remote_id=3).vanished_at is not None
    assert ProviderService.objects.get(remote_id=2).rate == 1
    assert "Dismissed" in decide(staff_client, waiting, way="dismiss")
    waiting.refresh_from_db()
    assert waiting.state == Sync.State.APPLIED


def test_an_empty_list_can_only_be_dismissed(shop: Provider, sandbox: Sandbox, staff_client: Client) -> None:
    sandbox.services.clear()
    sync = following.sync_provider(shop.pk)
    text = page(staff_client, sync)
    assert "The list is empty" in text
    assert "Dismiss" in text
    assert "Apply" not in text
    decide(staff_client, sync, way="dismiss")
    sync.refresh_from_db()
    assert sync.state == Sync.State.DISMISSED


def test_what_came_back_is_listed_and_confirmed(shop: Provider, sandbox: Sandbox, staff_client: Client) -> None:
    row = sandbox.services[1]
    sandbox.remove_service(1)
    following.sync_provider(shop.pk)
    sandbox.services[1] = row
    following.sync_provider(shop.pk)
    assert "1 waits to be confirmed" in told(staff_client.get(LIST))
    text = told(staff_client.get(f"{LIST}waiting/"))
    assert "1 · Visits <plan> 1" in text
    assert "It had vanished and is listed again" in text
    back = ProviderService.objects.get(remote_id=1)
    confirm = reverse("admin:catalog_sync_confirm", args=[back.pk])
    assert "can be sold again" in told(staff_client.post(confirm, follow=True))
    assert "Nothing waits." in told(staff_client.get(f"{LIST}waiting/"))
    assert "does not wait" in told(staff_client.post(confirm, follow=True))
    assert len(pricing.load_terms(None)) == 4


def test_who_may_only_look_can_decide_nothing(waiting: Sync, helper: User, helper_client: Client) -> None:
    assert helper_client.get(f"{LIST}waiting/").status_code == 403
    allow(helper, "catalog.view_sync")
    text = page(helper_client, waiting)
    assert "Visits <plan> 1" in text
    assert "Dismiss" not in text
    assert "Nothing waits." in told(helper_client.get(f"{LIST}waiting/"))
    posts = {"start": waiting.provider_id, "decide": waiting.pk, "undo": waiting.pk, "confirm": 1}
    for name, pk in posts.items():
        assert helper_client.post(reverse(f"admin:catalog_sync_{name}", args=[pk])).status_code == 403


def test_a_page_of_many_differences_asks_a_fixed_number_of_questions(
    shop: Provider, sandbox: Sandbox, staff_client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(10, 500):
        sandbox.set_service(number, name=f"New {number}", type="Default", category="Web", rate="3", min="1", max="5")
    sync = following.sync_provider(shop.pk, review=True)
    with django_assert_max_num_queries(25):
        text = page(staff_client, sync)
    assert "Page 1 of 3" in text
    assert text.count(" rate: 3 USD") == 200


def test_a_list_of_products_is_told_as_one(sandbox: Sandbox, staff_client: Client) -> None:
    stall = open_stall(sandbox)
    stock_up(sandbox, {1: {"require": "Your account"}, 2: None})
    sync = following.sync_provider(stall.pk, is_product=True, review=True)
    text = page(staff_client, sync)
    assert "1 · Licence, plan 1 Changed the buyer must enter: – → Your account" in text
    assert "margin 0.0 %" in text
    decide(staff_client, sync, way="apply")
    sync.refresh_from_db()
    assert sync.state == Sync.State.APPLIED
    assert "Products" in told(staff_client.get(LIST))
