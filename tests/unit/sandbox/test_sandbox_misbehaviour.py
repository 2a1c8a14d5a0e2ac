"""Each misbehaviour, seen from a plain socket: what arrives, how it ends, and whether the order was taken."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from catalog.providers.sandbox import KINDS, Misbehaviour, Sandbox, serving
from catalog.providers.sandbox.faults import AFTER_ACCEPTANCE, ANSWERED_ODDLY, BEFORE_ACCEPTANCE

Call = Callable[..., Any]
LINK = "https://example.com/page"
ORDER = {"key": "sandbox-key", "action": "add", "service": "1", "link": LINK, "quantity": "100"}


@dataclass
class Seen:
    """What came over the wire, after how many seconds, and whether it ended by a reset."""

    first: bytes
    raw: bytes
    seconds: float
    reset: bool

    @property
    def status(self) -> int:
        return int(self.raw.split()[1])

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


def connect(url: str, params: dict[str, str]) -> socket.socket:
    """Send one call and leave the reading to the caller."""
    where = urlsplit(url)
    body = urlencode(params).encode()
    line = socket.create_connection((str(where.hostname), where.port), timeout=10)
    line.sendall(
        b"POST /api/v2 HTTP/1.1\r\nHost: sandbox.test\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return line


def see(url: str, params: dict[str, str]) -> Seen:
    """Send one call and read until the other side ends the connection."""
    began = time.monotonic()
    pieces = []
    reset = False
    with connect(url, params) as line:
        try:
            while piece := line.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:
            reset = True
    return Seen(b"".join(pieces[:1]), b"".join(pieces), time.monotonic() - began, reset)


def content_length(seen: Seen) -> int:
    (line,) = [line for line in seen.head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(line.partition(b":")[2])


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_is_taken_or_not_as_its_kind_says(url: str, world: Sandbox, kind: str) -> None:
    world.misbehave("add", kind, seconds=0.05, body="Sorry" if kind == "error" else "")
    see(url, ORDER)
    assert world.accepted(LINK) == (0 if kind in BEFORE_ACCEPTANCE else 1)
    assert see(url, ORDER).status == 200
    assert world.accepted(LINK) == (1 if kind in BEFORE_ACCEPTANCE else 2)


@pytest.mark.parametrize(
    ("kind", "body", "status", "answer"),
    [
        ("refuse_429", "", 429, b'{"error": "Too many requests"}'),
        ("refuse_429", '{"error": "Slow down"}', 429, b'{"error": "Slow down"}'),
        ("maintenance_503", "", 503, b'{"error": "This panel is temporarily unavailable"}'),
        ("error", "neworder.error.link", 200, b'{"error": "neworder.error.link"}'),
        ("empty", "", 200, b""),
        ("raw", "[1, 2", 200, b"[1, 2"),
        ("garbage", "", 200, b'{"order":'),
        ("no_id", "", 200, b'{"status": "success"}'),
        ("no_id", '{"order": 0}', 200, b'{"order": 0}'),
    ],
)
def test_a_fixed_answer_arrives_whole(
    url: str, world: Sandbox, kind: str, body: str, status: int, answer: bytes
) -> None:
    world.misbehave("add", kind, body=body)
    seen = see(url, ORDER)
    assert (seen.status, seen.body, content_length(seen)) == (status, answer, len(answer))


@pytest.mark.parametrize(("kind", "status"), [("http500", 500), ("html", 200), ("accepted_500", 500)])
def test_a_page_instead_of_json_is_html(url: str, world: Sandbox, kind: str, status: int) -> None:
    world.misbehave("add", kind)
    seen = see(url, ORDER)
    assert seen.status == status
    assert b"text/html" in seen.head
    assert b"<html>" in seen.body
    assert b"order" not in seen.body


@pytest.mark.parametrize("kind", ["refuse_429", "maintenance_503"])
def test_a_refusal_for_now_says_when_to_come_back(url: str, world: Sandbox, kind: str) -> None:
    world.misbehave("add", kind, seconds=7)
    assert b"\r\nRetry-After: 7" in see(url, ORDER).head


def test_a_redirect_points_at_the_sandbox_so_that_followers_are_caught(url: str, world: Sandbox) -> None:
    world.misbehave("add", "redirect")
    seen = see(url, ORDER)
    assert seen.status == 302
    assert b"\r\nLocation: http://sandbox.test/moved/api/v2" in seen.head
    world.misbehave("add", "redirect", body="https://elsewhere.example/api")
    assert b"\r\nLocation: https://elsewhere.example/api" in see(url, ORDER).head


def test_a_line_cut_before_gives_not_one_byte(url: str, world: Sandbox) -> None:
    world.misbehave("add", "cut_before")
    seen = see(url, ORDER)
    assert (seen.raw, seen.reset) == (b"", False)


def test_a_reset_is_an_error_and_not_an_end(url: str, world: Sandbox) -> None:
    world.misbehave("add", "reset")
    seen = see(url, ORDER)
    assert (seen.raw, seen.reset) == (b"", True)


def test_a_cut_answer_is_half_of_what_its_head_promised(url: str, world: Sandbox) -> None:
    world.misbehave("add", "cut")
    seen = see(url, ORDER)
    assert (seen.body, content_length(seen)) == (b'{"order"', len('{"order": 70001}'))


def test_a_notice_stands_before_the_json_with_a_byte_order_mark(url: str, world: Sandbox) -> None:
    world.misbehave("add", "notice")
    body = see(url, ORDER).body
    assert body.startswith(b"\xef\xbb\xbf<br />")
    assert body.endswith(b'{"order": 70001}')


def test_wrong_types_swap_numbers_and_texts(url: str, world: Sandbox) -> None:
    world.misbehave("*", "wrong_types", times=4)
    assert json.loads(see(url, ORDER).body) == {"order": "70001"}
    balance = json.loads(see(url, {**ORDER, "action": "balance"}).body)
    assert balance == {"balance": 9999.91, "currency": "USD"}
    status = json.loads(see(url, {**ORDER, "action": "status", "order": "70001"}).body)
    assert status == {"charge": 0.09, "start_count": 0, "status": "Pending", "remains": 100, "currency": "USD"}
    first = json.loads(see(url, {**ORDER, "action": "services"}).body)[0]
    assert (first["service"], first["rate"], first["min"], first["refill"]) == ("1", 0.9, 50, 1)
    assert first["refill"] is not True


def test_a_hanging_call_has_taken_the_order_long_before_it_answers(url: str, world: Sandbox) -> None:
    world.misbehave("add", "hang", seconds=0.5)
    began = time.monotonic()
    with connect(url, ORDER) as line:
        while not world.accepted(LINK) and time.monotonic() < began + 10:
            time.sleep(0.005)
        taken = time.monotonic() - began
        first = line.recv(1)
        answered = time.monotonic() - began
    assert first == b"H"
    assert taken < answered
    assert answered >= 0.5


def test_a_slow_answer_sends_its_head_at_once_and_its_body_late(url: str, world: Sandbox) -> None:
    world.misbehave("add", "slow", seconds=0.4)
    seen = see(url, ORDER)
    assert seen.first.endswith(b"\r\n\r\n")
    assert seen.body == b'{"order": 70001}'
    assert seen.seconds >= 0.4


@pytest.mark.parametrize("kind", ["dribble", "dribble_head"])
def test_a_dribbled_answer_is_whole_in_the_end(url: str, world: Sandbox, kind: str) -> None:
    world.misbehave("add", kind, seconds=0.4)
    seen = see(url, ORDER)
    assert seen.body == b'{"order": 70001}'
    assert seen.seconds >= 0.4
    assert (b"\r\n\r\n" in seen.first) == (kind == "dribble")


def test_misbehaviour_strikes_as_often_as_told_and_in_the_order_told(url: str, world: Sandbox) -> None:
    world.misbehave("add", "refuse_429", times=2)
    world.misbehave("add", "maintenance_503")
    assert [see(url, ORDER).status for _ in range(4)] == [429, 429, 503, 200]


def test_misbehaviour_keeps_to_its_action_and_its_link(url: str, world: Sandbox) -> None:
    world.misbehave("add", "http500", match="/other")
    world.misbehave("status", "http500", match="70002")
    assert see(url, ORDER).status == 200
    assert see(url, {**ORDER, "link": "https://example.com/other"}).status == 500
    assert see(url, {**ORDER, "action": "status", "orders": "70001,70003"}).status == 200
    assert see(url, {**ORDER, "action": "status", "orders": "70001,70002"}).status == 500


def test_behaving_forgets_what_was_scripted(url: str, world: Sandbox) -> None:
    world.misbehave("*", "http500", times=1000)
    world.behave()
    assert see(url, ORDER).status == 200


def test_a_link_can_ask_for_a_reset_by_its_fragment(url: str, world: Sandbox) -> None:
    link = LINK + "#reset"
    assert see(url, {**ORDER, "link": link}).reset
    assert world.accepted(link) == 1
    assert see(url, {**ORDER, "action": "status", "link": link, "order": "70001"}).status == 200


def test_stopping_cuts_hanging_calls_off_without_an_answer(world: Sandbox) -> None:
    with ExitStack() as lines:
        with serving(world) as url:
            hanging = lines.enter_context(connect(url, {**ORDER, "link": LINK + "#hang"}))
            world.misbehave("balance", "dribble", seconds=600)
            dribbling = lines.enter_context(connect(url, {**ORDER, "action": "balance"}))
            idle = lines.enter_context(socket.create_connection(hanging.getpeername(), timeout=10))
            # Answered once, it is surely accepted: one that still queues would be reset.
            idle.sendall(b"GET / HTTP/1.1\r\nHost: sandbox.test\r\n\r\n")
            assert b"200 OK" in idle.recv(65536)
            deadline = time.monotonic() + 10
            while len(world.received) < 2 and time.monotonic() < deadline:
                time.sleep(0.005)
            began = time.monotonic()
        assert time.monotonic() - began < 2
        assert hanging.recv(1) == b""
        assert idle.recv(1) == b""
        assert not dribbling.makefile("rb").read().endswith(b"}")
    assert world.accepted(LINK + "#hang") == 1


def test_an_unknown_kind_or_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="known: refuse_429"):
        Misbehaviour("add", "explode")
    with pytest.raises(ValueError, match="soon"):
        Misbehaviour("add", "slow", seconds="soon")  # type: ignore[arg-type]  # what arrives over the control channel


def test_every_kind_stands_on_one_side_of_the_acceptance() -> None:
    assert len(set(KINDS)) == len(KINDS) == len(BEFORE_ACCEPTANCE) + len(AFTER_ACCEPTANCE) + len(ANSWERED_ODDLY)
