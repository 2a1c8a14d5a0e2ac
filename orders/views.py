"""New order, the list of orders, and one order's page; each page and its fragments are one view."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.errors import UserError
from accounts.requests import CustomerRequest, read_id, read_search, read_values
from orders import browsing, drafting, timeline
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
    if request.htmx:
        # Only what was chosen belongs into the address: a reload then shows it again.
        chosen = f"?service={draft.offer.service.pk}" if draft.offer else ""
        headers = {"HX-Replace-Url": reverse("new_order") + chosen}
        return HttpResponse(render_to_string("orders/_order_draft.html", context, request), headers=headers)
    context["placed"] = drafting.read_placed(request.user.pk, request.GET.get("placed"))
    return render(request, "orders/order_form.html", context, status=status)


@never_cache
@login_required
@require_safe
def orders(request: CustomerRequest) -> HttpResponse:
    """List orders; asked by a page that is open (`open`), tell what became of those it shows."""
    text, slug = read_search(request.GET.get("q")), request.GET.get("status", "")
    found = browsing.find_orders(request.user.pk, text)
    context: dict[str, object] = {"tabs": browsing.count_tabs(found), "q": text, "slug": slug}
    if request.htmx:
        context["page"] = browsing.read_again(request.user.pk, request.GET.get("open", "").split(","))
        return render(request, "orders/_order_news.html", context)
    before = read_id(request.GET.get("before"))
    page = browsing.read_page(found, slug=slug, before=before)
    return render(request, "orders/order_list.html", {**context, "page": page, "before": before})


@never_cache
@login_required
@require_safe
def order(request: CustomerRequest, order_id: int) -> HttpResponse:
    own = get_object_or_404(Order.objects.select_related("service"), pk=order_id, user=request.user)
    context = {
        "order": own,
        "steps": timeline.tell(own, own.events.all()),
        "meaning": timeline.explain(own),
        "is_open": browsing.is_open(own),
    }
    return render(request, "orders/_order_story.html" if request.htmx else "orders/order_detail.html", context)
