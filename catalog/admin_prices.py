"""Prices as staff set them: markups by scope, and rates of single customers."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import NOTHING, PanelAdmin, PanelInline, amount, column, link
from accounts.money import plain
from catalog import pricing
from catalog.explaining import tell_scope
from catalog.models import CustomRate, Markup
from catalog.pricing import Terms


class MarkupInline(PanelInline):
    """The rule of one provider, category or service."""

    model = Markup
    fields = ("percent", "fixed", "round_to")
    max_num = 1


class MarkupForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in stubs only
    """A rule for at most one scope."""

    class Meta:
        model = Markup
        fields = "__all__"  # noqa: DJ007 - all there is

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or self.cleaned_data
        if sum(values.get(scope) is not None for scope in ("provider", "category", "service")) > 1:
            raise ValidationError(_("A rule is for one provider, one category or one service; none of them: the site."))
        return values


@admin.register(Markup)
class MarkupAdmin(PanelAdmin):
    """What is put on top of costs; the most specific rule wins: service, category, provider, site."""

    form = MarkupForm
    list_display = ("scope", "percent_text", "fixed_text", "round_text")
    list_select_related = ("provider", "category", "service")
    autocomplete_fields = ("provider", "category", "service")
    search_fields = ("provider__name", "category__name", "service__name")
    ordering = ("service", "category", "provider")

    @column(_("for"))
    def scope(self, markup: Markup) -> str:
        return tell_scope(markup)

    @column(_("percent"), ordering="percent")
    def percent_text(self, markup: Markup) -> str:
        return f"{plain(markup.percent)} %"

    @column(_("fixed"), ordering="fixed")
    def fixed_text(self, markup: Markup) -> str:
        return amount(markup.fixed)

    @column(_("rounded up to"), ordering="round_to")
    def round_text(self, markup: Markup) -> str:
        return amount(markup.round_to)


@admin.register(CustomRate)
class CustomRateAdmin(PanelAdmin):
    """Rates of single customers beside what the list says; never charged below cost."""

    list_display = ("customer", "service_link", "rate_text", "charged", "listed", "cost")
    list_display_links = ("rate_text",)
    list_select_related = ("user", "service")
    autocomplete_fields = ("user", "service")
    search_fields = ("=user__email", "service__name")
    ordering = ("-id",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the terms of all services of the page in one query."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        terms = pricing.load_terms(None, {custom.service_id for custom in changelist.result_list})
        for custom in changelist.result_list:
            custom.terms = terms.get(custom.service_id)
        return changelist

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        warn_below_cost(request, obj.service_id, obj.rate)

    @column(_("customer"), ordering="user")
    def customer(self, custom: CustomRate) -> str:
        return link(custom.user, custom.user.email)

    @column(_("service"), ordering="service")
    def service_link(self, custom: CustomRate) -> str:
        return link(custom.service)

    @column(_("rate"), ordering="rate")
    def rate_text(self, custom: CustomRate) -> str:
        return amount(custom.rate)

    @column(_("charged"))
    def charged(self, custom: CustomRate) -> str:
        """Tell the rate that the customer really pays, which may be the cost."""
        terms = read_terms(custom)
        if terms is None:
            return NOTHING
        rate = amount(pricing.sell_rate(replace(terms, custom_rate=custom.rate)))
        lifted = custom.rate < pricing.cost_rate(terms) and not terms.allow_loss
        return str(_("%s, the cost")) % rate if lifted else rate

    @column(_("listed"))
    def listed(self, custom: CustomRate) -> str:
        terms = read_terms(custom)
        return amount(pricing.list_rate(terms)) if terms else NOTHING

    @column(_("cost"))
    def cost(self, custom: CustomRate) -> str:
        terms = read_terms(custom)
        return amount(pricing.cost_rate(terms)) if terms else NOTHING


def warn_below_cost(request: HttpRequest, service_id: int, rate: Decimal | None) -> None:
    """Tell whoever set a rate when it is below the cost, and what is charged then."""
    terms = pricing.load_terms(None, [service_id]).get(service_id)
    if rate is None or terms is None or rate >= pricing.cost_rate(terms):
        return
    told = {"rate": amount(rate), "cost": amount(pricing.cost_rate(terms))}
    text = _("%(rate)s is below the cost of %(cost)s: the cost is charged instead.")
    if terms.allow_loss:
        text = _("%(rate)s is below the cost of %(cost)s, and the service may be sold at a loss: it is charged.")
    messages.warning(request, text % told)


def read_terms(row: object) -> Terms | None:
    """Return the terms that a list page has read for a row of it; None where the service cannot be sold now."""
    return getattr(row, "terms", None)
