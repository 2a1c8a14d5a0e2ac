"""How a provider answers commands: counted in one statement as they are settled, read for the last day."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import time_machine
from django.db import connections
from pytest_django import DjangoAssertNumQueries

from catalog import health
from catalog.health import Health
from catalog.models import Provider, ProviderHour
from catalog.providers.errors import Reason, Rejected, Unavailable, Unclear
from catalog.providers.replies import Added, ItemError
from tests.conftest import make_provider

HALF_PAST = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC)
ADDED = Added("70001", Decimal(1), "")


def numbers(day: Health) -> tuple[int, ...]:
    return day.accepted, day.refused, day.unclear, day.unavailable, day.milliseconds, day.slowest


def test_each_kind_of_outcome_is_counted(provider: Provider, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    outcomes = [
        (ADDED, 0.1),
        (ADDED, 0.2),
        (Rejected("No", condition="invalid_link"), 0.3),
        (ItemError("No", "refill_expired"), 0.1),
        (Unclear("What?", reason="timeout"), 9.0),
        (RuntimeError("nobody thought of it"), 0.1),
        (None, 0.1),
        (Unavailable("Away", reason=Reason.NETWORK), 0.1),
    ]
    with django_assert_num_queries(1):
        health.count(provider.pk, outcomes)
    day = health.read_day([provider.pk])[provider.pk]
    assert numbers(day) == (2, 2, 3, 1, 10_000, 9000)
    assert (day.attempts, day.refused_share, day.latency) == (8, 0.25, 1250)
    assert day.latencies == (0, 0, 5, 1, 1, 0, 0, 0, 0, 1, 0, 0)
    health.count(provider.pk, outcomes)
    day = health.read_day([provider.pk])[provider.pk]
    assert numbers(day) == (4, 4, 6, 2, 20_000, 9000)
    assert day.latencies == (0, 0, 10, 2, 2, 0, 0, 0, 0, 2, 0, 0)


def test_an_hour_is_one_row_and_a_day_the_last_twenty_four(provider: Provider) -> None:
    other = make_provider("http://127.0.0.1:9/api/v2")
    with time_machine.travel(HALF_PAST, tick=False) as clock:
        health.count(provider.pk, [(ADDED, 0.4)])
        health.count(provider.pk, [(ADDED, 0.2), (Unclear("What?", reason="cut"), 0.3)])
        clock.shift(datetime.timedelta(hours=23))
        health.count(provider.pk, [(ADDED, 0.1)])
        hours = ProviderHour.objects.order_by("hour").values_list("hour", "accepted", "unclear", "slowest")
        noon = HALF_PAST.replace(minute=0)
        assert list(hours) == [(noon, 2, 1, 400), (noon + datetime.timedelta(hours=23), 1, 0, 100)]
        days = health.read_day([provider.pk, other.pk])
        assert numbers(days[provider.pk]) == (3, 0, 1, 0, 1000, 400)
        assert days[provider.pk].by_hour == (3, *[0] * 22, 1)
        assert days[other.pk] == Health()
        assert (days[other.pk].latency, days[other.pk].refused_share) == (None, 0)
        clock.shift(datetime.timedelta(hours=1))
        assert numbers(health.read_day([provider.pk])[provider.pk]) == (1, 0, 0, 0, 100, 100)


def test_nothing_settled_writes_nothing(provider: Provider, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        health.count(provider.pk, [])


@pytest.mark.django_db(transaction=True)
def test_workers_that_count_at_once_lose_nothing(provider: Provider) -> None:
    def work(_number: int) -> None:
        for _ in range(20):
            health.count(provider.pk, [(ADDED, 0.01)] * 3)
        connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    day = health.read_day([provider.pk])[provider.pk]
    assert (day.accepted, sum(day.latencies)) == (480, 480)


def test_an_hour_of_before_the_histogram_takes_one_up(provider: Provider) -> None:
    with time_machine.travel(HALF_PAST, tick=False):
        ProviderHour.objects.create(provider=provider, hour=HALF_PAST.replace(minute=0), accepted=7)
        health.count(provider.pk, [(ADDED, 0.03)])
        day = health.read_day([provider.pk])[provider.pk]
    assert (day.accepted, day.latencies) == (8, (0, 1, *[0] * 10))


@pytest.mark.parametrize(
    ("milliseconds", "half", "most"),
    [
        ([], None, None),
        ([100] * 10, 75, 98),
        ([10, 10, 10, 10], 5, 10),
        ([60] * 90 + [30_000] * 10, 78, 27_800),
        ([400, 401], 400, 401),
    ],
)
def test_percentiles_lie_within_a_bucket_and_never_beyond_the_slowest(
    milliseconds: list[int], half: int | None, most: int | None
) -> None:
    day = Health(latencies=tuple(health.sort_times(milliseconds)), slowest=max(milliseconds, default=0))
    assert (day.percentile(50), day.percentile(95)) == (half, most)


def test_buckets_hold_what_took_up_to_their_bound() -> None:
    assert health.sort_times([0, 25, 26, 25_600, 25_601]) == [2, 1, *[0] * 8, 1, 1]


@pytest.mark.parametrize(
    ("balance", "spent", "limit", "low", "runway"),
    [
        (None, "7", None, False, "–"),
        ("10", None, None, False, "–"),
        ("10", "0", None, False, "–"),
        ("10", "7", None, False, "20 days"),
        ("1", "7", None, True, "2 days"),
        ("1.5", "7", None, False, "3 days"),
        ("-4", "7", None, True, "0 days"),
        ("4000", "7", None, False, "more than a year"),
        ("10", "7", "10", False, "20 days"),
        ("10", "7", "10.01", True, "20 days"),
        ("1", "7", "0.5", False, "2 days"),
        (None, "7", "5", False, "–"),
    ],
)
def test_a_balance_is_low_below_the_limit_of_staff_or_three_days(
    *, balance: str | None, spent: str | None, limit: str | None, low: bool, runway: str
) -> None:
    """One unit of the provider's currency costs two of ours."""
    provider = Provider(
        balance=None if balance is None else Decimal(balance),
        low_balance=None if limit is None else Decimal(limit),
        exchange_rate=Decimal(2),
    )
    cost = None if spent is None else Decimal(spent)
    assert (health.is_low(provider, cost), health.tell_runway(provider, cost)) == (low, runway)
