"""Health: how a provider answers commands, counted by the hour as attempts are settled, and read for the last day."""

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import Max, Sum
from django.utils import timezone

from catalog.models import ProviderHour
from catalog.providers.errors import Rejected, Unavailable
from catalog.providers.replies import ItemError

DAY = datetime.timedelta(hours=24)

COUNT = """
INSERT INTO catalog_providerhour AS kept
    (provider_id, hour, accepted, refused, unclear, unavailable, milliseconds, slowest)
VALUES (%(provider)s, %(hour)s, %(accepted)s, %(refused)s, %(unclear)s, %(unavailable)s, %(milliseconds)s, %(slowest)s)
ON CONFLICT (provider_id, hour) DO UPDATE SET
    accepted = kept.accepted + excluded.accepted,
    refused = kept.refused + excluded.refused,
    unclear = kept.unclear + excluded.unclear,
    unavailable = kept.unavailable + excluded.unavailable,
    milliseconds = kept.milliseconds + excluded.milliseconds,
    slowest = greatest(kept.slowest, excluded.slowest)
"""


@dataclass(frozen=True, slots=True)
class Health:
    """How many commands of the last day ended how, and how long they took, in milliseconds."""

    accepted: int = 0
    refused: int = 0
    unclear: int = 0
    unavailable: int = 0
    milliseconds: int = 0
    slowest: int = 0

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
            values | {"provider": provider_id, "hour": hour, "milliseconds": sum(times), "slowest": max(times)},
        )


def read_day(provider_ids: Collection[int]) -> dict[int, Health]:
    """Return how each of some providers did in the last 24 hours, the present one included."""
    hours = ProviderHour.objects.filter(provider__in=provider_ids, hour__gt=timezone.now() - DAY)
    sums = [Sum(name) for name in ("accepted", "refused", "unclear", "unavailable", "milliseconds")]
    known = {
        row[0]: Health(*map(int, row[1:])) for row in hours.values_list("provider").annotate(*sums, Max("slowest"))
    }
    return {provider_id: known.get(provider_id, Health()) for provider_id in provider_ids}


def _word(outcome: object) -> str:
    """Say how a command ended. An answer that does not speak of it, and an error nobody thought of, leave it open."""
    if isinstance(outcome, Rejected | ItemError):
        return "refused"
    if isinstance(outcome, Unavailable):
        return "unavailable"
    return "unclear" if outcome is None or isinstance(outcome, Exception) else "accepted"
