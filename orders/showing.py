"""What the page of a product order shows beside its story: what was handed over and to whom it was shown.

No line of a delivery is in here: they are read by delivering.reveal alone, which notes it first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.errors import UserError
from catalog.models import Product
from orders import replacing, timeline
from orders.models import DeliveredLine, Delivery, Order, Replacement, Reveal
from orders.replacing import Warranty
from orders.timeline import Step

Status = Order.Status

NUMBERS = re.compile(r"(\d{1,9})(?:\s*[-–]\s*(\d{1,9}))?", re.ASCII)
WRONG_NUMBERS = "Give the numbers of the lines, for example 2, 5-7"


@dataclass(frozen=True, slots=True)
class Handed:
    """What was handed over of an order: `numbers` are those of its lines that count, `seen` the last look at them."""

    numbers: Sequence[int]
    seen: Reveal | None
    is_fetching: bool
    warranty: Warranty
    replacements: Sequence[Replacement]

    @property
    def is_open(self) -> bool:
        """Whether there may be news of it by itself."""
        return self.is_fetching or any(row.status == Replacement.Status.OPEN for row in self.replacements)


def read_handed(order: Order) -> Handed:
    """Return what an order's buyer has. Expects its service and product to be loaded."""
    delivery = Delivery.objects.filter(order=order).first()
    if delivery is None:
        return Handed((), None, is_fetching=False, warranty=Warranty(0, None), replacements=())
    lines = delivery.lines.filter(replaced_at=None).order_by("position")
    return Handed(
        numbers=list(lines.values_list("position", flat=True)),
        seen=delivery.reveals.order_by("-pk").first(),
        is_fetching=delivery.fetch_at is not None,
        warranty=replacing.read_warranty(order),
        replacements=list(delivery.replacements.prefetch_related("lines").order_by("-pk")),
    )


def tell(order: Order) -> list[Step]:
    """Tell the story of an order with its replacements, newest first."""
    steps = [*timeline.tell(order, order.events.all()), *replacing.tell(order)]
    return sorted(steps, key=lambda step: step.at, reverse=True)


def explain(order: Order, handed: Handed) -> str:
    """Say in one sentence where an order of a product stands."""
    if handed.is_fetching:
        return _("It is ready, and being fetched.")
    if order.status == Status.PENDING and order.service.product.source == Product.Source.HAND:
        return _("Paid. Our staff deliver it.")
    if order.status in {Status.PROCESSING, Status.IN_PROGRESS}:
        return _("On its way.")
    return timeline.explain(order)


def read_lines(order: Order, text: str) -> list[int]:
    """Return the ids of the lines that a text names by their numbers; raise UserError when it names others."""
    wanted: set[int] = set()
    valid = DeliveredLine.objects.filter(delivery__order=order, replaced_at=None)
    lines = dict(valid.values_list("position", "pk"))
    for piece in filter(None, map(str.strip, text.split(","))):
        found = NUMBERS.fullmatch(piece)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last or last > max(lines, default=0):
            raise UserError(WRONG_NUMBERS, field="lines")
        wanted.update(range(first, last + 1))
    if not wanted or not wanted <= lines.keys():
        raise UserError(WRONG_NUMBERS, field="lines")
    return [lines[number] for number in sorted(wanted)]
