"""The client's column of the fault matrix (ARCHITECTURE 6), against a real socket."""

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest

from catalog.providers.client import Client, Connection
from catalog.providers.errors import Reason, Unavailable
from tests.unit.providers.upstream import (
    KEY,
    ORDER,
    Request,
    Upstream,
    free_port_url,
    http,
    reset,
    unavailable,
    unclear,
)


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """A port whose backlog is full: the system drops every further attempt to connect."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/v2"


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


def test_a_failed_handshake_is_unclear_for_add() -> None:
    # Only what is known to be safe is safe: this might be a proxy that broke behind the request.
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def answer_in_plain_text() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(4096)

        pool.submit(answer_in_plain_text)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/api/v2"
        assert unclear(Client(Connection(url, KEY, connect_timeout=2, read_timeout=2))).reason == "cut"


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


def test_an_answer_that_never_comes_is_unclear_for_add(upstream: Upstream) -> None:
    upstream.behaviour = lambda *_: upstream.hang()
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
