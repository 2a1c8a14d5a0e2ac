"""The sandbox reads what clients in the field send, at any path."""

from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from catalog.providers.sandbox import Sandbox, serving

KEY = {"key": "sandbox-key"}
ORDER = {**KEY, "action": "add", "service": "1", "link": "https://example.com/a?b=c&d=é", "quantity": "100"}


@pytest.mark.parametrize("path", ["/api/v2", "/api/v2/", "/", "/somewhere/else"])
def test_any_path_is_the_api(url: str, path: str) -> None:
    root = url.removesuffix("/api/v2")
    assert requests.post(root + path, data=ORDER, timeout=10).json() == {"order": 70001}


@pytest.mark.parametrize("form", ["form", "multipart", "json", "json under a form header", "query", "get"])
def test_all_forms_of_a_request_carry_the_same_order(url: str, world: Sandbox, form: str) -> None:
    arguments: dict[str, tuple[str, dict[str, Any]]] = {
        "form": ("POST", {"data": ORDER}),
        "multipart": ("POST", {"files": {name: (None, value) for name, value in ORDER.items()}}),
        "json": ("POST", {"json": {**ORDER, "service": 1, "quantity": 100, "runs": None}}),
        "json under a form header": (
            "POST",
            {
                "data": requests.Request("POST", url, json=ORDER).prepare().body,
                "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            },
        ),
        "query": ("POST", {"params": ORDER}),
        "get": ("GET", {"params": ORDER}),
    }
    method, more = arguments[form]
    assert requests.request(method, url, timeout=10, **more).json() == {"order": 70001}
    assert world.received == [ORDER]


def test_line_breaks_in_comments_survive_a_multipart_form(url: str, world: Sandbox) -> None:
    fields = {
        **KEY,
        "action": "add",
        "service": "41",
        "link": "https://example.com/",
        "comments": "one\r\ntwo, three\nfour",
    }
    requests.post(url, files={name: (None, value) for name, value in fields.items()}, timeout=10)
    assert world.orders["70001"].comments == ["one", "two, three", "four"]


def test_lists_in_json_are_read_as_lists(url: str, world: Sandbox) -> None:
    comments = {**KEY, "action": "add", "service": 41, "link": "https://example.com/", "comments": ["one", "two"]}
    assert requests.post(url, json=comments, timeout=10).json() == {"order": 70001}
    assert world.orders["70001"].quantity == 2
    world.set_service(500, type="Mentions Custom List")
    mentions = {**KEY, "action": "add", "service": 500, "link": "https://example.com/", "usernames": ["a", "b", "c"]}
    assert requests.post(url, json=mentions, timeout=10).json() == {"order": 70002}
    assert world.orders["70002"].quantity == 3
    reply = requests.post(url, json={**KEY, "action": "status", "orders": [70001, 5]}, timeout=10).json()
    assert list(reply) == ["70001", "5"]


def test_the_body_wins_over_the_query(url: str) -> None:
    reply = requests.post(url, params={**KEY, "action": "balance"}, data={"action": "nonsense"}, timeout=10)
    assert reply.json() == {"error": "Incorrect request"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe=%%%", b"--x\r\n"])
def test_an_unreadable_body_is_answered_like_one_without_a_key(url: str, body: bytes) -> None:
    for content_type in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
        reply = requests.post(url, data=body, headers={"Content-Type": content_type}, timeout=10)
        assert (reply.status_code, reply.json()) == (200, {"error": "Invalid API key"})


def test_a_body_without_a_length_is_turned_away(url: str, world: Sandbox) -> None:
    reply = requests.post(url, data=iter([b"key=sandbox-key"]), timeout=10)
    assert (reply.status_code, reply.headers["Connection"], world.received) == (411, "close", [])


def test_a_body_that_is_too_large_is_turned_away_unread(url: str) -> None:
    reply = requests.post(url, headers={"Content-Length": "9000000"}, timeout=10)
    assert reply.status_code == 413


def test_a_look_at_the_root_says_what_this_is(url: str, world: Sandbox) -> None:
    reply = requests.get(url.removesuffix("/api/v2") + "/", timeout=10)
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "sandbox" in reply.text
    assert world.received == []


def test_the_log_of_calls_forgets_the_oldest_and_not_the_newest(url: str, world: Sandbox) -> None:
    world.received.extend({"action": "old"} for _ in range(100_000))
    requests.post(url, data={**KEY, "action": "balance"}, timeout=10)
    assert len(world.received) == 90_001
    assert world.received[-1]["action"] == "balance"


def test_it_can_be_served_again_at_the_same_port_with_what_it_knows(world: Sandbox) -> None:
    with serving(world) as first:
        requests.post(first, data=ORDER, timeout=10)
        assert world.url == first
    with pytest.raises(requests.ConnectionError):
        requests.post(first, data=ORDER, timeout=10)
    with serving(world, port=urlsplit(first).port or 0) as second:
        assert second == first
        assert requests.post(second, data=ORDER, timeout=10).json() == {"order": 70002}


def test_a_port_that_is_taken_is_an_error(world: Sandbox, url: str) -> None:
    with pytest.raises(OSError, match="in use"), serving(Sandbox(), port=urlsplit(url).port or 0):
        pass
