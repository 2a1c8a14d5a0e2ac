"""The page that tells how a service's price comes about, for anybody or for one customer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import AskForm, PanelAdmin, change_url
from accounts.models import User
from accounts.requests import read_id
from catalog import pricing
from catalog.explaining import explain
from catalog.models import Service

CUSTOMER = "customer"


class CustomerForm(AskForm):
    """Whose price it is to be."""

    customer = forms.EmailField(
        label=_("For a customer"), required=False, help_text=_("E-mail address; empty: anybody.")
    )


class CustomerFilter(admin.SimpleListFilter):
    """Shows a customer's rates in place of the list's, on the way from his page; it leaves no service out."""

    title = _("rates of a customer")
    parameter_name = CUSTOMER

    def lookups(self, request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        user = read_customer(request)
        return [(str(user.pk), user.email)] if user else []

    def queryset(self, _request: HttpRequest, services: QuerySet[Service]) -> QuerySet[Service]:
        return services


def read_customer(request: HttpRequest) -> User | None:
    """Return the customer whom an address names by id or e-mail, for those who may look at customers; else None."""
    named = request.GET.get(CUSTOMER, "").strip()
    if not named or not request.user.has_perm("accounts.view_user"):
        return None
    number = read_id(named)
    users = User.objects.select_related("group")
    return (users.filter(pk=number) if number is not None else users.filter(email__iexact=named[:254])).first()


def price_url(service_id: int, user: User | None) -> str:
    """Return the address of the page for a service and a customer."""
    url = reverse("admin:catalog_service_price", args=[service_id])
    return f"{url}?{CUSTOMER}={user.pk}" if user else url


def show_price(admin: PanelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show how a service's price comes about."""
    if not request.user.has_perm("catalog.view_service"):
        raise PermissionDenied
    service = get_object_or_404(Service, pk=pk)
    user = read_customer(request)
    may_choose = request.user.has_perm("accounts.view_user")
    named = user.email if user else request.GET.get(CUSTOMER, "").strip()
    form = CustomerForm({CUSTOMER: named})
    missing = may_choose and bool(named) and user is None
    if missing:
        form.add_error(CUSTOMER, _("There is no such customer."))
    terms = pricing.load_terms(user.pk if user else None, [pk]).get(pk)
    context = {
        **admin.admin_site.each_context(request),
        "opts": Service._meta,  # noqa: SLF001 - the public way to a model's names
        "title": _("How the price of %s comes about") % service,
        "form": form if may_choose else None,
        "steps": explain(terms, user) if terms and not missing else [],
        "missing": missing,
        "back": change_url(service),
    }
    return TemplateResponse(request, "admin/panel/price.html", context)
