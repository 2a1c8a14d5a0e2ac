"""The broker is flushed and taken away under customers who go on buying over `/api/v2`: it carries nothing of value."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from accounts.models import User
from catalog.models import Service
from catalog.providers.sandbox import Sandbox
from orders.models import Dispatch, Order
from tests.chaos.crew import hired
from tests.conftest import Fund, Place
from tests.processes import free_port, serving_panel, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker]
State = Dispatch.State


class Buyer:
    """A reseller's script that orders without a pause; `bought` are the ids it was told, `failures` anything else."""

    def __init__(self, url: str, api_key: str, service: Service) -> None:
        self.url, self.api_key, self.service = f"{url}/api/v2", api_key, service
        self.bought: list[int] = []
        self.failures: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        """Buy until told to stop, at most twenty times a second."""
        with requests.Session() as session:
            while not self.stopping.wait(0.05):
                asked = {"key": self.api_key, "action": "add", "service": str(self.service.pk)}
                asked |= {"link": f"https://example.org/{len(self.bought)}", "quantity": str(self.service.min)}
                try:
                    told = session.post(self.url, data=asked, timeout=10).json()
                    self.bought.append(int(told["order"]))
                except (OSError, KeyError, ValueError) as error:
                    self.failures.append(repr(error))

    def buy_more(self, number: int) -> None:
        """Wait until so many further orders have been bought."""
        goal = len(self.bought) + number
        wait_for(lambda: len(self.bought) >= goal or self.failures, what=f"{number} more orders")
        assert not self.failures


@contextmanager
def buying(buyer: Buyer) -> Iterator[Buyer]:
    thread = threading.Thread(target=buyer.run)
    thread.start()
    try:
        yield buyer
    finally:
        buyer.stopping.set()
        thread.join()


def sent(number: int) -> bool:
    return Dispatch.objects.filter(state=State.SENT).count() >= number


def test_buying_goes_on_while_the_broker_is_flushed_and_away_and_everything_is_sent_once(
    customer: User, service: Service, api_key: str, fund: Fund, sandbox: Sandbox, books: None, tmp_path: Path
) -> None:
    fund(customer, "1000")
    with (
        hired(tmp_path) as crew,
        serving_panel(free_port(), REDIS_URL=crew.broker.url) as url,
        buying(Buyer(url, api_key, service)) as buyer,
    ):
        crew.start("broker", "forward", "default", "beat")
        wait_for(lambda: sent(1), what="the first order to be sent")

        crew.broker.flush()
        buyer.buy_more(5)
        wait_for(lambda: sent(len(buyer.bought)), what="what was bought after the flush to be sent")

        crew.broker.kill()
        buyer.buy_more(20)
        assert not crew.broker.answers()
        # The workers may finish a run that they had begun; without a broker there is no further one.
        wait_for(lambda: Dispatch.objects.filter(state=State.QUEUED).count() >= 10, what="orders that wait")

        crew.broker.start()
        buyer.buy_more(5)
        buyer.stopping.set()
        wait_for(lambda: sent(Order.objects.count()), what="everything to be sent")
        assert crew.deserters == []

    assert not buyer.failures
    assert set(Order.objects.values_list("pk", flat=True)) == set(buyer.bought)
    assert [sandbox.accepted(link) for link in Order.objects.values_list("link", flat=True)] == [1] * len(buyer.bought)
    assert set(Dispatch.objects.values_list("state", "attempt")) == {(State.SENT, 1)}


def test_a_worker_outlives_its_broker_and_settles_what_was_in_flight(
    customer: User, service: Service, fund: Fund, place: Place, sandbox: Sandbox, books: None, tmp_path: Path
) -> None:
    """Were it to end because the connection broke, every order that it was sending would be left in doubt."""
    fund(customer, "100")
    # Longer than a worker takes to give up a connection that broke.
    sandbox.misbehave("add", "slow", seconds=3)
    with hired(tmp_path, PROVIDER_READ_TIMEOUT="6", DISPATCH_LEASE_SECONDS="12") as crew:
        crew.start("broker", "forward", "beat")
        first = place(customer, service)
        wait_for(lambda: sandbox.accepted(first.link), what="the provider to accept")
        crew.broker.kill()
        wait_for(lambda: sent(1), what="the answer to be settled")
        second = place(customer, service)
        crew.broker.start()
        wait_for(lambda: sent(2) or crew.deserters, what="the second order to be sent by the same worker")
        assert crew.deserters == []
    assert [sandbox.accepted(order.link) for order in (first, second)] == [1, 1]
