"""Ending an order: its status by the table, what that gives back, and what staff must look at (ARCHITECTURE 3 and 4).

Every function expects the transaction that holds the order's lock and changes the order in memory; `save` writes it.
Events are written at once, money moves at once.
"""

from collections.abc import Mapping
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from accounts import ledger
from accounts.money import plain, share
from catalog.providers.statuses import EXPIRED
from orders import refunding
from orders.models import Cancel, ChildOrder, Order, OrderEvent
from orders.refunding import Child, Report, Undelivered

Status = Order.Status
Kind = OrderEvent.Kind
Attention = Order.Attention

ALLOWED: dict[str, frozenset[str]] = {
    Status.PENDING: frozenset(
        {Status.PROCESSING, Status.IN_PROGRESS, Status.COMPLETED, Status.PARTIAL, Status.CANCELED}
    ),
    Status.PROCESSING: frozenset({Status.IN_PROGRESS, Status.COMPLETED, Status.PARTIAL, Status.CANCELED}),
    Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.PARTIAL, Status.CANCELED}),
    Status.COMPLETED: frozenset({Status.PARTIAL, Status.CANCELED}),  # a provider correcting itself
    Status.PARTIAL: frozenset({Status.PARTIAL, Status.CANCELED}),  # Partial again: more came back
    Status.CANCELED: frozenset(),
}
ENDED = frozenset({Status.COMPLETED, Status.PARTIAL, Status.CANCELED})
BY_HAND = "ended by hand"

FIELDS = ("status", "attention", "start_count", "remains", "parts_done", "refunded", "reported_cost", "ended_at")

CLOSE_CANCEL = """
WITH closed AS (
    UPDATE orders_cancel SET status = %(to)s, ended_at = now()
    WHERE order_id = %(order)s AND status = ANY(%(open)s) RETURNING order_id
)
INSERT INTO orders_orderevent (order_id, kind, data)
SELECT order_id, 'cancel', jsonb_build_object('to', %(to)s::text) FROM closed
"""


def note(order_id: int, kind: str, data: Mapping[str, object] | None = None, *, actor_id: int | None = None) -> None:
    """Write an event of an order; `data` are the figures that its sentence is made of."""
    OrderEvent.objects.create(order_id=order_id, kind=kind, data=dict(data or {}), actor_id=actor_id)


def save(order: Order, before: str) -> None:
    """Write what may have changed; an order that ended now ends the wish to cancel it."""
    order.save(update_fields=FIELDS)
    if order.status != before and order.status in ENDED:
        to = Cancel.Status.LATE if order.status == Status.COMPLETED else Cancel.Status.DONE
        with connection.cursor() as cursor:
            cursor.execute(CLOSE_CANCEL, {"order": order.pk, "to": to, "open": list(Cancel.OPEN)})


def change(order: Order, status: str, *, said: Mapping[str, object] | None = None, actor_id: int | None = None) -> None:
    note(order.pk, Kind.STATUS, {"from": order.status, "to": status, **(said or {})}, actor_id=actor_id)
    order.status = status
    if status in ENDED and order.ended_at is None:
        order.ended_at = timezone.now()


def end_partial(order: Order, report: Report) -> None:
    """Refund the share that this very report says remains; absurd remains pay nothing and go to staff."""
    if order.status != Status.PARTIAL:
        change(order, Status.PARTIAL)
    target = refunding.partial_target(order, report.remains)
    if target is None:
        need_attention(order, Attention.REMAINS, str(report.remains))
    elif target < order.refunded:
        need_attention(order, Attention.SHRUNK, str(report.remains))
    else:
        pay_back(order, target, {"remains": report.remains, "quantity": order.quantity})


def end_spread(order: Order, word: str, report: Report) -> None:
    """End an order that is spread, and refund what was not delivered of it, whatever the end is called."""
    if word not in {order.status, EXPIRED} and word not in ALLOWED[order.status]:
        return
    left = refunding.read_undelivered(order, word, report, read_children(order))
    if left is None:
        _end_unreckoned(order, word, report)
        return
    status = refunding.end_word(order, word, left)
    if status != order.status and status not in ALLOWED[order.status]:
        if order.status == Status.CANCELED:
            need_attention(order, Attention.REVIVED, report.word)
        return
    if status == order.status == Status.COMPLETED and report.parts_done is None:
        return  # believed when it was first said, and no figure is new
    if status != order.status:
        change(order, status, said=refunding.figures(order, left))
    if order.attention == Attention.REMAINS:
        order.attention = Attention.NONE
    give_back(order, left)


def _end_unreckoned(order: Order, word: str, report: Report) -> None:
    """Leave the money of a spread order to staff; from Canceled there is no way on, so it does not end so either."""
    if order.status == Status.CANCELED:
        return
    if word != order.status and word in {Status.COMPLETED, Status.PARTIAL}:
        change(order, word)
    need_attention(order, Attention.REMAINS, f"{report.word}, done {report.parts_done}, remains {report.remains}")


def give_back(order: Order, left: Undelivered) -> None:
    """Bring the refund up to the share of a spread order that was not delivered."""
    target = share(order.charge, left.units, order.quantity)
    if target < order.refunded:
        need_attention(order, Attention.SHRUNK, str(left.units))
        return
    order.remains = left.units
    pay_back(order, target, refunding.figures(order, left))
    if left.absurd:
        need_attention(order, Attention.REMAINS, "a run or post")


def read_children(order: Order) -> list[Child]:
    return [Child(*row) for row in ChildOrder.objects.filter(order=order).values_list("status", "remains")]


def pay_back(order: Order, target: Decimal, how: dict[str, object]) -> None:
    """Bring what was refunded up to `target`; the difference is paid once, under a reference that names the target."""
    due = target - order.refunded
    if due <= 0:
        return
    order.refunded = target
    ledger.refund(order.user_id, due, reference=f"order:{order.pk}:refund:{plain(target)}")
    figures = {
        "amount": plain(due),
        "refunded": plain(target),
        "charge": plain(order.charge),
        "rate": plain(order.rate),
    }
    note(order.pk, Kind.REFUNDED, figures | how)


def need_attention(order: Order, attention: str, word: str) -> None:
    """Set attention, with one event for each order and word, however often it is reported.

    What a person ended by hand is not brought up again by the word that the person knew.
    """
    told = order.events.filter(kind=Kind.ATTENTION, data__attention=attention, data__word=word).first()
    if told and order.events.filter(kind=Kind.RESOLVED, data__how=BY_HAND, pk__gt=told.pk).exists():
        return
    order.attention = attention
    if not told:
        note(order.pk, Kind.ATTENTION, {"attention": attention, "word": word})
