"""Forwarding: claim ── commit ──▶ send, with no transaction open ──▶ settle ── commit (ARCHITECTURE 3).

Guarantee: an order reaches a provider at most once, and an attempt whose outcome nobody knows is never repeated by
itself. Lanes are HTTP only: the one thread that runs `forward_provider` claims and settles, lane threads return values
and never touch the database. A crash leaves at most one dispatch for each lane in doubt.
"""

import logging
import threading
import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Exists, OuterRef
from django.utils import timezone

from catalog import connecting, health, pacing
from catalog.models import Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError, Rejected, Unavailable
from orders.claiming import Claim, claim_next
from orders.models import Dispatch
from orders.sending import Outcome, pack, send
from orders.settling import settle

logger = logging.getLogger(__name__)
# The only copy of a reply until it is settled: a crash in between is looked up here (settings.LOGGING).
answers = logging.getLogger(f"{__name__}.answers")

# Set when the process is asked to stop: claim no more, finish what is in flight, settle it.
stopping = threading.Event()

HANGS_AFTER = 1.0
# Answers that come at about the same time are settled, and their lanes filled again, in one go: a third of the work.
GATHER_SECONDS = 0.01
SETTLE_PAUSES = (0.5, 1, 2, 4)

_guard = threading.Lock()
_at_work: set[int] = set()


@dataclass(frozen=True, slots=True)
class Flight:
    """The claims in a lane, and since when (monotonic seconds)."""

    load: list[Claim]
    since: float


@dataclass(frozen=True, slots=True)
class Landed:
    """What came back: the outcome of each claim, and for each call one outcome and how long it took, in seconds."""

    outcomes: dict[Claim, Outcome]
    calls: list[tuple[Outcome, float]]


Lanes = dict[Future[dict[Claim, Outcome]], Flight]


def due_providers() -> list[int]:
    """Return the providers that have a dispatch to be sent now."""
    now = timezone.now()
    due = Dispatch.objects.filter(provider=OuterRef("pk"), state=Dispatch.State.QUEUED, due_at__lte=now)
    providers = Provider.objects.filter(Exists(due), enabled=True)
    away = (Provider.Pause.NETWORK, Provider.Pause.DOUBT)
    return list(providers.exclude(paused_until__gt=now, pause_reason__in=away).values_list("pk", flat=True))


def forward_alone(provider_id: int) -> int:
    """Forward a provider's dispatches unless a thread of this process is at it already.

    One thread for each provider is enough, and all it may have: a slow one must not hold the threads of others.
    """
    with _guard:
        if provider_id in _at_work:
            return 0
        _at_work.add(provider_id)
    try:
        return forward_provider(provider_id)
    finally:
        with _guard:
            _at_work.discard(provider_id)


def forward_provider(provider_id: int) -> int:
    """Send a provider's due dispatches until there are none or the run's time is over; return how many were settled.

    While a lane hangs the others go on past the end of the run, because nobody else in this process would take over.
    A provider that was away is asked for our balance first: a read risks no order.
    """
    provider = Provider.objects.filter(pk=provider_id, enabled=True).first()
    if provider is None or (connecting.is_half_open(provider) and not connecting.probe(provider)):
        return 0
    try:
        client = connecting.connect(provider)
    except Unavailable as error:
        connecting.record_failure(provider, error)
        hold_due(provider_id)
        return 0
    with client:
        return run_lanes(client, provider)


def hold_due(provider_id: int) -> None:
    """Let the claim hold, or send elsewhere, everything that is due at a provider that was paused just now."""
    while claim_next(provider_id, 1) is not None:
        continue


