"""The eight traps of ARCHITECTURE 3, each sprung against a real socket."""

import socket
import threading
import time
from decimal import Decimal
from typing import Any, NoReturn

import pytest
import requests
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProtocolError

from catalog.providers import transport
from catalog.providers.client import Client, Connection
from catalog.providers.dialects import Dialect
from catalog.providers.errors import Reason, Unclear
from catalog.providers.replies import ItemError, StatusReport
from tests.unit.providers.upstream import KEY, ORDER, Request, Upstream, reset, unavailable, unclear


def test_trap_1_causes_decide_whether_a_connection_was_made() -> None:
    never = [
        NewConnectionError(None, "refused"),  # type: ignore[arg-type] # the connection is only for its text
        ConnectTimeoutError("late"),
        NameResolutionError("host", None, socket.gaierror()),  # type: ignore[arg-type] # as above
    ]
    maybe = [ProtocolError("Connection aborted.", ConnectionResetError()), RuntimeError("anything new")]
    assert [transport._trouble(requests.ConnectionError(cause))[0] for cause in never] == ["unreached"] * 3
    assert [transport._trouble(requests.ConnectionError(cause))[0] for cause in maybe] == ["cut"] * 2


def test_trap_2_add_opens_a_connection_of_its_own_and_reads_keep_theirs(upstream: Upstream) -> None:
    upstream.answers('{"order": 5, "balance": "1.00", "currency": "USD"}')
    with upstream.client() as client:
        for _ in range(3):
            client.balance()
        client.add(ORDER)
        client.add(ORDER)
        client.balance()
    assert [request.connection for request in upstream.requests] == [1, 1, 1, 2, 3, 1]


def test_trap_2_a_kept_connection_that_died_does_not_touch_an_add(upstream: Upstream) -> None:
    upstream.answers('{"order": 5, "balance": "1.00"}')
    with upstream.client() as client:
        client.balance()
        for connection in upstream._open:
            reset(connection)
        assert client.add(ORDER).order_id == "5"


def test_trap_3_a_connection_is_tried_three_times(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[Any] = []

    def refused(_: socket.socket, address: Any) -> NoReturn:
        attempts.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        unavailable(upstream.client())
    assert len(attempts) == 3


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_trap_3_a_request_that_may_have_been_read_is_sent_once(upstream: Upstream, method: str) -> None:
    upstream.behaviour = lambda connection, _: reset(connection)
    unclear(upstream.client(Dialect(method=method)))
    assert len(upstream.requests) == 1


def test_trap_3_an_answer_that_asks_for_a_retry_is_handed_on(upstream: Upstream) -> None:
    upstream.answers('{"error":"Too many requests"}', 429, Retry_After="1")
    assert unavailable(upstream.client(Dialect(method="GET"))).retry_after == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("location", ["/elsewhere", "https://other.example/api/v2", "http://[broken", ""])
def test_trap_4_a_redirect_is_reported_and_never_followed(upstream: Upstream, location: str) -> None:
    upstream.answers("<html>moved</html>", 301, Location=location)
    error = unavailable(upstream.client())
    assert error.reason == Reason.REDIRECT
    assert (location or "nowhere") in error.text
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 302, 400, 429, 500, 503])
def test_trap_5_an_order_id_counts_with_any_http_status(upstream: Upstream, status: int) -> None:
    upstream.answers('{"order": 23501}', status)
    with upstream.client() as client:
        assert client.add(ORDER).order_id == "23501"


def test_trap_6_ids_are_text_and_amounts_exact(upstream: Upstream) -> None:
    upstream.answers(
        '{"charge": 0.1000000000000000055511151231257827, "status": "Partial", "remains": "157", "start_count": 3.0}'
    )
    with upstream.client() as client:
        report = client.status([" 00123 "])["00123"]
    assert isinstance(report, StatusReport)
    assert report.charge == Decimal("0.1000000000000000055511151231257827")
    assert (report.remains, report.start_count) == (157, 3)
    assert upstream.requests[0].params["order"] == "00123"


def test_trap_7_one_order_of_a_batch_never_speaks_for_another(upstream: Upstream) -> None:
    upstream.answers(
        '{"1": {"status": "Completed", "remains": "0"}, "2": {"error": "Incorrect order ID"}, "4": {"status": "Old"}}'
    )
    with upstream.client() as client:
        news = client.status(["1", "2", "3", "4"])
    assert list(news) == ["1", "2", "4"]
    assert news["2"] == ItemError("Incorrect order ID", "order_unknown", "later")
    assert isinstance(news["4"], StatusReport)
    assert (news["4"].status, news["4"].word) == (None, "Old")


def drip(upstream: Upstream, start: bytes, endless: bytes, *, pause: float) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(start)
        ends = time.monotonic() + 5
        while time.monotonic() < ends and not upstream.stopped.wait(pause):
            connection.sendall(endless)
        connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = behave


DRIPS = {
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ", 0.05),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a", 0.05),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
}


@pytest.mark.parametrize("name", DRIPS)
def test_trap_8_an_answer_that_dribbles_is_cut_off_at_the_deadline(upstream: Upstream, name: str) -> None:
    start, endless, pause = DRIPS[name]
    drip(upstream, start, endless, pause=pause)
    began = time.monotonic()
    assert unclear(upstream.client(seconds=0.4, connect=0.1)).reason == "timeout"
    assert 0.4 < time.monotonic() - began < 1.5


def test_a_long_connect_time_out_does_not_prolong_the_wait_for_an_answer(upstream: Upstream) -> None:
    drip(upstream, b"", b"", pause=0.05)
    began = time.monotonic()
    assert unclear(upstream.client(seconds=0.4, connect=30)).reason == "timeout"
    assert 0.4 < time.monotonic() - began < 1.5


@pytest.mark.usefixtures("trusted")
def test_trap_8_holds_over_tls(tls_upstream: Upstream) -> None:
    drip(tls_upstream, *DRIPS["body"][:2], pause=0.05)
    began = time.monotonic()
    assert unclear(tls_upstream.client(seconds=0.4, connect=0.1)).reason == "timeout"
    assert 0.4 < time.monotonic() - began < 1.5


def test_trap_8_a_handshake_that_never_ends_is_cut_off(upstream: Upstream) -> None:
    silent = upstream.url.replace("http://", "https://")
    began = time.monotonic()
    unclear(Client(Connection(silent, KEY, connect_timeout=0.1, read_timeout=0.4)))
    assert time.monotonic() - began < 1.5


def test_trap_8_a_request_that_nobody_reads_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v2"
        client = Client(Connection(url, KEY, connect_timeout=0.1, read_timeout=0.4))
        began = time.monotonic()
        with client, pytest.raises(Unclear) as caught:
            client.add({**ORDER, "comments": "x" * 20_000_000})
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 3


def test_a_name_look_up_that_hangs_does_not_outlast_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hanging(*_: Any, **__: Any) -> list[Any]:
        answered.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    began = time.monotonic()
    error = unavailable(
        Client(Connection("http://provider.example/api/v2", KEY, connect_timeout=0.2, read_timeout=0.2))
    )
    answered.set()
    assert error.reason == Reason.NETWORK
    assert time.monotonic() - began < 1.5
