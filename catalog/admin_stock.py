"""What staff do with own stock: uploads that are looked at before they are kept, and taking out what is left.

No page, message or log shows the text of a line; it leaves by the file that taking lines out answers with, once.
"""

import zlib
from base64 import b85decode, b85encode
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.fernet import InvalidToken
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.admin import ModelAdmin

from accounts.admin_pages import NOTHING, AskForm, Button, StaffRequest, ask, change_url
from accounts.errors import UserError
from accounts.templatetags.money import count
from catalog import secrets, stock
from catalog.admin_stock_forms import ALL, EXPIRED, UploadForm, WithdrawForm
from catalog.models import Product
from catalog.stock import Fault, Preview

# The second page of an upload is the first one's address with this behind it.
LOOK = "look"
MOST_FAULTS = 100
FAULTS = {
    Fault.BLANK: gettext_lazy("Line %s: blank"),
    Fault.TWICE: gettext_lazy("Line %s: stands above already"),
    Fault.KNOWN: gettext_lazy("Line %s: is or was in stock already"),
}
UPLOAD, TAKE_OUT = ("catalog.add_stockitem",), ("catalog.view_stockitem", "catalog.change_stockitem")


def list_urls(page: ModelAdmin) -> list[URLPattern]:
    """Return the addresses of what can be done with a product's stock."""

    def serve(view: Callable[..., HttpResponse], needed: tuple[str, ...]) -> Any:
        @sensitive_post_parameters("text")
        def check(request: HttpRequest, pk: int) -> HttpResponse:
            if not request.user.has_perms(needed):
                raise PermissionDenied
            return view(page, request, get_object_or_404(Product, pk=pk, source=Product.Source.STOCK))

        return page.admin_site.admin_view(check)

    return [
        path("<int:pk>/upload/", serve(ask_for_lines, UPLOAD), name="catalog_product_upload"),
        path("<int:pk>/withdraw/", serve(ask_to_withdraw, TAKE_OUT), name="catalog_product_withdraw"),
    ]


def list_buttons(request: HttpRequest, product: Product) -> list[Button]:
    """Return what whoever asks may do with the stock of a product."""
    buttons = []
    if request.user.has_perms(UPLOAD):
        buttons.append(Button(_("Upload lines"), find_url(product, "upload"), "upload"))
    if request.user.has_perms(TAKE_OUT):
        buttons.append(Button(_("Take lines out"), find_url(product, "withdraw"), "download"))
    if request.user.has_perm("catalog.view_stockbatch"):
        uploads = f"{reverse('admin:catalog_stockbatch_changelist')}?product__service__exact={product.pk}"
        buttons.append(Button(_("Its uploads"), uploads, "inventory"))
    return buttons


@sensitive_variables()
def ask_for_lines(page: ModelAdmin, request: StaffRequest, product: Product) -> HttpResponse:
    """Ask for lines, and show what would be kept of them before anything is."""
    key = f"upload:{product.pk}"
    waiting = request.session.get(key)
    if LOOK in request.GET:
        # Nothing waits any more after a second click, or in another tab.
        return confirm_lines(page, request, product, waiting) if waiting else redirect(change_url(product))
    request.session.pop(key, None)
    form = UploadForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        try:
            stock.check_time(form.expires_at)
            found = stock.preview(form.cleaned_data["text"])
        except UserError as error:
            form.add_error({"expires_at": "last_day"}.get(error.field), error.text)
        else:
            if not found.new:
                messages.error(request, _("There is nothing new in it: all of it is or was in stock."))
                return redirect(request.path)
            request.session[key] = put_away(form, found)
            return redirect(f"{request.path}?{LOOK}")
    words: dict[str, Any] = {
        "title": _("Upload lines of “%s”") % product,
        "explanation": _("They are looked at first; nothing is kept before you confirm."),
        "submit": _("Look"),
    }
    return ask(page, request, form, subject=product, **words)


