"""The two lists of what was sold below cost: known when it was sent, and reported afterwards."""

import html
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from catalog.models import Service
from catalog.providers.sandbox import Sandbox
from orders import auditing, forwarding, syncing
from orders.models import Dispatch, Order
from tests.conftest import Fund, Place

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/orders/order/"


def found(client: Client, loss: str, **query: str) -> list[Order]:
    return list(client.get(LIST, {"loss": loss, **query}).context["cl"].result_list)


def told(response: Any) -> str:
    return html.unescape(response.content.decode())


@pytest.fixture
def sent(customer: User, service: Service, fund: Fund, place: Place) -> list[Order]:
    """Three orders that the provider has."""
    fund(customer, "100")
    orders = [place(customer, service) for _ in range(3)]
    forwarding.forward_all()
    return orders


def report(sandbox: Sandbox, order: Order, charge: Decimal, **values: Any) -> Order:
    """Let the provider say what an order cost, and hear it."""
    sandbox.set_order(order.dispatches.get().remote_id, charge=str(charge), **values)
    syncing.sync_all(everything=True)
    order.refresh_from_db()
    return order


@pytest.mark.usefixtures("books")
def test_what_a_reported_charge_reveals_is_listed_with_its_figures(
    sent: list[Order], sandbox: Sandbox, staff_client: Client
) -> None:
    dear, even, _unsaid = sent
    report(sandbox, dear, dear.charge + Decimal("0.25"))
    report(sandbox, even, even.charge)
    assert found(staff_client, "reported") == [dear]
    assert found(staff_client, "known") == []
    assert len(found(staff_client, "")) == 3
    response = staff_client.get(LIST, {"loss": "reported"})
    text = told(response)
    assert "it moves no money" in text
    assert "−$0.25" in text
    shown = ["charge_text", "net", "expected", "reported", "difference"]
    assert list(response.context["cl"].list_display)[4:9] == shown
    assert list(staff_client.get(LIST).context["cl"].list_display)[-1] == "profit"
    assert staff_client.get(LIST, {"loss": "nonsense"}).status_code == 200


@pytest.mark.usefixtures("books")
def test_what_was_given_back_counts_as_not_paid(sent: list[Order], sandbox: Sandbox, staff_client: Client) -> None:
    order = sent[0]
    report(sandbox, order, order.charge, status="Partial", remains=order.quantity // 2)
    assert order.refunded > 0
    assert found(staff_client, "reported") == [order]


@pytest.mark.usefixtures("books")
def test_the_largest_loss_comes_first_when_sorted(sent: list[Order], sandbox: Sandbox, staff_client: Client) -> None:
    for order, more in zip(sent, ("0.2", "0.3", "0.1"), strict=True):
        report(sandbox, order, order.charge + Decimal(more))
    columns = staff_client.get(LIST, {"loss": "reported"}).context["cl"].list_display
    assert found(staff_client, "reported", o=str(columns.index("difference"))) == [sent[1], sent[0], sent[2]]


@pytest.mark.usefixtures("books")
def test_the_audit_gives_notice_of_reported_losses_and_is_no_failure(sent: list[Order], sandbox: Sandbox) -> None:
    out = StringIO()
    for order in sent[:2]:
        report(sandbox, order, order.charge + Decimal("0.25"))
    call_command("audit_ledger", stdout=out)
    notice, balance = out.getvalue().splitlines()
    assert notice == "notice: sold below the cost reported later: 2 orders, 0.5 in all"
    assert balance.startswith("the books balance")


def test_a_known_loss_is_on_the_first_list_and_fails_the_audit(sent: list[Order], staff_client: Client) -> None:
    order = sent[0]
    Dispatch.objects.filter(order=order).update(cost=order.charge + 1)
    assert found(staff_client, "known") == [order]
    assert found(staff_client, "reported") == []
    assert "always empty" in told(staff_client.get(LIST, {"loss": "known"}))
    assert [line for line in auditing.find_differences() if f"order {order.pk}: sent at a known cost" in line]
    Dispatch.objects.filter(order=order).update(loss_allowed=True)
    assert found(staff_client, "known") == []
    assert auditing.find_differences() == []
