"""Buying a product, and an order of one: its lines are shown when asked for, never before, and not kept on the way."""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts.errors import UserError
from accounts.requests import CustomerRequest, read_address, read_values
from accounts.templatetags.money import money
from orders import buying, delivering, replacing, showing, wishing
from orders.models import Order, Reveal

# What a page shows; all of them are in the file.
MOST_SHOWN = 500
Lines = Sequence[tuple[int, str]]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def product(request: CustomerRequest, product_id: int) -> HttpResponse:
    """Show a product, its price (`ask`), or buy it and lead to the order."""
    if request.method != "POST":
        return _show_draft(request, buying.begin(request.user.pk, product_id, read_values(request.GET)))
    values = read_values(request.POST)
    if "ask" in values:
        return _show_draft(request, buying.begin(request.user.pk, product_id, values))
    try:
        placed = buying.place(request.user.pk, product_id, values)
    except UserError as error:
        return _show_draft(request, buying.begin(request.user.pk, product_id, values, error=error), status=422)
    order = Order.objects.get(pk=placed)
    messages.success(request, _("Bought for %s.") % money(order.charge))
    return HttpResponseRedirect(reverse("order", args=[placed]), status=303)


def _show_draft(request: CustomerRequest, draft: buying.Draft, *, status: int = 200) -> HttpResponse:
    context = {"draft": draft, "balance": draft.balance}
    page = "orders/_product_price.html" if request.htmx else "orders/product_form.html"
    return render(request, page, context, status=status)


@sensitive_variables()
def show_order(request: CustomerRequest, order: Order, *, lines: Lines = (), status: int = 200) -> HttpResponse:
    """Show an order of a product, with its lines where they were asked for."""
    handed, row = showing.read_handed(order), wishing.choices([order])[0]
    context = {
        "order": order,
        "row": row,
        "product": order.service.product,
        "handed": handed,
        "steps": showing.tell(order),
        "meaning": showing.explain(order, handed),
        "wishes": wishing.wishes(order),
        "is_open": row.is_open or handed.is_open,
        "lines": lines[:MOST_SHOWN],
        "hidden_lines": max(len(lines) - MOST_SHOWN, 0),
        "given": read_values(request.POST),
    }
    if not request.htmx:
        return render(request, "orders/product_order.html", context, status=status)
    return render(request, "orders/_delivery_lines.html" if lines else "orders/_product_story.html", context)


@never_cache
@login_required
@require_POST
@sensitive_variables()
def reveal(request: CustomerRequest, order_id: int) -> HttpResponse:
    """Show the lines of an order, once it is noted that they were."""
    order = find_order(request, order_id)
    lines = _reveal(request, order, Reveal.Way.PAGE)
    if not lines:
        return HttpResponseRedirect(reverse("order", args=[order_id]), status=303)
    return show_order(request, order, lines=lines)


@never_cache
@login_required
@require_POST
@sensitive_variables()
def download(request: CustomerRequest, order_id: int) -> HttpResponse:
    """Answer the lines of an order as a file, once it is noted that they were given out."""
    lines = _reveal(request, find_order(request, order_id), Reveal.Way.FILE)
    if not lines:
        return HttpResponseRedirect(reverse("order", args=[order_id]), status=303)
    return make_file(order_id, [text for _number, text in lines])


@never_cache
@login_required
@require_POST
def replace(request: CustomerRequest, order_id: int) -> HttpResponse:
    """Ask for other lines in place of bad ones (`lines`, by their numbers)."""
    order = find_order(request, order_id)
    values = read_values(request.POST)
    try:
        line_ids = showing.read_lines(order, values.get("lines", ""))
        replacing.request_replacement(request.user.pk, order_id, line_ids, values.get("reason", ""))
    except UserError as error:
        messages.error(request, _(error.text))
        return show_order(request, order, status=422)
    messages.success(request, _("Asked for. We look at it, and you see the answer here."))
    return HttpResponseRedirect(reverse("order", args=[order_id]), status=303)


def find_order(request: CustomerRequest, order_id: int) -> Order:
    """Return the customer's own order of a product; raise Http404 when there is none."""
    mine = Order.objects.select_related("service__product").filter(user=request.user, service__is_product=True)
    return get_object_or_404(mine, pk=order_id)


@sensitive_variables()
def make_file(order_id: int, lines: Sequence[str]) -> HttpResponse:
    """Return lines as a file; who answers with it forbids everybody to keep it."""
    answer = HttpResponse("".join(f"{line}\n" for line in lines), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="order-{order_id}.txt"'
    answer["Referrer-Policy"] = "no-referrer"
    return answer


@sensitive_variables()
def _reveal(request: CustomerRequest, order: Order, way: Reveal.Way) -> list[tuple[int, str]]:
    address = read_address(request.META) or None
    return delivering.reveal_numbered(order, actor_id=request.user.pk, way=way, address=address)
