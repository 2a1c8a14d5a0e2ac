"""The import wizard: choose from a provider's list, price, name, look, and put on sale. Nothing is written before.

There is one for each of a provider's lists, of services and of products, with addresses and a choice of its own. Each
step is a page that works without JavaScript.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin

from accounts.admin_pages import NOTHING, amount, change_url
from catalog import choosing, reading
from catalog.admin_import_forms import NameForm, PriceForm
from catalog.admin_import_wizard import Wizard, name_step
from catalog.choosing import Draft, PutOnSale
from catalog.models import Category, Provider

# So many boxes a page has, which also keeps its fields below what Django takes from one form.
PER_PAGE = 200
MOST_MAPPED = 300
SAMPLES = 5
Step = Callable[[Wizard], HttpResponse]


@dataclass(frozen=True, slots=True)
class Line:
    """One service of the preview, in words."""

    name: str
    about: str
    note: str
    cost: str
    rate: str
    margin: str


def list_urls(page: ModelAdmin) -> list[URLPattern]:
    """Return the addresses of the wizard's steps."""

    def serve(step: Step, *, is_product: bool) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            if not (page.has_change_permission(request) and request.user.has_perm("catalog.add_service")):
                raise PermissionDenied
            return step(Wizard(page, request, get_object_or_404(Provider, pk=pk), is_product))

        return cast("Callable[..., HttpResponse]", page.admin_site.admin_view(view))

    pages: tuple[tuple[str, str, Step], ...] = (
        ("", "import", choose),
        ("prices/", "import_prices", set_prices),
        ("names/", "import_names", set_names),
        ("confirm/", "import_confirm", confirm),
    )
    return [
        path(
            f"<int:pk>/import/{'products/' if is_product else ''}{address}",
            serve(step, is_product=is_product),
            name=f"catalog_provider_{name_step(name, is_product=is_product)}",
        )
        for is_product in (False, True)
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
        rows = choosing.search(wizard.list_rows(), text)
    elif category is not None:
        rows = wizard.list_rows().filter(category=category)
    listed: Any = rows
    if rows is None:
        listed = choosing.list_groups(wizard.provider, wizard.rows, is_product=wizard.is_product)
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
        empty=not wizard.provider.services.filter(is_product=wizard.is_product).exists(),
        read_at=reading.last_read(wizard.provider, is_product=wizard.is_product),
        sync_url=start_sync_url(wizard.provider, is_product=wizard.is_product),
    )


def tick(wizard: Wizard) -> None:
    """Take over what was ticked and unticked on a page; a category that is partly chosen stays so unless ticked."""
    posted = wizard.request.POST
    if "all" in posted:
        wizard.rows |= set(wizard.list_new().values_list("pk", flat=True))
        return
    if "none" in posted:
        wizard.rows = set()
        return
    ticked, whole = set(posted.getlist("category")), set(posted.getlist("whole"))
    wizard.rows -= choosing.choose_groups(wizard.provider, whole - ticked, is_product=wizard.is_product)
    wizard.rows |= choosing.choose_groups(wizard.provider, ticked - whole, is_product=wizard.is_product)
    shown = {int(pk) for pk in posted.get("shown", "").split(",") if pk.isdigit()}
    wanted = {int(pk) for pk in posted.getlist("row") if pk.isdigit()}
    wizard.rows = (wizard.rows - shown) | wizard.pick(wanted).keys()


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
    proposed = choosing.propose_categories(wizard.provider, wizard.rows, is_product=wizard.is_product)
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
        told = tell_done(done, is_product=wizard.is_product)
        wizard.page.log_change(wizard.request, wizard.provider, f"Imported: {told}")
        messages.success(wizard.request, told)
        return redirect(change_url(wizard.provider))
    return wizard.show("import_confirm", **preview(wizard))


def preview(wizard: Wizard) -> dict[str, Any]:
    """Return a page of what the chosen rows would become."""
    found = paginate(wizard.request, list(wizard.pick(wizard.rows)))
    drafts = read_drafts(wizard, found)
    return {"lines": [draw_line(one) for one in drafts], "found": found, "query": keep_query(wizard.request)}


def draw_line(one: Draft) -> Line:
    """Return a draft as the preview shows it; what will not be on sale says why and has no rate."""
    return Line(
        name=f"{one.row.remote_id} · {one.name}",
        about=f"{one.category} · {one.type}",
        note=str(one.note),
        cost=amount(one.cost),
        rate=NOTHING if one.note else amount(one.rate),
        margin=NOTHING if one.note else f"{one.margin:.1%}",
    )


def read_drafts(wizard: Wizard, row_ids: Iterable[int]) -> list[Draft]:
    """Return what some of the chosen rows would become."""
    rows = wizard.list_new().filter(pk__in=list(row_ids))
    return choosing.draft(wizard.choice, list(rows))


def ask_to_choose(wizard: Wizard) -> HttpResponse:
    """Lead back to the first step, since the others need something to work on."""
    messages.info(wizard.request, _("Choose something first."))
    return wizard.go("import")


def tell_done(done: PutOnSale, *, is_product: bool) -> str:
    """Say what putting on sale did."""
    if is_product:
        words = [ngettext("%s product put on sale", "%s products put on sale", done.on_sale) % done.on_sale]
    else:
        words = [ngettext("%s service put on sale", "%s services put on sale", done.on_sale) % done.on_sale]
    if done.off_sale:
        words.append(_("%s imported, not on sale") % done.off_sale)
    if done.left_out:
        words.append(_("%s left out: they changed meanwhile") % done.left_out)
    return ", ".join(words)


def paginate(request: HttpRequest, rows: Any) -> Page[Any]:
    """Return the page of some rows that was asked for; the nearest one that exists."""
    return Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))


def keep_query(request: HttpRequest) -> str:
    """Return the query of a page without its number, for the links to its neighbours."""
    query = request.GET.copy()
    query.pop("page", None)
    return query.urlencode()


def start_sync_url(provider: Provider, *, is_product: bool = False) -> str:
    """Return the address at which reading a provider's list is asked for; `review=1` lets it wait for a person."""
    url = reverse("admin:catalog_sync_start", args=[provider.pk])
    return f"{url}?products=1" if is_product else url
