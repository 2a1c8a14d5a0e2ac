"""The list of products as the wire writes it, in the shape of 000_fa79b687568cfb1d.txt (PROTOCOL 3.9)."""

from catalog import goods, pricing
from catalog.goods import Availability
from catalog.models import Product, Service
from orders.answering import number

IN_STOCK, OUT_OF_STOCK = "In stock", "Out of stock"


def list_products(user_id: int) -> list[dict[str, object]]:
    """List the products that can be ordered now, at the very rates that `add_product_order` charges a customer.

    One that is out of stock stays on the list and says so. Five queries, however many there are.
    """
    listed = Service.objects.filter(enabled=True, is_product=True).select_related("category", "product")
    found = {service.pk: service for service in listed.order_by("category__position", "category_id", "position", "pk")}
    if not found:
        return []
    terms = pricing.load_terms(user_id, list(found))
    there = goods.read_availability([pk for pk in found if pk in terms])
    return [_describe(found[pk], terms[pk], there[pk]) for pk in found if pk in terms]


def _describe(service: Service, terms: pricing.Terms, there: Availability) -> dict[str, object]:
    """Describe a product; what people do has no inventory, and what nobody counts none that could be told."""
    product = service.product
    is_counted = product.kind == Product.Kind.AUTO and there.inventory is not None
    return {
        "product": service.pk,
        "name": service.name,
        **({"require": product.require} if product.require else {}),
        "rate": number(pricing.sell_rate(terms)),
        "min": service.min,
        "max": service.max,
        "category": service.category.name,
        "status": IN_STOCK if there.in_stock else OUT_OF_STOCK,
        **({"inventory": there.inventory} if is_counted else {}),
        "type": product.kind,
    }
