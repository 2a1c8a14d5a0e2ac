"""Staff pages for orders and what happens between us and providers."""

from orders import admin_deliveries, admin_dispatches, admin_orders, admin_replacements, admin_webhooks

__all__ = ["admin_deliveries", "admin_dispatches", "admin_orders", "admin_replacements", "admin_webhooks"]
