"""How many calls the sandbox takes in a minute (PROTOCOL 6.6): commands on the one hand, reads on the other."""

import math
from collections import deque

COMMANDS = frozenset({"add", "add_product_order", "refill", "cancel"})
MINUTE = 60.0


class Meter:
    """The calls of the last minute; expects the world's lock."""

    def __init__(self) -> None:
        self._passed: dict[bool, deque[float]] = {True: deque(), False: deque()}

    def wait(self, action: str, limit: int, now: float) -> int:
        """Let a call pass and count it, or tell the whole seconds until one may; zero means that it passed.

        A call that is turned away does not count.
        """
        passed = self._passed[action in COMMANDS]
        while passed and passed[0] <= now - MINUTE:
            passed.popleft()
        if len(passed) >= limit:
            # When this one is over, fewer than the limit are left.
            return math.ceil(passed[len(passed) - limit] + MINUTE - now)
        passed.append(now)
        return 0
