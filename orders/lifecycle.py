"""The one place where an order's status changes, by a table, under the order's lock (ARCHITECTURE 3 and 4).

Guarantee: only changes that ALLOWED names happen, each with an event; a refund is paid in the same transaction as the
status that caused it, cumulatively, and never beyond the charge; the same report twice changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts import ledger
from accounts.money import plain, share
from orders.models import Order, OrderEvent

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
# What the next word that is known puts right.
CLEARED_BY_NEWS = frozenset({Attention.UNKNOWN_WORD, Attention.FAILED})

ACCEPT = """
WITH accepted AS (
    UPDATE orders_order SET status = 'Processing' WHERE id = ANY(%(orders)s) AND status = ANY(%(before)s)
)
INSERT INTO orders_orderevent (order_id, kind, data) SELECT unnest(%(orders)s::bigint[]), 'accepted', '{}'
"""
TAKE_COUNTS = """
UPDATE orders_order o SET remains = coalesce(news.remains, o.remains),
    start_count = CASE WHEN coalesce(o.start_count, 0) = 0 THEN coalesce(news.start_count, o.start_count)
        ELSE o.start_count END,
    reported_cost = coalesce(news.cost, o.reported_cost)
FROM unnest(%(orders)s::bigint[], %(start_counts)s::bigint[], %(remains)s::bigint[], %(costs)s::numeric[])
    AS news(id, start_count, remains, cost)
WHERE o.id = news.id AND o.status <> 'Canceled'
"""
BEFORE_PROCESSING = [status for status, following in ALLOWED.items() if Status.PROCESSING in following]


@dataclass(frozen=True, slots=True)
class Report:
    """News of one order, as a provider gave it: `status` in the wire's words, 'Failed' or 'Paused', None when unknown.

    `cost` is what the provider says it charged, in the panel's currency.
    """

    status: str | None
    word: str = ""
    start_count: int | None = None
    remains: int | None = None
    cost: Decimal | None = None


def moves(order: Order, report: Report) -> bool:
    """Tell whether a report may change an order's status, money or attention; a quick look without a lock."""
    if order.status == Status.CANCELED or report.status not in ALLOWED:
        return report.status != order.status
    if order.status == report.status == Status.PARTIAL:
        return _partial_target(order, report) != order.refunded
    return report.status in ALLOWED[order.status] or order.attention in CLEARED_BY_NEWS


def counts(order: Order, report: Report) -> bool:
    """Tell whether a report that does not move an order brings other counts or another cost."""
    return order.status != Status.CANCELED and (
        _new_count(order, report) is not None
        or (report.remains is not None and report.remains != order.remains)
        or (report.cost is not None and report.cost != order.reported_cost)
    )


