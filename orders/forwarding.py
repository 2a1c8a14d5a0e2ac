"""Forwarding: claim ── commit ──▶ send, with no transaction open ──▶ settle ── commit (ARCHITECTURE 3).

Guarantee: an order reaches a provider at most once, and an attempt whose outcome nobody knows is never repeated by
itself. Lanes are HTTP only: the one thread that runs `forward_provider` claims and settles, lane threads return values
and never touch the database. A crash leaves at most one dispatch for each lane in doubt.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Exists, OuterRef
from django.utils import timezone

from catalog import connecting
from catalog.models import Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError, Rejected, Unavailable
from catalog.providers.replies import Added
from orders.claiming import Claim, claim_next
from orders.models import Dispatch
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
    """A claim in a lane, and since when (monotonic seconds)."""

    claim: Claim
    since: float


def due_providers() -> list[int]:
    """Return the providers that have a dispatch to be sent now."""
    now = timezone.now()
    due = Dispatch.objects.filter(provider=OuterRef("pk"), state=Dispatch.State.QUEUED, due_at__lte=now)
    providers = Provider.objects.filter(Exists(due), enabled=True)
    return list(
        providers.exclude(paused_until__gt=now, pause_reason=Provider.Pause.NETWORK).values_list("pk", flat=True)
    )


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
    """
    provider = Provider.objects.filter(pk=provider_id, enabled=True).first()
    if provider is None:
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
    lanes = provider.max_in_flight
    in_flight: dict[Future[Added | Exception], Flight] = {}
    with ThreadPoolExecutor(lanes, f"lane-{provider.pk}") as pool:
        while True:
            claims = None
            if len(in_flight) < lanes and not stopping.is_set() and (time.monotonic() < end or hangs(in_flight)):
                claims = claim_if_possible(provider.pk, lanes - len(in_flight))
                for claim in claims or ():
                    in_flight[pool.submit(send, client, claim)] = Flight(claim, time.monotonic())
            if not in_flight and claims is None:
                return settled
            outcomes = finished(in_flight)
            settle_surely(provider, outcomes)
            settled += len(outcomes)


def hangs(in_flight: Mapping[Future[Added | Exception], Flight]) -> bool:
    """Tell whether a lane has been waiting for its answer for longer than answers usually take."""
    return any(time.monotonic() - flight.since > HANGS_AFTER for flight in in_flight.values())


def send(client: Client, claim: Claim) -> Added | Exception:
    """Place one order at a provider and return what came of it, never raising: a lane has nobody to catch for it."""
    try:
        return client.add(claim.params, idempotency_key=claim.key)
    except Exception as error:  # noqa: BLE001 - an error nobody thought of is doubt, and settles as such
        return error


def finished(in_flight: dict[Future[Added | Exception], Flight]) -> dict[Claim, Added | Exception]:
    """Wait a tick for lanes to come back and return what did, so that their places are free again."""
    done, waiting = wait(in_flight, timeout=settings.FORWARD_EVERY_SECONDS, return_when=FIRST_COMPLETED)
    if done and waiting:
        done |= wait(waiting, timeout=GATHER_SECONDS).done
    outcomes = {in_flight.pop(future).claim: future.result() for future in done}
    for claim, outcome in outcomes.items():
        answers.info("dispatch %s attempt %s: %s", claim.dispatch_id, claim.attempt, outcome)
    return outcomes


def claim_if_possible(provider_id: int, lanes: int) -> list[Claim] | None:
    """Claim, or nothing while the database is away: what is in flight must still be settled when it is back.

    Rows that were leased by a commit whose answer was lost are swept, as after a crash.
    """
    try:
        return claim_next(provider_id, lanes)
    except (OperationalError, InterfaceError):
        logger.exception("provider %s: nothing claimed", provider_id)
        connection.close()
        return None


def settle_surely(provider: Provider, outcomes: Mapping[Claim, Added | Exception]) -> None:
    """Settle, again where the database was away for a moment: an answer that was read must not become doubt."""
    if not outcomes:
        return
    for pause in SETTLE_PAUSES:
        try:
            settle(outcomes)
            record(provider, outcomes.values())
        except (OperationalError, InterfaceError):
            logger.exception("not settled, trying again")
            connection.close()
            stopping.wait(pause)
        else:
            return
    logger.error("%s dispatches stay leased until they are swept; the answers stand above", len(outcomes))


def record(provider: Provider, outcomes: Collection[Added | Exception]) -> None:
    """Tell the breaker how attempts ended; a business refusal is an answer like any other."""
    for outcome in outcomes:
        if isinstance(outcome, ProviderError):
            connecting.record_failure(provider, outcome)
    if any(isinstance(outcome, Added | Rejected) for outcome in outcomes):
        connecting.record_success(provider)


def forward_all() -> int:
    """Forward every provider's due dispatches, one after another, until nothing is due; return how many were settled.

    What is due but cannot be sent now, because other processes have a provider's lanes, is left to them.
    """
    settled = 0
    while just_settled := sum(forward_provider(provider_id) for provider_id in due_providers()):
        settled += just_settled
    return settled
