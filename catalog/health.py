"""Health: how a provider answers commands, counted by the hour as attempts are settled, and read for the last day.

Beside it, how long our balance there lasts. What was spent there is known to the layer above, so callers bring it.
"""

import bisect
import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.money import EXACT
from catalog.models import Provider, ProviderHour
from catalog.providers.errors import Rejected, Unavailable
from catalog.providers.replies import ItemError

DAY = datetime.timedelta(hours=24)
HOURS = 24
# Runways are reckoned at the pace of so many days.
PACE_DAYS = 7
# Less than so many days is low, where staff have set no limit of their own.
LOW_DAYS = 3
# Beyond a year nobody needs to know.
LONGEST_RUNWAY = 365
# The upper bounds of the buckets of ProviderHour.latencies, in milliseconds; one more bucket has no bound.
LATENCIES = (25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600)
COUNTED = ("accepted", "refused", "unclear", "unavailable", "milliseconds")

COUNT = """
INSERT INTO catalog_providerhour AS kept
    (provider_id, hour, accepted, refused, unclear, unavailable, milliseconds, slowest, latencies)
VALUES (%(provider)s, %(hour)s, %(accepted)s, %(refused)s, %(unclear)s, %(unavailable)s, %(milliseconds)s, %(slowest)s,
    %(latencies)s)
ON CONFLICT (provider_id, hour) DO UPDATE SET
    accepted = kept.accepted + excluded.accepted,
    refused = kept.refused + excluded.refused,
    unclear = kept.unclear + excluded.unclear,
    unavailable = kept.unavailable + excluded.unavailable,
    milliseconds = kept.milliseconds + excluded.milliseconds,
    slowest = greatest(kept.slowest, excluded.slowest),
    latencies = ARRAY(
        SELECT coalesce(pair.kept, 0) + coalesce(pair.more, 0)
        FROM unnest(kept.latencies, excluded.latencies) WITH ORDINALITY AS pair (kept, more, place)
        ORDER BY pair.place
    )
"""


@dataclass(frozen=True, slots=True)
class Health:
    """How many commands of the last day ended how, and how long they took, in milliseconds.

    `latencies` are the sums of the buckets, `by_hour` the attempts of each of the 24 hours, the present one last.
    """

    accepted: int = 0
    refused: int = 0
    unclear: int = 0
    unavailable: int = 0
    milliseconds: int = 0
    slowest: int = 0
    latencies: tuple[int, ...] = ()
    by_hour: tuple[int, ...] = ()

    @property
    def attempts(self) -> int:
        """Return how many commands were sent, or would have been."""
        return self.accepted + self.refused + self.unclear + self.unavailable

    @property
    def refused_share(self) -> float:
        """Return how many of all attempts were refused, from 0 to 1."""
        return self.refused / self.attempts if self.attempts else 0.0

    @property
    def latency(self) -> int | None:
        """Return how long an attempt took on average, in milliseconds; None when there was none."""
        return round(self.milliseconds / self.attempts) if self.attempts else None

    def percentile(self, percent: int) -> int | None:
        """Return how long so many percent of the attempts took at most, in milliseconds; None where none was timed.

        Within a bucket the attempts are taken to lie evenly; no bucket reaches beyond the slowest of them.
        """
        rank = sum(self.latencies) * percent / 100
        below, lower = 0, 0
        for number, bound in zip(self.latencies, (*LATENCIES, self.slowest), strict=False):
            upper = max(lower, min(bound, self.slowest))
            if number and below + number >= rank:
                return round(lower + (upper - lower) * (rank - below) / number)
            below, lower = below + number, bound
        return None


def count(provider_id: int, outcomes: Iterable[tuple[Exception | object, float]]) -> None:
    """Count how commands ended and how many seconds each took, in one statement; it expects no transaction."""
    outcomes = list(outcomes)
    if not outcomes:
        return
    values = dict.fromkeys(("accepted", "refused", "unclear", "unavailable"), 0)
    for outcome, _seconds in outcomes:
        values[_word(outcome)] += 1
    times = [max(0, round(seconds * 1000)) for _outcome, seconds in outcomes]
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT,
            {
                **values,
                "provider": provider_id,
                "hour": hour,
                "milliseconds": sum(times),
                "slowest": max(times),
                "latencies": sort_times(times),
            },
        )


def sort_times(times: Iterable[int]) -> list[int]:
    """Return how many of some times, in milliseconds, fall into each bucket."""
    buckets = [0] * (len(LATENCIES) + 1)
    for time in times:
        buckets[bisect.bisect_left(LATENCIES, time)] += 1
    return buckets


def read_day(provider_ids: Collection[int]) -> dict[int, Health]:
    """Return how each of some providers did in the last 24 hours, the present one included; one query."""
    now = timezone.now()
    hours: dict[int, list[ProviderHour]] = {provider_id: [] for provider_id in provider_ids}
    for row in ProviderHour.objects.filter(provider__in=provider_ids, hour__gt=now - DAY):
        hours[row.provider_id].append(row)
    return {provider_id: _add_up(rows, now) for provider_id, rows in hours.items()}


def days_left(provider: Provider, spent: Decimal | None) -> Decimal | None:
    """Return for how many days a provider's balance lasts at the pace of the last seven; None where nobody can say.

    `spent` is what those seven days cost there, in the panel's currency.
    """
    if provider.balance is None or not spent:
        return None
    worth = EXACT.multiply(provider.balance, provider.exchange_rate)
    return max(EXACT.divide(EXACT.multiply(worth, Decimal(PACE_DAYS)), spent), Decimal(0))


def is_low(provider: Provider, spent: Decimal | None) -> bool:
    """Tell whether little is left at a provider: less than staff have set, else than three days need."""
    if provider.balance is not None and provider.low_balance is not None:
        return provider.balance < provider.low_balance
    days = days_left(provider, spent)
    return days is not None and days < LOW_DAYS


def tell_runway(provider: Provider, spent: Decimal | None) -> str:
    """Say for how many days a provider's balance lasts at the pace of the last seven."""
    days = days_left(provider, spent)
    if days is None:
        return "–"
    return _("more than a year") if days > LONGEST_RUNWAY else _("%s days") % int(days)


def _add_up(rows: Sequence[ProviderHour], now: datetime.datetime) -> Health:
    if not rows:
        return Health()
    latencies, by_hour = [0] * (len(LATENCIES) + 1), [0] * HOURS
    sums = {name: sum(getattr(row, name) for row in rows) for name in COUNTED}
    for row in rows:
        # Hours of before the histogram was kept have an empty one.
        for place, number in enumerate(row.latencies):
            latencies[place] += number
        age = int((now - row.hour).total_seconds() // 3600)
        if 0 <= age < HOURS:
            by_hour[HOURS - 1 - age] += row.accepted + row.refused + row.unclear + row.unavailable
    return Health(**sums, slowest=max(row.slowest for row in rows), latencies=tuple(latencies), by_hour=tuple(by_hour))


def _word(outcome: object) -> str:
    """Say how a command ended. An answer that does not speak of it, and an error nobody thought of, leave it open."""
    if isinstance(outcome, Rejected | ItemError):
        return "refused"
    if isinstance(outcome, Unavailable):
        return "unavailable"
    return "unclear" if outcome is None or isinstance(outcome, Exception) else "accepted"
