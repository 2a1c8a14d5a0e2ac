"""How often a key and an address may call: two token buckets in Redis, asked in one go before the key is looked up.

A bucket is a single moment, when it would be full again (GCRA); a call moves it on by the time between two calls. Where
Redis does not answer every call is let through, and the log says so: buying does not depend on it.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

# KEYS are buckets; ARGV is how many calls this one counts for, whether it is counted in any case, and for each bucket
# the µs between two calls and the µs that a full bucket holds. Answers the µs to wait, 0 when the call was counted.
TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full, wait = {}, 0
for i, key in ipairs(KEYS) do
    full[i] = math.max(tonumber(redis.call('GET', key) or 0), now) + ARGV[1] * ARGV[2 * i + 1]
    wait = math.max(wait, full[i] - now - ARGV[2 * i + 2])
end
if wait > 0 and ARGV[2] == '0' then
    return math.ceil(wait)
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
end
return 0
"""
SECOND = 1_000_000
# A wrong key counts for ten calls of its address: nobody tries many (PROTOCOL 1.3).
WRONG_KEY_COSTS = 10
PATIENCE = 0.25
ASK_AGAIN_AFTER = 1.0
TELL_AGAIN_AFTER = 60.0


class TooManyError(Exception):
    """Too many calls; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted together, how many calls a second it is given, and how many it holds; 0 a second: no limit."""

    name: str
    per_second: float
    holds: float


@dataclass
class Counter:
    """Redis with its script; what it remembers is only when it was last seen away."""

    away_until: float = -math.inf
    told_at: float = -math.inf
    script: Any = field(init=False)

    def __post_init__(self) -> None:
        # One try and no more: whoever calls is waiting.
        client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self.script = client.register_script(TAKE)

    def take(self, buckets: Sequence[Bucket], calls: int, *, always: bool) -> float:
        """Count a call in all buckets or in none, and return the seconds to wait: 0 when it was counted.

        `always` counts it even in a bucket that is empty.
        """
        limited = [bucket for bucket in buckets if bucket.per_second > 0]
        now = time.monotonic()
        if not limited or now < self.away_until:
            return 0
        keys = [f"api:{bucket.name}" for bucket in limited]
        sizes: list[float] = []
        for bucket in limited:
            sizes += SECOND / bucket.per_second, SECOND / bucket.per_second * max(bucket.holds, 1)
        try:
            wait = self.script(keys, [calls, int(always), *sizes])
        except RedisError as error:
            # It is not asked at every call while it is away: each would wait for it.
            self.away_until = now + ASK_AGAIN_AFTER
            if now - self.told_at >= TELL_AGAIN_AFTER:
                self.told_at = now
                logger.warning("calls to the API are not counted, Redis is away: %s", error)
            return 0
        return float(wait) / SECOND


counter = Counter()


def take_turn(digest: str, address: str) -> None:
    """Count a call against its key and its address, before anybody knows whether the key is one; no digest: no key.

    Raises TooManyError, and counts nothing then.
    """
    wait = counter.take([*_of_key(digest), *_of_address(address)], 1, always=False)
    if wait:
        raise TooManyError(math.ceil(wait))


def count_wrong_key(address: str) -> None:
    """Let a wrong key cost its address more than another call does."""
    counter.take(_of_address(address), WRONG_KEY_COSTS - 1, always=True)


def _of_key(digest: str) -> list[Bucket]:
    if not digest:
        return []
    return [Bucket(f"key:{digest[:32]}", settings.API_KEY_CALLS_PER_SECOND, settings.API_KEY_BURST)]


def _of_address(address: str) -> list[Bucket]:
    """Return the bucket of an address; a whole /64 has one, since whoever has an IPv6 address has all of them."""
    if not address:
        return []
    if ":" in address:
        address = str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return [Bucket(f"address:{address}", settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST)]
