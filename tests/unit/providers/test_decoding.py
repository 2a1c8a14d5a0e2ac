import time
from decimal import Decimal

import pytest

from catalog.providers.decoding import Decoded, Undecodable, decode

READ = [
    (b'{"a":1}', Decoded({"a": 1}, whole=True)),
    (b'\xef\xbb\xbf {"a":1}\r\n', Decoded({"a": 1}, whole=True)),
    (b"7", Decoded(7, whole=True)),
    (b"null", Decoded(None, whole=True)),
    (b'"text"', Decoded("text", whole=True)),
    (b"0.10", Decoded(Decimal("0.10"), whole=True)),
    (b'{"a":1,"a":2}', Decoded({"a": 2}, whole=True)),
    (b"Notice: x\n[{}]", Decoded([{}], whole=False)),
    (b'<b>Warning</b>: [0] {closure} [] in api.php<br />\n{"a":1}', Decoded({"a": 1}, whole=False)),
    ('{"a":"\u00e9"}'.encode("latin-1"), Decoded({"a": "\ufffd"}, whole=True)),
]  # fmt: skip


@pytest.mark.parametrize(("body", "found"), READ)
def test_json_is_found_behind_whatever_stands_before_it(body: bytes, found: Decoded) -> None:
    assert decode(body) == found


def test_thirty_two_levels_are_read_and_thirty_three_are_not() -> None:
    assert decode(b"[" * 32 + b"]" * 32).whole
    with pytest.raises(Undecodable):
        decode(b"[" * 33 + b"]" * 33)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n\t", "empty"),
        (b"<!DOCTYPE html><p>x", "html"),
        (b'<html><script>var a = {"b": 1}</script></html>', "html"),
        (b"Just a moment...", "html"),
        (b"plain words", "not_json"),
        (b'{"a":1', "not_json"),
        (b'{"a":1,}', "not_json"),
        (b"{'a':1}", "not_json"),
        (b'{"a":1} {"a":2}', "not_json"),
        (b'{"a":1 "b":{"c":2}}', "not_json"),
        (b'[{"a":1} {"a":2}', "not_json"),
        (b'{"a":{{"b":1}}}', "not_json"),
        (b'{"a":NaN}', "not_json"),
        (b'{"a":-Infinity}', "not_json"),
        (b'{"a":"line\nbreak"}', "not_json"),
        (b'{"a":' + b"9" * 5000 + b"}", "not_json"),
        (b"[" * 200_000, "not_json"),
        (b'{"a":' * 200_000, "not_json"),
        (b"x" + b'{"a":' * 100_000 + b"}", "not_json"),
        (b"x" + b"[[" * 100_000 + b"]", "not_json"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:24]),
)
def test_broken_json_is_never_repaired(body: bytes, kind: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode(body)
    assert caught.value.kind == kind


def test_a_hostile_body_of_a_megabyte_takes_no_time() -> None:
    began = time.process_time()
    for body in (b'x{"' * 350_000 + b"}", b"x" + b"[{" * 500_000 + b"]", b"{" * 1_000_000):
        with pytest.raises(Undecodable):
            decode(body)
    assert time.process_time() - began < 2