@sensitive_variables()
def confirm_lines(
    page: ModelAdmin, request: StaffRequest, product: Product, waiting: Mapping[str, Any]
) -> HttpResponse:
    """Show what would be kept of an upload, and keep it when that is confirmed."""
    form = AskForm(request.POST if request.method == "POST" else None)
    if form.is_bound:
        try:
            done = stock.upload(
                product,
                unpack(waiting["text"]),
                actor_id=request.user.pk,
                name=waiting["name"],
                expires_at=parse_datetime(waiting["expires_at"]) if waiting["expires_at"] else None,
            )
        except (UserError, InvalidToken) as error:
            form.add_error(None, error.text if isinstance(error, UserError) else _("It cannot be read any more"))
        else:
            request.session.pop(f"upload:{product.pk}", None)
            told = tell_kept(done.kept, done.left_out)
            page.log_change(request, product, told)
            messages.success(request, told)
            return redirect(change_url(product))
    new = waiting["new"]
    words: dict[str, Any] = {
        "title": _("Keep these lines of “%s”?") % product,
        "findings": waiting["faults"],
        "facts": waiting["facts"],
        "submit": ngettext("Keep %s line", "Keep %s lines", new) % count(new),
        "back": find_url(product, "upload"),
    }
    return ask(page, request, form, **words)


@sensitive_variables()
def put_away(form: UploadForm, found: Preview) -> dict[str, Any]:
    """Return an upload as a session can hold it until it is confirmed: what was found, and the text encrypted."""
    expires_at, name, last_day = form.expires_at, form.cleaned_data["name"], form.cleaned_data["last_day"]
    facts = [
        (_("New lines"), count(found.new)),
        (_("Blank"), count(found.count(Fault.BLANK))),
        (_("More than once in it"), count(found.count(Fault.TWICE))),
        (_("In stock already, now or before"), count(found.count(Fault.KNOWN))),
        (_("Name of the upload"), name or NOTHING),
        (_("Last day on sale"), NOTHING if last_day is None else date_format(last_day)),
    ]
    faults = [str(FAULTS[fault]) % number for number, fault in found.faults[:MOST_FAULTS]]
    more = len(found.faults) - len(faults)
    if more:
        faults.append(ngettext("and %s more", "and %s more", more) % count(more))
    packed = b85encode(zlib.compress(form.cleaned_data["text"].encode())).decode()
    return {
        "text": secrets.encrypt(packed),
        "name": name,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
        "new": found.new,
        "facts": facts,
        "faults": faults,
    }


@sensitive_variables()
def unpack(encrypted: str) -> str:
    """Return the text of an upload that waits in a session; raise InvalidToken when our keys are others by now."""
    return zlib.decompress(b85decode(secrets.decrypt(encrypted))).decode()


@sensitive_variables()
def ask_to_withdraw(page: ModelAdmin, request: StaffRequest, product: Product) -> HttpResponse:
    """Ask what is to leave the stock, and why; answer with a file of the lines, told this once."""
    form = WithdrawForm(product, request.POST or None)
    if form.is_valid():
        what, why = form.cleaned_data["what"], form.cleaned_data["why"]
        batch_id = None if what in {ALL, EXPIRED} else int(what)
        with transaction.atomic():
            lines = stock.withdraw(product.pk, batch_id=batch_id, expired=what == EXPIRED)
            if lines:
                told = ngettext("Took %s line out", "Took %s lines out", len(lines)) % len(lines)
                page.log_change(request, product, f"{told}: {why}")
        if lines:
            return answer_file(f"product-{product.pk}.txt", lines)
        form.add_error("what", _("There is nothing of it any more"))
    on_hand = stock.list_on_hand().filter(product=product).count()
    sold = stock.count([product.pk])[product.pk]
    words: dict[str, Any] = {
        "title": _("Take lines of “%s” out of the stock") % product,
        "explanation": _(
            "You get them as a file, this once: they are sold no more, and cannot be uploaded again. Who took them and "
            "why is kept."
        ),
        "facts": [(_("Can be sold"), count(sold)), (_("Expired"), count(on_hand - sold))],
        "submit": _("Take out and download"),
        "variant": "danger",
    }
    return ask(page, request, form, subject=product, **words)


@sensitive_variables()
def answer_file(name: str, lines: list[str]) -> HttpResponse:
    """Answer with lines as a file that nobody keeps on the way."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(
        "".join(f"{line}\n" for line in lines), content_type="text/plain; charset=utf-8", headers=headers
    )


def find_url(product: Product, page: str) -> str:
    """Return the address of a page about a product's stock."""
    return reverse(f"admin:catalog_product_{page}", args=[product.pk])


def tell_kept(kept: int, left_out: int) -> str:
    """Say what an upload did."""
    told = ngettext("%s line kept", "%s lines kept", kept) % count(kept)
    return told + (", " + _("%s left out") % count(left_out) if left_out else "")
