"""The import wizard: choose from a provider's list, price, name, look, and put on sale. Nothing is written before.

What was chosen so far waits in the session, so each step is a page of its own that works without JavaScript.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin

from accounts.admin_pages import NOTHING, amount, change_url
from catalog import choosing
from catalog.admin_import_forms import NameForm, PriceForm
from catalog.choosing import Choice, Draft, Price
from catalog.models import Category, Provider

# So many boxes a page has, which also keeps its fields below what Django takes from one form.
PER_PAGE = 200
MOST_MAPPED = 300
SAMPLES = 5
STEPS: tuple[tuple[str, str | Promise], ...] = (
    ("import", gettext_lazy("Choose")),
    ("import_prices", gettext_lazy("Prices")),
    ("import_names", gettext_lazy("Names and categories")),
    ("import_confirm", gettext_lazy("Look and confirm")),
)
Step = Callable[["Wizard"], HttpResponse]


@dataclass(frozen=True, slots=True)
class Line:
    """One service of the preview, in words."""

    name: str
    about: str
    note: str
    cost: str
    rate: str
    margin: str


@dataclass
class Wizard:
    """One request of the wizard: who asks, for which provider, and what was chosen so far."""

    page: ModelAdmin
    request: HttpRequest
    provider: Provider

    def __post_init__(self) -> None:
        kept = self.request.session.get(self._key, {})
        self.rows: set[int] = set(kept.get("rows", ()))
        self.price: dict[str, str] = kept.get("price", {})
        self.categories: dict[str, str] = kept.get("categories", {})
        self.template: str = kept.get("template", choosing.TEMPLATE)

    @property
    def _key(self) -> str:
        return f"import:{self.provider.pk}"

    @property
    def choice(self) -> Choice:
        """What was chosen so far, as the verbs take it."""
        return Choice(self.provider, self.rows, read_price(self.price), self.categories, self.template)

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
        return reverse(f"admin:catalog_provider_{step}", args=[self.provider.pk])

    def go(self, step: str, query: str = "") -> HttpResponse:
        """Lead to a step."""
        return redirect(self.url(step) + (f"?{query}" if query else ""))

    def show(self, step: str, **context: Any) -> HttpResponse:
        """Show the page of a step."""
        steps = [(label, self.url(name), name == step) for name, label in STEPS]
        words = {
            **self.page.admin_site.each_context(self.request),
            "opts": self.page.model._meta,  # noqa: SLF001 - the public way to a model's names
            "title": _("Import services from %s") % self.provider,
            "provider": self.provider,
            "steps": steps,
            "chosen": len(self.rows),
            **context,
        }
        return TemplateResponse(self.request, f"admin/panel/{step}.html", words)


def list_urls(page: ModelAdmin) -> list[URLPattern]:
    """Return the addresses of the wizard's steps."""

    def serve(step: Step) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            if not (page.has_change_permission(request) and request.user.has_perm("catalog.add_service")):
                raise PermissionDenied
            return step(Wizard(page, request, get_object_or_404(Provider, pk=pk)))

        return cast("Callable[..., HttpResponse]", page.admin_site.admin_view(view))

    pages: tuple[tuple[str, str, Step], ...] = (
        ("", "import", choose),
        ("prices/", "import_prices", set_prices),
        ("names/", "import_names", set_names),
        ("confirm/", "import_confirm", confirm),
    )
    return [
        path(f"<int:pk>/import/{address}", serve(step), name=f"catalog_provider_{name}")
        for address, name, step in pages
    ]


def choose(wizard: Wizard) -> HttpResponse:
    """Show a provider's categories, or the services of one or of a search, to be ticked; keep what is ticked."""
    request = wizard.request
    if request.method == "POST":
        tick(wizard)
        wizard.keep()
        return wizard.go("import_prices") if "next" in request.POST else wizard.go("import", request.GET.urlencode())
    text, category = request.GET.get("q", "").strip(), request.GET.get("category")
    rows = None
    if text:
        rows = choosing.search(choosing.list_rows(wizard.provider), text)
    elif category is not None:
        rows = choosing.list_rows(wizard.provider).filter(category=category)
    listed: Any = choosing.list_groups(wizard.provider, wizard.rows) if rows is None else rows
    found = paginate(request, listed)
    for row in found if rows is not None else ():
        row.ticked = row.pk in wizard.rows
    return wizard.show(
        "import",
        text=text,
        category=category,
        found=found,
        by_category=rows is None,
        query=keep_query(request),
        empty=not wizard.provider.services.exists(),
        sync_url=start_sync_url(wizard.provider),
    )


def tick(wizard: Wizard) -> None:
    """Take over what was ticked and unticked on a page; a category that is partly chosen stays so unless ticked."""
    posted = wizard.request.POST
    if "all" in posted:
        wizard.rows |= set(choosing.list_new(wizard.provider).values_list("pk", flat=True))
        return
    if "none" in posted:
        wizard.rows = set()
        return
    ticked, whole = set(posted.getlist("category")), set(posted.getlist("whole"))
    wizard.rows -= choosing.choose_groups(wizard.provider, whole - ticked)
    wizard.rows |= choosing.choose_groups(wizard.provider, ticked - whole)
    shown = {int(pk) for pk in posted.get("shown", "").split(",") if pk.isdigit()}
    wanted = {int(pk) for pk in posted.getlist("row") if pk.isdigit()}
    wizard.rows = (wizard.rows - shown) | choosing.pick(wizard.provider, wanted).keys()


