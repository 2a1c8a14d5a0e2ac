"""The client's column of the fault matrix (ARCHITECTURE 6), and the eight traps, against a real socket."""

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProtocolError

from catalog.providers import transport
from catalog.providers.client import Client, Connection
from catalog.providers.errors import Reason, Unavailable, Unclear
from catalog.providers.replies import ItemError, StatusReport
from tests.unit.providers.upstream import KEY, Request, Upstream, http, reset, running

ORDER = {"service": "1", "link": "https://example.org/a", "quantity": "100"}


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """A port whose backlog is full: the system drops every further attempt to connect."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)  # noqa: FBT003 -- the signature of socket
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v2"


def free_port_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed_at_once:
        return f"http://127.0.0.1:{closed_at_once.getsockname()[1]}/api/v2"


def unavailable(client: Client) -> Unavailable:
    with client, pytest.raises(Unavailable) as caught:
        client.add(ORDER)
    return caught.value


def unclear(client: Client) -> Unclear:
    with client, pytest.raises(Unclear) as caught:
        client.add(ORDER)
    return caught.value


def test_a_refused_connection_is_unavailable_for_add() -> None:
    error = unavailable(Client(Connection(free_port_url(), KEY)))
    assert (error.reason, error.text, error.http_status) == (Reason.NETWORK, "Connection refused", None)


def test_a_name_that_is_not_found_is_unavailable_for_add(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_: Any, **__: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    error = unavailable(Client(Connection("http://provider.example/api/v2", KEY)))
    assert (error.reason, error.text) == (Reason.NETWORK, "The name was not found")


def test_a_connection_that_cannot_be_made_in_time_is_unavailable_for_add() -> None:
    with full_listener() as url:
        error = unavailable(Client(Connection(url, KEY, connect_timeout=0.2, read_timeout=0.5)))
    assert (error.reason, error.text) == (Reason.NETWORK, "The connection could not be made in time")


def test_a_certificate_that_nobody_signed_is_unavailable_for_add(tls_upstream: Upstream) -> None:
    error = unavailable(tls_upstream.client())
    assert error.reason == Reason.NETWORK
    assert "certificate" in error.text
    assert tls_upstream.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_trusted_certificate_lets_the_order_through(tls_upstream: Upstream) -> None:
    tls_upstream.answers('{"order": 5}')
    with tls_upstream.client() as client:
        assert client.add(ORDER).order_id == "5"


def test_a_certificate_for_another_name_is_unavailable(
    tls_upstream: Upstream, trusted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tls_upstream.url.split("/")[2].split(":")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address[0], int(address[1])))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    error = unavailable(Client(Connection(f"https://other.example:{address[1]}/api/v2", KEY)))
    assert error.reason == Reason.NETWORK
    assert tls_upstream.requests == []


def test_a_failed_handshake_without_a_certificate_is_unclear_for_add(upstream: Upstream) -> None:
    # Only what is known to be safe is safe: the server might have been a broken proxy.
    with running() as plain:
        plain.behaviour = lambda connection, _: reset(connection)
        url = plain.url.replace("http://", "https://")
        assert unclear(Client(Connection(url, KEY, connect_timeout=0.5, read_timeout=0.5))).reason in {"cut", "timeout"}


ANSWERS = {
    "429": (http('{"error":"Slow down"}', 429, Retry_After="7"), Reason.RATE_LIMITED, 7.0),
    "429 page": (http("<html>429</html>", 429), Reason.RATE_LIMITED, None),
    "429 epoch": (http("", 429, X_RateLimit_Reset="30"), Reason.RATE_LIMITED, 30.0),
    "rate limit with 200": (http('{"error":"Rate limit exceeded"}'), Reason.RATE_LIMITED, None),
    "maintenance with 200": (http('{"error":"This panel is temporarily unavailable"}'), Reason.MAINTENANCE, None),
    "maintenance with 503": (
        http('{"error":"This panel is temporarily unavailable."}', 503, Retry_After="60"),
        Reason.MAINTENANCE,
        60.0,
    ),
    "rate limit with 503": (http('{"error":"Too many requests"}', 503), Reason.RATE_LIMITED, None),
    "funds": (http('{"error":"Not enough funds on balance"}'), Reason.FUNDS, None),
    "funds with 402": (http('{"error":"Not enough funds on balance"}', 402), Reason.FUNDS, None),
    "key": (http('{"error":"Invalid API key"}'), Reason.KEY, None),
    "key with 401": (http('{"status":"error","message":"invalid api key."}', 401), Reason.KEY, None),
    "duplicate link": (http('{"error":"neworder.error.link_duplicate"}'), Reason.WAIT, None),
    "redirect": (http("", 302, Location="https://elsewhere.example/api/v2"), Reason.REDIRECT, None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_says_not_taken_is_unavailable_for_add(upstream: Upstream, name: str) -> None:
    answer, reason, wait = ANSWERS[name]
    upstream.behaviour = lambda connection, _: connection.sendall(answer)
    error = unavailable(upstream.client())
    assert (error.reason, error.retry_after) == (reason, wait)
    assert len(upstream.requests) == 1


def hang(upstream: Upstream) -> None:
    upstream.behaviour = lambda *_: upstream.stopped.wait(30) and None


def test_an_answer_that_never_comes_is_unclear_for_add(upstream: Upstream) -> None:
    hang(upstream)
    error = unclear(upstream.client(seconds=0.3, connect=0.1))
    assert (error.reason, error.http_status, len(upstream.requests)) == ("timeout", None, 1)


BROKEN = {
    "cut": b"",
    "half a status line": b"HTTP/1.1 2",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "body cut short": b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"order"',
    "chunk cut short": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nE\r\n{"order"',
    "broken gzip": http("{}", Content_Encoding="gzip"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_line_cut_while_waiting_is_unclear_for_add(upstream: Upstream, name: str, end: str) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(BROKEN[name])
        if end == "reset":
            reset(connection)
        else:
            connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = behave
    error = unclear(upstream.client())
    assert error.reason == "cut"
    assert len(upstream.requests) == 1


UNCLEAR = {
    "html": (http("<!DOCTYPE html><title>Just a moment...</title>"), "html"),
    "html with 403": (http("<html>403</html>", 403), "html"),
    "empty": (http(""), "empty"),
    "blanks": (http(" \r\n\t "), "empty"),
    "null": (http("null"), "no_id"),
    "text": (http("Invalid API key"), "not_json"),
    "half a JSON": (http('{"order":'), "not_json"),
    "500": (http("<html>500</html>", 500), "http_5xx"),
    "500 with a known error": (http('{"error":"Incorrect service ID"}', 500), "http_5xx"),
    "503 with a page": (http("<html>maintenance</html>", 503), "http_5xx"),
    "503 with another error": (http('{"error":"Incorrect service ID"}', 503), "http_5xx"),
    "503 behind a notice": (http('Notice {"error":"Too many requests"}', 503), "http_5xx"),
    "502 with maintenance": (http('{"error":"This panel is temporarily unavailable"}', 502), "http_5xx"),
    "522": (http("error code: 522", 522), "http_5xx"),
    "no id": (http('{"status":"success","msg":"Order scheduled"}'), "no_id"),
    "id 0": (http('{"order":0}'), "no_id"),
    "id null": (http('{"order":null}'), "no_id"),
    "id false": (http('{"order":false}'), "no_id"),
    "id true": (http('{"order":true}'), "no_id"),
    "id empty": (http('{"order":""}'), "no_id"),
    "id negative": (http('{"order":-3}'), "no_id"),
    "id with words": (http('{"order":"was placed"}'), "no_id"),
    "empty list": (http("[]"), "no_id"),
    "unknown error": (http('{"error":"The moon is full"}'), "unknown_refusal"),
    "unknown error with 400": (http('{"error":"The moon is full"}', 400), "unknown_refusal"),
    "server error": (http('{"error":"Internal server error"}'), "server_error"),
    "known error behind a notice": (http('Notice: x in y {"error":"Incorrect service ID"}'), "not_json"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_an_answer_that_proves_nothing_is_unclear_for_add(upstream: Upstream, name: str) -> None:
    answer, reason = UNCLEAR[name]
    upstream.behaviour = lambda connection, _: connection.sendall(answer)
    assert unclear(upstream.client()).reason == reason
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("name", UNCLEAR)
def test_the_same_answer_is_unavailable_for_a_read(upstream: Upstream, name: str) -> None:
    answer, _ = UNCLEAR[name]
    upstream.behaviour = lambda connection, _: connection.sendall(answer)
    with upstream.client() as client, pytest.raises(Unavailable):
        client.balance()


@pytest.mark.parametrize("name", BROKEN)
def test_a_cut_line_is_unavailable_for_a_read(upstream: Upstream, name: str) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(BROKEN[name])
        connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = behave
    with upstream.client() as client, pytest.raises(Unavailable) as caught:
        client.status(["1", "2"])
    assert caught.value.reason == Reason.NETWORK


# The eight traps.


def test_trap_1_causes_decide_whether_a_connection_was_made() -> None:
    never = [
        NewConnectionError(None, "refused"),  # type: ignore[arg-type] # the connection is only for its text
        ConnectTimeoutError("late"),
        NameResolutionError("host", None, socket.gaierror()),  # type: ignore[arg-type] # as above
    ]
    maybe = [ProtocolError("Connection aborted.", ConnectionResetError()), RuntimeError("anything new")]
    assert [transport._trouble(transport.requests.ConnectionError(cause))[0] for cause in never] == ["unreached"] * 3
    assert [transport._trouble(transport.requests.ConnectionError(cause))[0] for cause in maybe] == ["cut"] * 2


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


def test_trap_3_a_connection_is_tried_three_times_and_a_request_sent_once(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Any] = []

    def refused(_: socket.socket, address: Any) -> NoReturn:
        attempts.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        unavailable(upstream.client())
    assert len(attempts) == 3
    upstream.behaviour = lambda connection, _: reset(connection)
    unclear(upstream.client())
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
    upstream.answers('{"charge": 0.1000000000000000055511151231257827, "status": "Partial", "remains": "157", "start_count": 3.0}')
    with upstream.client() as client:
        report = client.status([" 00123 "])["00123"]
    assert isinstance(report, StatusReport)
    assert report.charge == Decimal("0.1000000000000000055511151231257827")
    assert (report.remains, report.start_count) == (157, 3)
    assert upstream.requests[0].params["order"] == "00123"


def test_trap_7_one_order_of_a_batch_never_speaks_for_another(upstream: Upstream) -> None:
    upstream.answers('{"1": {"status": "Completed", "remains": "0"}, "2": {"error": "Incorrect order ID"}, "4": {"status": "Old"}}')
    with upstream.client() as client:
        news = client.status(["1", "2", "3", "4"])
    assert list(news) == ["1", "2", "4"]
    assert news["2"] == ItemError("Incorrect order ID", "order_unknown")
    assert isinstance(news["4"], StatusReport)
    assert (news["4"].status, news["4"].word) == (None, "Old")


def drip(upstream: Upstream, start: bytes, endless: bytes, *, pause: float) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(start)
        while not upstream.stopped.wait(pause):
            connection.sendall(endless)

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
            client.add({**ORDER, "comments": "a comment\n" * 2_000_000})
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 3


def test_a_name_look_up_that_hangs_does_not_outlast_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hanging(*_: Any, **__: Any) -> list[Any]:
        answered.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    began = time.monotonic()
    error = unavailable(Client(Connection("http://provider.example/api/v2", KEY, connect_timeout=0.2, read_timeout=0.2)))
    answered.set()
    assert error.reason == Reason.NETWORK
    assert time.monotonic() - began < 1.5


# Beyond the matrix.


def test_headers_cut_off_are_unclear_for_add(upstream: Upstream) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = behave
    assert unclear(upstream.client()).reason == "empty"


def test_an_order_id_in_a_body_cut_behind_it_is_believed(upstream: Upstream) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"order": 23501}')
        connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = behave
    with upstream.client() as client:
        assert client.add(ORDER).order_id == "23501"


def test_a_bare_number_cut_off_is_no_id(upstream: Upstream) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n235")
        connection.shutdown(socket.SHUT_RDWR)

    upstream.behaviour = behave
    assert unclear(upstream.client()).reason == "cut"


def test_an_answer_beyond_the_cap_is_not_read_on(upstream: Upstream) -> None:
    upstream.answers(b'{"order": 5, "x": "' + b"a" * 2_000_000 + b'"}')
    error = unclear(upstream.client())
    assert (error.reason, len(error.evidence)) == ("too_large", 2048)


def test_the_cap_counts_what_is_unpacked(upstream: Upstream) -> None:
    upstream.answers(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip")
    assert unclear(upstream.client()).reason == "too_large"


def test_a_service_list_may_be_larger_than_other_answers(upstream: Upstream) -> None:
    rows = [{"service": n, "name": "x" * 500, "rate": "1", "min": "1", "max": "9"} for n in range(1, 4001)]
    upstream.answers(json.dumps(rows))
    with upstream.client(seconds=20) as client:
        assert len(client.services().rows) == 4000


def test_one_client_serves_many_threads(upstream: Upstream) -> None:
    def behave(connection: socket.socket, request: Request) -> None:
        asked = request.params["order"]
        connection.sendall(http(f'{{"status": "Completed", "charge": "{asked}"}}'))

    upstream.behaviour = behave
    with upstream.client() as client, ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda n: client.status([str(n)])[str(n)], range(1, 101)))
    assert [report.charge for report in reports if isinstance(report, StatusReport)] == [Decimal(n) for n in range(1, 101)]
    assert upstream.connections <= 8


def test_half_the_time_is_given_to_balance_and_twice_to_services(upstream: Upstream) -> None:
    hang(upstream)
    took = []
    with upstream.client(seconds=0.4, connect=0.1) as client:
        for call in (client.balance, client.services):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                call()
            took.append(time.monotonic() - began)
    assert 0.2 < took[0] < 0.6 < took[1] < 1.6


def test_the_environments_proxies_are_not_used(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", free_port_url())
    upstream.answers('{"order": 5}')
    with upstream.client() as client:
        assert client.add(ORDER).order_id == "5"


def test_cookies_are_not_kept(upstream: Upstream) -> None:
    upstream.answers('{"balance": "1"}', Set_Cookie="PHPSESSID=1; path=/")
    with upstream.client() as client:
        client.balance()
        client.balance()
    assert "cookie" not in upstream.requests[1].head.lower()
