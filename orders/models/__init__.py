from orders.models.child import ChildOrder
from orders.models.delivery import DeliveredLine, Delivery, Replacement, Reveal
from orders.models.dispatch import Dispatch
from orders.models.order import Order, OrderEvent, PlacedOnce
from orders.models.trial import TrialOrder
from orders.models.webhook import WebhookDelivery, WebhookEndpoint
from orders.models.wish import Cancel, Refill

__all__ = [
    "Cancel",
    "ChildOrder",
    "DeliveredLine",
    "Delivery",
    "Dispatch",
    "Order",
    "OrderEvent",
    "PlacedOnce",
    "Refill",
    "Replacement",
    "Reveal",
    "TrialOrder",
    "WebhookDelivery",
    "WebhookEndpoint",
]
