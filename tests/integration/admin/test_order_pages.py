import html
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts import ledger
from accounts.models import Transfer, User
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding, reporting, syncing
from orders.models import Order
from tests.conftest import Fund, MakeService, Place
from tests.integration.admin.conftest import allow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
LIST = "/admin/orders/order/"
Queries = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture
def sent(customer: User, service: Service, fund: Fund, place: Place) -> list[Order]:
    """Three orders that the provider has."""
    fund(customer, "100")
    orders = [place(customer, service) for _ in range(3)]
    forwarding.forward_all()
    return orders


def found(client: Client, **query: str) -> list[Order]:
    return list(client.get(LIST, query).context["cl"].result_list)


def test_the_columns_stand_in_the_order_that_staff_know(sent: list[Order], staff_client: Client) -> None:
    changelist = staff_client.get(LIST).context["cl"]
    customers_side = ["ids", "customer", "charge_text", "link_text", "start_count", "quantity", "service_link"]
    ours = ["status_label", "remains", "created", "provider", "cost", "profit"]
    assert list(changelist.list_display) == customers_side + ours
    text = staff_client.get(LIST).content.decode()
    for order in sent:
        assert order.dispatches.get().remote_id in text


def test_an_order_is_found_by_its_id_the_providers_link_or_customer(
    sent: list[Order], stranger: User, service: Service, fund: Fund, place: Place, staff_client: Client
) -> None:
    fund(stranger, "10")
    other = place(stranger, service, link="https://example.org/needle")
    first = sent[0]
    assert found(staff_client, q=str(first.pk)) == [first]
    assert found(staff_client, q=first.dispatches.get().remote_id) == [first]
    assert found(staff_client, q="NEEDLE") == [other]
    assert found(staff_client, q="sam@example.org needle") == [other]
    assert len(found(staff_client, q="carla@example.org")) == 3
    assert found(staff_client, q="nothing") == []


def test_the_filters_find_status_attention_and_provider(sent: list[Order], staff_client: Client) -> None:
    Order.objects.filter(pk=sent[0].pk).update(attention="failed")
    provider = Provider.objects.get()
    assert found(staff_client, attention="any") == [sent[0]]
    assert found(staff_client, attention="ghost") == []
    assert len(found(staff_client, provider=str(provider.pk))) == 3
    assert found(staff_client, provider="999") == []
    assert len(found(staff_client, status__exact="Processing")) == 3
    assert found(staff_client, attention="stuck") == []


def test_the_page_tells_the_story_with_money_and_evidence(
    sent: list[Order], sandbox: Sandbox, staff_client: Client
) -> None:
    order = sent[0]
    sandbox.set_order(order.dispatches.get().remote_id, status="Partial", remains=order.quantity // 2)
    syncing.sync_all(everything=True)
    order.refresh_from_db()
    text = html.unescape(staff_client.get(f"{LIST}{order.pk}/change/").content.decode())
    assert "Money returned" in text
    assert f"remains: {order.remains}" in text
    assert order.link in text
    assert order.dispatches.get().remote_id in text


def test_status_and_money_cannot_be_edited(sent: list[Order], staff_client: Client) -> None:
    order = sent[0]
    staff_client.post(f"{LIST}{order.pk}/change/", {"status": "Canceled", "charge": "1", "refunded": "1"})
    order.refresh_from_db()
    assert (order.status, order.refunded) == ("Processing", Decimal(0))
    assert staff_client.get(f"{LIST}add/").status_code == 403
    assert staff_client.post(f"{LIST}{order.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_look_takes_an_order_off_the_list_with_an_event(
    sent: list[Order], staff: User, staff_client: Client, helper: User, helper_client: Client
) -> None:
    order = sent[0]
    Order.objects.filter(pk=order.pk).update(attention="ghost")
    allow(helper, "orders.view_order")
    assert b"I have looked at it" not in helper_client.get(f"{LIST}{order.pk}/change/").content
    assert helper_client.post(f"{LIST}{order.pk}/looked/").status_code == 403
    assert b"I have looked at it" in staff_client.get(f"{LIST}{order.pk}/change/").content
    staff_client.post(f"{LIST}{order.pk}/looked/")
    again = staff_client.post(f"{LIST}{order.pk}/looked/", follow=True)
    assert b"has looked at this order already" in again.content
    order.refresh_from_db()
    event = order.events.get(kind="resolved")
    assert (order.attention, event.actor, event.data["attention"]) == ("", staff, "ghost")


def test_cost_and_profit_follow_what_was_reported_and_what_was_given_back(sent: list[Order], sandbox: Sandbox) -> None:
    partial, canceled, running = sent
    half = partial.quantity // 2
    sandbox.set_order(partial.dispatches.get().remote_id, status="Partial", remains=half, charge="0.01")
    syncing.sync_all(everything=True)
    for order in sent:
        order.refresh_from_db()
    assert reporting.cost(partial) == partial.reported_cost
    assert reporting.profit(partial) == partial.charge - partial.refunded - reporting.cost(partial)
    Order.objects.filter(pk=running.pk).update(reported_cost=None)
    running.refresh_from_db()
    assert reporting.cost(running) == running.expected_cost
    canceled.reported_cost, canceled.refunded = None, canceled.charge
    assert reporting.cost(canceled) == reporting.profit(canceled) == 0


def test_lists_ask_as_many_questions_for_many_rows_as_for_few(
    customer: User,
    make_service: MakeService,
    fund: Fund,
    place: Place,
    staff_client: Client,
    django_assert_max_num_queries: Queries,
) -> None:
    fund(customer, "100")
    for number in range(12):
        service = make_service(name=f"Service {number}")
        place(customer, service)
    lists = {
        LIST: 11,
        "/admin/orders/dispatch/?queue=all": 11,
        "/admin/catalog/service/": 11,
        "/admin/catalog/category/": 9,
        "/admin/catalog/provider/": 9,
        "/admin/catalog/providerservice/": 11,
        "/admin/catalog/markup/": 9,
        "/admin/catalog/customrate/": 9,
        "/admin/accounts/user/": 9,
        "/admin/accounts/transfer/": 9,
        "/admin/": 25,
    }
    for address, most in lists.items():
        with django_assert_max_num_queries(most):
            assert staff_client.get(address).status_code == 200, address
    assert Transfer.objects.count() == 13
    assert ledger.read_balance(customer.pk) < 100
