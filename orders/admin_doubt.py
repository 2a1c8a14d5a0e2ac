"""What the page of a dispatch shows to whoever must decide: the evidence, the ways out, and what a text means."""

import datetime
import re
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldBooleanWidget

from accounts import ledger
from accounts.admin_pages import NOTHING, AskForm, amount, link
from accounts.templatetags.money import count, short
from catalog.models import BalanceReading, RefusalText
from orders import doubting, evidence, resolving
from orders.models import Dispatch

# Typed by hand, so that nobody sends an order twice by a slip of the mouse.
CONFIRMATION = "I looked: the provider does not have it"
MOST_SHOWN = 10
PIECES = re.compile(r"\S{1,24}|\s+")
BREAK = SafeString("<br>")
VERDICTS = {
    "match": _("could be this one"),
    "bound": _("is another order of ours"),
    "quantity": _("another quantity"),
    "time": _("from another time"),
    "no time": _("of an unknown time"),
}


class ArrivedForm(AskForm):
    """Under which id the provider has the order."""

    remote_id = forms.CharField(label=_("Its ID at the provider"), max_length=100)


class SendAgainForm(AskForm):
    """That the provider does not have the order; typed only where an attempt is in doubt."""

    looked = forms.CharField(label=_("Type: %s") % CONFIRMATION, required=False, max_length=100)


class WhyForm(AskForm):
    """Why an order is canceled, or a refill refused."""

    why = forms.CharField(label=_("Reason, for our own books"), max_length=200)


class MeaningForm(AskForm):
    """What a text means that nobody has classed, and whether what waits with it is settled at once."""

    WIDGETS = (*AskForm.WIDGETS, (forms.BooleanField, UnfoldBooleanWidget))

    meaning = forms.ChoiceField(label=_("What it means"), choices=[("", NOTHING), *RefusalText.Meaning.choices])
    settle = forms.BooleanField(label=_("Settle what waits with this text too"), required=False, initial=True)


def offer_ways(dispatch: Dispatch) -> dict[str, Any]:
    """Return the ways out of a dispatch that waits for a person, and what they would do to the customer's balance."""
    is_add = dispatch.command == Dispatch.Command.ADD
    ways: dict[str, Any] = {"send_again": SendAgainForm(prefix="send_again") if dispatch.doubtful else None}
    if not is_add:
        return ways | {"refuse": WhyForm(prefix="refuse")}
    order = dispatch.order
    returned, balance = order.charge - order.refunded, ledger.read_balance(order.user_id)
    return ways | {
        "arrived": ArrivedForm(prefix="arrived"),
        "cancel": WhyForm(prefix="cancel"),
        "wants_cancel": resolving.wants_cancel(order.pk),
        "returned": amount(returned),
        "balance": amount(balance),
        "balance_after": amount(balance + returned),
    }


def ask_meaning(request: HttpRequest, dispatch: Dispatch) -> dict[str, Any] | None:
    """Return the form that asks what a text means, for those who may say so; None where there is nothing to ask."""
    if not dispatch.unknown_text or not may_class(request):
        return None
    return {
        "form": MeaningForm(prefix="meaning"),
        "text": breakable(dispatch.unknown_text),
        "waiting": len(resolving.find_waiting(dispatch.provider_id, dispatch.unknown_text)),
    }


def may_class(request: HttpRequest) -> bool:
    """Tell whether whoever asks may say what a provider's texts mean."""
    return request.user.has_perms(["orders.change_dispatch", "catalog.add_refusaltext", "catalog.change_refusaltext"])


def show_evidence(dispatch: Dispatch) -> dict[str, Any]:
    """Return what is known about an order in doubt beside what came back."""
    found = evidence.gather(dispatch)
    affected = evidence.list_affected(dispatch)
    return {
        "sentence": found.sentence,
        "readings": {
            "headers": [_("balance there"), _("read"), found.currency],
            "rows": [
                _tell_reading(str(_("Before it was first sent")), found.before),
                _tell_reading(str(_("After it was last sent")), found.after),
            ],
        },
        "listed": _tell_list(doubting.last_finding(dispatch)),
        "key": _tell_key(dispatch),
        "look_at": tell_time(dispatch.look_at),
        "affected": [
            (link(other), other.order.user.email, tell_time(other.claimed_at)) for other in affected[:MOST_SHOWN]
        ],
        "affected_count": affected.count(),
    }


def breakable(text: str) -> str:
    """Write what a provider said line by line, so that even words without an end fit on a phone."""
    lines = (
        format_html_join("", "{}<wbr>", ((piece,) for piece in PIECES.findall(line))) for line in text.splitlines()
    )
    return format_html_join(BREAK, "{}", ((line,) for line in lines))


def tell_time(at: datetime.datetime | None) -> str:
    """Write a moment with its seconds, in the time of whoever reads it."""
    return NOTHING if at is None else date_format(timezone.localtime(at), "j M Y H:i:s")


def _tell_reading(label: str, reading: BalanceReading | None) -> list[str]:
    if reading is None:
        return [label, NOTHING, NOTHING]
    return [label, tell_time(reading.read_at), short(reading.amount)]


def _tell_list(finding: dict[str, Any] | None) -> dict[str, Any] | None:
    """Tell what the provider's own list of orders held with our service and link, and what speaks against each."""
    if finding is None or "found" not in finding:
        return None
    rivals = Dispatch.objects.filter(pk__in=finding["rivals"]).order_by("pk")
    return {
        "headers": [_("their ID"), _("placed"), _("quantity"), _("what about it")],
        "rows": [
            [
                row["id"],
                tell_time(parse_datetime(row["at"]) if row["at"] else None),
                NOTHING if row["quantity"] is None else count(row["quantity"]),
                VERDICTS.get(row["verdict"], row["verdict"]),
            ]
            for row in finding["found"]
        ],
        "rivals": [link(rival, f"{rival.order_id}") for rival in rivals],
    }


def _tell_key(dispatch: Dispatch) -> str:
    until = doubting.remembered_until(dispatch)
    if until is None:
        return str(_("The provider knows no keys, so it is never sent again by itself."))
    if until <= timezone.now():
        return str(_("The provider surely remembered its key until %s; that is over.")) % tell_time(until)
    return str(_("The provider surely remembers its key until %s.")) % tell_time(until)
