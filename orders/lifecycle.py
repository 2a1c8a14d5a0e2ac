"""The one place where an order's status changes, by a table, under the order's lock (ARCHITECTURE 3 and 4).

Guarantee: only changes that ALLOWED names happen, each with an event; a refund is paid in the same transaction as the
status that caused it, cumulatively, and never beyond the charge; the same report twice changes nothing. What a report's
figures give back is reckoned in refunding.py, the end itself is made in ending.py.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from accounts.errors import UserError
from catalog.providers.statuses import EXPIRED, PAUSED
from orders import ending, refunding
from orders.ending import ALLOWED, BY_HAND, ENDED, note
from orders.models import Dispatch, Order, OrderEvent
from orders.refunding import Report

__all__ = [
    "ALLOWED",
    "ENDED",
    "Report",
    "accept",
    "advance",
    "cancel",
    "counts",
    "end_by_hand",
    "mark",
    "moves",
    "note",
    "settle_parts",
    "take_counts",
]

Status = Order.Status
Kind = OrderEvent.Kind
Attention = Order.Attention

# What the next word that is known puts right.
CLEARED_BY_NEWS = frozenset({Attention.UNKNOWN_WORD, Attention.FAILED})

ACCEPT = """
WITH accepted AS (
    UPDATE orders_order SET status = 'Processing' WHERE id = ANY(%(orders)s) AND status = ANY(%(before)s)
)
INSERT INTO orders_orderevent (order_id, kind, data) SELECT unnest(%(orders)s::bigint[]), 'accepted', '{}'
"""
TAKE_COUNTS = """
UPDATE orders_order o SET
    remains = coalesce(
        news.remains,
        CASE WHEN o.ended_at IS NULL AND news.done IS NOT NULL
            THEN (o.parts - greatest(o.parts_done, news.done)) * (o.quantity / o.parts) END,
        o.remains
    ),
    parts_done = greatest(o.parts_done, news.done),
    start_count = CASE WHEN coalesce(o.start_count, 0) = 0 THEN coalesce(news.start_count, o.start_count)
        ELSE o.start_count END,
    reported_cost = coalesce(news.cost, o.reported_cost)
FROM (
    SELECT news.*, CASE WHEN told BETWEEN 0 AND parts AND parts_done IS NOT NULL THEN told::int END AS done
    FROM unnest(%(orders)s::bigint[], %(start_counts)s::bigint[], %(remains)s::bigint[], %(costs)s::numeric[],
        %(done)s::numeric[]) AS news(id, start_count, remains, cost, told)
    JOIN orders_order USING (id)
) news
WHERE o.id = news.id AND o.status <> 'Canceled'
"""
BEFORE_PROCESSING = [status for status, following in ALLOWED.items() if Status.PROCESSING in following]


def moves(order: Order, report: Report) -> bool:
    """Tell whether a report may change an order's status, money or attention; a quick look without a lock."""
    if order.is_spread and report.status in {*ENDED, EXPIRED}:
        return True  # its runs or posts have a say, which are looked at under the lock
    if order.status == Status.CANCELED or not _is_known(order, report.status):
        return report.status != order.status
    if order.status == report.status == Status.PARTIAL:
        return refunding.partial_target(order, report.remains) != order.refunded
    return report.status in ALLOWED[order.status] or order.attention in CLEARED_BY_NEWS


def counts(order: Order, report: Report) -> bool:
    """Tell whether a report that does not move an order brings other counts or another cost."""
    return order.status != Status.CANCELED and (
        _new_count(order, report) is not None
        or (report.remains is not None and report.remains != order.remains)
        or (report.cost is not None and report.cost != order.reported_cost)
        or _new_done(order, report) is not None
    )


