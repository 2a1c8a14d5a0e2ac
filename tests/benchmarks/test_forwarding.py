"""Forwarding and syncing against what the provider's own pace allows (LIMITS 3.2 and 3.3)."""

import sys
import time
from collections.abc import Iterator

import pytest
import requests
from django.utils import timezone

from accounts.models import User
from catalog.models import Provider, Service
from orders import forwarding, syncing
from orders.models import Dispatch
from tests.conftest import Fund, MakeService, Place, make_provider
from tests.processes import ROOT, answers, free_port, running, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

LANES = 16
ANSWERS_AFTER = 0.05
ORDERS = 480


@pytest.fixture
def slow_provider(db: None) -> Iterator[Provider]:
    """A sandbox in a process of its own that takes 50 ms for every answer."""
    port = free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "run_sandbox", "--port", str(port), "--pace", "0"]
    with running(command):
        wait_for(lambda: answers(port), what="the sandbox")
        for action in ("add", "status"):
            script = {"op": "misbehave", "action": action, "kind": "slow", "times": 10**6, "seconds": ANSWERS_AFTER}
            control = f"http://127.0.0.1:{port}/__sandbox__"
            told = requests.post(control, json={"key": "sandbox-key", **script}, timeout=5)
            assert told.status_code == 200, told.text
        yield make_provider(f"http://127.0.0.1:{port}/api/v2", max_in_flight=LANES)


def say(name: str, rate: float, ideal: float) -> None:
    print(f"{name:<28} {rate:>10.0f} /s   ideal {ideal:>8.0f} /s   share {rate / ideal:>6.0%}")  # noqa: T201 - its purpose


def test_forwarding_and_syncing(
    slow_provider: Provider, customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    service: Service = make_service(provider=slow_provider, remote_id="11", min=100)
    fund(customer, "100000")
    for _ in range(ORDERS):
        place(customer, service)

    start = time.perf_counter()
    assert forwarding.forward_all() == ORDERS
    seconds = time.perf_counter() - start
    assert set(Dispatch.objects.values_list("state", flat=True)) == {Dispatch.State.SENT}
    say("forwarding", ORDERS / seconds, LANES / ANSWERS_AFTER)

    Dispatch.objects.update(poll_at=timezone.now())
    start = time.perf_counter()
    assert syncing.sync_provider(slow_provider.pk) == ORDERS
    seconds = time.perf_counter() - start
    say("syncing, one worker", ORDERS / seconds, 100 / ANSWERS_AFTER)
