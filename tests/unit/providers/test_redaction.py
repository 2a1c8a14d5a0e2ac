import logging

import pytest

from catalog.providers.client import Client, Connection
from catalog.providers.dialects import Dialect
from catalog.providers.errors import ProviderError
from catalog.providers.redaction import redactor
from catalog.providers.refusals import Refusal
from tests.unit.providers.upstream import KEY, Upstream

TRICKY = 'se/cr et+"&<é>'


@pytest.mark.parametrize(
    "echo",
    [
        'se/cr et+"&<é>',
        "se%2Fcr+et%2B%22%26%3C%C3%A9%3E",
        "se%2Fcr%20et%2B%22%26%3C%C3%A9%3E",
        "se%2fcr+et%2b%22%26%3c%c3%a9%3e",
        "se/cr%20et%2B%22%26%3C%C3%A9%3E",
        'se/cr et+\\"&<\\u00e9>',
        'se\\/cr et+\\"&<\\u00e9>',
        "se/cr et+&quot;&amp;&lt;é&gt;",
        "se%252Fcr+et%252B%2522%2526%253C%25C3%25A9%253E",
    ],
)
def test_a_key_is_found_in_every_writing(echo: str) -> None:
    assert redactor(TRICKY).evidence(f"before {echo} after") == "before [key] after"


def test_the_cut_after_two_kilobytes_leaves_no_half_of_a_key() -> None:
    for shift in range(len(KEY) + 2):
        kept = redactor(KEY).evidence("x" * (2048 - shift) + KEY + "y" * 4000)
        assert len(kept) == 2048
        assert KEY[:4] not in kept


def test_many_keys_do_not_pull_half_of_one_into_sight() -> None:
    assert "abcd" not in redactor("abcdefgh" * 20).evidence("abcdefgh" * 20 * 500)


@pytest.mark.parametrize("key", ["", "  "])
def test_no_key_takes_nothing_away(key: str) -> None:
    assert redactor(key).text("a  b\nc") == "a b c"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (f'{{"error":"Unknown key {KEY} of yours"}}', 200),
        ('{"error":"Unknown key up\\/stream key+1"}', 400),
        ("<html>up%2Fstream+key%2B1</html>", 502),
        (f"Notice: key={KEY}", 200),
    ],
)
def test_an_echoed_key_reaches_neither_text_nor_evidence(upstream: Upstream, body: str, status: int) -> None:
    upstream.answers(body, status)
    with upstream.client() as client, pytest.raises(ProviderError) as caught:
        client.add({"service": "1"})
    assert "stream" not in caught.value.text + caught.value.evidence
    assert "[key]" in caught.value.evidence


def test_a_redirect_that_carries_the_key_is_told_without_it(upstream: Upstream) -> None:
    upstream.answers("", 302, Location="https://other.example/?key=up%2Fstream+key%2B1")
    with upstream.client() as client, pytest.raises(ProviderError) as caught:
        client.add({"service": "1"})
    assert caught.value.text == "HTTP 302: the provider redirects to https://other.example/?key=[key]"


def test_items_and_accepted_orders_are_without_the_key_too(upstream: Upstream) -> None:
    upstream.answers(f'{{"order":1,"1":{{"error":"{KEY}?"}},"2":{{"error":"x"}}}}')
    with upstream.client() as client:
        told = repr(client.status(["1", "2"])) + repr(client.add({"service": "1"}))
    assert "stream" not in told
    assert "[key]?" in told


def test_a_connection_does_not_show_its_key() -> None:
    connection = Connection("https://provider.example/api/v2", KEY, refusals={"x": Refusal("y", "final")})
    assert "stream" not in repr(connection) + repr(Client(connection).__dict__)


def test_the_logs_of_the_http_library_do_not_show_the_key(upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="urllib3")
    upstream.answers('{"order":5}')
    with upstream.client(Dialect(method="GET")) as client:
        client.add({"service": "1"})
    upstream.stop()
    with upstream.client(Dialect(method="GET")) as client, pytest.raises(ProviderError):
        client.add({"service": "1"})
    assert "Retrying" in caplog.text
    assert "stream" not in caplog.text


def test_no_error_carries_the_key_in_what_led_to_it(upstream: Upstream) -> None:
    upstream.behaviour = lambda connection, _: connection.shutdown(2)
    with upstream.client(Dialect(method="GET")) as client, pytest.raises(ProviderError) as caught:
        client.balance()
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
