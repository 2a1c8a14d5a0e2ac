"""Staff pages for orders and what happens between us and providers."""

from orders import admin_dispatches, admin_orders, admin_webhooks

__all__ = ["admin_dispatches", "admin_orders", "admin_webhooks"]
