"""Uploads and lines of own stock, by number and fate; what a line says is on no page."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import NOTHING, Button, ReadOnlyAdmin, StaffRequest, column, link
from accounts.templatetags.money import count
from catalog.models import StockBatch, StockItem


class StateFilter(admin.SimpleListFilter):
    """Lines by what became of them."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [
            ("ready", _("Can be sold")),
            ("expired", _("Expired")),
            ("sold", _("Sold")),
            ("out", _("Taken out")),
        ]

    def queryset(self, _request: HttpRequest, lines: QuerySet[StockItem]) -> QuerySet[StockItem]:
        wanted = list_states().get(self.value() or "")
        return lines if wanted is None else lines.filter(wanted)


@admin.register(StockBatch)
class StockBatchAdmin(ReadOnlyAdmin):
    """Uploads, newest first, with what became of their lines."""

    list_display = ("id", "name", "product_link", "who", "created_at", "ready", "expired", "sold", "out")
    list_display_links = ("id", "name")
    list_filter = (("product", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("product__service", "actor")
    search_fields = ("=id", "name", "product__service__name")
    ordering = ("-id",)
    fields = ("name", "product_link", "who", "created_at", "ready", "expired", "sold", "out")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockBatch]:
        batches: QuerySet[StockBatch] = super().get_queryset(request)
        numbers = {f"{name}_lines": Count("items", filter=wanted) for name, wanted in list_states("items__").items()}
        return batches.annotate(**numbers)

    def list_buttons(self, request: StaffRequest, row: StockBatch) -> list[Button]:
        if not request.user.has_perm("catalog.view_stockitem"):
            return []
        lines = f"{reverse('admin:catalog_stockitem_changelist')}?batch__id__exact={row.pk}"
        return [Button(_("Its lines"), lines, "list")]

    @column(_("product"), ordering="product__service__name")
    def product_link(self, batch: StockBatch) -> str:
        return link(batch.product)

    @column(_("by"), ordering="actor__email")
    def who(self, batch: StockBatch) -> str:
        return batch.actor.email if batch.actor else NOTHING

    @column(_("can be sold"))
    def ready(self, batch: StockBatch) -> str:
        return count(getattr(batch, "ready_lines", 0))

    @column(_("expired"))
    def expired(self, batch: StockBatch) -> str:
        return count(getattr(batch, "expired_lines", 0))

    @column(_("sold"))
    def sold(self, batch: StockBatch) -> str:
        return count(getattr(batch, "sold_lines", 0))

    @column(_("taken out"))
    def out(self, batch: StockBatch) -> str:
        return count(getattr(batch, "out_lines", 0))


@admin.register(StockItem)
class StockItemAdmin(ReadOnlyAdmin):
    """Lines by number and fate; what they say is on no page."""

    list_display = ("id", "product_link", "batch_link", "state", "expires_at", "taken_at", "withdrawn_at")
    list_filter = (StateFilter, ("batch", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("product__service", "batch")
    search_fields = ("=id", "product__service__name")
    ordering = ("-id",)
    fields = ("id", "product_link", "batch_link", "state", "expires_at", "taken_at", "withdrawn_at")
    readonly_fields = fields

    @column(_("product"), ordering="product__service__name")
    def product_link(self, line: StockItem) -> str:
        return link(line.product)

    @column(_("upload"), ordering="batch")
    def batch_link(self, line: StockItem) -> str:
        return link(line.batch)

    @column(_("state"), label={"ready": "success", "expired": "warning", "sold": "info", "out": ""})
    def state(self, line: StockItem) -> tuple[str, str]:
        return name_state(line)


def list_states(prefix: str = "") -> dict[str, Q]:
    """Return what makes a line one that can be sold, has expired, was sold or was taken out."""
    now = timezone.now()

    def that(**wanted: Any) -> Q:
        return Q(**{f"{prefix}{name}": value for name, value in wanted.items()})

    left = that(taken_at=None, withdrawn_at=None)
    return {
        "ready": left & (that(expires_at=None) | that(expires_at__gt=now)),
        "expired": left & that(expires_at__lte=now),
        "sold": that(taken_at__isnull=False),
        "out": that(withdrawn_at__isnull=False),
    }


def name_state(line: StockItem) -> tuple[str, str]:
    """Return what became of a line, and a word for it."""
    if line.taken_at is not None:
        return "sold", str(_("Sold"))
    if line.withdrawn_at is not None:
        return "out", str(_("Taken out"))
    expired = line.expires_at is not None and line.expires_at <= timezone.now()
    return ("expired", str(_("Expired"))) if expired else ("ready", str(_("Can be sold")))
