"""How an order of a product is told outside, on the wire and in webhooks alike (PROTOCOL 3.9 and 12).

Five words: what was passed on is in progress, and so is what is ready at a provider and not yet fetched, so that a
Completed order is one whose goods can be had. The goods themselves are never told, only the name of their delivery.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from accounts.money import plain
from orders.models import Order

Status = Order.Status

# A delivery without lines is one that staff called done, or one whose goods did not come yet.
READ = """
SELECT o.id, o.charge - o.refunded, o.status, coalesce(o.remains, o.quantity), o.note,
    CASE WHEN delivery.fetch_at IS NULL
        AND EXISTS (SELECT FROM orders_deliveredline line WHERE line.delivery_id = delivery.id)
        THEN delivery.token END,
    delivery.fetch_at IS NOT NULL
FROM orders_order o JOIN catalog_service service ON service.id = o.service_id AND service.is_product
LEFT JOIN orders_delivery delivery ON delivery.order_id = o.id
WHERE o.user_id = %s AND o.id = ANY(%s::bigint[])
"""


class ProductRow(NamedTuple):
    """What is told about an order of a product; `charge` is what is left of it after all refunds."""

    id: int
    charge: Decimal
    status: str
    remains: int
    note: str
    token: UUID | None
    is_coming: bool


def read_products(user_id: int, ids: Sequence[int]) -> list[ProductRow]:
    """Return those of some orders that are a customer's and of products. One query."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [user_id, list(ids)])
        return [ProductRow(*row) for row in cursor.fetchall()]


def describe(row: ProductRow) -> dict[str, object]:
    """Describe an order of a product in the words of `product_order_status`, ready for orjson."""
    status = Status.IN_PROGRESS if row.is_coming and row.status != Status.CANCELED else word(row.status)
    said: dict[str, object] = {"charge": number(row.charge), "status": str(status)}
    if status == Status.PARTIAL:
        said["remains"] = max(row.remains, 0)
    if status == Status.CANCELED:
        return said | ({"note": row.note} if row.note else {})
    return said | ({"result": str(row.token)} if row.token else {})


def word(status: str) -> str:
    """Return the word for a status of an order of a product; they have none for one that waits at a provider."""
    return Status.IN_PROGRESS if status == Status.PROCESSING else status


def number(value: Decimal) -> orjson.Fragment:
    """Write a decimal as the JSON number that it is, digit by digit: no binary fraction comes near it."""
    return orjson.Fragment(plain(value))
