"""Services as staff see them: what is sold, by which routes, at what margin."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts.admin_pages import LINK, NOTHING, Button, PanelAdmin, PanelInline, StaffRequest, amount, column, link
from accounts.money import plain
from catalog import pricing
from catalog.admin_explaining import CustomerFilter, price_url, read_customer, show_price
from catalog.admin_prices import MarkupInline, read_terms, warn_below_cost
from catalog.models import Category, ProviderService, Route, Service


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in stubs only
    """One route of a service; a provider's product delivers products alone, and its service services."""

    def clean_provider_service(self) -> ProviderService:
        row: ProviderService = self.cleaned_data["provider_service"]
        service = self.instance.service if self.instance.service_id else None
        if row.is_product != (service is not None and service.is_product):
            raise forms.ValidationError(_("A product is delivered by a provider's product, a service by a service."))
        return row


class RouteInline(PanelInline):
    """The provider services that can deliver a service, in the order in which they are tried."""

    model = Route
    form = RouteForm
    fields = ("position", "provider_service", "provider", "cost", "enabled")
    readonly_fields = ("provider", "cost")
    autocomplete_fields = ("provider_service",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        routes: QuerySet[Route] = super().get_queryset(request)
        return routes.select_related("provider_service__provider")

    @column(_("provider"))
    def provider(self, route: Route) -> str:
        return link(route.provider_service.provider) if route.provider_service_id else NOTHING

    @column(_("its rate"))
    def cost(self, route: Route) -> str:
        if not route.provider_service_id:
            return NOTHING
        row = route.provider_service
        return str(_("vanished")) if row.vanished_at else f"{plain(row.rate)} {row.provider.currency}"


@admin.register(Category)
class CategoryAdmin(PanelAdmin):
    """Categories in the order in which customers see them."""

    list_display = ("name", "position", "services_on_sale", "services")
    list_editable = ("position",)
    search_fields = ("name",)
    inlines = (MarkupInline,)
    ordering = ("position", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Category]:
        categories: QuerySet[Category] = super().get_queryset(request)
        on_sale = Count("services", filter=Q(services__enabled=True))
        return categories.annotate(all_services=Count("services"), on_sale=on_sale)

    @column(_("on sale"), ordering="on_sale")
    def services_on_sale(self, category: Category) -> int:
        return int(getattr(category, "on_sale", 0))

    @column(_("services"), ordering="all_services")
    def services(self, category: Category) -> str:
        url = f"{reverse('admin:catalog_service_changelist')}?category__id__exact={category.pk}"
        return format_html('<a href="{}" class="{}">{}</a>', url, LINK, getattr(category, "all_services", 0))


@admin.register(Service)
class ServiceAdmin(PanelAdmin):
    """Services with the rate that the list says and what is left of it; the terms of a page come in one query."""

    list_display = ("id", "name", "category", "type", "cost", "rate", "margin", "min", "max", "enabled")
    list_display_links = ("id", "name")
    list_filter = ("enabled", "type", ("category", admin.RelatedOnlyFieldListFilter), "loss_policy", CustomerFilter)
    list_select_related = ("category",)
    search_fields = ("=id", "name", "category__name")
    ordering = ("category__position", "category_id", "position", "id")
    autocomplete_fields = ("category",)
    inlines = (RouteInline, MarkupInline)
    actions = ("put_on_sale", "take_off_sale")
    list_before_template = "admin/panel/list_note.html"
    fieldsets = (
        (None, {"fields": ("name", "category", "description", "enabled", "position")}),
        (_("What can be ordered"), {"fields": ("type", "min", "max", "refill", "cancel", "dripfeed")}),
        (_("Price"), {"fields": ("own_rate", "loss_policy")}),
        (
            _("What follows the provider at each sync"),
            {"fields": ("follows_name", "follows_description", "follows_limits", "follows_flags")},
        ),
        (_("Refills"), {"fields": ("refill_days", "refill_after_hours", "refill_limit"), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Service]:
        """List services alone: products have a list of their own, but share this page for their routes."""
        services: QuerySet[Service] = super().get_queryset(request)
        is_list = request.resolver_match is not None and request.resolver_match.url_name == "catalog_service_changelist"
        return services.filter(is_product=False) if is_list else services

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leave to a product what every product is (`product_is_sold_plainly`)."""
        return ("type", "refill", "dripfeed") if obj is not None and obj.is_product else ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the terms of all services of the page in one query."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        user = read_customer(request)
        terms = pricing.load_terms(user.pk if user else None, [service.pk for service in changelist.result_list])
        for service in changelist.result_list:
            service.terms = terms.get(service.pk)
            service.price_url = price_url(service.pk, user)
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Say above the list whose rates it shows, where they are not everybody's."""
        user = read_customer(request)
        note = _("The rates are those of %s.") % user.email if user else ""
        return super().changelist_view(request, {**(extra_context or {}), "note": note})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Warn when all is saved: the cost is that of the routes."""
        super().save_related(request, form, formsets, change)
        warn_below_cost(request, form.instance.pk, form.instance.own_rate)

    @column(_("cost"))
    def cost(self, service: Service) -> str:
        terms = read_terms(service)
        return amount(pricing.cost_rate(terms)) if terms else NOTHING

    @column(_("rate"))
    def rate(self, service: Service) -> str:
        terms = read_terms(service)
        if terms is None:
            return NOTHING
        url = getattr(service, "price_url", "")
        return format_html('<a href="{}" class="{}">{}</a>', url, LINK, amount(pricing.sell_rate(terms)))

    @column(_("margin"))
    def margin(self, service: Service) -> str:
        """Tell what share of the rate is left when the provider is paid."""
        terms = read_terms(service)
        if terms is None:
            return str(_("cannot be sold")) if service.enabled else NOTHING
        rate = pricing.sell_rate(terms)
        return f"{(rate - pricing.cost_rate(terms)) / rate * 100:.1f} %"

    def list_buttons(self, _request: StaffRequest, row: Service) -> list[Button]:
        return [Button(_("How its price comes about"), price_url(row.pk, None), "calculate")]

    def get_urls(self) -> list[URLPattern]:
        price = self.admin_site.admin_view(require_safe(partial(show_price, self)))
        return [path("<int:pk>/price/", price, name="catalog_service_price"), *super().get_urls()]

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Orders name their service: take it off sale instead."""
        return False

    @admin.action(description=_("Put on sale"), permissions=["change"])
    def put_on_sale(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        known = services.exclude(type=Service.Type.UNKNOWN)
        unknown = services.count() - known.count()
        self.switch(request, known, on=True)
        if unknown:
            messages.warning(request, _("Not those of an unknown type: %s.") % unknown)

    @admin.action(description=_("Take off sale"), permissions=["change"])
    def take_off_sale(self, request: HttpRequest, services: QuerySet[Service]) -> None:
        self.switch(request, services, on=False)

    def switch(self, request: HttpRequest, services: QuerySet[Service], *, on: bool) -> None:
        """Put services on sale or take them off, with a line in each one's history."""
        changed = list(services.exclude(enabled=on))
        Service.objects.filter(pk__in=[service.pk for service in changed]).update(enabled=on)
        for service in changed:
            self.log_change(request, service, "Put on sale" if on else "Taken off sale")
        messages.success(request, ngettext("%s service changed.", "%s services changed.", len(changed)) % len(changed))
