"""Short ways to products and stock of our own."""

import itertools
from decimal import Decimal
from typing import Any

from catalog import selling, stock
from catalog.models import Category, Product

numbers = itertools.count(1)
OF_PRODUCT = frozenset({"kind", "require", "warranty_days", "unit_cost", "low_stock"})


def offer(**fields: Any) -> selling.Offer:
    """Return a product as staff would describe it; columns of its own row go by their names too."""
    extra: dict[str, Any] = {name: fields.pop(name) for name in list(fields) if name in OF_PRODUCT}
    values: dict[str, Any] = {
        "name": f"Licence {next(numbers)}",
        "source": Product.Source.STOCK,
        "min": 1,
        "max": 100,
        "own_rate": Decimal("2.5"),
        **fields,
    }
    category = values.pop("category", None) or Category.objects.get_or_create(name="Licences")[0]
    return selling.Offer(category=category, extra=extra, **values)


def make_product(**fields: Any) -> Product:
    """Make a product on sale."""
    return selling.add_product(offer(**fields))


def keep(product: Product, text: str) -> int:
    """Upload lines and return the id of the upload."""
    batch_id = stock.upload(product, text, actor_id=None).batch_id
    assert batch_id is not None
    return batch_id