def take_counts(reports: Mapping[int, Report]) -> None:
    """Write what reports say besides the status, for many orders in one statement, as `advance` does for one."""
    rows: dict[str, Any] = {
        "orders": list(reports),
        "start_counts": [report.start_count for report in reports.values()],
        "remains": [report.remains for report in reports.values()],
        "costs": [report.cost for report in reports.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE_COUNTS, rows)


@transaction.atomic
def advance(order_id: int, report: Report) -> Order:
    """Apply a provider's report to an order: lock, check the table, write, event, refund, all in one transaction.

    An earlier open status, or an open status after the end, is normal: only counts are taken. An unknown word,
    a failure, or anything after Canceled sets `attention` and leaves one event for each word.
    """
    order = Order.objects.select_for_update(of=("self",)).select_related("service").get(pk=order_id)
    if order.status == Status.CANCELED:
        if report.status != Status.CANCELED:
            _need_attention(order, Attention.REVIVED, report.word)
            order.save(update_fields=["attention"])
        return order
    _take_counts(order, report)
    if report.status is None:
        _need_attention(order, Attention.UNKNOWN_WORD, report.word)
    elif report.status not in ALLOWED:
        _need_attention(order, Attention.FAILED, report.word)
    else:
        _follow(order, report.status, report)
    order.save(update_fields=["status", "attention", "start_count", "remains", "refunded", "reported_cost", "ended_at"])
    return order


def accept(*order_ids: int) -> None:
    """Make orders Processing because a provider gave them ids, where the table allows it; one statement for all.

    Expects the transaction that settles their dispatches.
    """
    with connection.cursor() as cursor:
        cursor.execute(ACCEPT, {"orders": list(order_ids), "before": BEFORE_PROCESSING})


def cancel(order_id: int, *, why: str, actor_id: int | None = None) -> None:
    """Cancel an order that no provider has, and pay back all that is left.

    Expects the transaction that makes its dispatch REJECTED, so that it can no longer be sent.
    """
    order = Order.objects.select_for_update().get(pk=order_id)
    if Status.CANCELED not in ALLOWED[order.status]:
        return
    _change(order, Status.CANCELED, actor_id=actor_id)
    _pay_back(order, order.charge, {"whole": True, "why": why})
    order.save(update_fields=["status", "refunded", "ended_at"])


def note(order_id: int, kind: str, data: Mapping[str, object] | None = None, *, actor_id: int | None = None) -> None:
    """Write an event of an order; `data` are the figures that its sentence is made of."""
    OrderEvent.objects.create(order_id=order_id, kind=kind, data=dict(data or {}), actor_id=actor_id)


def mark(order_id: int, attention: str, kind: str, data: Mapping[str, object]) -> None:
    """Set what staff must look at, beside the status and never instead of it, and write the event."""
    Order.objects.filter(pk=order_id).update(attention=attention)
    note(order_id, kind, {"attention": attention, **data})


def _follow(order: Order, status: str, report: Report) -> None:
    """Take a status that is one of ours, where the table allows it."""
    if order.attention in CLEARED_BY_NEWS:
        order.attention = Attention.NONE
    if status == Status.PARTIAL:
        _end_partial(order, report)
    elif status in ALLOWED[order.status]:
        _change(order, status)
        if status == Status.CANCELED:
            _pay_back(order, order.charge, {"whole": True})


def _change(order: Order, status: str, *, actor_id: int | None = None) -> None:
    note(order.pk, Kind.STATUS, {"from": order.status, "to": status}, actor_id=actor_id)
    order.status = status
    if status in ENDED and order.ended_at is None:
        order.ended_at = timezone.now()


def _take_counts(order: Order, report: Report) -> None:
    count = _new_count(order, report)
    if count is not None:
        order.start_count = count
    if report.remains is not None:
        order.remains = report.remains
    if report.cost is not None:
        order.reported_cost = report.cost


def _new_count(order: Order, report: Report) -> int | None:
    """Keep the first start count that is not zero: later ones are counted while delivery runs (PROTOCOL 6.4)."""
    if report.start_count is None or order.start_count or report.start_count == order.start_count:
        return None
    return report.start_count


def _partial_target(order: Order, report: Report) -> Decimal | None:
    """Return the share of the charge that this very report gives back; None where its remains cannot be."""
    if report.remains is None or not 1 <= report.remains <= order.quantity:
        return None
    return share(order.charge, report.remains, order.quantity)


def _end_partial(order: Order, report: Report) -> None:
    """Refund the share that this very report says remains; absurd remains pay nothing and go to staff."""
    if order.status != Status.PARTIAL:
        _change(order, Status.PARTIAL)
    target = _partial_target(order, report)
    if target is None:
        _need_attention(order, Attention.REMAINS, str(report.remains))
    elif target < order.refunded:
        _need_attention(order, Attention.SHRUNK, str(report.remains))
    else:
        _pay_back(order, target, {"remains": report.remains, "quantity": order.quantity})


def _pay_back(order: Order, target: Decimal, how: dict[str, object]) -> None:
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


def _need_attention(order: Order, attention: str, word: str) -> None:
    """Set attention, with one event for each order and word, however often it is reported."""
    order.attention = attention
    told = OrderEvent.objects.filter(
        order=order, kind=Kind.ATTENTION, data__attention=attention, data__word=word
    ).exists()
    if not told:
        note(order.pk, Kind.ATTENTION, {"attention": attention, "word": word})
