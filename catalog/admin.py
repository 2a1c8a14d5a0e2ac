"""Staff pages for providers, services and prices."""

from catalog import admin_listings, admin_prices, admin_providers, admin_refusals, admin_services, admin_syncs

__all__ = ["admin_listings", "admin_prices", "admin_providers", "admin_refusals", "admin_services", "admin_syncs"]
