"""The database queues a delivery with the very event: every way in which one is written, and none that is undone."""

import datetime
import json

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog.models import Service
from catalog.providers.sandbox import Sandbox
from orders import cancels, forwarding, lifecycle, placing, refills, syncing
from orders.forms import OrderRequest
from orders.models import Order, OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import describing, endpoints, sending
from tests.conftest import Fund, Place
from tests.integration.webhooks.conftest import EVERYTHING
from tests.receiving import Receiver

pytestmark = pytest.mark.django_db
Kind = OrderEvent.Kind
State = WebhookDelivery.State


def queued(endpoint: WebhookEndpoint) -> list[str]:
    return list(endpoint.deliveries.order_by("pk").values_list("kind", flat=True))


def test_every_public_event_of_an_order_is_queued_in_order(
    order: Order, endpoint: WebhookEndpoint, sandbox: Sandbox
) -> None:
    forwarding.forward_all()
    remote = order.dispatches.get().remote_id
    sandbox.set_order(remote, status="Partial", remains=order.quantity // 2)
    syncing.sync_all(everything=True)
    assert queued(endpoint) == ["placed", "accepted", "status", "refunded"]
    events = endpoint.deliveries.order_by("pk").values_list("event_id", flat=True)
    assert list(events) == sorted(OrderEvent.objects.filter(kind__in=EVERYTHING).values_list("pk", flat=True))


def test_a_cancel_at_once_queues_the_wish_the_end_and_the_money(order: Order, endpoint: WebhookEndpoint) -> None:
    cancels.request_cancel(order.user_id, order.pk)
    assert queued(endpoint) == ["placed", "cancel", "status", "refunded", "cancel"]


def test_a_refill_queues_its_wish_and_its_news(
    service: Service, order: Order, endpoint: WebhookEndpoint, sandbox: Sandbox
) -> None:
    forwarding.forward_all()
    Service.objects.update(refill=True)
    sandbox.set_order(order.dispatches.get().remote_id, status="Completed")
    syncing.sync_all(everything=True)
    Order.objects.update(ended_at=timezone.now() - datetime.timedelta(hours=30))
    refill = refills.request_refill(order.user_id, order.pk)
    refills.move(refill.pk, "Completed")
    assert queued(endpoint) == ["placed", "accepted", "status", "refill", "refill"]
    for delivery in endpoint.deliveries.filter(kind="refill"):
        assert json.loads(describing.describe(delivery))["data"]["refill"]["id"] == refill.pk


def test_staff_ending_an_order_by_hand_is_queued(order: Order, endpoint: WebhookEndpoint, staff: User) -> None:
    forwarding.forward_all()
    lifecycle.end_by_hand(order.pk, "Canceled", remains=None, actor_id=staff.pk, why="gone")
    assert queued(endpoint)[-2:] == ["status", "refunded"]


def test_many_orders_accepted_in_one_statement_are_all_queued(
    customer: User, service: Service, endpoint: WebhookEndpoint, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    orders = [place(customer, service).pk for _ in range(3)]
    with transaction.atomic():
        lifecycle.accept(*orders)
    accepted = endpoint.deliveries.filter(kind="accepted").order_by("pk").values_list("order_id", flat=True)
    assert list(accepted) == orders


def test_what_is_for_staff_alone_is_never_queued(order: Order, endpoint: WebhookEndpoint, sandbox: Sandbox) -> None:
    sandbox.misbehave("add", "reset")
    forwarding.forward_all()
    assert order.events.filter(kind=Kind.UNCLEAR).exists()
    assert queued(endpoint) == ["placed"]


def test_an_event_that_is_rolled_back_was_never_queued(order: Order, endpoint: WebhookEndpoint) -> None:
    with transaction.atomic():
        lifecycle.note(order.pk, Kind.ACCEPTED)
        assert queued(endpoint) == ["placed", "accepted"]
        transaction.set_rollback(True)
    assert queued(endpoint) == ["placed"]


def test_an_order_that_cannot_be_paid_queues_nothing(
    customer: User, service: Service, endpoint: WebhookEndpoint
) -> None:
    with pytest.raises(UserError):
        placing.place_order(customer.pk, OrderRequest(service, "https://example.org/", service.min))
    assert queued(endpoint) == []


def test_nobody_is_told_of_the_orders_of_another(
    customer: User, stranger: User, service: Service, receiver: Receiver, fund: Fund, place: Place
) -> None:
    theirs, _ = endpoints.add_endpoint(stranger.pk, receiver.url, EVERYTHING)
    fund(customer, "100")
    place(customer, service)
    forwarding.forward_all()
    assert queued(theirs) == []
    assert sending.deliver_due() == 0
    assert receiver.calls == []


def test_an_endpoint_is_told_of_what_was_ticked_while_it_is_on(
    customer: User, service: Service, receiver: Receiver, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    endpoint, _ = endpoints.add_endpoint(customer.pk, receiver.url, [Kind.PLACED, "nonsense", Kind.HELD])
    place(customer, service)
    forwarding.forward_all()
    endpoints.stop(endpoint.pk)
    place(customer, service)
    assert queued(endpoint) == ["placed"]
    endpoints.start(endpoint.pk)
    place(customer, service)
    assert queued(endpoint) == ["placed", "placed"]
