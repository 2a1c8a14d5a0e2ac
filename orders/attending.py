"""What staff have looked at: clearing the mark that asks for it, with an event that says who did."""

from django.db import transaction

from accounts.errors import UserError
from orders import lifecycle
from orders.models import Order, OrderEvent


@transaction.atomic
def clear_attention(order_id: int, *, actor_id: int) -> None:
    """Take an order off the list of those that need a look; raise UserError when it is not on it.

    What is still so will be marked again by the next report that says it.
    """
    order = Order.objects.select_for_update(of=("self",)).get(pk=order_id)
    if not order.attention:
        raise UserError("Somebody has looked at this order already")
    looked = {"how": "looked at", "attention": order.attention}
    order.attention = Order.Attention.NONE
    order.save(update_fields=["attention"])
    lifecycle.note(order_id, OrderEvent.Kind.RESOLVED, looked, actor_id=actor_id)
