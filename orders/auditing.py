"""The whole proof: the ledger's own, and that orders and money agree (`manage.py audit_ledger`, and nightly)."""

import logging

from django.db import connection, transaction

from accounts import auditing

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
"""

LOSSES = """
SELECT format('order %s: sent at a known cost of %s, above its charge of %s, which its service did not allow',
    o.id, d.cost, o.charge)
FROM orders_dispatch d JOIN orders_order o ON o.id = d.order_id
WHERE d.cost > o.charge AND NOT d.loss_allowed AND d.state IN ('LEASED', 'SENT', 'UNCLEAR')
"""


def find_differences() -> list[str]:
    """Return everything that does not add up, one sentence each, as of one moment (or of the caller's transaction)."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            auditing.read_one_moment()
        return [
            *auditing.find_differences(),
            *(row for query in (CHARGES, REFUNDS, STRAYS, DISPATCHES, LOSSES) for row in auditing.run(query)),
        ]


def report_differences() -> int:
    """Log what does not add up and return how many rows there were."""
    differences = find_differences()
    for difference in differences:
        logger.error("audit: %s", difference)
    return len(differences)
