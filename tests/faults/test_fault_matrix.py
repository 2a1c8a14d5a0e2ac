"""The fault matrix of ARCHITECTURE 6, row by row, against a provider that really misbehaves, with its invariants."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone

from accounts import ledger
from accounts.models import User
from catalog.models import Provider, Route, Service
from catalog.providers.sandbox import Sandbox, serving
from orders import auditing, forwarding
from orders.models import Dispatch, Order
from tests.conftest import Fund, Place, make_provider
from tests.processes import free_port

LINK = "https://example.org/page"
State = Dispatch.State


@dataclass
class Bench:
    """One customer with funds, one service at a sandbox, and what the invariants need to know."""

    customer: User
    service: Service
    provider: Provider
    sandbox: Sandbox
    place: Place

    def order(self) -> Order:
        return self.place(self.customer, self.service, link=LINK)

    def forward(self) -> None:
        for provider_id in Provider.objects.values_list("pk", flat=True):
            forwarding.forward_provider(provider_id)

    def dispatch(self, order: Order) -> Dispatch:
        return order.dispatches.latest("pk")


@pytest.fixture
def bench(
    customer: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place, fund: Fund
) -> Iterator[Bench]:
    """Yield the bench, then hold the invariants of ARCHITECTURE 6 against whatever the test has done."""
    fund(customer, "100")
    yield Bench(customer, service, provider, sandbox, place)
    assert auditing.find_differences() == []
    assert sandbox.accepted(LINK) <= Order.objects.count()
    spent = sum((order.net_charge for order in Order.objects.all()), Decimal(0))
    assert ledger.read_balance(customer.pk) == Decimal(100) - spent
    assert not Dispatch.objects.filter(state__in=[State.QUEUED, State.LEASED], due_at=None).exists()
    for order in Order.objects.all():
        alive = order.dispatches.exclude(state=State.REJECTED).exists()
        assert alive or order.refunded == order.charge


def assert_charged(order: Order) -> None:
    order.refresh_from_db()
    assert order.status == Order.Status.PENDING
    assert order.refunded == 0


def assert_returned(order: Order) -> None:
    order.refresh_from_db()
    assert order.status == Order.Status.CANCELED
    assert order.refunded == order.charge


def point_at(provider: Provider, url: str) -> None:
    provider.api_url = url
    provider.save(update_fields=["api_url"])


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield the address of a listener that takes no more connections, so that connecting times out."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
            waiting.append(sock)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v2"
        for sock in waiting:
            sock.close()


@contextmanager
def untrusted_https(folder: Path) -> Iterator[str]:
    """Yield the address of a server whose certificate nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "untrusted.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            listener.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                    context.wrap_socket(connection, server_side=True).close()
                except (OSError, ssl.SSLError):
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/api/v2"
        stop.set()
        thread.join()


@contextmanager
def nothing_there(_: Path) -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}/api/v2"


@contextmanager
def no_such_name(_: Path) -> Iterator[str]:
    yield "http://no-such-host.invalid/api/v2"


@contextmanager
def busy_listener(_: Path) -> Iterator[str]:
    with full_backlog() as url:
        yield url


@pytest.mark.parametrize(
    "place_like_that", [no_such_name, nothing_there, busy_listener, untrusted_https], ids=lambda place: place.__name__
)
def test_a_provider_that_cannot_be_reached_gets_the_order_later(
    bench: Bench, tmp_path: Path, place_like_that: Callable[[Path], AbstractContextManager[str]]
) -> None:
    order = bench.order()
    with place_like_that(tmp_path) as url:
        point_at(bench.provider, url)
        bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.doubtful, dispatch.attempt) == (State.QUEUED, False, 1)
    assert_charged(order)

    point_at(bench.provider, bench.sandbox.url)
    Dispatch.objects.update(due_at=dispatch.created_at)
    bench.forward()
    assert bench.dispatch(order).state == State.SENT
    assert bench.sandbox.accepted(LINK) == 1


@pytest.mark.parametrize("kind", ["refuse_429", "maintenance_503"])
def test_a_provider_that_asks_for_time_gets_the_order_later(bench: Bench, kind: str) -> None:
    bench.sandbox.misbehave("add", kind, seconds=60)
    order = bench.order()
    bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.doubtful) == (State.QUEUED, False)
    assert dispatch.due_at is not None
    assert dispatch.due_at > timezone.now() + datetime.timedelta(seconds=50)
    assert_charged(order)


