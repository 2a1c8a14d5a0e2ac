"""How many calls go out: buckets in the provider's row, exact over all workers, and limits learned from refusals."""

import datetime
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from django.db import connection, connections, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog import pacing
from catalog.models import Provider
from catalog.pacing import Kind

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until a test moves it."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def limit(provider: Provider, calls_per_minute: int) -> None:
    Provider.objects.filter(pk=provider.pk).update(calls_per_minute=calls_per_minute)


def test_without_a_limit_everything_goes_out_and_nothing_is_written(
    provider: Provider, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        assert pacing.take(provider.pk, Kind.COMMAND, 500) == 500
    provider.refresh_from_db()
    assert provider.command_turn_at is None
    assert pacing.next_turn(provider.pk, Kind.COMMAND) is None
    assert not pacing.is_limited(provider)


def test_a_bucket_holds_what_goes_out_in_a_second(provider: Provider, clock: time_machine.Traveller) -> None:
    limit(provider, 600)
    assert pacing.take(provider.pk, Kind.COMMAND, 50) == 10
    assert pacing.take(provider.pk, Kind.COMMAND, 50) == 0
    clock.shift(0.25)
    assert pacing.take(provider.pk, Kind.COMMAND, 50) == 2
    clock.shift(3600)
    assert pacing.take(provider.pk, Kind.COMMAND, 4) == 4
    assert pacing.take(provider.pk, Kind.COMMAND, 50) == 6


@pytest.mark.parametrize("calls_per_minute", [1, 6, 7, 59, 60, 61, 90, 420, 600, 977])
def test_the_next_turn_is_the_very_moment_at_which_a_call_may_go_out(
    provider: Provider, clock: time_machine.Traveller, calls_per_minute: int
) -> None:
    limit(provider, calls_per_minute)
    burst = max(1, calls_per_minute // 60)
    assert pacing.take(provider.pk, Kind.READ, 5000) == burst
    for _ in range(20):
        turn = pacing.next_turn(provider.pk, Kind.READ)
        assert turn is not None
        clock.move_to(turn - 2 * MICROSECOND)
        assert pacing.take(provider.pk, Kind.READ, 5000) == 0
        clock.move_to(turn)
        assert pacing.take(provider.pk, Kind.READ, 5000) == 1
    ideal = datetime.timedelta(minutes=1) * (20 + burst - max(1, calls_per_minute / 60)) / calls_per_minute
    assert abs(timezone.now() - NOON - ideal) < datetime.timedelta(milliseconds=1)


def test_commands_and_reads_are_counted_apart(provider: Provider, clock: time_machine.Traveller) -> None:
    limit(provider, 60)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 1
    assert pacing.take(provider.pk, Kind.READ, 5) == 1
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 0


def test_nothing_wanted_takes_no_turn(provider: Provider) -> None:
    limit(provider, 60)
    assert pacing.take(provider.pk, Kind.COMMAND, 0) == 0
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 1


def test_turns_are_taken_in_the_transaction_that_holds_the_provider_and_given_back_with_it(provider: Provider) -> None:
    limit(provider, 6)
    with transaction.atomic():
        Provider.objects.select_for_update().get(pk=provider.pk)
        assert pacing.take(provider.pk, Kind.COMMAND, 5) == 1
        assert pacing.take(provider.pk, Kind.COMMAND, 5) == 0
        transaction.set_rollback(True)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 1


def at_once(action: Callable[[int], int], times: int) -> list[int]:
    """Run an action in as many threads, each with its own connection, all released at the same moment."""
    barrier = threading.Barrier(times)

    def run(number: int) -> int:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return action(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_every_worker_takes_the_whole_bucket(
    provider: Provider, clock: time_machine.Traveller
) -> None:
    limit(provider, 600)
    have_read = threading.Barrier(12)

    def take_naively(_number: int) -> int:
        """Read the bucket, wait until everybody has read it, then act on what was read: the code to be feared."""
        row = Provider.objects.get(pk=provider.pk)
        have_read.wait(30)
        full_at = max(row.command_turn_at or timezone.now(), timezone.now())
        calls = 10 - round((full_at - timezone.now()).total_seconds() * 10)
        Provider.objects.filter(pk=provider.pk).update(command_turn_at=full_at + datetime.timedelta(seconds=calls / 10))
        return calls

    assert sum(at_once(take_naively, 12)) == 120


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wanted", [1, 3, 10])
def test_workers_that_take_at_once_take_no_more_than_there_is(
    provider: Provider, clock: time_machine.Traveller, wanted: int
) -> None:
    limit(provider, 600)
    for _ in range(10):
        assert sum(at_once(lambda _: pacing.take(provider.pk, Kind.COMMAND, wanted), 12)) == 10
        clock.shift(1)


def test_too_many_requests_are_waited_for_as_long_as_is_asked(
    provider: Provider, clock: time_machine.Traveller
) -> None:
    pacing.slow_down(provider.pk, Kind.COMMAND, 90.0)
    assert pacing.take(provider.pk, Kind.READ, 5) == 1
    assert pacing.next_turn(provider.pk, Kind.COMMAND) == NOON + datetime.timedelta(seconds=90) + MICROSECOND
    clock.shift(89.9)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 0
    clock.shift(0.2)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 1


def test_after_waiting_for_a_high_limit_calls_go_out_one_by_one_at_first(
    provider: Provider, clock: time_machine.Traveller
) -> None:
    limit(provider, 600)
    pacing.slow_down(provider.pk, Kind.COMMAND, 90.0)
    clock.shift(89.99)
    assert pacing.take(provider.pk, Kind.COMMAND, 50) == 0
    clock.shift(0.02)
    assert pacing.take(provider.pk, Kind.COMMAND, 50) == 1


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(1e9, 1800), (None, 2), (0.0, 0), (-5.0, 0), (float("inf"), 1800)]
)
def test_how_long_is_waited_has_bounds(
    provider: Provider, clock: time_machine.Traveller, retry_after: float | None, seconds: float
) -> None:
    pacing.slow_down(provider.pk, Kind.COMMAND, retry_after)
    clock.shift(max(0.0, seconds - 0.01))
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == (0 if seconds else 1)
    clock.shift(0.02)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == (1 if seconds else 0)


def test_a_shorter_wait_does_not_undo_a_longer_one(provider: Provider, clock: time_machine.Traveller) -> None:
    pacing.slow_down(provider.pk, Kind.COMMAND, 90.0)
    pacing.slow_down(provider.pk, Kind.COMMAND, 1.0)
    clock.shift(30)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 0


def learned(provider: Provider) -> int | None:
    provider.refresh_from_db()
    return provider.learned_per_minute


def test_each_refusal_halves_what_we_believe_to_be_allowed(provider: Provider, clock: time_machine.Traveller) -> None:
    found = []
    for _ in range(6):
        pacing.slow_down(provider.pk, Kind.COMMAND, None)
        found.append(learned(provider))
        clock.shift(30)
    assert found == [60, 30, 15, 7, 6, 6]
    assert provider.limited_at == NOON + datetime.timedelta(seconds=150)
    # At six a minute the share of one call is ten seconds.
    pacing.slow_down(provider.pk, Kind.READ, None)
    assert pacing.next_turn(provider.pk, Kind.READ) == timezone.now() + datetime.timedelta(seconds=10) + MICROSECOND


def test_refusals_of_one_burst_are_one_lesson(provider: Provider, clock: time_machine.Traveller) -> None:
    for _ in range(8):
        pacing.slow_down(provider.pk, Kind.COMMAND, None)
        clock.shift(0.1)
    assert learned(provider) == 60


@pytest.mark.django_db(transaction=True)
def test_refusals_that_many_workers_meet_at_once_are_one_lesson(
    provider: Provider, clock: time_machine.Traveller
) -> None:
    Provider.objects.update(learned_per_minute=480)

    def meet(_number: int) -> int:
        pacing.slow_down(provider.pk, Kind.COMMAND, None)
        return 1

    at_once(meet, 8)
    assert learned(provider) == 240


def test_where_staff_set_a_limit_none_is_learned(provider: Provider, clock: time_machine.Traveller) -> None:
    limit(provider, 30)
    pacing.slow_down(provider.pk, Kind.COMMAND, None)
    assert learned(provider) is None
    assert provider.limited_at == NOON
    clock.shift(1.9)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 0
    clock.shift(0.2)
    assert pacing.take(provider.pk, Kind.COMMAND, 5) == 1


def test_a_limit_that_was_kept_to_is_doubled_until_it_is_forgotten(
    provider: Provider, clock: time_machine.Traveller
) -> None:
    Provider.objects.update(learned_per_minute=100, limited_at=NOON)
    clock.shift(599)
    assert pacing.speed_up() == 0
    clock.shift(1)
    found = []
    for _ in range(3):
        assert pacing.speed_up() == 1
        found.append(learned(provider))
    assert found == [200, 400, None]
    assert pacing.speed_up() == 0
    assert pacing.take(provider.pk, Kind.COMMAND, 500) == 500
