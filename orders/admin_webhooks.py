"""Customers' webhooks for staff: where they go, how they do, what waits. No secret and no body is shown here."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin_pages import Button, ReadOnlyAdmin, StaffRequest, change_url, column, link
from orders.models import WebhookDelivery, WebhookEndpoint
from orders.webhooks import browsing, endpoints
from orders.webhooks.browsing import EndpointRow
from orders.webhooks.describing import TYPES

LOOKS = {"completed": "success", "partial": "warning", "disabled": "danger"}


class StateFilter(admin.SimpleListFilter):
    """Endpoints that fail, or that are off."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [("failing", _("Failing or paused")), ("off", _("Off"))]

    def queryset(self, _request: HttpRequest, rows: QuerySet[WebhookEndpoint]) -> QuerySet[WebhookEndpoint]:
        if self.value() == "failing":
            return rows.filter(failures__gt=0, disabled_at=None)
        return rows.exclude(disabled_at=None) if self.value() == "off" else rows


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Endpoints; staff may switch one off, everything else is its owner's."""

    list_display = ("id", "customer", "url", "state_label", "failures", "waiting", "given_up", "created_at")
    list_display_links = ("id",)
    list_filter = (StateFilter,)
    list_select_related = ("user",)
    search_fields = ("url", "user__email", "user__username")
    search_help_text = _("Address, or the customer")
    fields = (
        ("customer", "url"),
        ("state_label", "why"),
        ("failures", "paused_until"),
        ("waiting", "given_up"),
        ("types", "created_at"),
    )
    readonly_fields = ("customer", "state_label", "why", "waiting", "given_up", "types")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        rows: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        state = WebhookDelivery.State
        return rows.annotate(
            waiting_count=Count("deliveries", filter=Q(deliveries__state=state.WAITING)),
            failed_count=Count("deliveries", filter=Q(deliveries__state=state.FAILED)),
        )

    @column(_("customer"), ordering="user")
    def customer(self, endpoint: WebhookEndpoint) -> str:
        return link(endpoint.user)

    @column(_("state"), label=LOOKS)
    def state_label(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        shown = _show(endpoint)
        return shown.tone, shown.state

    @column(_("why"))
    def why(self, endpoint: WebhookEndpoint) -> str:
        return _show(endpoint).why

    @column(_("events"))
    def types(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(TYPES[kind] for kind in endpoint.kinds)

    @column(_("waiting"), ordering="waiting_count")
    def waiting(self, endpoint: WebhookEndpoint) -> int:
        return int(getattr(endpoint, "waiting_count", 0))

    @column(_("given up"), ordering="failed_count")
    def given_up(self, endpoint: WebhookEndpoint) -> int:
        return int(getattr(endpoint, "failed_count", 0))

    def list_buttons(self, request: StaffRequest, row: WebhookEndpoint) -> list[Button]:
        if row.disabled_at is not None or not request.user.has_perm("orders.change_webhookendpoint"):
            return []
        url = reverse("admin:orders_webhookendpoint_off", args=[row.pk])
        return [Button(_("Switch off"), url, "power_settings_new", post=True)]

    def get_urls(self) -> list[URLPattern]:
        off = self.admin_site.admin_view(require_POST(self.off))
        return [path("<int:pk>/off/", off, name="orders_webhookendpoint_off"), *super().get_urls()]

    def off(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Switch an endpoint off; its owner sees that staff did, and can switch it on again."""
        if not request.user.has_perm("orders.change_webhookendpoint"):
            raise PermissionDenied
        endpoint = get_object_or_404(WebhookEndpoint, pk=pk)
        endpoints.stop(pk, endpoints.Why.STAFF)
        self.log_change(request, endpoint, str(_("Switched off")))
        return redirect(change_url(endpoint))


def _show(endpoint: WebhookEndpoint) -> EndpointRow:
    return browsing.show_endpoint(endpoint)
