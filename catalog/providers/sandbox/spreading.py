"""Orders that come in parts: drip-feeds run by run, subscriptions post by post (PROTOCOL 3.3, 9).

The parent takes the money and answers for it; each part is an order with a status of its own, one after another. What
was not delivered goes back: the share of each part that never came, and what the parts gave back themselves. A part
that is stuck or fails holds up the others.
"""

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from catalog.providers.sandbox.life import SandboxOrder, fragment, rounded

RUNS, POSTS = "runs", "posts"
ENDED = ("Completed", "Partial", "Canceled", "Expired")
UNDER_WAY = {RUNS: "In progress", POSTS: "Active"}
EXPIRY_FORMATS = ("%d/%m/%Y", "%Y-%m-%d")


def step(parent: SandboxOrder, parts: Sequence[SandboxOrder], at: float) -> bool:
    """Make the step of a parent that is due at a time; tell whether its next part is to be started now."""
    parent.due = None
    if parent.cancel_requested or fragment(parent.link) == "canceled":
        for part in under_way(parts):
            part.due = None
            part.finish("Canceled", part.quantity)
        finish(parent, parts, "Canceled")
    elif under_way(parts):
        # It goes on when that part has ended.
        return False
    elif parent.done >= parent.parts:
        finish(parent, parts, "Completed")
    elif expired(parent, at):
        finish(parent, parts, "Expired")
    else:
        parent.status = UNDER_WAY[parent.spread]
        return True
    return False


def take_news(parent: SandboxOrder, parts: Sequence[SandboxOrder]) -> None:
    """Count the parts that have ended, unless a hand has counted them, and give back what they gave back."""
    if not parent.by_hand:
        parent.done = len(parts) - len(under_way(parts))
    parent.charge = net(parent, parts)


def finish(parent: SandboxOrder, parts: Sequence[SandboxOrder], status: str) -> None:
    """Set the status, and the charge that goes with it."""
    parent.status = status
    parent.charge = net(parent, parts)


def set_by_hand(parent: SandboxOrder, parts: Sequence[SandboxOrder], fields: Mapping[str, Any]) -> None:
    """Take the status and the number of parts done out of the fields of a hand; Completed alone means all of them."""
    status = fields.get("status", parent.status)
    if parent.spread in fields:
        parent.done = int(fields[parent.spread])
    elif status == "Completed":
        parent.done = parent.parts
    if "status" in fields or parent.spread in fields:
        finish(parent, parts, status)


def net(parent: SandboxOrder, parts: Sequence[SandboxOrder]) -> Decimal:
    """Compute what is left of the charge after refunds; a part that is only said to be done counts as delivered."""
    ended = [part for part in parts if part.status in ENDED]
    came = min(parent.parts, max(parent.done, len(ended))) if parent.status in ENDED else parent.parts
    # Not its charge: what is set there by hand is only reported.
    given_back = sum((1 - part.net() / part.gross for part in ended if part.gross), Decimal(0))
    return rounded(parent.gross * (came - given_back) / parent.parts)


def under_way(parts: Sequence[SandboxOrder]) -> list[SandboxOrder]:
    """List the parts that have not come to an end."""
    return [part for part in parts if part.status not in ENDED]


def next_part(parent: SandboxOrder, number: int) -> dict[str, Any]:
    """Tell what the next part is, as fields of an order; a post takes any quantity between min and max."""
    share = {"service": parent.service, "gross": rounded(parent.gross / parent.parts), "comments": []}
    if parent.spread == RUNS:
        return {**share, "link": parent.link, "quantity": parent.quantity // parent.parts, "params": {}}
    least, most = int(parent.params["min"]), int(parent.params["max"])
    quantity = least + (parent.serial + number) * 7919 % (most - least + 1)
    return {**share, "link": f"https://example.com/{parent.link}/{number}", "quantity": quantity, "params": {}}


def expired(parent: SandboxOrder, at: float) -> bool:
    """Say whether the last day of a subscription is over, in UTC."""
    last = expiry(parent.params.get("expiry", ""))
    return last is not None and datetime.datetime.fromtimestamp(at, datetime.UTC).date() > last


def expiry(text: str) -> datetime.date | None:
    """Read the last day of a subscription, None for a text that is no date."""
    for form in EXPIRY_FORMATS:
        try:
            return datetime.datetime.strptime(text.strip(), form).replace(tzinfo=datetime.UTC).date()
        except ValueError:
            continue
    return None
