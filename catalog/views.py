"""The lists of services and of products, a page at a time as one scrolls down; what changed; and a customer's stars."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import UserError
from accounts.requests import CustomerRequest, read_id, read_search, read_values
from catalog import browsing, favourites, shelves
from catalog import updates as changes
from catalog.models import ServiceChange


@never_cache
@login_required
@require_safe
def services(request: CustomerRequest) -> HttpResponse:
    wanted = browsing.read_wanted(read_values(request.GET))
    start, under = read_id(request.GET.get("from")) or 0, read_id(request.GET.get("under"))
    page = browsing.read_page(request.user.pk, wanted, start)
    context = {"page": page, "wanted": wanted, "start": start, "under": under}
    if request.htmx:
        answer = render(request, "catalog/_service_rows.html", context)
        if not start:
            # What was searched for belongs into the address: a reload, or a star without a script, then shows it again.
            answer["HX-Replace-Url"] = reverse("services") + (f"?{wanted.query}" if wanted.query else "")
        return answer
    categories = list(browsing.list_categories())
    context |= {"categories": categories, "platforms": browsing.list_platforms(categories)}
    return render(request, "catalog/service_list.html", context)


@never_cache
@login_required
@require_safe
def products(request: CustomerRequest) -> HttpResponse:
    values = read_values(request.GET)
    start, under = read_id(values.get("from")) or 0, read_id(values.get("under"))
    wanted = {"q": read_search(values.get("q")), "category": read_id(values.get("category"))}
    query = urlencode({name: value for name, value in wanted.items() if value})
    context = {
        "shelf": shelves.read_shelf(request.user.pk, values, start),
        "wanted": wanted,
        "query": query,
        "start": start,
        "under": under,
    }
    if request.htmx:
        answer = render(request, "catalog/_product_rows.html", context)
        if not start:
            answer["HX-Replace-Url"] = reverse("products") + (f"?{query}" if query else "")
        return answer
    return render(request, "catalog/product_list.html", {**context, "categories": shelves.list_categories()})


@never_cache
@login_required
@require_safe
def updates(request: CustomerRequest) -> HttpResponse:
    kind, mine = request.GET.get("kind", ""), request.GET.get("mine", "")
    before = read_id(request.GET.get("before"))
    context = {
        "page": changes.read_page(request.user.pk, kind=kind, mine=mine, before=before),
        "kinds": ServiceChange.Kind.choices,
        "kind": kind,
        "mine": mine,
        "before": before,
        "is_public": settings.PUBLIC_PRICES,
    }
    return render(request, "catalog/update_list.html", context)


@never_cache
@login_required
@require_POST
def star(request: CustomerRequest) -> HttpResponse:
    """Star a `service` or take its star away; answer the star alone to htmx, else lead `back`."""
    service_id = read_id(request.POST.get("service")) or 0
    try:
        starred = favourites.toggle(request.user.pk, service_id)
    except UserError as error:
        starred = False
        if not request.htmx:
            messages.error(request, _(error.text))
    if request.htmx:
        return render(request, "catalog/_star.html", {"service_id": service_id, "starred": starred})
    back = request.POST.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(back if is_ours else reverse("services"), status=303)
