"""Adding a provider: what it is, then how it was found to speak; nothing is written before it has answered."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptography.fernet import InvalidToken
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from accounts.admin_pages import ask, change_url
from accounts.errors import UserError
from accounts.money import plain
from catalog import adding, secrets
from catalog.adding import NewProvider
from catalog.admin_forms import AddForm, FoundForm
from catalog.detecting import DETECT
from catalog.models import Provider
from catalog.providers.replies import Balance

# Where a provider waits between the two pages; its key waits there as it is kept later, and no page ever shows it.
WAITING = "provider_to_add"
# The second page's address is the first one's with this behind it.
FOUND = "found"


def ask_for_provider(page: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask for a provider; where its dialect is to be detected, show what was found before it is added."""
    waiting = request.session.get(WAITING)
    if FOUND in request.GET and waiting:
        return confirm_found(page, request, waiting)
    form = AddForm(request.POST or None)
    if form.is_valid():
        try:
            if form.cleaned_data["dialect"] == DETECT:
                new, found = adding.look_into(read_new(form.cleaned_data))
                request.session[WAITING] = {**put_away(new), "findings": found.findings}
                return redirect(f"{request.path}?{FOUND}")
            return add(page, request, read_new(form.cleaned_data))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.text)
    explanation = _("The provider is asked for our balance first; it is added only when it answers.")
    return ask(page, request, form, title=_("Add provider"), submit=_("Test and add"), explanation=explanation)


def confirm_found(page: ModelAdmin, request: HttpRequest, waiting: Mapping[str, Any]) -> HttpResponse:
    """Show how a provider was found to speak and what that means; add it when that is confirmed."""
    form = FoundForm(request.POST or None, initial={"dialect": waiting["dialect"]})
    if form.is_valid():
        try:
            new = take_out(waiting, form.cleaned_data["dialect"])
            return add(page, request, new)
        except UserError as error:
            form.add_error(None, error.text)
    flags = [(_("Differs from the dialect"), f"{flag}: {value}") for flag, value in waiting["overrides"].items()]
    return ask(
        page,
        request,
        form,
        title=_("Add provider %s") % waiting["name"],
        explanation=_("It answered. Nothing is saved yet; take another dialect if its documentation says otherwise."),
        findings=waiting["findings"],
        facts=flags,
        submit=_("Add it"),
    )


def add(page: ModelAdmin, request: HttpRequest, new: NewProvider) -> HttpResponse:
    """Add a provider and lead to its page; raise UserError when it cannot be added."""
    provider, balance = adding.add_provider(new)
    request.session.pop(WAITING, None)
    page.log_addition(request, provider, "Added")
    messages.success(request, _("Added. It answered: balance %s.") % tell_balance(provider, balance))
    return redirect(change_url(provider))


def read_new(values: Mapping[str, Any]) -> NewProvider:
    """Return the provider that a valid form describes."""
    return NewProvider(
        name=values["name"],
        url=values["api_url"],
        key=values["key"],
        currency=values["currency"],
        exchange_rate=values["exchange_rate"],
        markup_percent=values["markup_percent"],
        dialect=values["dialect"],
    )


def put_away(new: NewProvider) -> dict[str, Any]:
    """Return a provider as a session can hold it, with its key encrypted."""
    return {
        "name": new.name,
        "url": new.url,
        "key": secrets.encrypt(new.key.strip()),
        "currency": new.currency,
        "exchange_rate": None if new.exchange_rate is None else str(new.exchange_rate),
        "markup_percent": None if new.markup_percent is None else str(new.markup_percent),
        "dialect": new.dialect,
        "overrides": dict(new.overrides),
    }


def take_out(waiting: Mapping[str, Any], dialect: str) -> NewProvider:
    """Return the provider that waits in a session, with the dialect that staff chose; raise UserError when it is gone.

    The flags that were found go with the dialect that was found.
    """
    try:
        key = secrets.decrypt(waiting["key"])
    except InvalidToken as error:
        raise UserError("The key cannot be read any more: begin again", field="key") from error
    rate, markup = waiting["exchange_rate"], waiting["markup_percent"]
    return NewProvider(
        name=waiting["name"],
        url=waiting["url"],
        key=key,
        currency=waiting["currency"],
        exchange_rate=None if rate is None else Decimal(rate),
        markup_percent=None if markup is None else Decimal(markup),
        dialect=dialect,
        overrides=waiting["overrides"] if dialect == waiting["dialect"] else {},
    )


def tell_balance(provider: Provider, balance: Balance) -> str:
    """Write a balance as the provider told it, with a warning where it names another currency than is set."""
    said = balance.currency or provider.currency
    text = f"{plain(balance.amount)} {said}"
    if said.upper() != provider.currency:
        text += " " + _("(but the currency set here is %s)") % provider.currency
    return text
