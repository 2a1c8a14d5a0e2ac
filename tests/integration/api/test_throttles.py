"""Limits on calls: per key and per address, before the key is looked up, and none where Redis is away."""

import logging
import math
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.test import Client

from panel.api import throttles
from tests.processes import free_port, redis_url

pytestmark = pytest.mark.django_db
BUSY = {"error": "Too many requests"}


@pytest.fixture(autouse=True)
def counter(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """Count on a server of this test process's own, from nothing."""
    settings.REDIS_URL = redis_url()
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as server:
        for name in server.scan_iter("api:*"):
            server.delete(name)
        monkeypatch.setattr(throttles, "counter", throttles.Counter())
        yield server


@pytest.fixture
def few(settings: Any) -> Any:
    """Three calls at once for a key, then one in ten seconds; addresses are not limited."""
    settings.API_KEY_CALLS_PER_SECOND, settings.API_KEY_BURST = 0.1, 3
    return settings


def call(key: str, **more: Any) -> Any:
    return Client().post("/api/v2", {"key": key, "action": "balance"}, **more)


def statuses(key: str, times: int, **more: Any) -> list[int]:
    return [call(key, **more).status_code for _ in range(times)]


def test_calls_beyond_the_burst_are_told_how_long_to_wait(few: Any, api_key: str) -> None:
    assert statuses(api_key, 3) == [200] * 3
    answer = call(api_key)
    assert (answer.status_code, answer.json(), answer["Content-Type"]) == (429, BUSY, "application/json")
    assert answer["Retry-After"] in {"9", "10"}


def test_a_refused_call_costs_nothing_and_the_bucket_fills_again(few: Any, api_key: str) -> None:
    few.API_KEY_CALLS_PER_SECOND = 20
    assert statuses(api_key, 3) == [200] * 3
    for _ in range(50):
        throttled = call(api_key)
        if throttled.status_code == 200:
            break
        assert throttled["Retry-After"] == "1"
        time.sleep(0.01)
    else:
        pytest.fail("the bucket did not fill again")


def test_one_key_does_not_slow_another(few: Any, api_key: str) -> None:
    statuses(api_key, 4)
    assert call("another").json() == {"error": "Invalid API key"}


def test_a_key_is_counted_wherever_it_stands(few: Any, api_key: str) -> None:
    statuses(api_key, 3)
    bearer = Client().post("/api/v2", {"action": "balance"}, headers={"Authorization": f"Bearer {api_key}"})
    query = Client().get(f"/api/v2?action=balance&key=%20{api_key}%20")
    assert (bearer.status_code, query.status_code) == (429, 429)


def test_a_key_over_its_limit_is_not_even_looked_up(few: Any, api_key: str, django_assert_num_queries: Any) -> None:
    statuses(api_key, 3)
    with django_assert_num_queries(0):
        assert call(api_key).json() == BUSY


def test_an_address_is_limited_over_all_its_keys(settings: Any, api_key: str) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 3
    assert statuses(api_key, 4, REMOTE_ADDR="203.0.113.1") == [200, 200, 200, 429]
    assert call(api_key, REMOTE_ADDR="203.0.113.2").status_code == 200


def test_a_whole_ipv6_network_is_one_address(settings: Any, api_key: str) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 2
    codes = [call(api_key, REMOTE_ADDR=f"2001:db8::{n}").status_code for n in (1, 2, 3)]
    assert codes == [200, 200, 429]
    assert call(api_key, REMOTE_ADDR="2001:db8:0:1::1").status_code == 200


def test_wrong_keys_use_up_an_address_ten_times_as_fast(settings: Any, api_key: str) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 30
    assert [call(f"guess {n}").status_code for n in range(4)] == [200, 200, 200, 429]
    assert call(api_key).json() == BUSY


def test_a_right_key_costs_its_address_one_call(settings: Any, api_key: str) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 30
    assert statuses(api_key, 31) == [200] * 30 + [429]


def test_a_body_that_cannot_be_read_is_counted_too(settings: Any) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 2
    codes = [Client().post("/api/v2", "{", content_type="application/json").status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_probes_and_refused_methods_are_free(few: Any, api_key: str) -> None:
    few.API_ADDRESS_CALLS_PER_SECOND, few.API_ADDRESS_BURST = 0.1, 3
    for _ in range(5):
        assert Client().head(f"/api/v2?key={api_key}").status_code == 200
        assert Client().put(f"/api/v2?key={api_key}").status_code == 405
    assert statuses(api_key, 3) == [200] * 3


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(settings: Any, api_key: str) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 2
    settings.BEHIND_PROXY = True
    made_up = [{"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.9"} for n in range(3)]
    assert [call(api_key, headers=headers).status_code for headers in made_up] == [200, 200, 429]
    assert call(api_key, headers={"X-Forwarded-For": "203.0.113.10"}).status_code == 200


def test_without_a_proxy_a_made_up_address_changes_nothing(settings: Any, api_key: str) -> None:
    settings.API_ADDRESS_CALLS_PER_SECOND, settings.API_ADDRESS_BURST = 0.1, 2
    made_up = [{"X-Forwarded-For": f"198.51.100.{n}"} for n in range(3)]
    assert [call(api_key, headers=headers).status_code for headers in made_up] == [200, 200, 429]


def test_zero_calls_a_second_means_no_limit(settings: Any, api_key: str) -> None:
    settings.API_KEY_CALLS_PER_SECOND, settings.API_KEY_BURST = 0, 1
    assert statuses(api_key, 5) == [200] * 5


def test_what_redis_keeps_is_gone_by_itself_and_names_no_key(few: Any, api_key: str, counter: Any) -> None:
    few.API_ADDRESS_CALLS_PER_SECOND = 1
    call(api_key)
    names = list(counter.scan_iter("api:*"))
    assert len(names) == 2
    assert all(0 < counter.pttl(name) <= 11_000 for name in names)
    assert api_key not in "".join(names)


def test_while_redis_is_away_every_call_is_let_through_and_the_log_says_so_once(
    few: Any, api_key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    few.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setattr(throttles, "counter", throttles.Counter())
    with caplog.at_level(logging.WARNING):
        assert statuses(api_key, 10) == [200] * 10
        throttles.counter.away_until = -math.inf
        assert statuses(api_key, 1) == [200]
    assert caplog.text.count("Redis is away") == 1
    assert api_key not in caplog.text


def test_redis_that_hangs_holds_up_one_call_and_not_the_next(
    few: Any, api_key: str, monkeypatch: pytest.MonkeyPatch, silent_server: str
) -> None:
    few.REDIS_URL = silent_server
    monkeypatch.setattr(throttles, "counter", throttles.Counter())
    began = time.monotonic()
    assert statuses(api_key, 5) == [200] * 5
    assert time.monotonic() - began < 3 * throttles.PATIENCE + 0.5


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A listener that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_of_many_calls_at_once_no_more_are_counted_than_the_bucket_holds(few: Any) -> None:
    few.API_KEY_BURST = 20

    def turn(_: int) -> bool:
        try:
            throttles.take_turn("digest", "")
        except throttles.TooManyError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(turn, range(100))) == 20
