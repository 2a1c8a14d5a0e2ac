"""The life of an order of a product in the sandbox, and what is handed over: lines that are made up.

    0       1            2
    Pending In progress  the end

The end is read from the fragment of what the product requires (`me@example.com#partial`), or goes by the order's
number, as that of other orders; and no more is handed over than is in stock at the end.
"""

import hashlib
import uuid
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from catalog.providers.sandbox.catalogue import OUT_OF_STOCK
from catalog.providers.sandbox.life import OPEN, ending, kept, undelivered

# On purpose the numbers of other orders too: whoever takes one kind for the other finds an order that is not his.
FIRST_ORDER = 70001
HAND_SET = ("status", "remains", "note", "charge", "lines")
FAILED = "Could not be delivered"


@dataclass
class SandboxProductOrder:
    """One order of a product; amounts, `remains`, `due` and `by_hand` are as in SandboxOrder.

    `drawn` is what has left the stock for it, `lines` what a hand has put in the place of the lines made up.
    """

    id: str
    product: int
    quantity: int
    require: str
    params: dict[str, str]
    gross: Decimal
    created: float
    charge: Decimal
    remains: int | str
    status: str = "Pending"
    note: str = ""
    lines: list[str] | None = None
    drawn: int = 0
    step: int = 0
    due: float | None = None
    by_hand: bool = False

    @property
    def moves(self) -> bool:
        """Say whether another step will come by itself."""
        stuck = self.ending == "" and self.step > 0
        return self.status in OPEN and not self.by_hand and not stuck

    @property
    def ending(self) -> str:
        """Tell the last status, "" for never, if the stock suffices."""
        return ending(self.require, int(self.id) - FIRST_ORDER + 1, self.quantity)

    @property
    def delivered(self) -> int:
        """Count the pieces that were handed over."""
        left = int(self.remains) if str(self.remains).isdecimal() else 0
        if self.status == "Partial" and left <= self.quantity:
            return self.quantity - left
        return self.quantity if self.status in ("Completed", "Partial") else 0

    @property
    def goods(self) -> list[str]:
        """List what was handed over: no two lines are alike, and each comes out the same at any time."""
        if self.lines is not None:
            return list(self.lines)
        return [self._line(number) for number in range(1, self.delivered + 1)]

    @property
    def token(self) -> str:
        """Tell what stands for the goods in the status."""
        return str(uuid.UUID(hex=self._lot("token")[:32], version=4))

    def take_step(self, pace: float, in_stock: int | None) -> None:
        """Make the step that is due with what is in stock, None for plenty, and plan the next one."""
        if self.step:
            self._end(in_stock)
        else:
            self.status = "In progress"
        self.step += 1
        self.due = self.due + pace if self.due is not None and self.moves else None

    def finish(self, status: str, remains: int | str) -> None:
        """Set status and remains, and the charge that goes with them."""
        self.status, self.remains = status, remains
        self.charge = kept(self.gross, status, self.quantity, remains)

    def record(self) -> dict[str, Any]:
        """Write the order for the state file and the control channel; amounts as text."""
        return {**asdict(self), "gross": f"{self.gross:f}", "charge": f"{self.charge:f}"}

    def _end(self, in_stock: int | None) -> None:
        word = self.ending
        if word not in ("Completed", "Partial"):
            self.note = FAILED if word == "Canceled" else ""
            self.finish(word, self.quantity)
            return
        wanted = self.quantity - (undelivered(self.quantity) if word == "Partial" else 0)
        found = wanted if in_stock is None else min(wanted, in_stock)
        if wanted and not found:
            self.note = OUT_OF_STOCK
            self.finish("Canceled", self.quantity)
        else:
            self.finish("Completed" if found == self.quantity else "Partial", self.quantity - found)

    def _line(self, number: int) -> str:
        lot = self._lot(str(number))
        return f"user-{lot[:12]}@example.com | {lot[12:24]}"

    def _lot(self, what: str) -> str:
        drawn = repr((self.id, self.product, self.require, what)).encode()
        return hashlib.blake2b(drawn, digest_size=16).hexdigest()


def order_from(record: dict[str, Any]) -> SandboxProductOrder:
    """Read an order back from the state file."""
    amounts = {name: Decimal(record[name]) for name in ("gross", "charge")}
    return SandboxProductOrder(**{**record, **amounts})
