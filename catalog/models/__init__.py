from catalog.models.pricing import CustomRate, Markup
from catalog.models.provider import Provider, ProviderService
from catalog.models.service import Category, Route, Service

__all__ = ["Category", "CustomRate", "Markup", "Provider", "ProviderService", "Route", "Service"]
