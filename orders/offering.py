"""What a customer may ask for now, and if not, why: judged in one place for pages, for `/api/v2`, and under the lock.

Who asks brings orders with their services; what else is needed is read for all of them in one query.
"""

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.providers.dialects import dialect
from orders import lifecycle
from orders.models import Dispatch, Order, Refill

State = Dispatch.State
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Offer:
    """Whether a wish is possible now; if not, whether it is worth showing, and why not in plain words."""

    possible: bool
    shown: bool
    reason: str = ""


class Taker(NamedTuple):
    """The dispatch of the order itself, and what its provider can do; flags are None where it does not say."""

    order_id: int
    state: str
    doubtful: bool
    refill: bool | None
    cancel: bool | None
    dialect: str
    overrides: dict[str, object]


TAKER_FIELDS = (
    "order_id",
    "state",
    "doubtful",
    "provider_service__refill",
    "provider_service__cancel",
    "provider__dialect",
    "provider__dialect_overrides",
)


def read_takers(orders: Iterable[Order]) -> dict[int, Taker]:
    """Return the dispatches of orders that were not refused, by order, as they are now. One query."""
    live = Dispatch.objects.filter(order__in=[order.pk for order in orders], command=Dispatch.Command.ADD)
    rows = live.exclude(state=State.REJECTED).order_by().values_list(*TAKER_FIELDS)
    return {row[0]: Taker(*row) for row in rows}


class Obstacle(StrEnum):
    """Why an order cannot be refilled now, in the words of the wire (PROTOCOL 4)."""

    DISABLED = "Refill is disabled for this service"
    NOT_COMPLETED = "The order is not completed"
    REQUESTED = "Refill already requested"
    OVER = "Refill days are over"
    USED_UP = "Order not eligible for refill"
    EARLY = "The order was completed or refill was requested less than 24 hours ago"


class Way(StrEnum):
    """What asking for a cancel comes to."""

    NONE = "none"
    AT_ONCE = "at once"  # surely nobody has the order
    NOTED = "noted"  # it is being sent, or in doubt: decided when it is known
    FORWARDED = "forwarded"


def find_obstacle(
    order: Order, taker: Taker | None, refills: Sequence[Refill], now: datetime.datetime
) -> Obstacle | None:
    """Return what stands in the way of a refill, None when nothing does (PROTOCOL 8); `refills` are all of the order's.

    What was refused counts for nothing: it must not keep the order from being refilled.
    """
    if not order.service.refill or order.is_spread or (taker is not None and taker.refill is False):
        return Obstacle.DISABLED
    if taker is None or taker.state != State.SENT or not _is_delivered(order):
        return Obstacle.NOT_COMPLETED
    if any(refill.status in Refill.OPEN for refill in refills):
        return Obstacle.REQUESTED
    days = order.service.refill_days
    if days and now > _end(order) + datetime.timedelta(days=days):
        return Obstacle.OVER
    granted = _granted(refills)
    if order.service.refill_limit and len(granted) >= order.service.refill_limit:
        return Obstacle.USED_UP
    return Obstacle.EARLY if now < opens_at(order, granted) else None


def opens_at(order: Order, refills: Sequence[Refill]) -> datetime.datetime:
    """Return from when on an order may be refilled: some hours after its end, and after its last refill."""
    wait = datetime.timedelta(hours=order.service.refill_after_hours)
    return max([_end(order), *(refill.created_at for refill in _granted(refills))]) + wait


def offer_refill(order: Order, taker: Taker | None, refills: Sequence[Refill], now: datetime.datetime) -> Offer:
    """Say whether a page is to offer a refill; nothing is shown before the order's end and where there is none ever."""
    obstacle = find_obstacle(order, taker, refills, now)
    if obstacle is None:
        return Offer(possible=True, shown=True)
    if obstacle in {Obstacle.DISABLED, Obstacle.NOT_COMPLETED}:
        return Offer(possible=False, shown=False)
    opens = opens_at(order, refills)
    days = order.service.refill_days
    if obstacle == Obstacle.EARLY and not (days and opens > _end(order) + datetime.timedelta(days=days)):
        return Offer(possible=False, shown=True, reason=_opens_in(opens - now))
    reasons = {
        Obstacle.REQUESTED: _("A refill is under way"),
        Obstacle.USED_UP: _("This order has had all its refills"),
    }
    return Offer(possible=False, shown=True, reason=reasons.get(obstacle, _("The refill days are over")))


def cancel_way(order: Order, taker: Taker | None) -> Way:
    """Return what asking for a cancel of an order comes to now (ARCHITECTURE 3, "Cancel by a customer")."""
    if taker is None or order.status in lifecycle.ENDED:
        return Way.NONE
    if taker.state in {State.QUEUED, State.HELD} and not taker.doubtful:
        return Way.AT_ONCE
    if taker.state != State.SENT:
        return Way.NOTED
    return Way.FORWARDED if takes_cancels(order, taker) else Way.NONE


def takes_cancels(order: Order, taker: Taker) -> bool:
    """Tell whether a cancel of an accepted order can be forwarded: we sell it so, and its provider has the action."""
    # Under its id a provider has another order among those that its cancel is about (PROTOCOL 3.9).
    if order.service.is_product or not order.service.cancel or taker.cancel is False:
        return False
    try:
        return dialect(taker.dialect, taker.overrides).cancel != "none"
    except ValueError:
        # A profile that cannot be read is not asked for anything.
        return False


def offer_cancel(order: Order, taker: Taker | None, *, is_asked: bool) -> Offer:
    """Say whether a page is to offer a cancel; one that was asked for already is shown as such."""
    way = cancel_way(order, taker)
    if is_asked and order.status not in lifecycle.ENDED:
        return Offer(possible=False, shown=True, reason=_("Cancellation asked for"))
    return Offer(possible=way != Way.NONE, shown=way != Way.NONE)


def _is_delivered(order: Order) -> bool:
    return order.status == Order.Status.COMPLETED or (order.status == Order.Status.PARTIAL and order.delivered > 0)


def _granted(refills: Sequence[Refill]) -> list[Refill]:
    return [refill for refill in refills if refill.status not in {Refill.Status.REJECTED, Refill.Status.ERROR}]


def _end(order: Order) -> datetime.datetime:
    return order.ended_at or order.created_at


def _opens_in(wait: datetime.timedelta) -> str:
    if wait > 2 * DAY:
        days = math.ceil(wait / DAY)
        return ngettext("Refill opens in %(n)s day", "Refill opens in %(n)s days", days) % {"n": days}
    if wait > HOUR:
        return _("Refill opens in %(n)s h") % {"n": math.ceil(wait / HOUR)}
    return _("Refill opens in %(n)s min") % {"n": math.ceil(wait / datetime.timedelta(minutes=1))}
