import html
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts import ledger
from accounts.models import User
from accounts.templatetags.money import price
from catalog.models import Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding, lifecycle
from orders.models import Order
from tests.conftest import Fund, Place
from tests.integration.admin.conftest import allow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]


@pytest.fixture
def failed(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Order:
    """An order of which its provider says no more than that it failed."""
    fund(customer, "100")
    order = place(customer, service, quantity="1000")
    forwarding.forward_all()
    return lifecycle.advance(order.pk, lifecycle.Report(status="Failed", word="Fail"))


def url(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/end/"


def post(client: Client, order: Order, **values: Any) -> HttpResponse:
    return client.post(url(order), values, follow=True)  # type: ignore[return-value]  # the test client's own kind


def text(response: HttpResponse) -> str:
    return html.unescape(response.content.decode())


def test_an_order_that_failed_is_ended_after_a_look_at_the_money(
    failed: Order, customer: User, staff: User, staff_client: Client
) -> None:
    assert url(failed) in staff_client.get(f"/admin/orders/order/{failed.pk}/change/").content.decode()
    values = {"status": "Partial", "remains": "500", "why": "they told us by mail"}
    preview = text(post(staff_client, failed, **values))
    before = ledger.read_balance(customer.pk)
    half = failed.charge / 2
    for figure in (half, before, before + half):
        assert price(figure) in preview
    assert Order.objects.get().status == "Processing"
    done = text(post(staff_client, failed, **values, previewed=str(half.normalize())))
    assert f"Order {failed.pk} has ended" in done
    order = Order.objects.get()
    assert (order.status, order.refunded, order.attention) == ("Partial", half, "")
    assert ledger.read_balance(customer.pk) == before + half
    assert order.events.get(kind="resolved").actor == staff


def test_what_changed_since_the_preview_is_shown_again(failed: Order, staff_client: Client) -> None:
    values = {"status": "Canceled", "why": "x", "previewed": str(failed.charge.normalize())}
    lifecycle.advance(failed.pk, lifecycle.Report(status="Partial", word="Partial", remains=500))
    assert "Balance after" in text(post(staff_client, failed, **values))
    assert Order.objects.get().status == "Partial"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"status": "Partial", "why": "x"}, "Enter a number from 1 to 1000"),
        ({"status": "Partial", "remains": "1001", "why": "x"}, "Enter a number from 1 to 1000"),
        ({"status": "Processing", "why": "x"}, "not one of the available choices"),
        ({"status": "Canceled", "why": ""}, "required"),
    ],
)
def test_an_end_that_cannot_be_is_told_beside_its_field(
    failed: Order, staff_client: Client, values: dict[str, str], told: str
) -> None:
    assert told in text(post(staff_client, failed, **values, previewed="0"))
    assert Order.objects.get().refunded == 0


def test_an_order_that_is_canceled_or_in_doubt_offers_no_end(
    failed: Order, customer: User, service: Service, sandbox: Sandbox, place: Place, staff_client: Client
) -> None:
    sandbox.misbehave("add", "reset")
    unclear = place(customer, service)
    forwarding.forward_all()
    lifecycle.advance(failed.pk, lifecycle.Report(status="Canceled", word="Canceled"))
    for order in (failed, unclear):
        assert url(order) not in staff_client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    told = text(post(staff_client, unclear, status="Canceled", why="x"))
    assert "decide about its dispatch instead" in told
    assert Order.objects.get(pk=unclear.pk).refunded == 0


def test_who_may_only_look_cannot_end_an_order(failed: Order, helper: User, helper_client: Client) -> None:
    allow(helper, "orders.view_order")
    assert url(failed) not in helper_client.get(f"/admin/orders/order/{failed.pk}/change/").content.decode()
    assert post(helper_client, failed, status="Canceled", why="x", previewed="0").status_code == 403
    assert Order.objects.get().refunded == 0
