"""The customer's webhooks: the list, one endpoint with its deliveries, and one delivery with what was sent."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.errors import UserError
from accounts.requests import CustomerRequest, read_id
from orders.models import WebhookDelivery, WebhookEndpoint
from orders.webhooks import browsing, endpoints, reaching

KINDS = list(browsing.KINDS.items())


class EndpointForm(forms.Form):
    """What a new endpoint needs; whether its address may be reached is told by orders/webhooks/endpoints.py."""

    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=reaching.LONGEST_URL,
        widget=forms.URLInput(attrs={"placeholder": "https://example.org/hooks"}),
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Tell me when"), choices=KINDS, widget=forms.CheckboxSelectMultiple
    )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: CustomerRequest) -> HttpResponse:
    """List the endpoints, or make one and show its secret in this very answer: it can be read nowhere else."""
    if request.method != "POST":
        return _show_list(request, EndpointForm(initial={"kinds": [kind for kind, _label in KINDS]}))
    form = EndpointForm(request.POST)
    if form.is_valid():
        try:
            endpoint, secret = endpoints.add_endpoint(request.user.pk, **form.cleaned_data)
        except UserError as error:
            form.add_error("url", error.text)
        else:
            return _show_endpoint(request, endpoint, secret=secret)
    return _show_list(request, form, status=422)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: CustomerRequest, endpoint_id: int) -> HttpResponse:
    """Show an endpoint; a POST does with it what `do` says and leads back here."""
    endpoint = get_object_or_404(endpoints.existing(), pk=endpoint_id, user=request.user)
    if request.method != "POST":
        return _show_endpoint(request, endpoint)
    do = request.POST.get("do")
    if do == "renew":
        return _show_endpoint(request, endpoint, secret=endpoints.renew_secret(endpoint_id))
    if do == "remove":
        endpoints.remove(endpoint_id)
        messages.success(request, _("The webhook was deleted."))
        return redirect("webhooks")
    _change(request, endpoint_id, do)
    return HttpResponseRedirect(request.path, status=303)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_delivery(request: CustomerRequest, delivery_id: int) -> HttpResponse:
    """Show a delivery; a POST sends it again and leads back here."""
    mine = WebhookDelivery.objects.select_related("endpoint")
    mine = mine.filter(endpoint__in=endpoints.existing().filter(user=request.user))
    delivery = get_object_or_404(mine, pk=delivery_id)
    if request.method == "POST":
        endpoints.send_again(delivery_id)
        messages.success(request, _("It is sent again within seconds."))
        return HttpResponseRedirect(request.path, status=303)
    return render(request, "orders/webhook_delivery.html", {"row": browsing.show(delivery)})


def _change(request: CustomerRequest, endpoint_id: int, do: str | None) -> None:
    if do == "test":
        endpoints.send_test(endpoint_id)
        messages.success(request, _("A test is sent within seconds; reload the page to see what came back."))
    elif do == "off":
        endpoints.stop(endpoint_id)
        messages.success(request, _("The webhook is off. What happens from now on is not kept for it."))
    elif do == "on":
        endpoints.start(endpoint_id)
        messages.success(request, _("The webhook is on."))
    else:
        raise Http404


def _show_list(request: CustomerRequest, form: EndpointForm, *, status: int = 200) -> HttpResponse:
    own = endpoints.existing().filter(user=request.user)
    context = {"form": form, "rows": browsing.read_endpoints(own), "most": endpoints.MOST_ENDPOINTS}
    return render(request, "orders/webhook_list.html", context, status=status)


def _show_endpoint(request: CustomerRequest, endpoint: WebhookEndpoint, *, secret: str = "") -> HttpResponse:
    before = read_id(request.GET.get("before"))
    context = {
        "row": browsing.show_endpoint(endpoint),
        "page": browsing.read_page(endpoint, before=before),
        "before": before,
        "secret": secret,
    }
    return render(request, "orders/webhook_detail.html", context)