def run_lanes(client: Client, provider: Provider) -> int:
    """Claim, send and settle in as many lanes as the provider allows; return how many dispatches were settled."""
    settled = 0
    end = time.monotonic() + settings.FORWARD_RUN_SECONDS
    lanes, keyed = provider.max_in_flight, bool(client.connection.dialect.idempotency_param)
    in_flight: Lanes = {}
    with ThreadPoolExecutor(lanes, f"lane-{provider.pk}") as pool:
        while True:
            claims = None
            room = lanes - sum(len(flight.load) for flight in in_flight.values())
            if room > 0 and not stopping.is_set() and (time.monotonic() < end or hangs(in_flight)):
                claims = claim_if_possible(provider.pk, room, keyed=keyed)
                for load in pack(claims or ()):
                    in_flight[pool.submit(send, client, load)] = Flight(load, time.monotonic())
            if not in_flight and claims is None:
                if not wait_for_turn(provider.pk, end):
                    return settled
                continue
            landed = land(in_flight)
            settle_surely(provider, landed)
            settled += len(landed.outcomes)


def hangs(in_flight: Lanes) -> bool:
    """Tell whether a lane has been waiting for its answer for longer than answers usually take."""
    return any(time.monotonic() - flight.since > HANGS_AFTER for flight in in_flight.values())


def land(in_flight: Lanes) -> Landed:
    """Wait a tick for lanes to come back and return what did, so that their places are free again."""
    done, waiting = wait(in_flight, timeout=settings.FORWARD_EVERY_SECONDS, return_when=FIRST_COMPLETED)
    if done and waiting:
        done |= wait(waiting, timeout=GATHER_SECONDS).done
    now = time.monotonic()
    landed = Landed({}, [])
    for future in done:
        flight, outcomes = in_flight.pop(future), future.result()
        landed.outcomes.update(outcomes)
        landed.calls.append((outcomes[flight.load[0]], now - flight.since))
        for claim, outcome in outcomes.items():
            answers.info("dispatch %s attempt %s: %s", claim.dispatch_id, claim.attempt, outcome)
    return landed


def claim_if_possible(provider_id: int, lanes: int, *, keyed: bool) -> list[Claim] | None:
    """Claim, or nothing while the database is away: what is in flight must still be settled when it is back.

    Rows that were leased by a commit whose answer was lost are swept, as after a crash.
    """
    try:
        return claim_next(provider_id, lanes, keyed=keyed)
    except (OperationalError, InterfaceError):
        logger.exception("provider %s: nothing claimed", provider_id)
        connection.close()
        return None


def wait_for_turn(provider_id: int, end: float) -> bool:
    """Wait until the provider's rate limit lets another command out; False when that is now, or after the run.

    Ticks alone would lose whatever fraction of a call the bucket cannot hold.
    """
    try:
        turn = pacing.next_turn(provider_id, pacing.Kind.COMMAND)
    except (OperationalError, InterfaceError):
        connection.close()
        return False
    seconds = 0.0 if turn is None else (turn - timezone.now()).total_seconds()
    if seconds <= 0 or time.monotonic() + seconds > end:
        return False
    return not stopping.wait(seconds)


def settle_surely(provider: Provider, landed: Landed) -> None:
    """Settle, again where the database was away for a moment: an answer that was read must not become doubt."""
    if not landed.outcomes:
        return
    for pause in SETTLE_PAUSES:
        try:
            settle(landed.outcomes)
            record(provider, landed.calls)
        except (OperationalError, InterfaceError):
            logger.exception("not settled, trying again")
            connection.close()
            stopping.wait(pause)
        else:
            return
    logger.error("%s dispatches stay leased until they are swept; the answers stand above", len(landed.outcomes))


def record(provider: Provider, calls: Collection[tuple[Outcome, float]]) -> None:
    """Tell the breaker and the provider's health how calls ended; a business refusal is an answer like any other."""
    health.count(provider.pk, calls)
    for outcome, _seconds in calls:
        if isinstance(outcome, ProviderError) and not isinstance(outcome, Rejected):
            connecting.record_failure(provider, outcome, command=True)
    if any(isinstance(outcome, Rejected) or not isinstance(outcome, Exception) for outcome, _seconds in calls):
        connecting.record_success(provider, command=True)


def forward_all() -> int:
    """Forward every provider's due dispatches, one after another, until nothing is due; return how many were settled.

    What is due but cannot be sent now, because other processes have a provider's lanes, is left to them.
    """
    settled = 0
    while just_settled := sum(forward_provider(provider_id) for provider_id in due_providers()):
        settled += just_settled
    return settled
