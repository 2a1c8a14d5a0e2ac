"""The breaker in the provider's row: what pauses it, what asks whether it is back, and what proves that it is."""

import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.db import connection, connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog import classing, connecting, pacing
from catalog.models import BalanceReading, Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable, Unclear
from catalog.providers.replies import Balance
from catalog.providers.sandbox import Sandbox
from tests.conftest import make_provider, remote_service

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
Pause = Provider.Pause


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until a test moves it."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def now_of(provider: Provider) -> Provider:
    return Provider.objects.get(pk=provider.pk)


def pause_seconds(provider: Provider) -> float:
    """Return how long a provider stays paused from now, in seconds; 0 when it does not."""
    until = now_of(provider).paused_until
    return max(0.0, (until - timezone.now()).total_seconds()) if until else 0.0


def order(provider: Provider, sandbox: Sandbox) -> None:
    """Send an order and tell the breaker what came of it, as forwarding does."""
    service = remote_service(sandbox, "Default")
    params = {"service": str(service["service"]), "link": "https://example.org/", "quantity": str(service["min"])}
    try:
        with connecting.connect(provider) as client:
            client.add(params)
    except (Unavailable, Unclear) as error:
        connecting.record_failure(provider, error, command=True)
    else:
        connecting.record_success(provider, command=True)


def fail(provider: Provider, times: int, error: ProviderError, *, command: bool = True) -> None:
    for _ in range(times):
        connecting.record_failure(provider, error, command=command)


def away() -> Unavailable:
    return Unavailable("Connection refused", reason=Reason.NETWORK)


def lost() -> Unclear:
    return Unclear("The answer did not come in time", reason="timeout")


def test_five_transport_failures_in_a_row_pause_a_provider_ever_longer(
    provider: Provider, clock: time_machine.Traveller, settings: LazySettings
) -> None:
    settings.BREAKER_PAUSE_SECONDS = 20
    fail(provider, 4, away())
    assert pause_seconds(provider) == 0
    lengths = []
    for _ in range(8):
        fail(provider, 1, away())
        lengths.append(pause_seconds(provider))
        clock.shift(lengths[-1])
    assert lengths == [20, 40, 80, 160, 320, 600, 600, 600]
    assert now_of(provider).pause_reason == Pause.NETWORK
    assert now_of(provider).last_error == "Connection refused"


def test_a_provider_that_was_away_for_months_is_paused_no_longer_than_ten_minutes(provider: Provider) -> None:
    Provider.objects.update(failures=500_000)
    fail(provider, 1, away())
    assert 599 < pause_seconds(provider) <= 600


def test_the_lanes_that_were_out_when_it_was_paused_do_not_make_the_pause_longer(
    provider: Provider, clock: time_machine.Traveller
) -> None:
    fail(provider, 16, away())
    assert pause_seconds(provider) == 15
    clock.shift(15)
    Provider.objects.update(paused_until=None)
    fail(provider, 16, lost())
    assert pause_seconds(provider) == 15


