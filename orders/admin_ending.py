"""Ending an order by hand: a page that asks how it ended, shows what that gives back, and books it once confirmed."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from accounts import ledger
from accounts.admin_pages import AskForm, ReadOnlyAdmin, StaffRequest, amount, ask, change_url
from accounts.errors import UserError
from accounts.money import plain
from accounts.templatetags.money import count
from orders import resolving
from orders.ending import ALLOWED, ENDED
from orders.models import Dispatch, Order


class EndForm(AskForm):
    """How an order ended, and why that is known; shown twice, since what is booked is not taken back."""

    WIDGETS = (*AskForm.WIDGETS, (forms.IntegerField, UnfoldAdminIntegerFieldWidget))

    status = forms.ChoiceField(label=_("It ended as"))
    remains = forms.IntegerField(
        label=_("Remains"),
        required=False,
        min_value=1,
        help_text=_("For Partial only: how many were not delivered. Their share comes back to the customer."),
    )
    why = forms.CharField(label=_("Reason, for our own books"), max_length=200)
    previewed = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, order: Order, *args: Any, **kwargs: Any) -> None:
        possible = [status for status in Order.Status if status in ENDED and status in ALLOWED[order.status]]
        choices = [("", "–"), *((status.value, status.label) for status in possible)]
        super().__init__(*args, **kwargs)
        self.fields["status"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField has them


def can_end(order: Order) -> bool:
    """Tell whether staff may end an order: a provider took it, or staff deliver it, and it is not canceled yet."""
    adds = [row for row in order.dispatches.all() if row.command == Dispatch.Command.ADD]
    taken = not adds or any(row.state == Dispatch.State.SENT for row in adds)
    return taken and order.status != Order.Status.CANCELED


def end(admin: ReadOnlyAdmin, request: StaffRequest, pk: int) -> HttpResponse:
    """Ask, preview, and end an order; what the preview said is what is done, or nothing is."""
    if not request.user.has_perm("orders.change_order"):
        raise PermissionDenied
    order = get_object_or_404(Order.objects.select_related("user"), pk=pk)
    form = EndForm(order, request.POST or None)
    if form.is_valid():
        values = form.cleaned_data
        try:
            returned = resolving.preview_end(order.pk, values["status"], values["remains"], actor_id=request.user.pk)
            if values["previewed"] == plain(returned):
                return _book(request, order, values, returned)
            return _preview(admin, request, order, values, returned)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.text)
    words: dict[str, Any] = {
        "title": _("How did order %s end?") % order.pk,
        "explanation": _(
            "For what the provider does not tell, or tells wrongly. A provider's later word still counts."
        ),
        "submit": _("Go on"),
        "facts": _facts(order),
    }
    return ask(admin, request, form, subject=order, **words)


def _facts(order: Order) -> list[tuple[Any, str]]:
    return [
        (_("Customer"), order.user.email),
        (_("Status"), str(Order.Status(order.status).label)),
        (_("Quantity"), count(order.quantity)),
        (_("Charge"), amount(order.charge)),
        (_("Refunded"), amount(order.refunded)),
    ]


def _preview(
    admin: ReadOnlyAdmin, request: StaffRequest, order: Order, values: dict[str, Any], returned: Decimal
) -> HttpResponse:
    """Show what comes back and the balance before and after, with the same form ready to be confirmed."""
    balance = ledger.read_balance(order.user_id)
    facts = [
        *_facts(order),
        (_("Comes back now"), amount(returned)),
        (_("Balance now"), amount(balance)),
        (_("Balance after"), amount(balance + returned)),
    ]
    confirmed = EndForm(order, {**values, "previewed": plain(returned)})
    status = Order.Status(values["status"]).label
    words: dict[str, Any] = {
        "title": _("End order %(order)s as %(status)s?") % {"order": order.pk, "status": status},
        "submit": _("End it and give %s back") % amount(returned),
        "facts": facts,
        "variant": "danger",
    }
    return ask(admin, request, confirmed, subject=order, **words)


def _book(request: StaffRequest, order: Order, values: dict[str, Any], expected: Decimal) -> HttpResponse:
    with transaction.atomic():
        returned = resolving.end_by_hand(
            order.pk, values["status"], values["remains"], actor_id=request.user.pk, why=values["why"]
        )
        if returned != expected:
            raise UserError("The order has changed meanwhile; nothing was done")
    told = {"order": order.pk, "amount": amount(returned)}
    messages.success(request, _("Order %(order)s has ended; %(amount)s came back.") % told)
    return redirect(change_url(order))
