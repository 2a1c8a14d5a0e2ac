"""New order, mass order, the list of orders, and one order's page; each page and its fragments are one view."""

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.errors import UserError
from accounts.requests import CustomerRequest, read_id, read_search, read_values
from catalog import favourites
from orders import browsing, drafting, massing, prompting, timeline, views_products, wishing
from orders.drafting import Draft
from orders.models import Order


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_order(request: CustomerRequest) -> HttpResponse:
    """Show the form, its price (`ask`), or place the order and lead back to the form, which confirms it."""
    if request.method != "POST":
        return _show_draft(request, drafting.begin(request.user.pk, read_values(request.GET)))
    values = read_values(request.POST)
    if "ask" in values:
        ask = drafting.reprice if request.htmx else drafting.begin
        return _show_draft(request, ask(request.user.pk, values))
    try:
        placed = drafting.place(request.user.pk, values)
    except UserError as error:
        return _show_draft(request, drafting.begin(request.user.pk, values, error=error), status=422)
    return HttpResponseRedirect(f"{reverse('new_order')}?placed={placed}&service={values['service']}", status=303)


def _show_draft(request: CustomerRequest, draft: Draft, *, status: int = 200) -> HttpResponse:
    context = {"draft": draft, "balance": draft.balance}
    if request.htmx and request.method == "POST":
        return render(request, "orders/_order_price.html", context)
    context["starred"] = draft.offer is not None and favourites.is_starred(request.user.pk, draft.offer.service.pk)
    if request.htmx:
        # Only what was chosen belongs into the address: a reload then shows it again.
        chosen = f"?service={draft.offer.service.pk}" if draft.offer else ""
        headers = {"HX-Replace-Url": reverse("new_order") + chosen}
        return HttpResponse(render_to_string("orders/_order_draft.html", context, request), headers=headers)
    context["placed"] = drafting.read_placed(request.user.pk, request.GET.get("placed"))
    return render(request, "orders/order_form.html", context, status=status)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mass_order(request: CustomerRequest) -> HttpResponse:
    """Show the box, its lines with their prices, or (`place`) place them and tell of each what became of it."""
    if request.method != "POST":
        page = massing.begin(request.user.pk)
    else:
        act = massing.place if "place" in request.POST else massing.check
        page = act(request.user.pk, read_values(request.POST))
    context = {
        "page": page,
        "balance": page.balance,
        "most": massing.MOST_LINES,
        "is_placed": "place" in request.POST and not page.error,
    }
    return render(request, "orders/mass_order.html", context, status=422 if page.error else 200)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def orders(request: CustomerRequest) -> HttpResponse:
    """List orders; asked by a page that is open (`open`), tell what became of those it shows.

    A POST asks for a refill or a cancel (`wish`) of each `order`, and leads back to the list.
    """
    if request.method == "POST":
        _wish(request, browsing.read_ids(request.POST.getlist("order")))
        if not request.htmx:
            return HttpResponseRedirect(request.get_full_path(), status=303)
    text, slug = read_search(request.GET.get("q")), request.GET.get("status", "")
    found = browsing.find_orders(request.user.pk, text)
    context: dict[str, object] = {"tabs": browsing.count_tabs(found), "q": text, "slug": slug}
    if request.htmx:
        sent = request.POST or request.GET
        shown = [*sent.getlist("order"), *sent.get("open", "").split(",")]
        context["page"] = browsing.read_again(request.user.pk, shown)
        return render(request, "orders/_order_news.html", context)
    before = read_id(request.GET.get("before"))
    page = browsing.read_page(found, slug=slug, before=before)
    return render(request, "orders/order_list.html", {**context, "page": page, "before": before})


@never_cache
@login_required
@require_safe
def ask(request: CustomerRequest) -> HttpResponse:
    """Ask once more before a refill or a cancel (`wish`) of each chosen `order`; nothing is changed here."""
    page = browsing.read_again(request.user.pk, request.GET.getlist("order"))
    query = urlencode({"status": request.GET.get("status", ""), "q": read_search(request.GET.get("q"))})
    back = f"{reverse('orders')}?{query}"
    if not page.rows:
        messages.error(request, _("Choose some orders first."))
        return HttpResponseRedirect(back)
    wish = wishing.REFILL if request.GET.get("wish") == wishing.REFILL else wishing.CANCEL
    possible, impossible = wishing.sort_out(wish, page.rows)
    context = {"wish": wish, "back": back, "possible": possible, "impossible": impossible}
    return render(request, "orders/order_ask.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: CustomerRequest, order_id: int) -> HttpResponse:
    """Show an order; a POST asks for its refill or its cancel (`wish`) and leads back here."""
    mine = Order.objects.select_related("service__product").filter(user=request.user)
    if request.method == "POST":
        _wish(request, [get_object_or_404(mine, pk=order_id).pk])
        if not request.htmx:
            return HttpResponseRedirect(request.path, status=303)
    own = get_object_or_404(mine, pk=order_id)
    if own.service.is_product:
        return views_products.show_order(request, own)
    row = wishing.choices([own])[0]
    context = {
        "order": own,
        "row": row,
        "steps": timeline.tell(own, own.events.all()),
        "meaning": timeline.explain(own),
        "wishes": wishing.wishes(own),
        "parts": browsing.read_parts(own),
        "given": prompting.tell(own),
        "is_open": row.is_open,
    }
    return render(request, "orders/_order_story.html" if request.htmx else "orders/order_detail.html", context)


def _wish(request: CustomerRequest, order_ids: list[int]) -> None:
    for told in wishing.ask(request.user.pk, request.POST.get("wish", ""), order_ids):
        messages.add_message(request, told.level, told.text)
