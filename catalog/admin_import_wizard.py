"""One request of the import wizard: what was chosen so far waits in the session, a list of a provider at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from catalog import choosing
from catalog.choosing import Choice, Price
from catalog.models import Provider, ProviderService

STEPS: tuple[tuple[str, str | Promise], ...] = (
    ("import", gettext_lazy("Choose")),
    ("import_prices", gettext_lazy("Prices")),
    ("import_names", gettext_lazy("Names and categories")),
    ("import_confirm", gettext_lazy("Look and confirm")),
)


@dataclass
class Wizard:
    """One request of the wizard: who asks, for which list of which provider, and what was chosen so far."""

    page: ModelAdmin
    request: HttpRequest
    provider: Provider
    is_product: bool

    def __post_init__(self) -> None:
        kept = self.request.session.get(self._key, {})
        self.rows: set[int] = set(kept.get("rows", ()))
        self.price: dict[str, str] = kept.get("price", {})
        self.categories: dict[str, str] = kept.get("categories", {})
        self.template: str = kept.get("template", choosing.TEMPLATE)

    @property
    def _key(self) -> str:
        return f"import:{self.provider.pk}:products" if self.is_product else f"import:{self.provider.pk}"

    @property
    def choice(self) -> Choice:
        """What was chosen so far, as the verbs take it."""
        price = read_price(self.price)
        return Choice(self.provider, self.rows, price, self.categories, self.template, is_product=self.is_product)

    def list_rows(self) -> QuerySet[ProviderService]:
        """Return what its list has."""
        return choosing.list_rows(self.provider, is_product=self.is_product)

    def list_new(self) -> QuerySet[ProviderService]:
        """Return what its list has that is not ours yet."""
        return choosing.list_new(self.provider, is_product=self.is_product)

    def pick(self, row_ids: Iterable[int]) -> dict[int, str]:
        """Return those of some rows that can be put on sale, each with its category."""
        return choosing.pick(self.provider, row_ids, is_product=self.is_product)

    def keep(self) -> None:
        """Keep what was chosen for the next page."""
        self.request.session[self._key] = {
            "rows": sorted(self.rows),
            "price": self.price,
            "categories": self.categories,
            "template": self.template,
        }

    def forget(self) -> None:
        """Begin anew."""
        self.request.session.pop(self._key, None)

    def url(self, step: str) -> str:
        """Return the address of a step."""
        return reverse(f"admin:catalog_provider_{name_step(step, is_product=self.is_product)}", args=[self.provider.pk])

    def go(self, step: str, query: str = "") -> HttpResponse:
        """Lead to a step."""
        return redirect(self.url(step) + (f"?{query}" if query else ""))

    def show(self, step: str, **context: Any) -> HttpResponse:
        """Show the page of a step."""
        steps = [(label, self.url(name), name == step) for name, label in STEPS]
        words = {
            **self.page.admin_site.each_context(self.request),
            "opts": self.page.model._meta,  # noqa: SLF001 - the public way to a model's names
            "title": (_("Import products from %s") if self.is_product else _("Import services from %s"))
            % self.provider,
            "provider": self.provider,
            "is_product": self.is_product,
            "steps": steps,
            "chosen": len(self.rows),
            **context,
        }
        return TemplateResponse(self.request, f"admin/panel/{step}.html", words)


def name_step(name: str, *, is_product: bool) -> str:
    """Return what the address of a step is called, for services or for products."""
    return f"{name}_products" if is_product else name


def read_price(kept: dict[str, str]) -> Price | None:
    """Return the price that was asked for; None where all of it was left empty."""
    values = {name: Decimal(text) for name, text in kept.items()}
    return Price(**values) if values else None