REFUSED_FOR_NOW = [
    ("error", "Not enough funds on balance", Dispatch.Hold.FUNDS, ""),
    ("error", "Invalid API key", Dispatch.Hold.KEY, Provider.Pause.KEY),
    ("redirect", "", Dispatch.Hold.REDIRECT, Provider.Pause.REDIRECT),
]


@pytest.mark.parametrize(("kind", "text", "hold", "pause"), REFUSED_FOR_NOW)
def test_what_only_staff_can_mend_holds_the_order(bench: Bench, kind: str, text: str, hold: str, pause: str) -> None:
    bench.sandbox.misbehave("add", kind, body=text)
    order = bench.order()
    bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.hold, dispatch.doubtful) == (State.HELD, hold, False)
    bench.provider.refresh_from_db()
    assert bench.provider.pause_reason == pause
    assert_charged(order)


@pytest.mark.parametrize(("kind", "text", "hold", "pause"), REFUSED_FOR_NOW)
def test_what_only_staff_can_mend_takes_the_next_route(
    bench: Bench, kind: str, text: str, hold: str, pause: str
) -> None:
    with serving(Sandbox(pace=0)) as url:
        other = add_route(bench.service, url)
        bench.sandbox.misbehave("add", kind, body=text)
        order = bench.order()
        bench.forward()
        bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.provider) == (State.SENT, other)
    assert bench.sandbox.accepted(LINK) == 0


def add_route(service: Service, url: str) -> Provider:
    """Give a service a second route, to the same service of another sandbox."""
    first = service.routes.get()
    other = make_provider(url)
    twin = first.provider_service
    twin.pk, twin.provider = None, other
    twin.save(force_insert=True)
    Route.objects.create(service=service, provider_service=twin, position=2)
    return other


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("hang", 1),
        ("reset", 1),
        ("cut", 1),
        ("accepted_500", 1),
        ("garbage", 1),
        ("no_id", 1),
        ("cut_before", 0),
        ("html", 0),
        ("http500", 0),
        ("empty", 0),
    ],
)
def test_an_answer_that_proves_nothing_is_never_sent_again(bench: Bench, kind: str, taken: int) -> None:
    bench.sandbox.misbehave("add", kind, seconds=30)
    with serving(Sandbox(pace=0)) as url:
        add_route(bench.service, url)
        order = bench.order()
        bench.forward()
        bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.doubtful, dispatch.provider) == (State.UNCLEAR, True, bench.provider)
    assert bench.sandbox.accepted(LINK) == taken
    assert_charged(order)


def test_a_refusal_in_unknown_words_is_unclear(bench: Bench) -> None:
    bench.sandbox.misbehave("add", "error", body="The moon is full")
    order = bench.order()
    bench.forward()
    dispatch = bench.dispatch(order)
    assert dispatch.state == State.UNCLEAR
    assert "The moon is full" in dispatch.evidence
    assert_charged(order)


@pytest.mark.parametrize("text", ["Invalid link", "Quantity less than minimal 100000"])
def test_a_refusal_that_any_provider_would_give_cancels_and_refunds(bench: Bench, text: str) -> None:
    bench.sandbox.misbehave("add", "error", body=text)
    with serving(Sandbox(pace=0)) as url:
        add_route(bench.service, url)
        order = bench.order()
        bench.forward()
        bench.forward()
    assert bench.dispatch(order).state == State.REJECTED
    assert order.dispatches.count() == 1
    assert_returned(order)


def test_a_service_that_a_provider_does_not_know_takes_the_next_route(bench: Bench) -> None:
    bench.sandbox.misbehave("add", "error", body="Incorrect service ID")
    with serving(Sandbox(pace=0)) as url:
        other = add_route(bench.service, url)
        order = bench.order()
        bench.forward()
        bench.forward()
    assert bench.dispatch(order).provider == other
    assert bench.dispatch(order).state == State.SENT


