from catalog.models.health import BalanceReading, ProviderHour, RefusalText
from catalog.models.pricing import CustomRate, Markup
from catalog.models.product import Product, StockBatch, StockItem
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
    "Product",
    "Provider",
    "ProviderHour",
    "ProviderService",
    "Published",
    "RefusalText",
    "Route",
    "Service",
    "ServiceChange",
    "StockBatch",
    "StockItem",
    "Sync",
    "SyncChange",
]
