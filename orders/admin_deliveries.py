"""Deliveries for staff: what is to be handed over by hand, what did not come, and reading lines for a reason.

No line is in a list, a message or a log. Whoever reads a delivery says why, and both the reveal and the reason stay.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.widgets import UnfoldBooleanWidget

from accounts.admin_pages import (
    NOTHING,
    AskForm,
    Button,
    ReadOnlyAdmin,
    ReadOnlyInline,
    StaffRequest,
    ask,
    change_url,
    column,
    link,
)
from accounts.errors import UserError
from accounts.requests import read_address
from accounts.templatetags.money import count
from catalog.admin_stock_forms import LinesField, LinesInput
from orders import delivering, lifecycle, reporting
from orders.models import Delivery, Order, Reveal

PER_PAGE = 50
QUEUE = "admin:orders_delivery_hand"
# Who may see whose orders wait, deliver them, and read what was delivered.
SEE, DELIVER, READ = ("orders.view_order",), ("orders.view_order", "orders.add_delivery"), ("orders.view_delivery",)


class LinesForm(AskForm):
    """Lines that are handed over; no form shows them again."""

    WIDGETS = ((LinesField, LinesInput), (forms.BooleanField, UnfoldBooleanWidget), *AskForm.WIDGETS)

    lines = LinesField(
        label=gettext_lazy("What is handed over"),
        required=False,
        help_text=gettext_lazy("One line for each piece, as the buyer is to get it. They are not shown again."),
    )


class DeliverForm(LinesForm):
    """Lines of an order that staff deliver, and whether that is all."""

    done = forms.BooleanField(
        label=gettext_lazy("That is all: the order is done"),
        required=False,
        help_text=gettext_lazy("Without it, the order is done as soon as there is a line for each piece."),
    )


class ReasonForm(AskForm):
    """Why somebody else's goods are read."""

    reason = forms.CharField(label=gettext_lazy("Reason, for our own books"), max_length=200)


class RevealInline(ReadOnlyInline):
    """Who was shown a delivery."""

    model = Reveal
    fields = ("created_at", "actor", "way", "address")
    readonly_fields = fields


