from catalog.models.health import BalanceReading, ProviderHour, RefusalText
from catalog.models.pricing import CustomRate, Markup
from catalog.models.provider import Provider, ProviderService
from catalog.models.service import Category, Route, Service

__all__ = [
    "BalanceReading",
    "Category",
    "CustomRate",
    "Markup",
    "Provider",
    "ProviderHour",
    "ProviderService",
    "RefusalText",
    "Route",
    "Service",
]
