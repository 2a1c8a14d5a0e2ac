"""An order's story in the customer's plain words, newest first, with every refund's arithmetic in one line.

Told from the public events alone: what happens between us and providers is not the customer's worry.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.money import share
from accounts.templatetags.money import count, money, short
from orders import wording
from orders.models import Cancel, Order, OrderEvent, Refill

Kind = OrderEvent.Kind
Status = Order.Status

# Why an order came to nothing where that is our affair alone; everything else is said by wording.py.
OUR_AFFAIR = frozenset({"unavailable", "order_unknown"})
MEANING = {
    Status.PENDING: gettext_lazy("Paid, and waiting to be accepted."),
    Status.PROCESSING: gettext_lazy("Accepted, and about to start."),
    Status.IN_PROGRESS: gettext_lazy("Being delivered right now."),
    Status.COMPLETED: gettext_lazy("Delivered in full."),
    Status.PARTIAL: gettext_lazy("Ended early; the undelivered part came back to your balance."),
    Status.CANCELED: gettext_lazy("Ended; what was left came back to your balance."),
}
REFILLS: Mapping[str, object] = {
    Refill.Status.PENDING: gettext_lazy("Refill asked for"),
    Refill.Status.IN_PROGRESS: gettext_lazy("Refill started"),
    Refill.Status.COMPLETED: gettext_lazy("Refilled"),
    Refill.Status.REJECTED: gettext_lazy("Refill refused"),
    Refill.Status.ERROR: gettext_lazy("Refill failed"),
}
CANCELS: Mapping[str, object] = {
    Cancel.Status.ASKED: gettext_lazy("Cancellation asked for"),
    Cancel.Status.NOTED: gettext_lazy("Cancellation passed on, not yet granted"),
    Cancel.Status.DONE: gettext_lazy("Cancellation granted"),
    Cancel.Status.REFUSED: gettext_lazy("Cancellation refused"),
    Cancel.Status.LATE: gettext_lazy("Too late to cancel: it was delivered already"),
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
    if order.status == Status.COMPLETED and order.refunded:
        return _("Delivered; what was missing came back to your balance.")
    return str(MEANING[Status(order.status)])


def _tell(order: Order, event: OrderEvent, returned: OrderEvent | None) -> Step:
    if event.kind == Kind.PLACED:
        return Step(
            event.created_at, _("Placed and paid"), sum=_price_sum(event.data), detail=_tell_placing(order, event)
        )
    if event.kind == Kind.DELIVERED:
        return Step(event.created_at, _tell_lines(event.data), tone=Status.COMPLETED)
    if event.kind == Kind.ACCEPTED:
        return Step(event.created_at, _("Accepted for delivery"), tone=Status.PROCESSING)
    status = str(event.data.get("to", ""))
    if event.kind in {Kind.REFILL, Kind.CANCEL}:
        told = REFILLS if event.kind == Kind.REFILL else CANCELS
        why = wording.say(str(event.data.get("why", "")))
        return Step(event.created_at, str(told.get(status, status)), tone=status, detail=why)
    return Step(
        event.created_at,
        _tell_status(order, status, event.data, returned),
        tone=status,
        sum=_return_sum(order, returned) if returned else "",
        detail=_detail(order, status, returned),
    )


def _tell_lines(said: Mapping[str, int]) -> str:
    """Say how many lines of a product were handed over, or replaced others."""
    number = {"count": said["lines"]}
    if "replacement" in said:
        return ngettext("%(count)d line replaced", "%(count)d lines replaced", said["lines"]) % number
    return ngettext("%(count)d line handed over", "%(count)d lines handed over", said["lines"]) % number


def _tell_placing(order: Order, event: OrderEvent) -> str:
    """Say what belongs to placing alone: over how much an order is spread, and with which API key it came."""
    words = {"prefix": event.data.get("api_key_prefix"), "key": event.data.get("idempotency_key")}
    came = ""
    if words["prefix"]:
        came = (
            _("With API key %(prefix)s…, idempotency key %(key)s.") if words["key"] else _("With API key %(prefix)s….")
        )
    return " · ".join(filter(None, [_tell_parts(order), came % words]))


def _tell_parts(order: Order) -> str:
    """Say over how many runs or posts an order is spread; nothing where it comes at once."""
    if not order.is_spread:
        return ""
    words = {"parts": count(order.parts), "each": count(order.quantity // order.parts)}
    return (_("%(parts)s runs of %(each)s") if _has_runs(order) else _("%(parts)s posts, %(each)s at most")) % words


def _has_runs(order: Order) -> bool:
    return "runs" in order.details


def _tell_status(order: Order, status: str, said: Mapping[str, object], returned: OrderEvent | None) -> str:
    remains = returned.data.get("remains") if returned else None
    if status == Status.PARTIAL and isinstance(remains, int):
        delivered = {"delivered": count(order.quantity - remains), "quantity": count(order.quantity)}
        return _("%(delivered)s of %(quantity)s delivered, the rest came back") % delivered
    if returned and isinstance(said.get("done"), int) and said["done"]:
        return _tell_spread_end(order, status, {"done": said["done"], "parts": order.parts})
    words = {
        Status.PROCESSING: _("Accepted for delivery"),
        Status.IN_PROGRESS: _("Started"),
        Status.COMPLETED: _("Delivered in full"),
        Status.PARTIAL: _("Ended early"),
        Status.CANCELED: _("Canceled, and the money came back") if returned else _("Canceled"),
    }
    return words.get(Status(status), status) if status in Status.values else status


def _tell_spread_end(order: Order, status: str, words: Mapping[str, object]) -> str:
    if status == Status.CANCELED and _has_runs(order):
        return _("Canceled with %(done)s of %(parts)s runs delivered, the rest came back") % words
    if status == Status.CANCELED:
        return _("Canceled with %(done)s of %(parts)s posts served, the rest came back") % words
    if _has_runs(order):
        return _("%(done)s of %(parts)s runs delivered, the rest came back") % words
    return _("%(done)s of %(parts)s posts served, the rest came back") % words


def _detail(order: Order, status: str, returned: OrderEvent | None) -> str:
    if status == Status.IN_PROGRESS and order.start_count is not None:
        return _("Start count %(count)s") % {"count": count(order.start_count)}
    if status == Status.PARTIAL and order.attention == Order.Attention.REMAINS:
        return _("What comes back to you is being looked at.")
    said = returned.data if returned else {}
    if said.get("why"):
        why = str(said["why"])
        known = why in wording.WHY and why not in OUR_AFFAIR
        return wording.say(why) if known else _("It could not be delivered.")
    if said.get("lacking"):
        return _("%(count)s of it were missing from what came.") % {"count": count(said["lacking"])}
    return ""


def _tell_return(order: Order, event: OrderEvent) -> Step:
    """Tell of money that came back without a change of status: a provider corrected what it had said."""
    first = event.data["amount"] == event.data["refunded"]
    title = _("The undelivered part came back") if first else _("More came back")
    return Step(event.created_at, title, tone=Status.PARTIAL, sum=_return_sum(order, event))


def _price_sum(said: dict[str, object]) -> str:
    rate, charge = Decimal(str(said["rate"])), Decimal(str(said["charge"]))
    if said["per"] is None:
        return _("Package price %(charge)s") % {"charge": money(charge)}
    if said["per"] == 1:
        return f"{short(rate)} × {count(int(str(said['units'])))} = {money(charge)}"
    return f"{short(rate)} × {count(int(str(said['units'])))} ÷ 1000 = {money(charge)}"


def _return_sum(order: Order, event: OrderEvent) -> str:
    """Write what came back as a sum: charge × the share that was not delivered, less what had come back before."""
    said = event.data
    amount, refunded = Decimal(str(said["amount"])), Decimal(str(said["refunded"]))
    words = {"amount": money(amount)}
    part, before = _share(order, said), refunded - amount
    if part:
        left = f"{short(order.charge)} × {count(part[0])} ÷ {count(part[1])}"
        words["sum"] = f"{left} = {money(share(order.charge, *part))}"
    else:
        words["sum"] = money(refunded)
    if before:
        words["before"] = money(before)
        return _("%(sum)s, less %(before)s before: %(amount)s returned to your balance") % words
    if part:
        return _("%(sum)s returned to your balance") % words
    return _("%(amount)s returned to your balance") % words


def _share(order: Order, said: Mapping[str, object]) -> tuple[int, int] | None:
    """Return what was not delivered and of how much: in whole runs or posts where nothing lacks, else in units."""
    done, undelivered, remains = said.get("done"), said.get("undelivered"), said.get("remains")
    if isinstance(done, int) and not said.get("lacking"):
        return order.parts - done, order.parts
    if isinstance(undelivered, int):
        return undelivered, order.quantity
    return (remains, order.quantity) if isinstance(remains, int) else None
