"""What providers list, as it was last read: rows that nobody edits."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import ReadOnlyAdmin, column, link
from accounts.money import plain
from catalog.models import ProviderService, Route


class OnSaleFilter(admin.SimpleListFilter):
    """Provider services with a route, or without."""

    title = _("used by a service")
    parameter_name = "used"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, _request: HttpRequest, rows: QuerySet[ProviderService]) -> QuerySet[ProviderService]:
        used = Exists(Route.objects.filter(provider_service=OuterRef("pk")))
        return rows.filter(used) if self.value() == "yes" else rows.exclude(used) if self.value() == "no" else rows


@admin.register(ProviderService)
class ProviderServiceAdmin(ReadOnlyAdmin):
    """What providers list, as it was last read."""

    list_display = (
        "remote_id",
        "name",
        "provider_link",
        "type",
        "category",
        "rate_text",
        "min",
        "max",
        "vanished_at",
        "waiting",
    )
    list_display_links = ("remote_id", "name")
    list_filter = (
        "provider",
        "is_product",
        OnSaleFilter,
        "waiting",
        ("vanished_at", admin.EmptyFieldListFilter),
        "type",
    )
    list_select_related = ("provider",)
    search_fields = ("=remote_id", "name", "category")
    ordering = ("provider", "id")

    @column(_("provider"), ordering="provider")
    def provider_link(self, row: ProviderService) -> str:
        return link(row.provider)

    @column(_("rate"), ordering="rate")
    def rate_text(self, row: ProviderService) -> str:
        return f"{plain(row.rate)} {row.provider.currency}"