def test_five_orders_in_a_row_without_a_clear_answer_pause_a_provider(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.misbehave("add", "reset", times=5)
    for _ in range(4):
        order(provider, sandbox)
    assert pause_seconds(provider) == 0
    order(provider, sandbox)
    assert 10 < pause_seconds(provider) <= 15
    assert now_of(provider).pause_reason == Pause.DOUBT
    assert now_of(provider).doubts == 5


def test_an_order_that_is_answered_ends_a_row_of_unclear_ones(provider: Provider, sandbox: Sandbox) -> None:
    for _ in range(2):
        sandbox.misbehave("add", "reset", times=4)
        for _ in range(5):
            order(provider, sandbox)
    assert now_of(provider).doubts == 0
    assert pause_seconds(provider) == 0


def test_texts_that_nobody_has_classed_are_answers_and_no_reason_to_pause(provider: Provider, sandbox: Sandbox) -> None:
    texts = ("Mercury is in retrograde", "Failed to place order")
    for text in texts * 4:
        sandbox.misbehave("add", "raw", body=f'{{"error": "{text}"}}')
        order(provider, sandbox)
    assert (now_of(provider).doubts, now_of(provider).pause_reason) == (0, "")


def test_an_unclear_read_is_no_doubt_about_orders(provider: Provider) -> None:
    fail(provider, 9, lost(), command=False)
    assert now_of(provider).doubts == 0


@pytest.mark.parametrize("reason", [Reason.FUNDS, Reason.MAINTENANCE, Reason.WAIT, Reason.SERVER, Reason.UNREADABLE])
def test_what_a_provider_answers_does_not_pause_it(provider: Provider, reason: Reason) -> None:
    fail(provider, 9, Unavailable("No", reason=reason))
    fail(provider, 9, Rejected("No", condition="invalid_link"))
    assert (now_of(provider).failures, now_of(provider).pause_reason) == (0, "")


def test_a_balance_that_is_told_ends_no_doubt_about_orders(provider: Provider) -> None:
    fail(provider, 5, lost())
    connecting.read_balance(provider)
    connecting.record_success(provider)
    assert now_of(provider).pause_reason == Pause.DOUBT
    assert now_of(provider).doubts == 5
    assert now_of(provider).last_error == "The answer did not come in time"
    connecting.record_success(provider, command=True)
    changed = now_of(provider)
    assert (changed.pause_reason, changed.paused_until, changed.doubts, changed.last_error) == ("", None, 0, "")


def test_why_orders_are_in_doubt_is_told_until_one_is_answered(provider: Provider) -> None:
    fail(provider, 3, away())
    fail(provider, 3, lost())
    connecting.record_success(provider)
    changed = now_of(provider)
    assert (changed.failures, changed.doubts, changed.last_error) == (0, 3, "The answer did not come in time")
    connecting.record_success(provider, command=True)
    assert (now_of(provider).doubts, now_of(provider).last_error) == (0, "")


def test_any_answer_ends_a_pause_for_the_network(provider: Provider) -> None:
    fail(provider, 5, away())
    connecting.record_success(provider)
    changed = now_of(provider)
    assert (changed.pause_reason, changed.paused_until, changed.failures, changed.last_error) == ("", None, 0, "")


@pytest.mark.parametrize("reason", [Pause.STAFF, Pause.KEY, Pause.REDIRECT])
def test_a_late_answer_ends_no_pause_that_waits_for_a_person(provider: Provider, reason: Provider.Pause) -> None:
    fail(provider, 3, away())
    fail(provider, 3, lost())
    connecting.pause(provider.pk, reason, datetime.timedelta(hours=6))
    connecting.record_success(provider, command=True)
    assert now_of(provider).pause_reason == reason
    assert connecting.is_paused(now_of(provider))
    fail(provider, 9, away())
    fail(provider, 9, lost())
    assert now_of(provider).pause_reason == reason


def test_the_last_success_is_kept_to_the_minute_without_a_write_for_each_call(
    provider: Provider, clock: time_machine.Traveller, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    connecting.record_success(provider)
    assert now_of(provider).last_success_at == NOON
    clock.shift(59)
    with django_assert_num_queries(1):  # it looks whether there is a breaker to be closed
        connecting.record_success(provider, command=True)
    connecting.record_success(now_of(provider))
    assert now_of(provider).last_success_at == NOON
    clock.shift(2)
    connecting.record_success(provider)
    assert now_of(provider).last_success_at == timezone.now()


@pytest.mark.parametrize(("action", "column"), [("add", "command_turn_at"), ("balance", "read_turn_at")])
def test_too_many_requests_slow_down_what_was_asked_too_often(
    provider: Provider, sandbox: Sandbox, action: str, column: str
) -> None:
    sandbox.misbehave(action, "refuse_429", seconds=40)
    if action == "add":
        order(provider, sandbox)
    else:
        connecting.read_balances()
    changed = now_of(provider)
    assert (changed.learned_per_minute, changed.pause_reason) == (60, "")
    assert 30 < (getattr(changed, column) - timezone.now()).total_seconds() <= 40


def test_whoever_was_told_to_slow_down_knows_at_once_that_there_is_a_limit(provider: Provider) -> None:
    assert not pacing.is_limited(provider)
    fail(provider, 1, Unavailable("Too many requests", reason=Reason.RATE_LIMITED))
    assert pacing.is_limited(provider)


def half_opened(provider: Provider, reason: Provider.Pause) -> Provider:
    """Return a provider that was paused for the first time and whose pause is over."""
    fail(provider, 5, away() if reason == Pause.NETWORK else lost())
    Provider.objects.filter(pk=provider.pk).update(paused_until=timezone.now() - datetime.timedelta(seconds=1))
    return now_of(provider)


def test_only_a_pause_that_is_over_and_unproved_is_half_open(provider: Provider) -> None:
    assert not connecting.is_half_open(provider)
    for reason in Pause:
        connecting.pause(provider.pk, reason, datetime.timedelta(hours=1))
        assert not connecting.is_half_open(now_of(provider))
        Provider.objects.update(paused_until=timezone.now())
        assert connecting.is_half_open(now_of(provider)) == (reason in {Pause.NETWORK, Pause.DOUBT})
    Provider.objects.update(pause_reason=Pause.NETWORK, paused_until=None)
    assert not connecting.is_half_open(now_of(provider))


def test_a_probe_that_is_answered_ends_a_pause_for_the_network(provider: Provider, sandbox: Sandbox) -> None:
    assert connecting.probe(half_opened(provider, Pause.NETWORK))
    changed = now_of(provider)
    assert (changed.pause_reason, changed.paused_until, changed.failures) == ("", None, 0)
    assert changed.balance == 10000
    assert [call["action"] for call in sandbox.received] == ["balance"]


def test_a_probe_that_is_answered_lets_one_order_at_a_time_through_while_there_is_doubt(
    provider: Provider, sandbox: Sandbox
) -> None:
    assert connecting.lanes(provider) == provider.max_in_flight == 8
    assert connecting.probe(half_opened(provider, Pause.DOUBT))
    changed = now_of(provider)
    assert (changed.pause_reason, changed.paused_until, changed.doubts) == ("", None, 5)
    assert connecting.lanes(changed) == 1

    sandbox.misbehave("add", "reset")
    order(provider, sandbox)
    assert 25 < pause_seconds(provider) <= 30

    assert connecting.probe(half_open_again(provider))
    order(provider, sandbox)
    assert connecting.lanes(now_of(provider)) == 8


def half_open_again(provider: Provider) -> Provider:
    Provider.objects.filter(pk=provider.pk).update(paused_until=timezone.now() - datetime.timedelta(seconds=1))
    return now_of(provider)


@pytest.mark.parametrize("reason", [Pause.NETWORK, Pause.DOUBT])
@pytest.mark.parametrize("kind", ["reset", "html", "http500", "maintenance_503", "refuse_429"])
def test_a_probe_that_fails_pauses_again_for_twice_as_long(
    provider: Provider, sandbox: Sandbox, reason: Provider.Pause, kind: str
) -> None:
    half_open = half_opened(provider, reason)
    for length in (30, 60, 120):
        sandbox.misbehave("balance", kind, seconds=0)
        assert not connecting.probe(half_open)
        assert length - 5 < pause_seconds(provider) <= length
        assert now_of(provider).pause_reason == reason
        half_open = half_open_again(provider)


def test_a_probe_that_meets_a_refused_key_leaves_it_to_staff(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.misbehave("balance", "raw", body='{"error": "Invalid API key"}')
    assert not connecting.probe(half_opened(provider, Pause.NETWORK))
    assert now_of(provider).pause_reason == Pause.KEY


def test_nobody_probes_what_is_not_half_open(provider: Provider, sandbox: Sandbox) -> None:
    assert not connecting.probe(provider)
    stale = half_opened(provider, Pause.NETWORK)
    connecting.pause(provider.pk, Pause.STAFF, datetime.timedelta(days=1))
    assert not connecting.probe(stale)
    assert sandbox.received == []


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "succeeds"])
def test_a_probe_leaves_a_pause_alone_that_staff_made_while_it_waited(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    half_open = half_opened(provider, Pause.NETWORK)

    def answer_late(_client: Client) -> Balance:
        connecting.pause(provider.pk, Pause.STAFF, datetime.timedelta(days=1))
        if fails:
            raise away()
        return Balance(Decimal(1), "USD")

    monkeypatch.setattr(Client, "balance", answer_late)
    connecting.probe(half_open)
    assert now_of(provider).pause_reason == Pause.STAFF
    assert connecting.is_paused(now_of(provider))


def at_once(provider: Provider, probe: Any, times: int) -> list[bool]:
    """Let as many workers probe a provider, each with its own connection, all released at the same moment."""
    barrier = threading.Barrier(times)

    def run(_number: int) -> bool:
        try:
            row = now_of(provider)
            barrier.wait(30)
            return bool(probe(row))
        finally:
            connections.close_all()

    connection.close()
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def probe_naively(provider: Provider) -> bool:
    """Probe without claiming it: the code to be feared."""
    return connecting.is_half_open(provider) and bool(connecting.read_balance(provider))


@pytest.mark.django_db(transaction=True)
def test_without_the_claim_every_worker_probes(provider: Provider, sandbox: Sandbox) -> None:
    half_opened(provider, Pause.NETWORK)
    assert at_once(provider, probe_naively, 6) == [True] * 6
    assert len(sandbox.received) == 6


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reason", [Pause.NETWORK, Pause.DOUBT])
def test_workers_that_find_a_provider_half_open_at_once_probe_it_once(
    provider: Provider, sandbox: Sandbox, reason: Provider.Pause
) -> None:
    half_opened(provider, reason)
    assert sorted(at_once(provider, connecting.probe, 6)) == [False] * 5 + [True]
    assert len(sandbox.received) == 1


def test_a_worker_that_dies_while_it_probes_leaves_the_probe_to_others(provider: Provider) -> None:
    """The claim on the probe is a time, and time passes."""
    half_open = half_opened(provider, Pause.NETWORK)
    patience = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + 1
    Provider.objects.update(paused_until=timezone.now() + datetime.timedelta(seconds=patience))
    assert not connecting.probe(half_open)
    with time_machine.travel(timezone.now() + datetime.timedelta(seconds=patience + 1)):
        assert connecting.probe(now_of(provider))


def test_what_staff_classed_is_known_to_the_client(provider: Provider, staff: Any) -> None:
    classing.class_text(provider.pk, "Mercury is in retrograde.", "later", actor_id=staff.pk)
    with connecting.connect(provider) as client:
        assert dict(client.connection.refusals) == {"mercury is in retrograde": classing.MEANINGS["later"]}


def test_each_balance_that_was_read_is_kept_as_evidence(provider: Provider, clock: time_machine.Traveller) -> None:
    connecting.read_balance(provider)
    connecting.read_balance(provider)
    assert list(provider.readings.values_list("amount", "read_at")) == [(Decimal(10000), NOON)] * 2


def test_balances_are_read_when_they_are_due_and_one_failure_stops_no_other(
    provider: Provider, sandbox: Sandbox, clock: time_machine.Traveller, settings: LazySettings
) -> None:
    settings.BALANCE_EVERY_SECONDS = 900
    Provider.objects.update(api_url="http://127.0.0.1:9/api/v2")
    others = [make_provider(sandbox.url, key=sandbox.key) for _ in range(2)]
    make_provider(sandbox.url, key=sandbox.key, enabled=False)
    assert connecting.read_balances() == 2
    assert [row.provider_id for row in BalanceReading.objects.order_by("id")] == [other.pk for other in others]
    assert now_of(provider).failures == 1
    clock.shift(899)
    assert connecting.read_balances() == 0
    clock.shift(1)
    assert connecting.read_balances() == 2


@pytest.mark.parametrize(
    ("reason", "asked"),
    [(Pause.STAFF, 0), (Pause.KEY, 0), (Pause.REDIRECT, 0), (Pause.NETWORK, 0), (Pause.DOUBT, 1)],
)
def test_a_paused_provider_is_not_asked_for_its_balance_unless_only_orders_are_in_doubt(
    provider: Provider, sandbox: Sandbox, reason: Provider.Pause, asked: int
) -> None:
    connecting.pause(provider.pk, reason, datetime.timedelta(hours=1))
    assert connecting.read_balances() == asked
    assert len(sandbox.received) == asked
    assert now_of(provider).pause_reason == reason


def test_a_provider_that_nobody_orders_from_is_probed_when_its_balance_is_due(
    provider: Provider, sandbox: Sandbox
) -> None:
    half_opened(provider, Pause.NETWORK)
    assert connecting.read_balances() == 1
    assert now_of(provider).pause_reason == ""


def test_reading_balances_keeps_to_the_limit(provider: Provider, sandbox: Sandbox) -> None:
    Provider.objects.update(calls_per_minute=1)
    assert pacing.take(provider.pk, pacing.Kind.READ, 1) == 1
    assert connecting.read_balances() == 0
    assert sandbox.received == []


def test_readings_are_forgotten_after_a_month(provider: Provider) -> None:
    for days in (1, 29, 31):
        read_at = timezone.now() - datetime.timedelta(days=days)
        BalanceReading.objects.create(provider=provider, amount=Decimal(days), read_at=read_at)
    assert connecting.prune_readings() == 1
    assert sorted(BalanceReading.objects.values_list("amount", flat=True)) == [1, 29]
