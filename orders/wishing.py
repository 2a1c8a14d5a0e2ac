"""Refills and cancels as pages ask for them: what is possible for each order, and what to say once it was asked for."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.messages import constants as levels
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.errors import UserError
from accounts.templatetags.money import money
from orders import cancels, lifecycle, offering, refills
from orders.models import Cancel, Order, Refill
from orders.offering import Offer, Way
from orders.wording import say

REFILL, CANCEL = "refill", "cancel"
WISHES: Mapping[str, Callable[[int, int], object]] = {
    REFILL: refills.request_refill,
    CANCEL: cancels.request_cancel,
}


CANCELS = {
    Cancel.Status.ASKED: gettext_lazy("We ask for the order to be stopped."),
    Cancel.Status.NOTED: gettext_lazy("What was not delivered comes back when it has stopped."),
    Cancel.Status.LATE: gettext_lazy("It was delivered before it could be stopped."),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """An order with what its customer may ask for now; `at_once` where no provider can have the order yet."""

    order: Order
    refill: Offer
    cancel: Offer
    at_once: bool
    refilling: bool

    @property
    def is_open(self) -> bool:
        """Whether there may be news of the order by itself: it is on its way, or a refill of it is."""
        return self.refilling or self.order.status not in lifecycle.ENDED


@dataclass(frozen=True, slots=True)
class Wish:
    """A refill or a cancel that was asked for, in words for the order's page."""

    title: str
    at: datetime.datetime
    status: str
    label: str
    detail: str


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence for the customer about what was asked for, with the level of a message."""

    level: int
    text: str


def choices(orders: Sequence[Order]) -> list[Choice]:
    """Return what may be asked for, order by order, in a fixed number of queries."""
    refill, cancel = refills.with_offers(orders), cancels.with_offers(orders)
    ends = _ends_at_once([order for order in orders if cancel[order.pk].possible])
    open_refills = Refill.objects.filter(order__in=[pk for pk in refill if refill[pk].shown], status__in=Refill.OPEN)
    refilling = set(open_refills.values_list("order_id", flat=True))
    return [
        Choice(order, refill[order.pk], cancel[order.pk], order.pk in ends, order.pk in refilling) for order in orders
    ]


def sort_out(wish: str, rows: Iterable[Choice]) -> tuple[list[Choice], list[tuple[Order, str]]]:
    """Return the orders for which something can be asked for now, and the others with the reason why not."""
    possible: list[Choice] = []
    impossible: list[tuple[Order, str]] = []
    for row in rows:
        offer = row.refill if wish == REFILL else row.cancel
        if offer.possible:
            possible.append(row)
        else:
            never = _("This order cannot be refilled.") if wish == REFILL else _("This order cannot be canceled.")
            impossible.append((row.order, offer.reason or never))
    return possible, impossible


def wishes(order: Order) -> list[Wish]:
    """Return what was asked for after an order was placed, newest first, in two queries."""
    found = [_tell_refill(refill) for refill in order.refills.all()]
    found += [_tell_cancel(cancel) for cancel in order.cancels.all()]
    return sorted(found, key=lambda wish: wish.at, reverse=True)


def ask(user_id: int, wish: str, order_ids: Iterable[int]) -> list[Told]:
    """Ask for a refill or a cancel of each order and return what came of it, told for all of them together.

    What is impossible is told, never raised. Every wish opens its own transaction.
    """
    request = WISHES.get(wish)
    if request is None:
        return [Told(levels.ERROR, _("Incorrect request"))]
    asked: list[int] = []
    refused: list[Told] = []
    for order_id in dict.fromkeys(order_ids):
        try:
            request(user_id, order_id)
        except UserError as error:
            words = {"id": order_id, "why": _(error.text)}
            refused.append(Told(levels.ERROR, _("Order %(id)s: %(why)s.") % words))
        else:
            asked.append(order_id)
    return [*_tell(user_id, wish, asked), *refused]


def _ends_at_once(orders: Sequence[Order]) -> set[int]:
    """Return the orders that a cancel ends at once, as things look now; the verb looks again under the lock."""
    pending = [order for order in orders if order.status == Order.Status.PENDING]
    takers = offering.read_takers(pending) if pending else {}
    return {order.pk for order in pending if offering.cancel_way(order, takers.get(order.pk)) == Way.AT_ONCE}


def _tell_refill(refill: Refill) -> Wish:
    title = _("Refill %(id)s") % {"id": refill.pk}
    label = str(refill.get_status_display())
    return Wish(title, refill.created_at, refill.status, label, say(refill.why) if refill.why else "")


def _tell_cancel(cancel: Cancel) -> Wish:
    detail = say(cancel.why) if cancel.why else str(CANCELS.get(Cancel.Status(cancel.status), ""))
    # Who delivers is not the customer's worry, so that status has a name of its own here.
    label = _("Passed on") if cancel.status == Cancel.Status.NOTED else str(cancel.get_status_display())
    return Wish(_("Cancellation"), cancel.created_at, cancel.status, label, detail)


def _tell(user_id: int, wish: str, asked: list[int]) -> list[Told]:
    if not asked:
        return []
    if wish == REFILL:
        return [Told(levels.SUCCESS, _told_refills(asked))]
    ended = Order.objects.filter(user_id=user_id, pk__in=asked, status=Order.Status.CANCELED).order_by("pk")
    told = [
        Told(levels.SUCCESS, _("Order %(id)s is canceled, and %(sum)s came back.") % _figures(order)) for order in ended
    ]
    gone = {order.pk for order in ended}
    waiting = [order_id for order_id in asked if order_id not in gone]
    return [*told, Told(levels.SUCCESS, _told_cancels(waiting))] if waiting else told


def _figures(order: Order) -> dict[str, object]:
    return {"id": order.pk, "sum": money(order.refunded)}


def _told_refills(asked: list[int]) -> str:
    text = ngettext("Refill asked for: order %(ids)s.", "Refills asked for: orders %(ids)s.", len(asked))
    return text % {"ids": ", ".join(map(str, asked))}


def _told_cancels(asked: list[int]) -> str:
    text = ngettext(
        "Cancellation asked for: order %(ids)s. The money comes back when the cancellation is confirmed.",
        "Cancellation asked for: orders %(ids)s. The money comes back when the cancellations are confirmed.",
        len(asked),
    )
    return text % {"ids": ", ".join(map(str, asked))}
