from catalog.models.health import BalanceReading, ProviderHour, RefusalText
from catalog.models.pricing import CustomRate, Markup
from catalog.models.provider import Provider, ProviderService
from catalog.models.service import Category, Route, Service
from catalog.models.sync import Favourite, PriceListVersion, Published, ServiceChange, Sync, SyncChange

__all__ = [
    "BalanceReading",
    "Category",
    "CustomRate",
    "Favourite",
    "Markup",
    "PriceListVersion",
    "Provider",
    "ProviderHour",
    "ProviderService",
    "Published",
    "RefusalText",
    "Route",
    "Service",
    "ServiceChange",
    "Sync",
    "SyncChange",
]