def take_counts(reports: Mapping[int, Report]) -> None:
    """Write what reports say besides the status, for many orders in one statement, as `advance` does for one."""
    rows: dict[str, Any] = {
        "orders": list(reports),
        "start_counts": [report.start_count for report in reports.values()],
        "remains": [report.remains for report in reports.values()],
        "costs": [report.cost for report in reports.values()],
        "done": [report.parts_done for report in reports.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE_COUNTS, rows)


@transaction.atomic
def advance(order_id: int, report: Report) -> Order:
    """Apply a provider's report to an order: lock, check the table, write, event, refund, all in one transaction.

    An earlier open status, or an open status after the end, is normal: only counts are taken; so is a pause of what is
    spread. An unknown word, a failure, or anything after Canceled sets `attention` and leaves one event for each word.
    """
    order = _lock(order_id)
    before = order.status
    if before == Status.CANCELED:
        _hear_of_canceled(order, report)
    else:
        _take_counts(order, report)
        if _is_known(order, report.status):
            _follow(order, str(report.status), report)
        else:
            unknown = report.status is None or report.status == EXPIRED
            ending.need_attention(order, Attention.UNKNOWN_WORD if unknown else Attention.FAILED, report.word)
    ending.save(order, before)
    return order


@transaction.atomic
def settle_parts(order_id: int) -> None:
    """Pay what runs or posts lack that ended after the order they belong to; the difference only, and never back.

    Only where the order's end was reckoned by parts: what a person decided, or a provider's own figure, holds.
    Expects the transaction that ends the part, so that one is never seen without the other.
    """
    order = _lock(order_id)
    last = order.events.filter(kind__in=[Kind.STATUS, Kind.REFUNDED]).order_by("-pk").first()
    done = last.data.get("done") if last else None
    if done is None or order.status not in ENDED or order.refunded == order.charge:
        return
    children = ending.read_children(order)
    left = refunding.count_undelivered(order, max(done, order.parts_done or 0, len(children)), children)
    if left is None:
        ending.need_attention(order, Attention.REMAINS, f"{len(children)} of {order.parts}")
    else:
        ending.give_back(order, left)
    ending.save(order, order.status)


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
    order = _lock(order_id)
    before = order.status
    if Status.CANCELED not in ALLOWED[before]:
        return
    ending.change(order, Status.CANCELED, actor_id=actor_id)
    ending.pay_back(order, order.charge, {"whole": True, "why": why})
    ending.save(order, before)


@transaction.atomic
def end_by_hand(order_id: int, status: str, remains: int | None, *, actor_id: int, why: str) -> Order:
    """End an order that a provider has as staff say, where the table allows it, and clear its attention.

    Partial gives back the share of `remains`, Canceled all that is left, also of what is spread: a person decided.
    `why` is for staff alone. Raises UserError. Opens the transaction itself.
    """
    order = _lock(order_id)
    before = order.status
    if status not in ENDED or status not in ALLOWED[before]:
        raise UserError("The order cannot be ended in this way any more", field="status")
    adds = Dispatch.objects.filter(order=order, command=Dispatch.Command.ADD)
    if adds.exists() and not adds.filter(state=Dispatch.State.SENT).exists():
        raise UserError("No provider has taken this order yet: decide about its dispatch instead", field="status")
    target = _target_by_hand(order, status, remains)
    said = {"how": BY_HAND, "attention": order.attention, "to": status, "remains": remains, "why": why}
    note(order_id, Kind.RESOLVED, said, actor_id=actor_id)
    order.attention = Attention.NONE
    if status != before:
        ending.change(order, status, actor_id=actor_id)
    if status == Status.PARTIAL:
        order.remains = remains
        ending.pay_back(order, target, {"remains": remains, "quantity": order.quantity})
    else:
        ending.pay_back(order, target, {"whole": True, "why": "staff"})
    ending.save(order, before)
    return order


def mark(order_id: int, attention: str, kind: str, data: Mapping[str, object]) -> None:
    """Set what staff must look at, beside the status and never instead of it, and write the event."""
    Order.objects.filter(pk=order_id).update(attention=attention)
    note(order_id, kind, {"attention": attention, **data})


def _lock(order_id: int) -> Order:
    return Order.objects.select_for_update(of=("self",)).select_related("service").get(pk=order_id)


def _is_known(order: Order, status: str | None) -> bool:
    """Tell whether a word may be followed; a pause and an expiry are the lives of what is spread alone."""
    return status in ALLOWED or (order.is_spread and status in {PAUSED, EXPIRED})


def _follow(order: Order, status: str, report: Report) -> None:
    """Take a status that is one of ours, where the table allows it."""
    if order.attention in CLEARED_BY_NEWS:
        order.attention = Attention.NONE
    if order.is_spread and status in {*ENDED, EXPIRED}:
        ending.end_spread(order, status, report)
    elif status == Status.PARTIAL:
        ending.end_partial(order, report)
    elif status in ALLOWED[order.status]:
        ending.change(order, status)
        if status == Status.CANCELED:
            ending.pay_back(order, order.charge, {"whole": True})


def _hear_of_canceled(order: Order, report: Report) -> None:
    """Take a canceled order's end again, which may give back more of what is spread; anything else is for staff."""
    if order.is_spread and report.status in {Status.CANCELED, EXPIRED}:
        if order.refunded < order.charge:
            ending.end_spread(order, str(report.status), report)
    elif report.status != Status.CANCELED:
        ending.need_attention(order, Attention.REVIVED, report.word)


def _take_counts(order: Order, report: Report) -> None:
    count, done = _new_count(order, report), _new_done(order, report)
    if count is not None:
        order.start_count = count
    if done is not None:
        order.parts_done = done
        if order.ended_at is None:
            order.remains = (order.parts - done) * refunding.part_size(order)
    if report.remains is not None:
        order.remains = report.remains
    if report.cost is not None:
        order.reported_cost = report.cost


def _new_count(order: Order, report: Report) -> int | None:
    """Keep the first start count that is not zero: later ones are counted while delivery runs (PROTOCOL 6.4)."""
    if report.start_count is None or order.start_count or report.start_count == order.start_count:
        return None
    return report.start_count


def _new_done(order: Order, report: Report) -> int | None:
    """Return the number of parts done where it is possible and larger than before."""
    done = report.parts_done
    if done is None or not order.is_spread or not 0 <= done <= order.parts:
        return None
    return done if order.parts_done is None or done > order.parts_done else None


def _target_by_hand(order: Order, status: str, remains: int | None) -> Decimal:
    if status == Status.COMPLETED:
        return order.refunded
    if status == Status.CANCELED:
        return order.charge
    target = refunding.partial_target(order, remains)
    if target is None:
        raise UserError(f"Enter a number from 1 to {order.quantity}", field="remains")
    if target <= order.refunded:
        raise UserError("So much has been given back already", field="remains")
    return target
