"""What must be true of goods when everything has settled: each line handed over once, to who paid for it.

What a provider made is known to nobody better than to that provider: ours must be the very same lines.
"""

from collections import Counter
from collections.abc import Sequence

from catalog.models import Product, StockItem
from orders import delivering
from orders.models import DeliveredLine, Delivery, Order

Source, Status = Product.Source, Order.Status


def judge_own(order: Order) -> list[str]:
    """Judge an order of our own stock, which was handed over as it was paid for, or one that staff deliver."""
    lines = DeliveredLine.objects.filter(delivery__order=order).select_related("stock_item")
    count = len(lines)
    found = []
    if order.refunded:
        found.append(f"{order.refunded} came back for a product of our own")
    if order.service.product.source == Source.STOCK:
        if order.status != Status.COMPLETED or count != order.quantity:
            found.append(f"{order.status} with {count} of {order.quantity} lines of our stock")
        strange = [line for line in lines if line.stock_item is None or line.stock_item.product_id != order.service_id]
        found += [f"line {line.position} is not of its product's stock" for line in strange]
        return found
    due = Status.PENDING if not count else Status.COMPLETED if count == order.quantity else Status.IN_PROGRESS
    if order.status != due or count > order.quantity:
        found.append(f"{order.status} with {count} of {order.quantity} lines handed over by staff")
    return found


def judge_goods(order: Order, goods: Sequence[str]) -> list[str]:
    """Judge what came of an order that a provider has, by the lines that this provider handed over."""
    delivery = Delivery.objects.filter(order=order).first()
    if delivery is None:
        return [f"{len(goods)} lines were made for it, and nobody fetches them"] if goods else []
    if delivery.fetch_at is not None:
        return [f"its goods are still to be fetched, after {delivery.attempts} tries"]
    ours = [delivering.read_line(line) for line in delivery.lines.order_by("position")]
    return [] if ours == list(goods) else [f"{len(ours)} lines here, {len(goods)} others there"]


def judge_stock() -> list[str]:
    """Judge our stock as a whole: what was sold was delivered, what was delivered is sold, and no text twice."""
    sold = set(StockItem.objects.exclude(taken_at=None).values_list("pk", flat=True))
    lines = DeliveredLine.objects.exclude(stock_item=None).select_related("stock_item")
    delivered = [line.stock_item_id for line in lines]
    found = [f"line {item_id} of our stock is sold, and nobody has it" for item_id in sold - set(delivered)]
    found += [f"line {item_id} of our stock was delivered, but is not sold" for item_id in set(delivered) - sold]
    texts = Counter(delivering.read_line(line) for line in lines)
    return found + [f"a line of our stock was handed over {times} times" for times in texts.values() if times > 1]
