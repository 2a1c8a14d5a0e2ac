"""Forwarding: claim ── commit ──▶ send, with no transaction open ──▶ settle ── commit (ARCHITECTURE 3).

Guarantee: an order reaches a provider at most once, and an attempt whose outcome nobody knows is never repeated by
itself. Lanes are HTTP only: the one thread that runs `forward_provider` claims and settles, lane threads return values
and never touch the database. A crash leaves at most one dispatch for each lane in doubt.
"""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from catalog import connecting
from catalog.models import Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError
from catalog.providers.replies import Added
from orders.claiming import Claim, claim_next
from orders.models import Dispatch
from orders.settling import settle

logger = logging.getLogger(__name__)

# Set when the process is asked to stop: claim no more, finish what is in flight, settle it.
stopping = threading.Event()


def due_providers() -> list[int]:
    """Return the providers that have a dispatch to be sent now."""
    now = timezone.now()
    due = Dispatch.objects.filter(provider=OuterRef("pk"), state=Dispatch.State.QUEUED, due_at__lte=now)
    providers = Provider.objects.filter(Exists(due), enabled=True)
    return list(
        providers.exclude(paused_until__gt=now, pause_reason=Provider.Pause.NETWORK).values_list("pk", flat=True)
    )


def forward_provider(provider_id: int) -> int:
    """Send a provider's due dispatches until there are none or the run's time is over; return how many were settled."""
    provider = Provider.objects.filter(pk=provider_id, enabled=True).first()
    if provider is None:
        return 0
    settled = 0
    end = time.monotonic() + settings.FORWARD_RUN_SECONDS
    lanes = provider.max_in_flight
    in_flight: dict[Future[Added | Exception], Claim] = {}
    with connecting.connect(provider) as client, ThreadPoolExecutor(lanes, f"lane-{provider_id}") as pool:
        while True:
            claims = None
            if time.monotonic() < end and not stopping.is_set() and len(in_flight) < lanes:
                claims = claim_next(provider_id, lanes - len(in_flight))
                in_flight |= {pool.submit(send, client, claim): claim for claim in claims or ()}
            if not in_flight and claims is None:
                return settled
            for claim, outcome in finished(in_flight):
                settle(claim, outcome)
                record(provider, outcome)
                settled += 1


def send(client: Client, claim: Claim) -> Added | Exception:
    """Place one order at a provider and return what came of it, never raising: a lane has nobody to catch for it."""
    try:
        return client.add(claim.params, idempotency_key=claim.key)
    except Exception as error:  # noqa: BLE001 - an error nobody thought of is doubt, and settles as such
        return error


def finished(in_flight: dict[Future[Added | Exception], Claim]) -> Iterator[tuple[Claim, Added | Exception]]:
    """Wait for at least one lane, if any is at work, and yield what came back, so that its place is free again."""
    done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
    for future in done:
        claim, outcome = in_flight.pop(future), future.result()
        # The only copy of a reply until it is settled: a crash in between is looked up here.
        logger.info("dispatch %s attempt %s: %s", claim.dispatch_id, claim.attempt, outcome)
        yield claim, outcome


def record(provider: Provider, outcome: Added | Exception) -> None:
    """Tell the breaker how an attempt ended; a business refusal is an answer, and closes it."""
    if isinstance(outcome, Added):
        connecting.record_success(provider)
    elif isinstance(outcome, ProviderError):
        connecting.record_failure(provider, outcome)


def forward_all() -> int:
    """Forward every provider's due dispatches, one after another, until nothing is due; return how many were settled.

    What another process has in flight is its own to settle: with no room left for a provider, it is tried again.
    """
    settled = 0
    while providers := due_providers():
        for provider_id in providers:
            settled += forward_provider(provider_id)
    return settled
