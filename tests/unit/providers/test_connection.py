import email
import email.policy
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from catalog.providers.connection import Connection
from catalog.providers.dialects import DIALECTS, Dialect, dialect
from tests.unit.providers.upstream import KEY, Upstream

PARAMS = {"service": "1", "link": "https://example.org/ü?a=1&b=2", "comments": "one\ntwo & three"}
URL = "https://provider.example/api/v2"


def test_a_form_is_sent_as_everyone_reads_it(upstream: Upstream) -> None:
    upstream.answers('{"order":5}')
    with upstream.client() as client:
        client.add(PARAMS)
    request = upstream.requests[0]
    assert request.params == {**PARAMS, "action": "add", "key": KEY}
    assert "POST /api/v2 HTTP/1.1" in request.head
    assert "Content-Type: application/x-www-form-urlencoded" in request.head
    assert "User-Agent: reseller-panel/" in request.head


def test_json_is_sent_where_the_dialect_wants_it() -> None:
    request = Connection(URL, KEY, Dialect(encoding="json")).request("add", PARAMS)
    assert json.loads(str(request.body)) == {**PARAMS, "action": "add", "key": KEY}
    assert request.headers["Content-Type"] == "application/json"


def test_multipart_is_sent_where_the_dialect_wants_it() -> None:
    request = Connection(URL, KEY, Dialect(encoding="multipart")).request("add", PARAMS)
    assert isinstance(request.body, bytes)
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    sent = {
        part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True)
        for part in message.iter_parts()
    }
    assert sent == {name: value.encode() for name, value in {**PARAMS, "action": "add", "key": KEY}.items()}


@pytest.mark.parametrize("flags", [{"method": "GET"}, {"encoding": "query"}])
def test_a_query_string_is_sent_where_the_dialect_wants_it(flags: dict[str, str]) -> None:
    request = Connection(URL + "?v=1", KEY, dialect("perfectpanel", flags)).request("add", PARAMS)
    sent = {name: values[0] for name, values in parse_qs(urlsplit(str(request.url)).query).items()}
    assert sent == {**PARAMS, "action": "add", "key": KEY, "v": "1"}
    assert request.body is None
    assert request.method == flags.get("method", "POST")


@pytest.mark.parametrize(
    ("key_in", "headers", "params"),
    [
        ("body:api_token", {}, {"api_token": "secret"}),
        ("header:Authorization", {"Authorization": "Bearer secret"}, {}),
        ("header:X-Api-Key", {"X-Api-Key": "secret"}, {}),
    ],
)
def test_the_key_goes_where_the_dialect_wants_it(key_in: str, headers: dict[str, str], params: dict[str, str]) -> None:
    request = Connection(URL, " secret ", dialect("perfectpanel", {"key_in": key_in})).request("balance", {})
    sent = {name: values[0] for name, values in parse_qs(str(request.body)).items()}
    assert sent == {"action": "balance", **params}
    assert headers.items() <= request.headers.items()


def test_neither_key_nor_action_can_be_overridden() -> None:
    request = Connection(URL, "secret").request("add", {"key": "other", "action": "cancel", "link": "\ud800"})
    assert parse_qs(str(request.body)) == {"key": ["secret"], "action": ["add"], "link": ["?"]}


@pytest.mark.parametrize(
    ("preset", "sent"),
    [("panel", {"idempotency_key": "k-1"}), ("notpanel", {"request_id": "k-1"}), ("perfectpanel", {})],
)
def test_an_idempotency_key_is_sent_where_it_is_understood(
    upstream: Upstream, preset: str, sent: dict[str, str]
) -> None:
    upstream.answers('{"order":5}')
    with upstream.client(DIALECTS[preset]) as client:
        client.add({"service": "1"}, idempotency_key="k-1")
    assert upstream.requests[0].params == {"service": "1", "action": "add", "key": KEY, **sent}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with http"),
        ("provider.example/api/v2", "must begin with http"),
        ("ftp://provider.example/api/v2", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("https:///api/v2", "names no host"),
        ("https://provider.example", "has no path"),
        ("https://provider.example?x=1", "has no path"),
        ("https://user:word@provider.example/api/v2", "user name or password"),
        ("https://provider.example:port/api/v2", "cannot be read"),
        ("https://provider.example:99999/api/v2", "cannot be read"),
        ("https://[broken/api/v2", "cannot be read"),
        ("https://provider.example/api v2", "spaces"),
        ("https://provider.example/api/v2\r\nX: y", "spaces"),
        ("https://provider.example/api/v2#top", "fragment"),
        ("https://.example/api/v2", "cannot be used"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Connection(url, "secret")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/", "https://provider.example/api/v2/", "https://[::1]/x?y=1", "https://bücher.example/api"],
)
def test_an_address_that_may_be_right_is_taken(url: str) -> None:
    assert Connection(url, "secret").url == url


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="time-out"):
        Connection(URL, "secret", read_timeout=seconds)


def test_a_key_that_no_request_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        Connection(URL, "one\r\nX: two")
    with pytest.raises(ValueError, match="key"):
        Connection(URL, "schlüssel", Dialect(key_in="header:X-Api-Key"))


def test_every_preset_is_made_of_known_values() -> None:
    for name, preset in DIALECTS.items():
        flags = {flag: getattr(preset, flag) for flag in preset.__slots__}
        assert dialect(name, flags) == preset


def test_overrides_change_single_flags() -> None:
    changed = dialect("1dg", {"batch_size": 1, "numeric_status_map": {"2": "completed"}, "currency": "VND"})
    assert (changed.batch_size, changed.currency, changed.cancel) == (1, "VND", "none")


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("unheard-of", {}, "'unheard-of' is no dialect"),
        ("1dg", {"colour": "red"}, "'colour' is no flag"),
        ("1dg", {"encoding": "xml"}, "'xml' is no value for the flag 'encoding'"),
        ("1dg", {"encoding": 5}, "5 is no value"),
        ("1dg", {"batch_size": 0}, "0 is no value"),
        ("1dg", {"batch_size": True}, "True is no value"),
        ("1dg", {"batch_size": "100"}, "'100' is no value"),
        ("1dg", {"products": 1}, "1 is no value"),
        ("1dg", {"key_in": "body:"}, "'body:' is no value"),
        ("1dg", {"key_in": "cookie:x"}, "'cookie:x' is no value"),
        ("1dg", {"numeric_status_map": ["2"]}, "is no value"),
        ("1dg", {"numeric_status_map": {2: "completed"}}, "is no value"),
    ],
)
def test_an_unknown_name_or_value_is_told(name: str, overrides: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dialect(name, overrides)
