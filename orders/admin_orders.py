"""Orders as staff see them: the customer's side, the provider's side, and what is left of the money in between."""

import operator
from functools import partial, reduce
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin_pages import (
    LINK,
    NOTHING,
    Button,
    ReadOnlyInline,
    StaffRequest,
    amount,
    change_url,
    column,
    link,
    pairs,
)
from accounts.errors import UserError
from accounts.money import plain
from accounts.requests import read_id
from catalog.models import Provider
from orders import admin_ending, attending, reporting
from orders.admin_losses import LossColumns, LossFilter
from orders.models import Dispatch, Order, OrderEvent

STATUS_LOOKS = {
    Order.Status.PROCESSING: "info",
    Order.Status.IN_PROGRESS: "primary",
    Order.Status.COMPLETED: "success",
    Order.Status.PARTIAL: "warning",
    Order.Status.CANCELED: "danger",
}
WIDEST = 26


class DispatchInline(ReadOnlyInline):
    """What was sent where, and what came back."""

    model = Dispatch
    fields = ("dispatch", "state", "remote_id", "attempt", "claimed_at", "reason", "came_back")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispatch]:
        dispatches: QuerySet[Dispatch] = super().get_queryset(request)
        return dispatches.select_related("provider")

    @column(_("to"))
    def dispatch(self, dispatch: Dispatch) -> str:
        return link(dispatch, dispatch.provider.name)

    @column(_("what came back"))
    def came_back(self, dispatch: Dispatch) -> str:
        return format_html("<pre>{}</pre>", dispatch.evidence) if dispatch.evidence else NOTHING


class EventInline(ReadOnlyInline):
    """What happened, newest first, with the figures."""

    model = OrderEvent
    fields = ("created_at", "kind", "figures", "actor")
    readonly_fields = fields
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderEvent]:
        events: QuerySet[OrderEvent] = super().get_queryset(request)
        return events.select_related("actor")

    @column(_("figures"))
    def figures(self, event: OrderEvent) -> str:
        return pairs(event.data)


