"""Staff pages for customers and money."""

from accounts import admin_ledger, admin_users

__all__ = ["admin_ledger", "admin_users"]
