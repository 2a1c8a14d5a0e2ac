"""Endpoints: their secrets, their tests, sending again, and what bounds them."""

import datetime
import json
import logging
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog.models import Service
from orders.models import Order, OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import endpoints, sending
from tests.conftest import Place
from tests.integration.webhooks.conftest import EVERYTHING
from tests.receiving import Receiver

pytestmark = pytest.mark.django_db
Kind = OrderEvent.Kind
State = WebhookDelivery.State


def test_for_a_day_a_renewed_secret_signs_beside_the_new_one(
    customer: User, receiver: Receiver, service: Service
) -> None:
    endpoint, old = endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)
    new = endpoints.renew_secret(endpoint.pk)
    endpoints.send_test(endpoint.pk)
    sending.deliver_due()
    assert [receiver.calls[0].is_signed_with(secret) for secret in (old, new)] == [True, True]
    with time_machine.travel(timezone.now() + datetime.timedelta(hours=25), tick=True):
        endpoints.send_test(endpoint.pk)
        sending.deliver_due()
    assert [receiver.calls[1].is_signed_with(secret) for secret in (old, new)] == [False, True]


def test_only_the_secret_before_the_newest_signs_too(customer: User, receiver: Receiver) -> None:
    endpoint, first = endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)
    second, third = endpoints.renew_secret(endpoint.pk), endpoints.renew_secret(endpoint.pk)
    endpoints.send_test(endpoint.pk)
    sending.deliver_due()
    assert [receiver.calls[0].is_signed_with(secret) for secret in (first, second, third)] == [False, True, True]


def test_a_secret_is_encrypted_and_stands_in_no_log(
    customer: User, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint, secret = endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)
    endpoints.send_test(endpoint.pk)
    claim = sending.claim_due(1)[0]
    sending.record({claim: sending.send(claim)})
    with connection.cursor() as cursor:
        cursor.execute("SELECT e::text, d::text FROM orders_webhookendpoint e, orders_webhookdelivery d")
        stored = " ".join(cursor.fetchone())
    bare = secret.removeprefix("whsec_")
    for text in (stored, caplog.text, repr(claim), str(endpoint), json.dumps(endpoint.deliveries.get().tries)):
        assert bare not in text
    assert endpoint.secret_encrypted not in repr(claim)


def test_a_secret_that_no_key_can_read_is_said_and_keeps_nothing_else_from_going_out(
    customer: User, stranger: User, receiver: Receiver
) -> None:
    broken, _ = endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)
    WebhookEndpoint.objects.update(secret_encrypted="gAAAAA")
    whole, _ = endpoints.add_endpoint(stranger.pk, receiver.url, EVERYTHING)
    for endpoint in (broken, whole):
        endpoints.send_test(endpoint.pk)
    sending.deliver_due()
    assert broken.deliveries.get().tries[0]["said"] == "The secret cannot be read any more: renew it"
    assert whole.deliveries.get().state == State.SENT


def test_a_test_is_sent_once_and_at_once_even_to_a_paused_endpoint(
    endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    WebhookEndpoint.objects.update(failures=9, paused_until=timezone.now() + datetime.timedelta(hours=1))
    assert endpoints.send_test(endpoint.pk).pk == endpoints.send_test(endpoint.pk).pk
    sending.deliver_due()
    assert receiver.types == ["ping"]
    assert receiver.calls[0].said["data"] == {"endpoint": endpoint.pk}


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.WAITING])
def test_a_delivery_can_be_sent_again_under_its_id(
    state: str, order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    sending.deliver_due()
    later = timezone.now() + datetime.timedelta(hours=5)
    WebhookDelivery.objects.update(state=state, due_at=later)
    endpoints.send_again(endpoint.deliveries.get().pk)
    sending.deliver_due()
    first, second = receiver.calls
    assert (first.id, first.body) == (second.id, second.body)
    assert endpoint.deliveries.get().state == State.SENT
    assert [tried["attempt"] for tried in endpoint.deliveries.get().tries] == [1, 2]


def test_what_is_out_with_a_worker_is_not_sent_again_beside_it(order: Order, endpoint: WebhookEndpoint) -> None:
    assert len(sending.claim_due(9)) == 1
    endpoints.send_again(endpoint.deliveries.get().pk)
    assert sending.claim_due(9) == []


def test_ten_endpoints_are_the_most(customer: User, stranger: User, receiver: Receiver) -> None:
    for _ in range(endpoints.MOST_ENDPOINTS):
        endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)
    with pytest.raises(UserError, match="At most 10"):
        endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)
    endpoints.add_endpoint(stranger.pk, receiver.url, EVERYTHING)


def test_deliveries_are_forgotten_after_a_month_unless_they_still_wait(
    customer: User, service: Service, order: Order, endpoint: WebhookEndpoint, place: Place
) -> None:
    for _ in range(3):
        place(customer, service)
    sent, failed, waiting, young = endpoint.deliveries.order_by("pk")
    old = timezone.now() - datetime.timedelta(days=31)
    WebhookDelivery.objects.exclude(pk=young.pk).update(created_at=old)
    for delivery, state in ((sent, State.SENT), (failed, State.FAILED), (young, State.SENT)):
        WebhookDelivery.objects.filter(pk=delivery.pk).update(state=state)
    assert sending.prune_deliveries() == 2
    assert set(endpoint.deliveries.all()) == {waiting, young}
    endpoints.stop(endpoint.pk)
    assert sending.prune_deliveries() == 1


def test_a_deleted_endpoint_takes_its_deliveries_with_it_and_no_order(
    customer: User, service: Service, order: Order, endpoint: WebhookEndpoint, place: Place
) -> None:
    endpoints.remove(endpoint.pk)
    place(customer, service)
    assert endpoint.deliveries.count() == 1
    assert WebhookEndpoint.objects.get().secret_encrypted == ""
    assert sending.deliver_due() == sending.prune_deliveries() == 0
    with time_machine.travel(timezone.now() + datetime.timedelta(hours=2)):
        sending.prune_deliveries()
    assert not WebhookDelivery.objects.exists()
    assert not WebhookEndpoint.objects.exists()
    assert Order.objects.count() == 2


def test_a_tick_with_nothing_due_asks_the_database_one_thing(
    endpoint: WebhookEndpoint, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):  # two of them begin and end the transaction
        assert sending.deliver_due() == 0
