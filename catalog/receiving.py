"""Receiving a provider's list, of its services or of its products, as rows of one shape (PROTOCOL 3.1, 3.9).

Ids of services and of products are separate spaces, so the two are never mixed: each is read, compared, imported and
put in order by itself.
"""

from catalog import connecting
from catalog.comparing import Goods
from catalog.models import Provider
from catalog.providers.dialects import dialect
from catalog.providers.errors import Rejected
from catalog.providers.replies import Catalogue, ProductCatalogue


def sells_products(provider: Provider) -> bool:
    """Tell whether a provider's dialect has a list of products; one that cannot be read has none."""
    try:
        return dialect(provider.dialect, provider.dialect_overrides).products
    except ValueError:
        return False


def receive(provider: Provider, *, is_product: bool = False) -> Catalogue:
    """Read a provider's list of services, or of products; raise ProviderError when it cannot be read.

    Never call it inside a transaction, since it waits for the network.
    """
    with connecting.connect(provider) as client:
        if not is_product:
            return client.services()
        if not client.connection.dialect.products:
            raise Rejected("Its dialect has no products", condition="products_not_supported")
        return read_goods(client.products())


def read_goods(listed: ProductCatalogue) -> Catalogue:
    """Return products as rows like those of services; what is not said of a service is not said of them."""
    rows = (
        Goods(
            service=row.product,
            name=row.name,
            type=row.type,
            category=row.category,
            rate=row.rate,
            min=row.min,
            max=row.max,
            refill=None,
            cancel=None,
            dripfeed=None,
            description="",
            require=row.require,
            in_stock=row.in_stock,
            inventory=None if row.inventory is None else max(row.inventory, 0),
        )
        for row in listed.rows
    )
    return Catalogue(tuple(rows), listed.skipped)
