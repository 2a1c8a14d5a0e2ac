"""The list of services, a page of it at a time: the first with the page, the others as one scrolls down."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.requests import CustomerRequest, read_id, read_search
from catalog import browsing


@never_cache
@login_required
@require_safe
def services(request: CustomerRequest) -> HttpResponse:
    text, category_id = read_search(request.GET.get("q")), read_id(request.GET.get("category"))
    start, under = read_id(request.GET.get("from")) or 0, read_id(request.GET.get("under"))
    page = browsing.read_page(request.user.pk, browsing.find_services(text, category_id), start)
    context = {"page": page, "q": text, "category_id": category_id, "start": start, "under": under}
    if request.htmx:
        return render(request, "catalog/_service_rows.html", context)
    context["categories"] = browsing.list_categories()
    return render(request, "catalog/service_list.html", context)