def set_prices(wizard: Wizard) -> HttpResponse:
    """Ask what is put on top, and show what that makes of the chosen ones."""
    request = wizard.request
    if not wizard.rows:
        return ask_to_choose(wizard)
    form = PriceForm(request.POST or None, initial=wizard.price)
    if form.is_valid():
        wizard.price = {name: str(value) for name, value in form.cleaned_data.items() if value is not None}
        wizard.keep()
        return wizard.go("import_names" if "next" in request.POST else "import_prices")
    return wizard.show("import_prices", form=form, **preview(wizard))


def set_names(wizard: Wizard) -> HttpResponse:
    """Ask how services are named, and which of ours each of their categories becomes."""
    request = wizard.request
    if not wizard.rows:
        return ask_to_choose(wizard)
    proposed = choosing.propose_categories(wizard.provider, wizard.rows)
    shown = dict(list(proposed.items())[:MOST_MAPPED])
    form = NameForm({**shown, **wizard.categories}, shown, wizard.template, request.POST or None)
    if form.is_valid():
        wizard.template = form.cleaned_data["template"]
        wizard.categories = {**proposed, **form.read_categories()}
        wizard.keep()
        return wizard.go("import_confirm" if "next" in request.POST else "import_names")
    return wizard.show(
        "import_names",
        form=form,
        ours=Category.objects.values_list("name", flat=True),
        unshown=len(proposed) - len(shown),
        samples=read_drafts(wizard, sorted(wizard.rows)[:SAMPLES]),
    )


def confirm(wizard: Wizard) -> HttpResponse:
    """Show all that would be made, and make it when that is confirmed."""
    if not wizard.rows:
        return ask_to_choose(wizard)
    if wizard.request.method == "POST":
        done = choosing.put_on_sale(wizard.choice)
        wizard.forget()
        told = tell_done(done.on_sale, done.off_sale, done.left_out)
        wizard.page.log_change(wizard.request, wizard.provider, f"Imported: {told}")
        messages.success(wizard.request, told)
        return redirect(change_url(wizard.provider))
    return wizard.show("import_confirm", **preview(wizard))


def preview(wizard: Wizard) -> dict[str, Any]:
    """Return a page of what the chosen rows would become."""
    found = paginate(wizard.request, list(choosing.pick(wizard.provider, wizard.rows)))
    drafts = read_drafts(wizard, found)
    return {"lines": [draw_line(one) for one in drafts], "found": found, "query": keep_query(wizard.request)}


def draw_line(one: Draft) -> Line:
    """Return a draft as the preview shows it; what will not be on sale says why and has no rate."""
    return Line(
        name=f"{one.row.remote_id} · {one.name}",
        about=f"{one.category} · {one.kind}",
        note=str(one.note),
        cost=amount(one.cost),
        rate=NOTHING if one.note else amount(one.rate),
        margin=NOTHING if one.note else f"{one.margin:.1%}",
    )


def read_drafts(wizard: Wizard, row_ids: Iterable[int]) -> list[Draft]:
    """Return what some of the chosen rows would become."""
    rows = choosing.list_new(wizard.provider).filter(pk__in=list(row_ids))
    return choosing.draft(wizard.choice, list(rows))


def ask_to_choose(wizard: Wizard) -> HttpResponse:
    """Lead back to the first step, since the others need something to work on."""
    messages.info(wizard.request, _("Choose some services first."))
    return wizard.go("import")


def tell_done(on_sale: int, off_sale: int, left_out: int) -> str:
    """Say what putting on sale did."""
    words = [ngettext("%s service put on sale", "%s services put on sale", on_sale) % on_sale]
    if off_sale:
        words.append(_("%s imported, not on sale") % off_sale)
    if left_out:
        words.append(_("%s left out: they changed meanwhile") % left_out)
    return ", ".join(words)


def read_price(kept: dict[str, str]) -> Price | None:
    """Return the price that was asked for; None where all of it was left empty."""
    values = {name: Decimal(text) for name, text in kept.items()}
    return Price(**values) if values else None


def paginate(request: HttpRequest, rows: Any) -> Page[Any]:
    """Return the page of some rows that was asked for; the nearest one that exists."""
    return Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))


def keep_query(request: HttpRequest) -> str:
    """Return the query of a page without its number, for the links to its neighbours."""
    query = request.GET.copy()
    query.pop("page", None)
    return query.urlencode()


def start_sync_url(provider: Provider) -> str:
    """Return the address at which reading a provider's list is asked for; `?review=1` lets it wait for a person."""
    return reverse("admin:catalog_sync_start", args=[provider.pk])
