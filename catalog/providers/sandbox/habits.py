"""The ways in which providers of one family differ, each to be chosen for the sandbox."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Habits:
    """How this provider goes about its calls; each is a keyword of Sandbox, and of its `configure`.

    `remembers_keys`: an `add` or `add_product_order` with an idempotency key that was seen there gets the same order
    and takes nothing. Raises TypeError and ValueError for a value that is none of the habit's.
    """

    remembers_keys: bool = False
    lists_orders: bool = False
    batches: bool = True
    # What is answered to a refill of many: "list", or "scalar" as 000_fa79b687568cfb1d.txt prints it.
    multi_refill: str = "list"
    # Within any minute; add, refill and cancel count apart from what only reads. None: as many as come.
    calls_per_minute: int | None = None
    # The actions of PROTOCOL 3.9; without result_product the status of a product order brings the lines themselves.
    has_products: bool = False
    has_result_product: bool = True

    def __post_init__(self) -> None:
        for name in ("remembers_keys", "lists_orders", "batches", "has_products", "has_result_product"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.multi_refill not in ("list", "scalar"):
            raise ValueError(f"multi_refill must be list or scalar, not {self.multi_refill!r}")
        most = self.calls_per_minute
        if most is not None and (not isinstance(most, int) or most < 1):
            raise ValueError(f"calls_per_minute must be a number from 1, not {most!r}")
