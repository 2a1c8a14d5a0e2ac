"""Replacements: within the warranty a buyer asks for other lines in place of bad ones; staff grant or refuse it.

Guarantee: a line is replaced once, by as many lines as are taken in the same transaction; no money moves. Rows are
locked in one sequence everywhere: order, then replacement. No line is in any event.
"""

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.errors import UserError
from catalog import stock
from catalog.models import Product
from orders import delivering, lifecycle
from orders.models import DeliveredLine, Delivery, Order, OrderEvent, Replacement
from orders.timeline import Step

Kind = OrderEvent.Kind
Status = Replacement.Status

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Warranty:
    """Whether other lines may be asked for now, until when, and if not, why in plain words; `days` 0: never."""

    days: int
    until: datetime.datetime | None
    reason: str = ""

    @property
    def possible(self) -> bool:
        """Whether a replacement can be asked for now."""
        return bool(self.days) and not self.reason


def read_warranty(order: Order) -> Warranty:
    """Return how an order's warranty stands. Expects its service and product to be loaded."""
    days = order.service.product.warranty_days
    delivery = Delivery.objects.filter(order=order, fetch_at=None).first()
    first = delivery.lines.order_by("position").first() if delivery and days else None
    if delivery is None or first is None:
        return Warranty(0, None)
    until = _find_end(order, first, days)
    return Warranty(days, until, _find_obstacle(order, delivery, until))


@transaction.atomic
def request_replacement(user_id: int, order_id: int, line_ids: Collection[int], reason: str) -> Replacement:
    """Ask for other lines in place of these of an order; return the replacement, which staff will answer.

    Raises UserError: no such order of his, no warranty or its days are over, one is open already, no such lines, or no
    reason. Opens the transaction itself.
    """
    order = _lock(order_id, user_id=user_id)
    warranty = read_warranty(order)
    if not warranty.days:
        raise UserError("There is no warranty on this order", field="order")
    if not warranty.possible:
        raise UserError(warranty.reason, field="order")
    lines = list(order.delivery.lines.filter(pk__in=line_ids, replaced_at=None))
    if not lines or len(lines) != len(set(line_ids)):
        raise UserError("Choose the lines that are bad", field="lines")
    reason = " ".join(reason.replace("\x00", "").split())
    if not reason or len(reason) > LONGEST_REASON:
        raise UserError("Say what is wrong with them, in 500 characters at most", field="reason")
    asked = Replacement.objects.create(delivery=order.delivery, reason=reason)
    asked.lines.set(lines)
    lifecycle.note(order_id, Kind.ATTENTION, {"replacement": asked.pk, "lines": len(lines)})
    return asked


@transaction.atomic
def grant(replacement_id: int, *, actor_id: int, lines: Sequence[str] | None = None) -> Replacement:
    """Hand over as many other lines as were asked for, from own stock or those given; the old ones count no more.

    Raises UserError when it was answered before, for another number of lines, and when there are not enough. Opens the
    transaction itself.
    """
    replacement = _lock_open(replacement_id)
    delivery, order = replacement.delivery, replacement.delivery.order
    bad = list(replacement.lines.filter(replaced_at=None))
    if lines is None:
        _take_others(delivery, order, len(bad))
    else:
        given = delivering.check_lines(lines)
        if len(given) != len(bad):
            raise UserError(f"Enter as many as were asked for: {len(bad)}", field="lines")
        delivering.add_lines(delivery, given)
    DeliveredLine.objects.filter(pk__in=[line.pk for line in bad]).update(replaced_at=timezone.now())
    _end(replacement, Status.GRANTED, actor_id=actor_id)
    said = {"lines": len(bad), "replacement": replacement_id}
    lifecycle.note(order.pk, Kind.DELIVERED, said, actor_id=actor_id)
    return replacement


@transaction.atomic
def refuse(replacement_id: int, *, actor_id: int, answer: str) -> Replacement:
    """Refuse a replacement with an answer that the customer reads.

    Raises UserError when it was answered before, or without an answer. Opens the transaction itself.
    """
    replacement = _lock_open(replacement_id)
    answer = " ".join(answer.split())
    if not answer or len(answer) > LONGEST_REASON:
        raise UserError("Say why, in 500 characters at most", field="answer")
    _end(replacement, Status.REFUSED, actor_id=actor_id, answer=answer)
    said = {"how": "replacement refused", "replacement": replacement_id}
    lifecycle.note(replacement.delivery.order_id, Kind.RESOLVED, said, actor_id=actor_id)
    return replacement


def tell(order: Order) -> list[Step]:
    """Tell what was asked for and refused, for the story of an order; what was granted is told by its event."""
    steps: list[Step] = []
    for row in Replacement.objects.filter(delivery__order=order).annotate(number=Count("lines")):
        asked = ngettext(
            "Replacement of %(count)d line asked for", "Replacement of %(count)d lines asked for", row.number
        )
        steps.append(Step(row.created_at, asked % {"count": row.number}, detail=row.reason))
        if row.status == Status.REFUSED and row.ended_at is not None:
            steps.append(Step(row.ended_at, _("Replacement refused"), tone="rejected", detail=row.answer))
    return steps


def count_open() -> int:
    """Return how many replacements wait for an answer."""
    return Replacement.objects.filter(status=Status.OPEN).count()


def _find_end(order: Order, first: DeliveredLine, days: int) -> datetime.datetime:
    """Return when the warranty ends: some days after everything was there, however often lines were replaced."""
    return max(order.ended_at or timezone.now(), first.created_at) + datetime.timedelta(days=days)


def _find_obstacle(order: Order, delivery: Delivery, until: datetime.datetime) -> str:
    if order.status == Order.Status.CANCELED:
        return _("This order was canceled, and what was left came back.")
    if delivery.replacements.filter(status=Status.OPEN).exists():
        return _("A replacement is being looked at.")
    return _("The days of the warranty are over.") if timezone.now() > until else ""


def _take_others(delivery: Delivery, order: Order, number: int) -> None:
    """Hand over lines of our own stock. Expects the lock of the order."""
    if order.service.product.source != Product.Source.STOCK:
        raise UserError("Enter the lines: this product is not sold from own stock", field="lines")
    have = delivery.lines.count()
    DeliveredLine.objects.bulk_create(
        DeliveredLine(delivery=delivery, position=position, stock_item_id=item_id)
        for position, item_id in enumerate(stock.take(order.service_id, number), have + 1)
    )


def _end(replacement: Replacement, status: str, *, actor_id: int, answer: str = "") -> None:
    replacement.status, replacement.answer = status, answer
    replacement.actor_id, replacement.ended_at = actor_id, timezone.now()
    replacement.save(update_fields=["status", "answer", "actor", "ended_at"])


def _lock(order_id: int, *, user_id: int | None = None) -> Order:
    mine = Q() if user_id is None else Q(user=user_id)
    orders = Order.objects.select_for_update(of=("self",)).select_related("service__product")
    order = orders.filter(mine, pk=order_id, service__is_product=True).first()
    if order is None:
        raise UserError("Incorrect order ID", field="order")
    return order


def _lock_open(replacement_id: int) -> Replacement:
    """Return an open replacement under the lock of its order."""
    order_id = Replacement.objects.values_list("delivery__order", flat=True).get(pk=replacement_id)
    order = _lock(order_id)
    replacement = Replacement.objects.select_for_update(of=("self",)).select_related("delivery").get(pk=replacement_id)
    if replacement.status != Status.OPEN:
        raise UserError("It has been answered already")
    replacement.delivery.order = order
    return replacement