class AttentionFilter(admin.SimpleListFilter):
    """Orders that staff must look at, for one reason or for any."""

    title = _("needs attention")
    parameter_name = "attention"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        reasons = [(code, label) for code, label in Order.Attention.choices if code]
        return [("any", _("For any reason")), *reasons, ("stuck", _("Open for more than a day"))]

    def queryset(self, _request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() == "any":
            return orders.exclude(attention="")
        if self.value() == "stuck":
            return orders.filter(pk__in=reporting.find_stuck())
        return orders.filter(attention=self.value()) if self.value() else orders


class ProviderFilter(admin.SimpleListFilter):
    """Orders of which a provider was sent something."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [(str(pk), name) for pk, name in Provider.objects.order_by("name").values_list("pk", "name")]

    def queryset(self, _request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        provider_id = read_id(self.value())
        if provider_id is None:
            return orders
        return orders.filter(Exists(Dispatch.objects.filter(order=OuterRef("pk"), provider_id=provider_id)))


@admin.register(Order)
class OrderAdmin(LossColumns):
    """Orders, newest first; status and money change by what providers report, never by hand."""

    list_display = (
        "ids",
        "customer",
        "charge_text",
        "link_text",
        "start_count",
        "quantity",
        "service_link",
        "status_label",
        "remains",
        "created",
        "provider",
        "cost",
        "profit",
    )
    list_display_links = ("ids",)
    list_filter = ("status", AttentionFilter, ProviderFilter, LossFilter, ("created_at", admin.DateFieldListFilter))
    list_select_related = ("user", "service")
    list_fullwidth = True
    search_fields = ("id",)
    search_help_text = _("ID, the provider's ID, words of a link, or a customer's e-mail address")
    ordering = ("-id",)
    inlines = (DispatchInline, EventInline)
    fieldsets = (
        (None, {"fields": (("status", "attention"), ("customer", "service_link"), ("created_at", "ended_at"))}),
        (
            _("What was ordered"),
            {"fields": ("link_whole", ("quantity", "remains"), ("start_count", "details_text"))},
        ),
        (_("Money"), {"fields": (("charge_text", "cost"), ("refunded_text", "costs"), ("net", "profit"))}),
    )
    readonly_fields = (
        "customer",
        "service_link",
        "link_whole",
        "details_text",
        "charge_text",
        "refunded_text",
        "net",
        "cost",
        "costs",
        "profit",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        dispatches = Dispatch.objects.select_related("provider").defer("evidence").order_by("-id")
        orders: QuerySet[Order] = super().get_queryset(request)
        return orders.prefetch_related(Prefetch("dispatches", dispatches))

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find orders by their id, the provider's id, link or customer; a number is an id and nothing else."""
        words = search_term.replace("\x00", "").split()
        return queryset.filter(reduce(operator.and_, map(found_by, words), Q())), False

    @column(_("ID"), ordering="id", header=True)
    def ids(self, order: Order) -> list[str]:
        return [str(order.pk), ", ".join(d.remote_id for d in order.dispatches.all() if d.remote_id) or NOTHING]

    @column(_("user"), ordering="user")
    def customer(self, order: Order) -> str:
        return link(order.user, order.user.email)

    @column(_("charge"), ordering="charge")
    def charge_text(self, order: Order) -> str:
        return amount(order.charge)

    @column(_("link"))
    def link_text(self, order: Order) -> str:
        shown = '<span class="whitespace-nowrap" title="{}">{}</span>'
        return format_html(shown, order.link, shorten(order.link))

    @column(_("created"), ordering="created_at")
    def created(self, order: Order) -> str:
        shown = date_format(timezone.localtime(order.created_at), "j M Y H:i")
        return format_html('<span class="whitespace-nowrap">{}</span>', shown)

    @column(_("link"))
    def link_whole(self, order: Order) -> str:
        if not order.link.startswith(("http://", "https://")):
            return order.link
        shown = '<a href="{0}" class="{1}" rel="noreferrer noopener nofollow" target="_blank">{0}</a>'
        return format_html(shown, order.link, LINK)

    @column(_("service"), ordering="service")
    def service_link(self, order: Order) -> str:
        return format_html(
            '<span class="whitespace-nowrap">{}</span>', link(order.service, Truncator(order.service).chars(WIDEST))
        )

    @column(_("status"), ordering="status", label=STATUS_LOOKS)
    def status_label(self, order: Order) -> tuple[str, str]:
        marks = " !" if order.attention else ""
        return order.status, f"{Order.Status(order.status).label}{marks}"

    @column(_("provider"))
    def provider(self, order: Order) -> str:
        latest = next(iter(order.dispatches.all()), None)
        return link(latest.provider) if latest else NOTHING

    @column(_("cost"))
    def cost(self, order: Order) -> str:
        return amount(reporting.cost(order))

    @column(_("profit"))
    def profit(self, order: Order) -> str:
        return amount(reporting.profit(order))

    @column(_("how it was reckoned"))
    def costs(self, order: Order) -> str:
        rate = f"{plain(order.provider_rate)} × {plain(order.exchange_rate)}"
        told = (amount(order.rate), rate, amount(order.expected_cost), amount(order.reported_cost))
        return str(_("rate %s; their rate %s; expected %s; reported %s")) % told

    @column(_("refunded"))
    def refunded_text(self, order: Order) -> str:
        return amount(order.refunded)

    @column(_("net"))
    def net(self, order: Order) -> str:
        return amount(order.net_charge)

    @column(_("its parameters"))
    def details_text(self, order: Order) -> str:
        return format_html("<pre>{}</pre>", pairs(order.details)) if order.details else NOTHING

    def list_buttons(self, request: StaffRequest, row: Order) -> list[Button]:
        if not request.user.has_perm("orders.change_order"):
            return []
        buttons = []
        if row.attention:
            url = reverse("admin:orders_order_looked", args=[row.pk])
            buttons.append(Button(_("I have looked at it"), url, "visibility", post=True))
        if admin_ending.can_end(row):
            url = reverse("admin:orders_order_end", args=[row.pk])
            buttons.append(Button(_("End it by hand"), url, "flag"))
        return buttons

    def get_urls(self) -> list[URLPattern]:
        looked = self.admin_site.admin_view(require_POST(self.looked))
        end = self.admin_site.admin_view(partial(admin_ending.end, self))
        return [
            path("<int:pk>/looked/", looked, name="orders_order_looked"),
            path("<int:pk>/end/", end, name="orders_order_end"),
            *super().get_urls(),
        ]

    def looked(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Take an order off the list of those that need a look."""
        if not request.user.has_perm("orders.change_order"):
            raise PermissionDenied
        order = get_object_or_404(Order, pk=pk)
        try:
            attending.clear_attention(pk, actor_id=request.user.pk)
        except UserError as error:
            messages.warning(request, error.text)
        return redirect(change_url(order))


def shorten(text: str) -> str:
    """Return a text with its middle left out where it is wide; both ends are what a person knows it by."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2]}…{text[1 - WIDEST // 2 :]}"


def found_by(word: str) -> Q:
    """Return the orders that one word of a search finds."""
    remote = Exists(Dispatch.objects.filter(order=OuterRef("pk"), remote_id=word))
    number = read_id(word.removeprefix("#"))
    if number is not None:
        return Q(pk=number) | Q(remote)
    return Q(link__icontains=word) | Q(user__email__icontains=word) | Q(remote)
