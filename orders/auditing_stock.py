"""Proof of the stock: what left it, what was delivered and what was charged for agree, line by line.

Part of the nightly audit, and `manage.py check_stock`. Each query returns the rows that do not add up, as sentences by
number, never by text; no row means that nothing was sold twice, in vain, or for nothing.
"""

from accounts import auditing

TAKEN = """
SELECT format('line %s of stock: sold, but in no delivery', item.id)
FROM catalog_stockitem item LEFT JOIN orders_deliveredline line ON line.stock_item_id = item.id
WHERE item.taken_at IS NOT NULL AND line.id IS NULL
"""

DELIVERED = """
SELECT format('line %s of stock: delivered for order %s, but %s', item.id, delivery.order_id,
    CASE WHEN item.withdrawn_at IS NULL THEN 'still on hand' ELSE 'taken out by staff' END)
FROM orders_deliveredline line JOIN catalog_stockitem item ON item.id = line.stock_item_id
JOIN orders_delivery delivery ON delivery.id = line.delivery_id
WHERE item.taken_at IS NULL
"""

TWICE = """
SELECT format('line %s of stock: delivered %s times', stock_item_id, count(*))
FROM orders_deliveredline WHERE stock_item_id IS NOT NULL GROUP BY stock_item_id HAVING count(*) > 1
"""

CHARGED = """
SELECT format('line %s of stock: delivered for order %s, which was never charged', line.stock_item_id,
    delivery.order_id)
FROM orders_deliveredline line JOIN orders_delivery delivery ON delivery.id = line.delivery_id
WHERE line.stock_item_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM accounts_transfer WHERE reference = 'order:' || delivery.order_id || ':charge'
)
"""

FOREIGN = """
SELECT format('line %s of stock: delivered for order %s of another product', item.id, o.id)
FROM orders_deliveredline line JOIN catalog_stockitem item ON item.id = line.stock_item_id
JOIN orders_delivery delivery ON delivery.id = line.delivery_id JOIN orders_order o ON o.id = delivery.order_id
WHERE item.product_id <> o.service_id
"""

# What was replaced counts no more, and what came for it does.
QUANTITIES = """
SELECT format('order %s: %s bought, but %s delivered from stock', o.id, o.quantity, count(line.id))
FROM orders_order o JOIN catalog_product product ON product.service_id = o.service_id AND product.source = 'stock'
LEFT JOIN orders_delivery delivery ON delivery.order_id = o.id
LEFT JOIN orders_deliveredline line ON line.delivery_id = delivery.id AND line.replaced_at IS NULL
WHERE o.status = 'Completed'
GROUP BY o.id HAVING count(line.id) <> o.quantity
"""


def find_differences() -> list[str]:
    """Return everything about own stock that does not add up, one sentence each; in the caller's transaction if any."""
    queries = (TAKEN, DELIVERED, TWICE, CHARGED, FOREIGN, QUANTITIES)
    return [row for query in queries for row in auditing.run(query)]
