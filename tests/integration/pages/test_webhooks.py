"""The pages of webhooks: made, looked at, tried and switched by their owner alone; a secret is shown once."""

import datetime
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from orders.models import WebhookDelivery, WebhookEndpoint
from orders.webhooks import endpoints, sending
from tests.conftest import Fund, Place
from tests.integration.admin.conftest import allow
from tests.integration.pages.reading import Reader, read
from tests.receiving import Receiver

pytestmark = pytest.mark.django_db
LIST = "/api/webhooks/"
ADMIN = "/admin/orders/webhookendpoint/"


@pytest.fixture
def delivery(customer: User, service: Service, endpoint: WebhookEndpoint, fund: Fund, place: Place) -> WebhookDelivery:
    """A delivery that the receiver has."""
    fund(customer, "100")
    place(customer, service)
    sending.deliver_due()
    return endpoint.deliveries.get()


def page_of(endpoint: WebhookEndpoint) -> str:
    return f"{LIST}{endpoint.pk}/"


def do(client: Client, endpoint: WebhookEndpoint, what: str) -> Reader:
    return read(client.post(page_of(endpoint), {"do": what}, follow=True))


def secrets_in(text: str) -> list[str]:
    return re.findall(r"whsec_[A-Za-z0-9+/]{43}=", text)


def test_the_api_page_leads_to_the_webhooks(customer_client: Client) -> None:
    assert read(customer_client.get("/api/")).having(href=LIST)
    assert "You have none yet" in read(customer_client.get(LIST)).text


def test_a_new_webhook_shows_its_secret_this_once(customer: User, customer_client: Client, receiver: Receiver) -> None:
    answer = customer_client.post(LIST, {"url": receiver.url, "kinds": ["status", "refunded"]})
    row = WebhookEndpoint.objects.get()
    assert (row.user_id, row.url, row.kinds) == (customer.pk, receiver.url, ["status", "refunded"])
    shown = secrets_in(read(answer).text)
    assert len(shown) == 1
    assert "no-store" in answer["Cache-Control"]
    do(customer_client, row, "test")
    sending.deliver_due()
    assert receiver.calls[0].is_signed_with(shown[0])
    pages = (LIST, page_of(row), f"{LIST}deliveries/{row.deliveries.get().pk}/")
    assert not any(secrets_in(customer_client.get(page).content.decode()) for page in pages)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"url": "https://10.0.0.1/", "kinds": ["status"]}, "no public address"),
        ({"url": "ftp://example.org/", "kinds": ["status"]}, "must begin with https://"),
        ({"url": "nonsense", "kinds": ["status"]}, "cannot be read"),
        ({"url": "https://1.1.1.1/", "kinds": []}, "This field is required"),
        ({"url": "https://1.1.1.1/", "kinds": ["held"]}, "not one of the available choices"),
        ({"kinds": ["status"]}, "This field is required"),
    ],
)
def test_what_cannot_be_a_webhook_says_why_and_keeps_what_was_typed(
    values: dict[str, Any], error: str, customer_client: Client
) -> None:
    answer = customer_client.post(LIST, values)
    page = read(answer)
    assert answer.status_code == 422
    assert error in page.text
    assert not WebhookEndpoint.objects.exists()
    assert not values.get("url") or page.having(value=values["url"])


def test_a_page_shows_what_was_sent_and_what_came_back(customer_client: Client, delivery: WebhookDelivery) -> None:
    listed = read(customer_client.get(page_of(delivery.endpoint))).text
    for words in ("order.placed", f"order {delivery.order_id}", "Delivered", "200 ok"):
        assert words in listed
    shown = read(customer_client.get(f"{LIST}deliveries/{delivery.pk}/"))
    for words in (f"msg_{delivery.pk}", '"status": "Pending"', "HTTP 200", "ok"):
        assert words in shown.text
    assert shown.misplaced == []


def test_an_owner_sends_a_delivery_again(
    customer_client: Client, delivery: WebhookDelivery, receiver: Receiver
) -> None:
    page = read(customer_client.post(f"{LIST}deliveries/{delivery.pk}/", follow=True))
    assert "sent again within seconds" in page.text
    sending.deliver_due()
    assert len({call.id for call in receiver.calls}) == 1
    assert len(receiver.calls) == 2


def test_a_webhook_is_switched_off_and_on_and_deleted(customer_client: Client, endpoint: WebhookEndpoint) -> None:
    assert "Switched off by its owner" in do(customer_client, endpoint, "off").text
    assert "The webhook is on." in do(customer_client, endpoint, "on").text
    assert "The webhook was deleted." in do(customer_client, endpoint, "remove").text
    assert endpoint.url not in customer_client.get(LIST).content.decode()
    assert customer_client.get(page_of(endpoint)).status_code == 404


def test_a_deleted_webhook_cannot_be_brought_back(customer_client: Client, delivery: WebhookDelivery) -> None:
    do(customer_client, delivery.endpoint, "remove")
    for page in (page_of(delivery.endpoint), f"{LIST}deliveries/{delivery.pk}/"):
        assert customer_client.post(page, {"do": "on"}).status_code == 404
    assert customer_client.post(page_of(delivery.endpoint), {"do": "renew"}).status_code == 404


