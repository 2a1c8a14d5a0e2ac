"""What an exchange leaves behind: connections, time, caps, and nothing from the environment."""

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from catalog.providers.errors import Unavailable
from catalog.providers.replies import StatusReport
from tests.unit.providers.upstream import ORDER, Request, Upstream, free_port_url, http, unclear


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


def test_a_body_without_end_is_left_at_the_cap(upstream: Upstream) -> None:
    def behave(connection: socket.socket, _: Request) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not upstream.stopped.is_set():
            connection.sendall(b" " * 65536)

    upstream.behaviour = behave
    began = time.monotonic()
    assert unclear(upstream.client(seconds=20)).reason == "too_large"
    assert time.monotonic() - began < 10


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
    assert [report.charge for report in reports if isinstance(report, StatusReport)] == [
        Decimal(n) for n in range(1, 101)
    ]
    assert upstream.connections <= 8


def test_half_the_time_is_given_to_balance_and_twice_to_services(upstream: Upstream) -> None:
    upstream.behaviour = lambda *_: upstream.hang()
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
