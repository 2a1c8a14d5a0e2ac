"""The customer's statement and API keys; signing in and the account itself are allauth's (templates/account)."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import api_keys, statements
from accounts.forms import KeyForm, NewKeyForm, describe
from accounts.requests import CustomerRequest, read_id


@never_cache
@login_required
@require_safe
def statement(request: CustomerRequest) -> HttpResponse:
    before = read_id(request.GET.get("before"))
    proof = statements.prove(request.user.pk)
    page = statements.read_page(request.user.pk, before=before)
    context = {"page": page, "proof": proof, "balance": proof.balance, "before": before}
    return render(request, "accounts/transfer_list.html", context)


@never_cache
@login_required
@require_safe
def list_keys(request: CustomerRequest) -> HttpResponse:
    return _show_keys(request, NewKeyForm())


@never_cache
@login_required
@require_POST
def create_key(request: CustomerRequest) -> HttpResponse:
    """Make a key and show it in this very answer: it is kept nowhere, so there is nothing to redirect to."""
    form = NewKeyForm(request.POST)
    if not form.is_valid():
        return _show_keys(request, form)
    said = form.cleaned_data
    _row, text = api_keys.issue_key(request.user.pk, name=said["name"], terms=form.terms(), is_test=said["is_test"])
    return _show_keys(request, NewKeyForm(), new_key=text)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_key(request: CustomerRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(request.user.api_keys, pk=key_id, revoked_at=None)
    form = KeyForm(request.POST or None, initial=describe(key))
    if not form.is_valid():
        return render(request, "accounts/apikey_form.html", {"form": form, "key": key})
    if api_keys.change_key(request.user.pk, key_id, name=form.cleaned_data["name"], terms=form.terms()):
        messages.success(request, _("Saved: it counts from the next request on."))
    return redirect("api_keys")


@login_required
@require_POST
def revoke_key(request: CustomerRequest, key_id: int) -> HttpResponse:
    if api_keys.revoke_key(request.user.pk, key_id):
        messages.success(request, _("The key was revoked: requests with it are refused from now on."))
    return redirect("api_keys")


def _show_keys(request: CustomerRequest, form: NewKeyForm, **shown: object) -> HttpResponse:
    context = {
        "form": form,
        "rows": api_keys.list_keys(request.user.pk),
        "api_url": request.build_absolute_uri(reverse("api")),
        **shown,
    }
    return render(request, "accounts/apikey_list.html", context)
