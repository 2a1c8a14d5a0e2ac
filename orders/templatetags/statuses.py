"""The status of an order as a page writes it."""

from django import template

from orders import answering
from orders.models import Order

register = template.Library()


@register.filter
def shown_status(order: Order) -> Order.Status:
    """Return the status that people are shown: of a product that a provider took, they are told that it is coming."""
    return Order.Status(answering.word(order.status) if order.service.is_product else order.status)
