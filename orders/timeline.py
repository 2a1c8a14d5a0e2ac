"""An order's story in the customer's plain words, newest first, with every refund's arithmetic in one line.

Told from the public events alone: what happens between us and providers is not the customer's worry.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.money import share
from accounts.templatetags.money import count, money, short
from orders.models import Order, OrderEvent

Kind = OrderEvent.Kind
Status = Order.Status

# Why a provider refused for good, where it concerns what the customer gave (PROTOCOL 4); else it is our affair.
WHY = {
    "invalid_link": gettext_lazy("The link was not accepted."),
    "link_duplicate": gettext_lazy("Another order for this link was still running."),
    "duplicate_link": gettext_lazy("Another order for this link was still running."),
    "quantity_too_low": gettext_lazy("The quantity was too low."),
    "quantity_too_high": gettext_lazy("The quantity was too high."),
    "quantity_invalid": gettext_lazy("The quantity was not accepted."),
    "comments_invalid": gettext_lazy("The comments were not accepted."),
    "staff": gettext_lazy("Our staff canceled it."),
}
MEANING = {
    Status.PENDING: gettext_lazy("Paid, and waiting to be accepted."),
    Status.PROCESSING: gettext_lazy("Accepted, and about to start."),
    Status.IN_PROGRESS: gettext_lazy("Being delivered right now."),
    Status.COMPLETED: gettext_lazy("Delivered in full."),
    Status.PARTIAL: gettext_lazy("Ended early; the undelivered part came back to your balance."),
    Status.CANCELED: gettext_lazy("Ended; what was left came back to your balance."),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; `tone` is the status whose colour it has, `sum` the arithmetic of money that moved."""

    at: datetime.datetime
    title: str
    tone: str = ""
    sum: str = ""
    detail: str = ""


def tell(order: Order, events: Iterable[OrderEvent]) -> list[Step]:
    """Tell an order's story from its events, newest first as they come; others than public ones are passed over.

    Money that came back right after a change of status belongs to it: lifecycle writes the two events together.
    """
    told = list(events)
    steps: list[Step] = []
    returned: OrderEvent | None = None
    for event, earlier in zip(told, [*told[1:], None], strict=True):
        if event.kind == Kind.REFUNDED:
            if earlier and earlier.kind == Kind.STATUS:
                returned = event
            else:
                steps.append(_tell_return(order, event))
        elif event.kind in OrderEvent.PUBLIC:
            steps.append(_tell(order, event, returned))
            returned = None
    return steps


def explain(order: Order) -> str:
    """Say in one sentence where an order stands."""
    if order.status == Status.PARTIAL and not order.refunded:
        return _("Ended early.")
    return str(MEANING[Status(order.status)])


def _tell(order: Order, event: OrderEvent, returned: OrderEvent | None) -> Step:
    if event.kind == Kind.PLACED:
        return Step(event.created_at, _("Placed and paid"), sum=_price_sum(event.data))
    if event.kind == Kind.ACCEPTED:
        return Step(event.created_at, _("Accepted for delivery"), tone=Status.PROCESSING)
    status = str(event.data.get("to", ""))
    return Step(
        event.created_at,
        _tell_status(order, status, returned),
        tone=status,
        sum=_return_sum(order, returned) if returned else "",
        detail=_detail(order, status, returned),
    )


def _tell_status(order: Order, status: str, returned: OrderEvent | None) -> str:
    remains = returned.data.get("remains") if returned else None
    if status == Status.PARTIAL and isinstance(remains, int):
        delivered = {"delivered": count(order.quantity - remains), "quantity": count(order.quantity)}
        return _("%(delivered)s of %(quantity)s delivered, the rest came back") % delivered
    words = {
        Status.PROCESSING: _("Accepted for delivery"),
        Status.IN_PROGRESS: _("Started"),
        Status.COMPLETED: _("Delivered in full"),
        Status.PARTIAL: _("Ended early"),
        Status.CANCELED: _("Canceled, and the money came back") if returned else _("Canceled"),
    }
    return words.get(Status(status), status) if status in Status.values else status


def _detail(order: Order, status: str, returned: OrderEvent | None) -> str:
    if status == Status.IN_PROGRESS and order.start_count is not None:
        return _("Start count %(count)s") % {"count": count(order.start_count)}
    if status == Status.PARTIAL and order.attention == Order.Attention.REMAINS:
        return _("What comes back to you is being looked at.")
    why = returned.data.get("why") if returned else None
    if why is None:
        return ""
    return str(WHY.get(str(why), gettext_lazy("It could not be delivered.")))


def _tell_return(order: Order, event: OrderEvent) -> Step:
    """Tell of money that came back without a change of status: a provider corrected what it had said."""
    first = event.data["amount"] == event.data["refunded"]
    title = _("The undelivered part came back") if first else _("More came back")
    return Step(event.created_at, title, tone=Status.PARTIAL, sum=_return_sum(order, event))


def _price_sum(said: dict[str, object]) -> str:
    rate, charge = Decimal(str(said["rate"])), Decimal(str(said["charge"]))
    if said.get("flat"):
        return _("Package price %(charge)s") % {"charge": money(charge)}
    return f"{short(rate)} × {count(int(str(said['units'])))} ÷ 1000 = {money(charge)}"


def _return_sum(order: Order, event: OrderEvent) -> str:
    """Write what came back as a sum: charge × remains ÷ quantity, less what had come back before."""
    said = event.data
    amount, refunded = Decimal(str(said["amount"])), Decimal(str(said["refunded"]))
    words = {"amount": money(amount)}
    remains, before = said.get("remains"), refunded - amount
    if isinstance(remains, int):
        left = f"{short(order.charge)} × {count(remains)} ÷ {count(order.quantity)}"
        words["sum"] = f"{left} = {money(share(order.charge, remains, order.quantity))}"
    else:
        words["sum"] = money(refunded)
    if before:
        words["before"] = money(before)
        return _("%(sum)s, less %(before)s before: %(amount)s returned to your balance") % words
    if isinstance(remains, int):
        return _("%(sum)s returned to your balance") % words
    return _("%(amount)s returned to your balance") % words