def test_a_renewed_secret_is_shown_this_once(customer_client: Client, endpoint: WebhookEndpoint) -> None:
    assert len(secrets_in(do(customer_client, endpoint, "renew").text)) == 1
    assert secrets_in(read(customer_client.get(page_of(endpoint))).text) == []


def test_a_page_says_why_nothing_comes(customer_client: Client, endpoint: WebhookEndpoint) -> None:
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    rows.update(failures=1)
    assert "The last call failed and is repeated" in read(customer_client.get(LIST)).text
    rows.update(failures=7, paused_until=timezone.now() + datetime.timedelta(hours=1))
    assert "7 calls in a row failed" in read(customer_client.get(page_of(endpoint))).text
    rows.update(disabled_at=timezone.now(), disabled_why=endpoints.Why.FAILING)
    assert "did not accept anything for three days" in read(customer_client.get(page_of(endpoint))).text


@pytest.mark.parametrize("what", ["off", "renew", "remove", "test"])
def test_nobody_touches_the_webhook_of_another(
    what: str, stranger: User, receiver: Receiver, customer_client: Client
) -> None:
    theirs, _ = endpoints.add_endpoint(stranger.pk, receiver.url, ["status"])
    assert customer_client.get(page_of(theirs)).status_code == 404
    assert customer_client.post(page_of(theirs), {"do": what}).status_code == 404
    after = WebhookEndpoint.objects.get()
    assert (after.disabled_at, after.secret_encrypted) == (None, theirs.secret_encrypted)
    assert not WebhookDelivery.objects.exists()
    assert receiver.url not in customer_client.get(LIST).content.decode()


def test_nobody_sees_or_repeats_the_delivery_of_another(stranger: User, delivery: WebhookDelivery) -> None:
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    for call in (client.get, client.post):
        assert call(f"{LIST}deliveries/{delivery.pk}/").status_code == 404
    delivery.refresh_from_db()
    assert delivery.state == WebhookDelivery.State.SENT


def test_whoever_is_not_signed_in_is_led_to_the_door(client: Client, delivery: WebhookDelivery) -> None:
    for page in (LIST, page_of(delivery.endpoint), f"{LIST}deliveries/{delivery.pk}/"):
        assert client.get(page).status_code == client.post(page).status_code == 302


def test_what_a_page_does_not_know_is_not_done(customer_client: Client, endpoint: WebhookEndpoint) -> None:
    assert customer_client.post(page_of(endpoint), {"do": "nonsense"}).status_code == 404


def test_what_a_receiver_answers_is_text_and_never_markup(
    customer_client: Client, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status, receiver.body = 500, b"<script>alert(1)</script>"
    endpoints.send_test(endpoint.pk)
    sending.deliver_due()
    for page in (page_of(endpoint), f"{LIST}deliveries/{endpoint.deliveries.get().pk}/"):
        content = customer_client.get(page).content.decode()
        assert "<script>alert" not in content
        assert "&lt;script&gt;alert(1)" in content


def test_older_deliveries_are_on_pages_of_their_own(customer_client: Client, endpoint: WebhookEndpoint) -> None:
    made = [WebhookDelivery.objects.create(endpoint=endpoint, kind="ping", due_at=timezone.now()) for _ in range(31)]
    first = read(customer_client.get(page_of(endpoint)))
    assert first.having(href=f"?before={made[1].pk}")
    second = read(customer_client.get(f"{page_of(endpoint)}?before={made[1].pk}"))
    assert second.having(href=f"{LIST}deliveries/{made[0].pk}/")
    assert not second.having(href=f"{LIST}deliveries/{made[1].pk}/")


def test_staff_see_how_a_webhook_does_without_its_secret_or_bodies(
    staff_client: Client, delivery: WebhookDelivery
) -> None:
    WebhookEndpoint.objects.update(failures=3)
    for page in (ADMIN, f"{ADMIN}{delivery.endpoint_id}/change/"):
        content = staff_client.get(page).content.decode()
        assert delivery.endpoint.url in content
        assert "Failing" in content
        for hidden in (delivery.endpoint.secret_encrypted, "whsec_", f"msg_{delivery.pk}"):
            assert hidden not in content


def test_staff_switch_a_webhook_off_and_its_owner_sees_that(
    staff_client: Client, customer_client: Client, endpoint: WebhookEndpoint
) -> None:
    assert staff_client.get(f"{ADMIN}{endpoint.pk}/off/").status_code == 405
    staff_client.post(f"{ADMIN}{endpoint.pk}/off/")
    assert "Switched off by our staff" in read(customer_client.get(page_of(endpoint))).text


def test_who_may_only_look_at_webhooks_switches_none_off(helper_may_look: Client, endpoint: WebhookEndpoint) -> None:
    page = helper_may_look.get(f"{ADMIN}{endpoint.pk}/change/")
    assert page.status_code == 200
    assert f"{endpoint.pk}/off/" not in page.content.decode()
    assert helper_may_look.post(f"{ADMIN}{endpoint.pk}/off/").status_code == 403


@pytest.fixture
def helper_may_look(db: None) -> Client:
    helper = User.objects.create_user("hilda", "hilda@example.org", is_staff=True)
    allow(helper, "orders.view_webhookendpoint")
    client = Client()
    client.force_login(helper, backend="django.contrib.auth.backends.ModelBackend")
    return client
