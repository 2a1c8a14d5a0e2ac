import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, connections

from accounts.models import User
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import forwarding
from orders.models import Dispatch
from tests.conftest import Fund, Place
from tests.processes import wait_for

State = Dispatch.State


@pytest.fixture
def funded(customer: User, fund: Fund) -> User:
    fund(customer, "1000")
    return customer


def test_each_order_is_sent_with_the_parameters_of_its_type(
    funded: User, sandbox: Sandbox, provider: Provider, make_service: Callable[..., Service], place: Place, books: None
) -> None:
    rows = {row["type"]: row for row in reversed(sandbox.services.values()) if row["rate"] != "0"}
    for kind in ("Default", "Package", "Custom Comments"):
        row = rows[kind]
        service = make_service(type=kind, remote_id=str(row["service"]), rate=row["rate"], min=1, max=100_000)
        place(funded, service, link="https://example.org/", quantity=row["min"], comments="one\ntwo\nthree\nfour\nfive")
    forwarding.forward_all()
    sent = {call["service"]: call for call in sandbox.received if call["action"] == "add"}
    assert set(sent[str(rows["Default"]["service"])]) == {"key", "action", "service", "link", "quantity"}
    assert set(sent[str(rows["Package"]["service"])]) == {"key", "action", "service", "link"}
    assert sent[str(rows["Custom Comments"]["service"])]["comments"] == "one\ntwo\nthree\nfour\nfive"
    assert set(Dispatch.objects.values_list("state", flat=True)) == {State.SENT}


def test_a_disabled_provider_gets_nothing(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    order = place(funded, service)
    Provider.objects.update(enabled=False)
    assert forwarding.forward_all() == 0
    assert order.dispatches.get().state == State.QUEUED


@pytest.fixture
def forward_beside(provider: Provider) -> Iterator[threading.Thread]:
    """Start forwarding in a thread of its own, with its own connection, and wait for its end with the test's."""

    def run() -> None:
        forwarding.forward_provider(provider.pk)
        connections.close_all()

    thread = threading.Thread(target=run)
    yield thread
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_settled_although_the_database_was_away_for_a_moment(
    funded: User, service: Service, sandbox: Sandbox, place: Place, forward_beside: threading.Thread, books: None
) -> None:
    sandbox.misbehave("add", "hang", seconds=1.5)
    order = place(funded, service)
    forward_beside.start()
    wait_for(lambda: sandbox.accepted(order.link), what="the provider to accept")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert cursor.fetchone()[0]
    wait_for(lambda: order.dispatches.get().state == State.SENT, what="the answer to be settled")


@pytest.mark.django_db(transaction=True)
def test_while_one_lane_hangs_the_others_go_on(
    funded: User, service: Service, sandbox: Sandbox, place: Place, forward_beside: threading.Thread
) -> None:
    sandbox.misbehave("add", "slow", seconds=2.5)
    first = place(funded, service)
    forward_beside.start()
    wait_for(lambda: Dispatch.objects.filter(state=State.LEASED).exists(), what="the slow one to be sent")
    second = place(funded, service)
    wait_for(lambda: second.dispatches.get().state == State.SENT, what="the second one", seconds=2.5)
    assert first.dispatches.get().state == State.LEASED
    assert forwarding.due_providers() == []
    forward_beside.join()
    assert first.dispatches.get().state == State.SENT


def test_an_answer_is_logged_before_it_is_settled(
    funded: User, service: Service, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    order = place(funded, service)
    caplog.set_level("INFO", logger=forwarding.answers.name)
    forwarding.answers.addHandler(caplog.handler)
    try:
        forwarding.forward_all()
    finally:
        forwarding.answers.removeHandler(caplog.handler)
    dispatch = order.dispatches.get()
    assert f"dispatch {dispatch.pk} attempt 1" in caplog.text
    assert dispatch.remote_id in caplog.text
