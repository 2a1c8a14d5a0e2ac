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
    assert day == Health(accepted=2, refused=2, unclear=3, unavailable=1, milliseconds=10_000, slowest=9000)
    assert (day.attempts, day.refused_share, day.latency) == (8, 0.25, 1250)
    health.count(provider.pk, outcomes)
    day = health.read_day([provider.pk])[provider.pk]
    assert day == Health(accepted=4, refused=4, unclear=6, unavailable=2, milliseconds=20_000, slowest=9000)


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
        assert days[provider.pk] == Health(accepted=3, unclear=1, milliseconds=1000, slowest=400)
        assert days[other.pk] == Health()
        assert (days[other.pk].latency, days[other.pk].refused_share) == (None, 0)
        clock.shift(datetime.timedelta(hours=1))
        assert health.read_day([provider.pk])[provider.pk] == Health(accepted=1, milliseconds=100, slowest=100)


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
    assert health.read_day([provider.pk])[provider.pk].accepted == 480
