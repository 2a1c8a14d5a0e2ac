from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from orders.models import Order, OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import endpoints
from tests.conftest import Fund, Place
from tests.receiving import Receiver, receiving

EVERYTHING = list(OrderEvent.PUBLIC)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    with receiving() as server:
        yield server


@pytest.fixture
def endpoint(customer: User, receiver: Receiver) -> WebhookEndpoint:
    return endpoints.add_endpoint(customer.pk, receiver.url, EVERYTHING)[0]


@pytest.fixture
def order(customer: User, service: Service, endpoint: WebhookEndpoint, fund: Fund, place: Place) -> Order:
    """An order of somebody who has an endpoint."""
    fund(customer, "100")
    return place(customer, service)


def due_now() -> None:
    """Let every wait and pause be over."""
    WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING).update(due_at=timezone.now())
    WebhookEndpoint.objects.update(paused_until=None)