class QueueFilter(admin.SimpleListFilter):
    """Deliveries whose goods have not come from the provider."""

    title = gettext_lazy("goods")
    parameter_name = "queue"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [("missing", _("Have not come")), ("fetching", _("Being fetched"))]

    def queryset(self, _request: HttpRequest, rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
        if self.value() == "missing":
            return rows.filter(fetch_at__isnull=False, attempts__gte=delivering.TELL_AFTER)
        return rows.filter(fetch_at__isnull=False) if self.value() == "fetching" else rows


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries, newest first, without what was delivered."""

    list_display = ("order_link", "customer", "product", "line_count", "state_label", "created_at")
    list_display_links = ("created_at",)
    list_filter = (QueueFilter,)
    list_select_related = ("order__user", "order__service")
    search_fields = ("=order__id", "=token", "order__user__email")
    search_help_text = gettext_lazy("ID of the order, its name on the wire, or a customer's e-mail address")
    inlines = (RevealInline,)
    fields = (
        ("order_link", "customer"),
        ("product", "line_count"),
        ("state_text", "fetch_at"),
        ("token", "created_at"),
    )
    readonly_fields = ("order_link", "customer", "product", "line_count", "state_text", "token")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.annotate(valid=Count("lines", filter=Q(lines__replaced_at=None)))

    @column(gettext_lazy("order"), ordering="order")
    def order_link(self, delivery: Delivery) -> str:
        return link(delivery.order)

    @column(gettext_lazy("customer"))
    def customer(self, delivery: Delivery) -> str:
        return link(delivery.order.user, delivery.order.user.email)

    @column(gettext_lazy("product"))
    def product(self, delivery: Delivery) -> str:
        return str(delivery.order.service)

    @column(gettext_lazy("lines"), ordering="valid")
    def line_count(self, delivery: Delivery) -> str:
        return count(getattr(delivery, "valid", 0))

    @column(gettext_lazy("state"), label={"there": "success", "fetching": "info", "missing": "danger"})
    def state_label(self, delivery: Delivery) -> tuple[str, str]:
        if delivery.fetch_at is None:
            return "there", _("Handed over")
        tries = ngettext("%(count)d try", "%(count)d tries", delivery.attempts) % {"count": delivery.attempts}
        is_late = delivery.attempts >= delivering.TELL_AFTER
        return ("missing", _("Has not come: %s") % tries) if is_late else ("fetching", _("Being fetched: %s") % tries)

    @column(gettext_lazy("state"))
    def state_text(self, delivery: Delivery) -> str:
        return self.state_label(delivery)[1]

    def list_buttons(self, request: StaffRequest, row: Delivery) -> list[Button]:
        buttons = []
        if row.fetch_at is None and request.user.has_perms(READ):
            read = reverse("admin:orders_delivery_read", args=[row.pk])
            buttons.append(Button(_("Read it"), read, "visibility"))
        if row.fetch_at is not None and request.user.has_perms(DELIVER):
            enter = reverse("admin:orders_delivery_enter", args=[row.pk])
            buttons.append(Button(_("Enter what came"), enter, "edit"))
        return buttons

    def get_urls(self) -> list[URLPattern]:
        def serve(view: Callable[..., HttpResponse], needed: tuple[str, ...]) -> Any:
            def check(request: HttpRequest, **values: int) -> HttpResponse:
                if not request.user.has_perms(needed):
                    raise PermissionDenied
                return view(request, **values)

            return never_cache(self.admin_site.admin_view(check))

        return [
            path("hand/", serve(self.show_queue, SEE), name="orders_delivery_hand"),
            path("hand/<int:order_id>/", serve(self.deliver, DELIVER), name="orders_delivery_deliver"),
            path("<int:pk>/enter/", serve(self.enter, DELIVER), name="orders_delivery_enter"),
            path("<int:pk>/read/", serve(self.read, READ), name="orders_delivery_read"),
            *super().get_urls(),
        ]

    def show_queue(self, request: StaffRequest) -> HttpResponse:
        """Show the orders that staff deliver, the longest waiting first, with what was entered for them."""
        waiting = list_by_hand()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("To be delivered by hand"),
            "found": Paginator(waiting, PER_PAGE).get_page(request.GET.get("page")),
            "may_deliver": request.user.has_perms(DELIVER),
        }
        return TemplateResponse(request, "admin/panel/hand.html", context)

    @sensitive_variables()
    def deliver(self, request: StaffRequest, order_id: int) -> HttpResponse:
        """Ask for the lines of an order that staff deliver, and hand them over."""
        hide(request)
        order = get_object_or_404(list_by_hand(), pk=order_id)
        form = DeliverForm(request.POST or None)
        if form.is_valid():
            given = form.cleaned_data
            try:
                order = delivering.deliver_by_hand(
                    order_id, given["lines"].splitlines(), actor_id=request.user.pk, done=given["done"]
                )
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else None, error.text)
            else:
                ended = order.status in lifecycle.ENDED
                told = _("Order %s is delivered.") if ended else _("Handed over; order %s waits for the rest.")
                messages.success(request, told % order_id)
                return redirect(QUEUE)
        words: dict[str, Any] = {
            "title": _("Deliver order %s") % order_id,
            "submit": _("Hand over"),
            "facts": tell_order(order),
            "back": reverse(QUEUE),
        }
        return ask(self, request, form, **words)

    @sensitive_variables()
    def enter(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Ask for what did not come from a provider, and hand it over."""
        hide(request)
        delivery = get_object_or_404(Delivery.objects.select_related("order__service__product", "order__user"), pk=pk)
        form = LinesForm(request.POST or None)
        if form.is_valid():
            try:
                delivering.enter_goods(pk, form.cleaned_data["lines"].splitlines(), actor_id=request.user.pk)
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else None, error.text)
            else:
                messages.success(request, _("Handed over."))
                return redirect(change_url(delivery))
        words: dict[str, Any] = {
            "title": _("What came for order %s?") % delivery.order_id,
            "explanation": _("For goods that the provider made and never told us, as they were got elsewhere."),
            "submit": _("Hand over"),
            "facts": tell_order(delivery.order),
        }
        return ask(self, request, form, subject=delivery, **words)

    @sensitive_variables()
    def read(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Ask why, and show a delivery once; the customer sees that it was shown."""
        delivery = get_object_or_404(Delivery.objects.select_related("order__service__product", "order__user"), pk=pk)
        form = ReasonForm(request.POST or None)
        if not form.is_valid():
            words: dict[str, Any] = {
                "title": _("Read what order %s was given?") % delivery.order_id,
                "explanation": _("They are the customer's secrets. That you read them is noted, with the reason."),
                "submit": _("Read it"),
                "facts": tell_order(delivery.order),
                "variant": "danger",
            }
            return ask(self, request, form, subject=delivery, **words)
        self.log_change(request, delivery, _("Read: %s") % form.cleaned_data["reason"])
        address = read_address(request.META) or None
        lines = delivering.reveal_numbered(
            delivery.order, actor_id=request.user.pk, way=Reveal.Way.PAGE, address=address
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What order %s was given") % delivery.order_id,
            "lines": lines,
            "back": change_url(delivery),
        }
        return TemplateResponse(request, "admin/panel/goods.html", context)


def list_by_hand() -> QuerySet[Order]:
    """Return the open orders that staff deliver, the longest waiting first."""
    waiting = reporting.find_undelivered().select_related("service__product", "user").order_by("pk")
    return waiting.annotate(handed=Count("delivery__lines", filter=Q(delivery__lines__replaced_at=None)))


def tell_order(order: Order) -> list[tuple[Any, Any]]:
    """Tell what whoever delivers an order must know."""
    return [
        (_("Customer"), order.user.email),
        (_("Product"), str(order.service)),
        (_("Quantity"), count(order.quantity)),
        (
            _("Handed over so far"),
            count(order.quantity - (order.remains or 0)) if order.remains is not None else NOTHING,
        ),
        (order.service.product.require or _("Entered"), order.details.get("require", NOTHING)),
    ]


def hide(request: HttpRequest) -> None:
    """Keep what was typed out of every report of an error, as `sensitive_post_parameters` does for plain views."""
    sensitive_post_parameters("lines")(lambda _request: None)(request)