def test_a_service_that_no_provider_knows_cancels_and_refunds(bench: Bench) -> None:
    bench.sandbox.misbehave("add", "error", body="Incorrect service ID")
    order = bench.order()
    bench.forward()
    assert bench.dispatch(order).state == State.REJECTED
    assert_returned(order)


def send_again(order: Order) -> None:
    """Queue a dispatch in doubt, as staff or its key allow it."""
    leave = order.created_at + datetime.timedelta(days=1)
    Dispatch.objects.update(state=State.QUEUED, due_at=order.created_at, resend_until=leave)


@pytest.mark.parametrize("text", ["Invalid link", "Incorrect service ID", "Not enough funds on balance"])
def test_a_refusal_after_an_attempt_in_doubt_refunds_nothing(bench: Bench, text: str) -> None:
    bench.sandbox.misbehave("add", "reset")
    bench.sandbox.misbehave("add", "error", body=text)
    with serving(Sandbox(pace=0)) as url:
        add_route(bench.service, url)
        order = bench.order()
        bench.forward()
        send_again(order)
        bench.forward()
        bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.doubtful, dispatch.provider) == (State.UNCLEAR, True, bench.provider)
    assert text in dispatch.evidence
    assert_charged(order)


def test_an_order_that_would_cost_more_than_its_charge_is_held(bench: Bench) -> None:
    order = bench.order()
    remote = bench.service.routes.get().provider_service
    remote.rate *= 100
    remote.save()
    bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.hold) == (State.HELD, Dispatch.Hold.LOSS)
    assert bench.sandbox.accepted(LINK) == 0
    assert_charged(order)


def test_after_a_day_of_no_answer_the_order_is_given_up_and_refunded(bench: Bench) -> None:
    point_at(bench.provider, f"http://127.0.0.1:{free_port()}/api/v2")
    order = bench.order()
    bench.forward()
    day = datetime.timedelta(hours=25)
    dispatch = bench.dispatch(order)
    Dispatch.objects.update(due_at=dispatch.created_at, failing_since=dispatch.created_at - day)
    bench.forward()
    assert bench.dispatch(order).state == State.REJECTED
    assert_returned(order)


def test_a_doubtful_order_is_never_given_up(bench: Bench) -> None:
    point_at(bench.provider, f"http://127.0.0.1:{free_port()}/api/v2")
    order = bench.order()
    day = datetime.timedelta(hours=25)
    leave = order.created_at + day
    Dispatch.objects.update(doubtful=True, resend_until=leave, failing_since=order.created_at - day)
    bench.forward()
    assert bench.dispatch(order).state == State.QUEUED
    assert_charged(order)


def make_dear(bench: Bench) -> None:
    remote = bench.service.routes.order_by("position")[0].provider_service
    remote.rate *= 100
    remote.save()


def pause_by_staff(bench: Bench) -> None:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    Provider.objects.filter(pk=bench.provider.pk).update(paused_until=until, pause_reason=Provider.Pause.STAFF)


@pytest.mark.parametrize("obstacle", [make_dear, pause_by_staff])
def test_what_stands_in_the_way_sends_an_order_to_the_next_route(
    bench: Bench, obstacle: Callable[[Bench], None]
) -> None:
    Service.objects.update(loss_policy=Service.LossPolicy.NEXT_ROUTE)
    with serving(Sandbox(pace=0)) as url:
        other = add_route(bench.service, url)
        order = bench.order()
        obstacle(bench)
        bench.forward()
        bench.forward()
    assert bench.dispatch(order).provider == other
    assert bench.dispatch(order).state == State.SENT


@pytest.mark.parametrize("obstacle", [make_dear, pause_by_staff])
def test_what_stands_in_the_way_holds_an_order_that_was_in_doubt(
    bench: Bench, obstacle: Callable[[Bench], None]
) -> None:
    Service.objects.update(loss_policy=Service.LossPolicy.NEXT_ROUTE)
    bench.sandbox.misbehave("add", "reset")
    with serving(Sandbox(pace=0)) as url:
        add_route(bench.service, url)
        order = bench.order()
        bench.forward()
        send_again(order)
        obstacle(bench)
        bench.forward()
        bench.forward()
    dispatch = bench.dispatch(order)
    assert (dispatch.state, dispatch.provider, dispatch.doubtful) == (State.HELD, bench.provider, True)
    assert_charged(order)
