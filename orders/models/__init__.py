from orders.models.dispatch import Dispatch
from orders.models.order import Order, OrderEvent, PlacedOnce

__all__ = ["Dispatch", "Order", "OrderEvent", "PlacedOnce"]
