"""The life of an order in the sandbox, one step per `pace` seconds, with an end that is known beforehand.

    0       1            2             3             4             5
    Pending Processing   In progress   In progress   In progress   the end
    0 %     0 %          25 %          50 %          75 %          as ENDS says

The end is read from the fragment of the link (`https://example.com/page#partial`), like the numbers of test cards; a
link without one ends by its number: every ninth order Canceled, every fourth Partial, the others Completed.
"""

from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

FIRST_ORDER = 70001
FIRST_REFILL = 501
STEPS = (("Processing", 0), ("In progress", 250), ("In progress", 500), ("In progress", 750))
PARTIAL_PER_MILLE = 843
ENDS = {"completed": "Completed", "partial": "Partial", "canceled": "Canceled", "stuck": "", "fail": "Fail"}
# The last two are words of subscriptions.
OPEN = ("Pending", "Processing", "In progress", "Active", "Paused")
HAND_SET = ("status", "remains", "start_count", "charge")
FIVE_PLACES = Decimal("0.00001")


@dataclass
class SandboxOrder:
    """One order as the upstream knows it; `remains` and `start_count` are numbers unless set to a text by hand.

    `gross` is what was taken for it, `charge` what is left of that after the money for the undelivered part went back.
    `due` is when the next step happens, in the clock's seconds, None for never. An order that comes in parts is
    `spread` over "runs" or "posts", of which `done` have ended; each part names its `parent`, which holds its money.
    """

    id: str
    service: int
    link: str
    quantity: int
    comments: list[str]
    params: dict[str, str]
    gross: Decimal
    created: float
    charge: Decimal = Decimal(0)
    status: str = "Pending"
    start_count: int | str = 0
    remains: int | str = 0
    step: int = 0
    due: float | None = None
    cancel_requested: bool = False
    by_hand: bool = False
    parent: str = ""
    spread: str = ""
    parts: int = 0
    done: int = 0

    @property
    def serial(self) -> int:
        """Count orders from 1."""
        return int(self.id) - FIRST_ORDER + 1

    @property
    def ending(self) -> str:
        """Tell the last status, "" for never."""
        return ending(self.link, self.serial, self.quantity)

    @property
    def moves(self) -> bool:
        """Say whether another step will come by itself."""
        stuck = self.ending == "" and self.step >= len(STEPS) and not self.cancel_requested
        return self.status in OPEN and not self.by_hand and not stuck

    def take_step(self, pace: float) -> None:
        """Make the step that is due and plan the next one, a pace later than this one was planned for."""
        if self.cancel_requested:
            self.finish("Canceled" if self.remains == self.quantity else "Partial", self.remains)
        elif self.step < len(STEPS):
            self.status, per_mille = STEPS[self.step]
            self.remains = self.quantity - self.quantity * per_mille // 1000
            self.start_count = 100 + self.serial * 7919 % 5000 if per_mille else 0
        else:
            self.finish(*self.end())
        self.step += 1
        self.due = self.due + pace if self.due is not None and self.moves else None

    def end(self) -> tuple[str, int | str]:
        """Tell the last status and what remains then."""
        word = self.ending
        if word == "Partial":
            return word, undelivered(self.quantity)
        if word == "Canceled":
            return word, self.quantity
        return word, self.remains if word == "Fail" else 0

    def finish(self, status: str, remains: int | str) -> None:
        """Set status and remains, and the charge that goes with them."""
        self.status, self.remains = status, remains
        self.charge = self.net()

    def net(self) -> Decimal:
        """Compute the charge after refunds."""
        return kept(self.gross, self.status, self.quantity, self.remains)

    def record(self) -> dict[str, Any]:
        """Write the order for the state file and the control channel; amounts as text."""
        return {**asdict(self), "gross": f"{self.gross:f}", "charge": f"{self.charge:f}"}


@dataclass
class SandboxRefill:
    """A refill: Pending, In progress, then Completed, or Rejected for every fourth; one step per pace."""

    id: str
    order: str
    created: float
    status: str = "Pending"
    due: float | None = None
    by_hand: bool = False

    @property
    def moves(self) -> bool:
        """Say whether another step will come by itself."""
        return self.status in OPEN and not self.by_hand

    def take_step(self, pace: float) -> None:
        """Make the step that is due and plan the next one."""
        if self.status == "Pending":
            self.status = "In progress"
            self.due = None if self.due is None else self.due + pace
            return
        self.status = "Completed" if (int(self.id) - FIRST_REFILL + 1) % 4 else "Rejected"
        self.due = None

    def record(self) -> dict[str, Any]:
        """Write the refill for the state file."""
        return asdict(self)


def fragment(link: str) -> str:
    """Read the part of a link behind the last #, in lower case."""
    return link.rpartition("#")[2].strip().lower() if "#" in link else ""


def ending(text: str, serial: int, quantity: int) -> str:
    """Tell how an order ends by the text that may name it, else by its number: the status word, "" for never."""
    named = ENDS.get(fragment(text))
    if named is not None:
        return named
    if serial % 9 == 0:
        return "Canceled"
    # One unit cannot be delivered in part: a package ends whole unless its link asks for more.
    return "Partial" if serial % 4 == 0 and quantity > 1 else "Completed"


def undelivered(quantity: int) -> int:
    """Tell what remains of an order that ends Partial."""
    return max(1, quantity - quantity * PARTIAL_PER_MILLE // 1000)


def kept(gross: Decimal, status: str, quantity: int, remains: int | str) -> Decimal:
    """Compute the charge after refunds: 0 on Canceled, the delivered share on a Partial with sensible remains."""
    if status == "Canceled":
        return Decimal(0).quantize(FIVE_PLACES)
    left = int(remains) if str(remains).isdecimal() else 0
    if status == "Partial" and left <= quantity:
        return rounded(gross * (quantity - left) / quantity)
    return gross


def order_from(record: dict[str, Any]) -> SandboxOrder:
    """Read an order back from the state file."""
    amounts = {name: Decimal(record[name]) for name in ("gross", "charge")}
    return SandboxOrder(**{**record, **amounts})


def rounded(amount: Decimal) -> Decimal:
    """Round an amount to the five places that panels of this family print."""
    return amount.quantize(FIVE_PLACES, ROUND_HALF_UP)
