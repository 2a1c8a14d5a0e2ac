"""Staff pages for providers, services, products, stock and prices."""

from catalog import (
    admin_listings,
    admin_prices,
    admin_products,
    admin_providers,
    admin_refusals,
    admin_services,
    admin_stock_lists,
    admin_syncs,
)

__all__ = [
    "admin_listings",
    "admin_prices",
    "admin_products",
    "admin_providers",
    "admin_refusals",
    "admin_services",
    "admin_stock_lists",
    "admin_syncs",
]
