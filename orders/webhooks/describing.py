"""What a webhook says: what happened, and the order in the very words of the action that tells of it (PROTOCOL 3).

That is `status`, and `product_order_status` of a product: goods are in no webhook.

Written once, at the first attempt, from the event and from the order as it then is, which may be further than the event
was: `change`, `refund`, `refill` and `cancel` tell of the event itself, all else of the order.
"""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings

from orders import answering
from orders.models import Order, OrderEvent, Refill, WebhookDelivery

Kind = OrderEvent.Kind

PING = "ping"
# How events are called outside.
TYPES: Mapping[str, str] = {
    Kind.PLACED: "order.placed",
    Kind.ACCEPTED: "order.accepted",
    Kind.STATUS: "order.status",
    Kind.REFUNDED: "order.refunded",
    Kind.REFILL: "refill.updated",
    Kind.CANCEL: "cancel.updated",
    Kind.DELIVERED: "order.delivered",
    PING: PING,
}


def name_message(delivery: WebhookDelivery) -> str:
    """Return the id under which a receiver knows a delivery, the same at each attempt."""
    return f"msg_{delivery.pk}"


def describe(delivery: WebhookDelivery) -> str:
    """Write the body of a delivery, JSON; its event and order are read where they are not loaded."""
    created = delivery.event.created_at if delivery.event else delivery.created_at
    order = delivery.order
    products = answering.read_products(order.user_id, [order.pk]) if order else []
    if order and products:
        said: dict[str, Any] = {"order": order.pk, **answering.describe(products[0])}
    else:
        said = _describe_order(order) if order else {"endpoint": delivery.endpoint_id}
    if delivery.event:
        said |= _describe_event(delivery.event, is_product=bool(products))
    message = {
        "type": TYPES[delivery.kind],
        "id": name_message(delivery),
        "created": f"{created.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "data": said,
    }
    return orjson.dumps(message).decode()


def _describe_order(order: Order) -> dict[str, Any]:
    return {
        "order": order.pk,
        "charge": f"{order.net_charge:.5f}",
        "start_count": str(order.start_count or 0),
        "status": order.status,
        "remains": str(order.quantity if order.remains is None else max(order.remains, 0)),
        "currency": settings.CURRENCY,
    }


def _describe_event(event: OrderEvent, *, is_product: bool) -> dict[str, Any]:
    """Tell the event's own figures; why a provider refused something stays between us and the provider."""
    said = event.data
    if event.kind == Kind.STATUS:
        words = (said["from"], said["to"])
        before, after = map(answering.word, words) if is_product else words
        return {"change": {"from": before, "to": after}}
    if event.kind == Kind.REFUNDED:
        return {"refund": {"amount": f"{Decimal(said['amount']):.5f}", "total": f"{Decimal(said['refunded']):.5f}"}}
    if event.kind == Kind.REFILL:
        # The wire has no word for an error (PROTOCOL 8).
        status = Refill.Status.REJECTED if said["to"] == Refill.Status.ERROR else said["to"]
        return {"refill": {"id": said["refill"], "status": str(status)}}
    return {"cancel": {"status": said["to"]}} if event.kind == Kind.CANCEL else {}
