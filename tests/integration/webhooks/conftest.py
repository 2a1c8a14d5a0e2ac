import pytest
from django.utils import timezone

from accounts.models import User
from catalog.models import Service
from orders.models import Order, OrderEvent, WebhookDelivery, WebhookEndpoint
from tests.conftest import Fund, Place

EVERYTHING = list(OrderEvent.PUBLIC)


@pytest.fixture
def order(customer: User, service: Service, endpoint: WebhookEndpoint, fund: Fund, place: Place) -> Order:
    """An order of somebody who has an endpoint."""
    fund(customer, "100")
    return place(customer, service)


def due_now() -> None:
    """Let every wait and pause be over."""
    WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING).update(due_at=timezone.now())
    WebhookEndpoint.objects.update(paused_until=None)
