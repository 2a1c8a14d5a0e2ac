"""The whole proof: the ledger's own, and that orders and money agree (`manage.py audit_ledger`, and nightly)."""

import logging

from django.db import connection, transaction
from django.db.models import F, QuerySet

from accounts import auditing
from orders import auditing_stock
from orders.models import Dispatch, Order

logger = logging.getLogger(__name__)

CHARGES = """
SELECT format('order %s: charge %s, but its transfer says %s', o.id, o.charge, coalesce(t.amount::text, 'nothing'))
FROM orders_order o LEFT JOIN accounts_transfer t ON t.reference = 'order:' || o.id || ':charge'
LEFT JOIN accounts_ledgeraccount a ON a.id = t.debit_id
WHERE t.amount IS DISTINCT FROM o.charge OR a.user_id IS DISTINCT FROM o.user_id
"""

REFUNDS = """
SELECT format('order %s: refunded %s, but its transfers say %s', o.id, o.refunded, coalesce(t.total, 0))
FROM orders_order o LEFT JOIN (
    SELECT split_part(reference, ':', 2)::bigint AS order_id, sum(amount) AS total
    FROM accounts_transfer WHERE reason = 'refund' AND reference LIKE 'order:%:refund:%' GROUP BY 1
) t ON t.order_id = o.id
WHERE o.refunded <> coalesce(t.total, 0)
"""

STRAYS = """
SELECT format('transfer %s: there is no such order', t.reference)
FROM accounts_transfer t LEFT JOIN orders_order o ON o.id = split_part(t.reference, ':', 2)::bigint
WHERE t.reference LIKE 'order:%' AND o.id IS NULL
"""

DISPATCHES = """
SELECT format('order %s: %s, but nothing forwards it and not all of its charge was returned', o.id, o.status)
FROM orders_order o
WHERE o.refunded < o.charge
    AND NOT EXISTS (
        SELECT FROM orders_dispatch d WHERE d.order_id = o.id AND d.command = 'add' AND d.state <> 'REJECTED'
    )
    -- A product of our own needs no provider.
    AND NOT (
        EXISTS (SELECT FROM catalog_service s WHERE s.id = o.service_id AND s.is_product)
        AND NOT EXISTS (SELECT FROM orders_dispatch d WHERE d.order_id = o.id)
    )
"""


def find_known_losses() -> QuerySet[Dispatch]:
    """Return what was sent at a known cost above the charge, which its service did not allow: always nothing."""
    sent = (Dispatch.State.LEASED, Dispatch.State.SENT, Dispatch.State.UNCLEAR)
    dear = Dispatch.objects.filter(cost__gt=F("order__charge"), loss_allowed=False, state__in=sent)
    return dear.select_related("order").order_by("order_id")


def find_reported_losses() -> QuerySet[Order]:
    """Return the orders that cost more by their provider's own word than the customer paid in the end.

    No difference of the books: that word may mean five things, so it is information and moves no money (PROTOCOL 7.1).
    """
    return Order.objects.filter(reported_cost__gt=F("charge") - F("refunded"))


def find_differences() -> list[str]:
    """Return everything that does not add up, one sentence each, as of one moment (or of the caller's transaction)."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            auditing.read_one_moment()
        return [
            *auditing.find_differences(),
            *(row for query in (CHARGES, REFUNDS, STRAYS, DISPATCHES) for row in auditing.run(query)),
            *map(_tell_loss, find_known_losses()),
            *auditing_stock.find_differences(),
        ]


def report_differences() -> int:
    """Log what does not add up and return how many rows there were."""
    differences = find_differences()
    for difference in differences:
        logger.error("audit: %s", difference)
    return len(differences)


def _tell_loss(dispatch: Dispatch) -> str:
    return (
        f"order {dispatch.order_id}: sent at a known cost of {dispatch.cost}, above its charge of "
        f"{dispatch.order.charge}, which its service did not allow"
    )
