"""Replacements for staff: granted from own stock or with lines that are entered, or refused with an answer."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from accounts.admin_pages import NOTHING, AskForm, Button, ReadOnlyAdmin, StaffRequest, ask, change_url, column, link
from accounts.errors import UserError
from accounts.templatetags.money import count
from catalog import stock
from catalog.models import Product
from orders import replacing
from orders.admin_deliveries import LinesForm, hide
from orders.models import Replacement

Status = Replacement.Status
NEEDED = "orders.change_replacement"


class RefuseForm(AskForm):
    """Why a replacement is refused."""

    answer = forms.CharField(
        label=gettext_lazy("Answer"), max_length=500, help_text=gettext_lazy("The customer reads it.")
    )


@admin.register(Replacement)
class ReplacementAdmin(ReadOnlyAdmin):
    """Replacements that customers asked for, newest first."""

    list_display = ("id", "order_link", "customer", "product", "line_count", "reason", "status_label", "created_at")
    list_display_links = ("id",)
    list_filter = ("status",)
    list_select_related = ("delivery__order__user", "delivery__order__service")
    search_fields = ("=delivery__order__id", "delivery__order__user__email")
    search_help_text = gettext_lazy("ID of the order, or a customer's e-mail address")
    fields = (
        ("order_link", "customer"),
        ("product", "line_count"),
        ("reason", "line_numbers"),
        ("status", "answer"),
        ("created_at", "ended_at"),
        "actor",
    )
    readonly_fields = ("order_link", "customer", "product", "line_count", "line_numbers")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Replacement]:
        rows: QuerySet[Replacement] = super().get_queryset(request)
        return rows.annotate(number=Count("lines"))

    @column(gettext_lazy("order"))
    def order_link(self, replacement: Replacement) -> str:
        return link(replacement.delivery.order)

    @column(gettext_lazy("customer"))
    def customer(self, replacement: Replacement) -> str:
        user = replacement.delivery.order.user
        return link(user, user.email)

    @column(gettext_lazy("product"))
    def product(self, replacement: Replacement) -> str:
        return str(replacement.delivery.order.service)

    @column(gettext_lazy("lines"))
    def line_count(self, replacement: Replacement) -> str:
        return count(getattr(replacement, "number", 0))

    @column(gettext_lazy("their numbers"))
    def line_numbers(self, replacement: Replacement) -> str:
        return tell_numbers(replacement)

    @column(gettext_lazy("status"), label={"open": "warning", "granted": "success", "refused": "danger"})
    def status_label(self, replacement: Replacement) -> tuple[str, str]:
        return replacement.status, str(Status(replacement.status).label)

    def list_buttons(self, request: StaffRequest, row: Replacement) -> list[Button]:
        if row.status != Status.OPEN or not request.user.has_perm(NEEDED):
            return []
        grant = reverse("admin:orders_replacement_grant", args=[row.pk])
        refuse = reverse("admin:orders_replacement_refuse", args=[row.pk])
        return [Button(_("Grant it"), grant, "check"), Button(_("Refuse it"), refuse, "close")]

    def get_urls(self) -> list[URLPattern]:
        grant, refuse = self.admin_site.admin_view(self.grant), self.admin_site.admin_view(self.refuse)
        return [
            path("<int:pk>/grant/", grant, name="orders_replacement_grant"),
            path("<int:pk>/refuse/", refuse, name="orders_replacement_refuse"),
            *super().get_urls(),
        ]

    @sensitive_variables()
    def grant(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Ask for the other lines, or take them from own stock where none are entered."""
        hide(request)
        replacement = find(request, pk)
        form = LinesForm(request.POST or None)
        if form.is_valid():
            given = form.cleaned_data["lines"].splitlines() or None
            try:
                replacing.grant(pk, actor_id=request.user.pk, lines=given)
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else None, error.text)
            else:
                messages.success(request, _("Replaced; the customer has the other lines."))
                return redirect(change_url(replacement))
        product = replacement.delivery.order.service.product
        facts = tell(replacement)
        explanation = _("Enter as many lines as were asked for.")
        if product.source == Product.Source.STOCK:
            explanation = _("Leave the field empty to take them from own stock.")
            facts.append((_("On hand"), count(stock.count([product.pk])[product.pk])))
        words: dict[str, Any] = {"title": _("Replace these lines?"), "submit": _("Replace them")}
        return ask(self, request, form, subject=replacement, facts=facts, explanation=explanation, **words)

    def refuse(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Ask for the answer, and refuse."""
        replacement = find(request, pk)
        form = RefuseForm(request.POST or None)
        if form.is_valid():
            try:
                replacing.refuse(pk, actor_id=request.user.pk, answer=form.cleaned_data["answer"])
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else None, error.text)
            else:
                messages.success(request, _("Refused; the customer sees the answer."))
                return redirect(change_url(replacement))
        words: dict[str, Any] = {"title": _("Refuse this replacement?"), "submit": _("Refuse it")}
        return ask(self, request, form, subject=replacement, facts=tell(replacement), variant="danger", **words)


def find(request: StaffRequest, pk: int) -> Replacement:
    """Return a replacement for those who may answer it."""
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied
    rows = Replacement.objects.select_related("delivery__order__service__product", "delivery__order__user")
    return get_object_or_404(rows, pk=pk)


def tell(replacement: Replacement) -> list[tuple[Any, Any]]:
    """Tell what whoever answers a replacement must know; never a line."""
    order = replacement.delivery.order
    return [
        (_("Order"), link(order)),
        (_("Customer"), order.user.email),
        (_("Product"), str(order.service)),
        (_("Lines"), tell_numbers(replacement)),
        (_("What is wrong"), replacement.reason),
    ]


def tell_numbers(replacement: Replacement) -> str:
    """Name the lines by their numbers on the customer's page."""
    numbers = replacement.lines.order_by("position").values_list("position", flat=True)
    return ", ".join(str(number) for number in numbers) or NOTHING
