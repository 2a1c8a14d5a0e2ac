"""Status words as providers write them, and what they mean in the words of the wire (PROTOCOL 5)."""

import unicodedata
from collections.abc import Mapping

PENDING = "Pending"
PROCESSING = "Processing"
IN_PROGRESS = "In progress"
COMPLETED = "Completed"
PARTIAL = "Partial"
CANCELED = "Canceled"
# The end of a subscription whose time is over; no word of an order of its own.
EXPIRED = "Expired"
# Not words of the wire: what staff must look at. A provider's Fail may still go on, so it moves no money.
FAILED = "Failed"
PAUSED = "Paused"
REJECTED = "Rejected"
ERROR = "Error"

ORDER_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("pending", "queued", "waiting", "awaiting", "awaiting approval", "held"), PENDING),
    **dict.fromkeys(("processing", "process", "processing order"), PROCESSING),
    **dict.fromkeys(("in progress", "inprogress", "in progess", "running", "active"), IN_PROGRESS),
    **dict.fromkeys(
        ("completed", "complete", "success", "done", "finished", "delivered", "closed", "concluido"), COMPLETED
    ),
    **dict.fromkeys(("partial", "partially completed"), PARTIAL),
    **dict.fromkeys(("canceled", "cancelled", "cancel", "canelled", "canscelled"), CANCELED),
    **dict.fromkeys(("refunded", "refund", "refunds", "cancelled/refunded"), CANCELED),
    "expired": EXPIRED,
    **dict.fromkeys(("fail", "failed", "error", "suspended"), FAILED),
    **dict.fromkeys(("paused", "holding", "on hold"), PAUSED),
}

REFILL_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("pending", "awaiting"), PENDING),
    **dict.fromkeys(("processing", "in progress", "inprogress", "in progess"), IN_PROGRESS),
    **dict.fromkeys(("completed", "success", "partial"), COMPLETED),
    **dict.fromkeys(("rejected", "canceled", "cancelled", "refunded"), REJECTED),
    **dict.fromkeys(("error", "fail", "failed", "not found"), ERROR),
}

STOCK_WORDS: Mapping[str, bool] = {"in stock": True, "out of stock": False}


def normalise(word: str) -> str:
    """Return a word without accents, case and the many ways of writing a space."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return " ".join(letters.casefold().replace("_", " ").replace("-", " ").split())


def order_status(word: str, numeric: Mapping[str, str] | None = None) -> str | None:
    """Return the canonical status of an order, or None for an unknown word; `numeric` maps a provider's own codes."""
    spoken = normalise((numeric or {}).get(word.strip(), word))
    return ORDER_WORDS.get(spoken)


def refill_status(word: str) -> str | None:
    """Return the canonical status of a refill, or None for an unknown word."""
    return REFILL_WORDS.get(normalise(word))
