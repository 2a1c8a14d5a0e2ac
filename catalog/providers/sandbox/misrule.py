"""Misbehaviour by lot: each call draws one, and the draw depends on nothing but the call itself.

What a call meets is a hash of the seed, its action, what it is about and how often the same was asked before; so the
order in which many callers arrive, which no test can repeat, changes nothing.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from catalog.providers.sandbox.faults import KINDS, Misbehaviour

SUBJECTS = ("link", "username", "orders", "order", "refills", "refill", "require", "product")


class Misrule:
    """The shares of each action's calls that end in each kind of misbehaviour; expects the world's lock.

    `seconds` is that of Misbehaviour; "error" takes its text out of `refusals`. Raises ValueError for an unknown kind,
    for shares that are no probabilities or more than one together, and for errors without a text.
    """

    def __init__(
        self,
        seed: int,
        rules: Mapping[str, Mapping[str, float]],
        *,
        seconds: float = 1.0,
        refusals: Sequence[str] = (),
    ) -> None:
        for shares in rules.values():
            unknown = set(shares) - set(KINDS)
            if unknown:
                raise ValueError(f"Unknown kind of misbehaviour: {', '.join(sorted(unknown))}")
            if not all(0 <= share <= 1 for share in shares.values()) or math.fsum(shares.values()) > 1:
                raise ValueError("Shares are probabilities, and together at most 1")
            if shares.get("error") and not refusals:
                raise ValueError("The kind error needs refusals to choose from")
        self._seed, self._rules, self._seconds, self._refusals = seed, rules, seconds, tuple(refusals)
        self._asked: Counter[tuple[str, str]] = Counter()

    def draw(self, params: Mapping[str, str]) -> Misbehaviour | None:
        """Draw what a call meets, None for nothing."""
        action = params.get("action", "")
        shares = self._rules.get(action)
        if not shares:
            return None
        about = action, next((params[name] for name in SUBJECTS if params.get(name)), "")
        self._asked[about] += 1
        lot = hashlib.blake2b(repr((self._seed, *about, self._asked[about])).encode(), digest_size=16).digest()
        drawn = int.from_bytes(lot[:8], "big") / 2**64
        for kind, share in shares.items():
            drawn -= share
            if drawn < 0:
                return Misbehaviour(action, kind, seconds=self._seconds, body=self._text(kind, lot[8:]))
        return None

    def _text(self, kind: str, lot: bytes) -> str:
        return self._refusals[int.from_bytes(lot, "big") % len(self._refusals)] if kind == "error" else ""
