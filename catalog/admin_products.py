"""Products as staff see them: what is sold by the piece, where it comes from, at what rate, and how many are there."""

from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from accounts.admin_pages import (
    NOTHING,
    Button,
    PanelAdmin,
    PlainDecimalField,
    StaffRequest,
    amount,
    change_url,
    column,
)
from accounts.errors import UserError
from accounts.money import plain
from catalog import admin_stock, goods, pricing, selling, stock
from catalog.admin_prices import read_terms, warn_below_cost
from catalog.choosing import Price
from catalog.goods import Availability
from catalog.models import Category, Markup, Product, ProviderService, Service

Source = Product.Source
OF_SERVICE = ("name", "category", "description", "enabled", "min", "max", "own_rate")
OF_PRICE = ("percent", "fixed", "round_to")
EXTRA = ("kind", "require", "warranty_days", "unit_cost", "low_stock")


class LowFilter(admin.SimpleListFilter):
    """Products whose stock runs out."""

    title = _("own stock")
    parameter_name = "stock"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [("low", _("Low"))]

    def queryset(self, _request: HttpRequest, products: QuerySet[Product]) -> QuerySet[Product]:
        return products.filter(pk__in=stock.find_low().values("pk")) if self.value() == "low" else products


class RowField(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic in stubs only
    """A provider's product, named so that it is told from the others."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.provider} · {obj.remote_id} · {obj.name} · {plain(obj.rate)} {obj.provider.currency}"


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in stubs only
    """A product and its service on one page."""

    name = forms.CharField(label=_("Name"), max_length=300, widget=UnfoldAdminTextInputWidget)
    category = forms.ModelChoiceField(Category.objects.all(), label=_("Category"), widget=UnfoldAdminSelectWidget)
    description = forms.CharField(label=_("Description"), required=False, widget=UnfoldAdminTextareaWidget)
    enabled = forms.BooleanField(label=_("On sale"), required=False, initial=True, widget=UnfoldBooleanWidget)
    min = forms.IntegerField(label=_("Least"), min_value=1, initial=1, widget=UnfoldAdminIntegerFieldWidget)
    max = forms.IntegerField(label=_("Most"), min_value=1, initial=100, widget=UnfoldAdminIntegerFieldWidget)
    row = RowField(
        ProviderService.objects.none(),
        label=_("The provider's product"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Only for what a provider delivers."),
    )
    own_rate = PlainDecimalField(
        label=_("Rate for one"),
        required=False,
        max_digits=20,
        decimal_places=8,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("Needed for what is our own; for a provider's product, empty: its cost and a markup."),
    )
    percent = PlainDecimalField(
        label=_("Markup, percent"),
        required=False,
        min_value=0,
        max_digits=9,
        decimal_places=4,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("All three empty: by the rules of category, provider or site."),
    )
    fixed = PlainDecimalField(
        label=_("Fixed, on top"),
        required=False,
        min_value=0,
        max_digits=20,
        decimal_places=8,
        widget=UnfoldAdminDecimalFieldWidget,
    )
    round_to = PlainDecimalField(
        label=_("Round up to"),
        required=False,
        min_value=Decimal("0.000001"),
        max_digits=20,
        decimal_places=6,
        widget=UnfoldAdminDecimalFieldWidget,
    )

    class Meta:
        model = Product
        fields = ("source", *EXTRA)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "row" not in self.fields:  # whoever may only look gets no form
            return
        cast("RowField", self.fields["row"]).queryset = list_rows()
        if self.instance.pk is not None:
            self.fill(self.instance.service)

    def fill(self, service: Service) -> None:
        """Show what the service of the product says."""
        route = service.routes.order_by("position").first()
        rule = Markup.objects.filter(service=service).first()
        self.initial.update({name: getattr(service, name) for name in OF_SERVICE})
        self.initial.update({name: getattr(rule, name) for name in OF_PRICE if rule is not None})
        self.initial["row"] = route.provider_service_id if route else None

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                selling.check_offer(self.read_offer())
            except UserError as error:
                self.add_error(error.field if error.field in self.fields else None, error.text)
        return values

    def read_offer(self) -> selling.Offer:
        """Return the product as the verbs take it, from a valid form."""
        values = self.cleaned_data
        price = {name: values[name] for name in OF_PRICE if values[name] is not None}
        source = values.get("source", self.instance.source)
        return selling.Offer(
            **{name: values[name] for name in OF_SERVICE},
            source=source,
            price=Price(**price) if price else None,
            row=values["row"] if source == Source.PROVIDER else None,
            extra={name: values[name] for name in EXTRA if name in values},
        )


@admin.register(Product)
class ProductAdmin(PanelAdmin):
    """Products with their rate and what is there of them; terms and stock of a page come in a few queries."""

    form = ProductForm
    list_display = ("number", "name", "category", "source", "rate", "there", "enabled")
    list_display_links = ("number", "name")
    list_filter = (LowFilter, "source", "service__enabled", "kind")
    list_select_related = ("service__category",)
    search_fields = ("=service__id", "service__name", "service__category__name")
    ordering = ("service__category__position", "service__category", "service__position", "service")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the terms and the stock of all products of the page at once."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        ids = [product.pk for product in changelist.result_list]
        terms, there = pricing.load_terms(None, ids), goods.read_availability(ids)
        for product in changelist.result_list:
            product.terms, product.availability = terms.get(product.pk), there.get(product.pk, goods.NOTHING)
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Read a product with what its service says, for those who may only look."""
        product = super().get_object(request, object_id, from_field)
        if product is not None:
            for name in OF_SERVICE:
                setattr(product, name, getattr(product.service, name))
        return product

    def get_fieldsets(self, _request: HttpRequest, obj: Any = None) -> Any:
        """Ask only for what counts where a product comes from, once that is settled."""
        own, theirs = (obj is None or obj.source == source for source in (Source.STOCK, Source.PROVIDER))
        by_us = obj is None or not theirs
        rates = [("own_rate", "unit_cost") if by_us else "own_rate"]
        rules = [("percent", "fixed"), "round_to"] if theirs else []
        return (
            (None, {"fields": ("name", "category", "description", "enabled")}),
            (
                _("Where it comes from"),
                {"fields": ("source", *(["row"] if theirs else []), ("kind", "require"), "warranty_days")},
            ),
            (_("How much"), {"fields": (("min", "max"), *rates, *rules)}),
            *([(_("Own stock"), {"fields": ("low_stock",)})] if own else []),
        )

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leave a product where it comes from: what was ordered is delivered from there."""
        return () if obj is None else ("source",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Write the product and its service together."""
        offer = form.read_offer()
        saved = selling.change_product(obj.pk, offer) if change else selling.add_product(offer)
        obj.service, obj.pk = saved.service, saved.pk
        warn_below_cost(request, saved.pk, offer.own_rate)

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Orders name their product: take it off sale instead."""
        return False

    def list_buttons(self, request: StaffRequest, row: Product) -> list[Button]:
        buttons = []
        if row.source == Source.STOCK:
            buttons += admin_stock.list_buttons(request, row)
        if request.user.has_perm("catalog.view_service"):
            price = reverse("admin:catalog_service_price", args=[row.pk])
            buttons.append(Button(_("How its price comes about"), price, "calculate"))
        if row.source == Source.PROVIDER and request.user.has_perm("catalog.change_service"):
            buttons.append(Button(_("Its other routes"), change_url(row.service), "alt_route"))
        return buttons

    def get_urls(self) -> list[URLPattern]:
        return [*admin_stock.list_urls(self), *super().get_urls()]

    @column(_("ID"), ordering="service_id")
    def number(self, product: Product) -> int:
        return int(product.pk)

    @column(_("name"), ordering="service__name")
    def name(self, product: Product) -> str:
        return product.service.name

    @column(_("category"), ordering="service__category__name")
    def category(self, product: Product) -> str:
        return str(product.service.category)

    @column(_("rate for one"))
    def rate(self, product: Product) -> str:
        terms = read_terms(product)
        if terms is None:
            return str(_("cannot be sold")) if product.service.enabled else NOTHING
        return amount(pricing.sell_rate(terms))

    @column(_("on hand"), label={"some": "success", "low": "warning", "none": "danger", "": ""})
    def there(self, product: Product) -> tuple[str, str]:
        return tell_there(product, getattr(product, "availability", goods.NOTHING))

    @column(_("on sale"), ordering="service__enabled", boolean=True)
    def enabled(self, product: Product) -> bool:
        return product.service.enabled


def tell_there(product: Product, there: Availability) -> tuple[str, str]:
    """Return how it looks with what is there of a product, and how many, as far as somebody counts them."""
    if product.source == Source.HAND:
        return "", NOTHING
    if not there.in_stock:
        return "none", str(_("None"))
    if there.inventory is None:
        return "some", str(_("In stock"))
    low = product.source == Source.STOCK and there.inventory < product.low_stock
    return "low" if low else "some", f"{there.inventory:,}"


def list_rows() -> QuerySet[ProviderService]:
    """Return the providers' products that can be sold."""
    rows = ProviderService.objects.filter(is_product=True, vanished_at=None, waiting="")
    return rows.select_related("provider").order_by("provider__name", "category", "name", "pk")
