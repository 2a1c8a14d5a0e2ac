"""What a receiver gets: signed, in order, in the words of `status`, and again until it has it or is switched off."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from catalog.providers.sandbox import Sandbox
from orders import cancels, lifecycle
from orders.models import Order, OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import endpoints, sending
from orders.webhooks.endpoints import Why
from tests.conftest import Fund, Place
from tests.integration.webhooks.conftest import due_now
from tests.receiving import Receiver

pytestmark = pytest.mark.django_db
Kind = OrderEvent.Kind
State = WebhookDelivery.State


def test_a_call_is_signed_as_the_standard_says_and_speaks_the_words_of_status(
    customer: User, service: Service, receiver: Receiver, fund: Fund, place: Place, api: Callable[..., Any]
) -> None:
    endpoint, secret = endpoints.add_endpoint(customer.pk, receiver.url, [Kind.PLACED])
    fund(customer, "100")
    order = place(customer, service)
    assert sending.deliver_due() == 1
    call = receiver.calls[0]
    delivery = endpoint.deliveries.get()
    assert (call.path, call.headers["content-type"]) == ("/hooks", "application/json")
    assert call.is_signed_with(secret)
    assert not call.is_signed_with(secret[:-4] + "AAA=")
    assert call.id == f"msg_{delivery.pk}"
    assert abs(int(call.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    assert not {"cookie", "authorization", "accept-encoding"} & set(call.headers) - {"accept-encoding"}
    created = f"{order.events.get().created_at:%Y-%m-%dT%H:%M:%SZ}"
    data = {"order": order.pk, **api(action="status", order=order.pk)}
    assert call.said == {"type": "order.placed", "id": call.id, "created": created, "data": data}
    assert (delivery.state, delivery.attempts, delivery.body) == (State.SENT, 1, call.body.decode())
    assert delivery.tries[0].items() >= {"attempt": 1, "status": 200, "said": "ok"}.items()


def test_each_event_tells_its_own_figures(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver, sandbox: Sandbox, staff: User
) -> None:
    cancels.request_cancel(order.user_id, order.pk)
    sending.deliver_due()
    assert receiver.types == ["order.placed", "cancel.updated", "order.status", "order.refunded", "cancel.updated"]
    told = [call.said["data"] for call in receiver.calls]
    money = f"{order.charge:.5f}"
    assert {one["status"] for one in told} == {"Canceled"}
    assert {one["charge"] for one in told} == {"0.00000"}
    assert told[1]["cancel"] == {"status": "asked"}
    assert told[2]["change"] == {"from": "Pending", "to": "Canceled"}
    assert told[3]["refund"] == {"amount": money, "total": money}
    assert told[4]["cancel"] == {"status": "done"}


def test_the_body_is_written_at_the_first_attempt_and_never_changes(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 500
    sending.deliver_due()
    Order.objects.update(remains=1, start_count=99)
    receiver.status = 200
    due_now()
    sending.deliver_due()
    first, second = receiver.calls
    assert (first.body, first.id) == (second.body, second.id)


def test_a_receiver_that_fails_is_called_again_ever_later_and_then_no_more(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 503
    waits = []
    for _ in range(9):
        now = timezone.now()
        assert sending.deliver_due() == 1
        delivery = endpoint.deliveries.get()
        waits.append(round((delivery.due_at - now).total_seconds(), -1))
        due_now()
    assert waits[:8] == [10, 60, 300, 1800, 7200, 21600, 43200, 86400]
    assert (delivery.state, delivery.attempts, len(receiver.calls)) == (State.FAILED, 9, 9)
    assert sending.deliver_due() == 0


def test_events_of_one_order_wait_for_the_one_before_and_those_of_others_do_not(
    customer: User, service: Service, order: Order, endpoint: WebhookEndpoint, receiver: Receiver, place: Place
) -> None:
    lifecycle.note(order.pk, Kind.ACCEPTED)
    other = place(customer, service)
    receiver.status = 500
    sending.deliver_due()
    assert {(call.said["data"]["order"], call.said["type"]) for call in receiver.calls} == {
        (order.pk, "order.placed"),
        (other.pk, "order.placed"),
    }
    assert len(receiver.calls) == 2
    receiver.status, receiver.calls = 200, []
    due_now()
    sending.deliver_due()
    assert [call.said["type"] for call in receiver.calls if call.said["data"]["order"] == order.pk] == [
        "order.placed",
        "order.accepted",
    ]


def test_only_two_hundreds_count_and_a_redirect_is_not_followed(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status, receiver.headers = 302, {"Location": "http://127.0.0.1:9/elsewhere"}
    sending.deliver_due()
    tried = endpoint.deliveries.get().tries[0]
    assert (tried["status"], tried["said"]) == (302, "Redirects are not followed: http://127.0.0.1:9/elsewhere")
    assert endpoint.deliveries.get().state == State.WAITING


def test_little_of_an_answer_is_kept_and_nothing_that_a_database_cannot_take(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.body = b"a\x00b\xff\r\n\x1b[31m" + b"x" * 1_000_000
    sending.deliver_due()
    said = endpoint.deliveries.get().tries[0]["said"]
    assert said.startswith("a b� [31mxxx")
    assert len(said) == 300


def test_a_server_that_answers_gone_is_told_nothing_more(
    customer: User, service: Service, order: Order, endpoint: WebhookEndpoint, receiver: Receiver, place: Place
) -> None:
    receiver.status = 410
    sending.deliver_due()
    endpoint.refresh_from_db()
    assert (endpoint.disabled_why, endpoint.disabled_at is None) == (Why.GONE, False)
    place(customer, service)
    due_now()
    assert sending.deliver_due() == 0
    assert len(receiver.calls) == 1


def fail_in_a_row(endpoint: WebhookEndpoint, receiver: Receiver, times: int) -> None:
    receiver.status = 500
    for _ in range(times):
        due_now()
        assert sending.deliver_due() == 1


def pause_of(endpoint: WebhookEndpoint) -> float:
    endpoint.refresh_from_db()
    return round((endpoint.paused_until - timezone.now()).total_seconds(), -1) if endpoint.paused_until else 0


def test_a_dead_server_gets_one_call_not_all_that_have_gathered(
    customer: User, service: Service, order: Order, endpoint: WebhookEndpoint, receiver: Receiver, place: Place
) -> None:
    pauses = []
    for number in range(5, 13):
        WebhookEndpoint.objects.update(failures=number - 1, paused_until=None)
        for _ in range(2):
            place(customer, service)
        receiver.status, receiver.calls = 500, []
        assert sending.deliver_due() == 1
        pauses.append(pause_of(endpoint))
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    WebhookEndpoint.objects.update(paused_until=timezone.now())
    WebhookDelivery.objects.update(due_at=timezone.now())
    receiver.status, receiver.calls = 200, []
    assert sending.deliver_due() == 17
    assert pause_of(endpoint) == endpoint.failures == 0


def test_after_three_days_of_nothing_but_failures_an_endpoint_is_switched_off(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=True) as clock:
        fail_in_a_row(endpoint, receiver, 6)
        clock.move_to(start + datetime.timedelta(days=2, hours=23))
        fail_in_a_row(endpoint, receiver, 1)
        endpoint.refresh_from_db()
        assert endpoint.disabled_at is None
        clock.move_to(start + datetime.timedelta(days=3, minutes=1))
        fail_in_a_row(endpoint, receiver, 1)
        endpoint.refresh_from_db()
        assert endpoint.disabled_why == Why.FAILING


def test_what_is_switched_on_again_has_three_days_anew(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=True) as clock:
        fail_in_a_row(endpoint, receiver, 2)
        clock.move_to(start + datetime.timedelta(days=4))
        endpoints.stop(endpoint.pk)
        endpoints.start(endpoint.pk)
        fail_in_a_row(endpoint, receiver, 6)
        endpoint.refresh_from_db()
        assert (endpoint.disabled_at, endpoint.failures) == (None, 6)


def test_a_success_between_failures_begins_the_three_days_anew(
    order: Order, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=True) as clock:
        fail_in_a_row(endpoint, receiver, 3)
        clock.move_to(start + datetime.timedelta(days=4))
        receiver.status = 200
        due_now()
        sending.deliver_due()
        lifecycle.note(order.pk, Kind.ACCEPTED)
        fail_in_a_row(endpoint, receiver, 6)
        endpoint.refresh_from_db()
        assert (endpoint.disabled_at, endpoint.failures) == (None, 6)
