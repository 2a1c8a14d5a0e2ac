"""What an order's end gives back: arithmetic over what was ordered and reported (ARCHITECTURE 4, PROTOCOL 7.3).

An order that comes at once goes by the `remains` of the very report. One that is spread over runs or posts goes by how
many of them were delivered, and by what those lack that came and ended themselves. Figures that contradict each other
or cannot be are never put right here: they pay nothing, and staff look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.money import share
from catalog.providers import statuses
from orders.models import Order

Status = Order.Status


@dataclass(frozen=True, slots=True)
class Report:
    """News of one order as a provider gave it: `status` in the wire's words, else 'Failed', 'Paused' or 'Expired'.

    None for an unknown word, which `word` keeps. `cost` is what the provider says it charged, in the panel's currency;
    `parts_done` how many runs or posts it says came.
    """

    status: str | None
    word: str = ""
    start_count: int | None = None
    remains: int | None = None
    cost: Decimal | None = None
    parts_done: int | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """One run or post, as far as it counts for its parent's money."""

    status: str
    remains: int | None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many units of a spread order were not delivered, `lacking` of them in parts that did come.

    `done` is the number of parts that came; None where `units` is the provider's own figure. `absurd` where a part
    says of itself what cannot be: nothing is paid for that one.
    """

    units: int
    done: int | None = None
    lacking: int = 0
    absurd: bool = False


def partial_target(order: Order, remains: int | None) -> Decimal | None:
    """Return the share of the charge that `remains` gives back; None where it cannot be."""
    if remains is None or not 1 <= remains <= order.quantity:
        return None
    return share(order.charge, remains, order.quantity)


def part_size(order: Order) -> int:
    """Return how many units one part of a spread order is charged for."""
    return order.quantity // order.parts


def read_undelivered(order: Order, status: str, report: Report, children: Sequence[Child]) -> Undelivered | None:
    """Return what a report of the end of a spread order says was not delivered; None where its figures cannot be.

    The number of parts done goes before `remains`, that before the number of parts listed; Completed without a number
    is believed.
    """
    completed, done = status == Status.COMPLETED, report.parts_done
    if done is None and not completed and report.remains and partial_target(order, report.remains) is not None:
        return Undelivered(report.remains)
    if done is None:
        done = order.parts if completed else len(children) or None
    elif children and done != len(children):
        # A run that was stopped midway is listed, but some do not count it as one that came.
        stopped = sum(child.status == Status.CANCELED for child in children)
        if not len(children) - stopped <= done < len(children):
            return None
        done = len(children)
    left = None if done is None else count_undelivered(order, done, children)
    if left is not None and not left.units and status in {Status.PARTIAL, Status.CANCELED}:
        return None
    return left


def count_undelivered(order: Order, done: int, children: Sequence[Child]) -> Undelivered | None:
    """Return what was not delivered when so many parts came; None where there cannot be so many."""
    if not 0 <= done <= order.parts or len(children) > order.parts:
        return None
    size = part_size(order)
    lacks = [_lack(child, size) for child in children]
    lacking = sum(lack or 0 for lack in lacks)
    return Undelivered((order.parts - done) * size + lacking, done, lacking, absurd=None in lacks)


def end_word(order: Order, word: str, left: Undelivered) -> str:
    """Return the status that a spread order ends with; a subscription whose time is over goes by what was delivered."""
    if word != statuses.EXPIRED:
        return word
    if left.units == order.quantity:
        return Status.CANCELED
    return Status.PARTIAL if left.units else Status.COMPLETED


def figures(order: Order, left: Undelivered) -> dict[str, object]:
    """Return what an event says about an end, so that it can be told and reckoned again."""
    if left.done is None:
        return {"remains": left.units, "quantity": order.quantity}
    return {
        "parts": order.parts,
        "done": left.done,
        "lacking": left.lacking,
        "undelivered": left.units,
        "quantity": order.quantity,
    }


def _lack(child: Child, size: int) -> int | None:
    """Return how many units an ended part lacks; None where it says what cannot be."""
    if child.status == Status.CANCELED:
        return size
    if child.status != Status.PARTIAL:
        return 0
    return child.remains if child.remains is not None and 1 <= child.remains <= size else None
