import json
from decimal import Decimal
from typing import Any

import pytest

from catalog.providers import catalogue
from catalog.providers.decoding import decode
from catalog.providers.errors import Reason, Unavailable
from catalog.providers.fields import Misshapen
from catalog.providers.replies import Catalogue, CatalogueRow
from tests.unit.providers.upstream import Upstream

PLAIN = {
    "service": 1,
    "name": "Visits",
    "type": "Default",
    "category": "Web",
    "rate": "0.90",
    "min": "10",
    "max": "100",
}


def read(value: Any, flags: str = "bool") -> Catalogue:
    return catalogue.services(decode(json.dumps(value).encode()).value, flags)


def row(**fields: Any) -> CatalogueRow:
    found = read([{**PLAIN, **fields}])
    assert found.skipped == ()
    return found.rows[0]


@pytest.mark.parametrize(
    "container",
    [
        [PLAIN],
        {"services": [PLAIN], "count": 1},
        {"data": [PLAIN]},
        {"status": "success", "data": {"1": PLAIN}},
        {"1": {key: value for key, value in PLAIN.items() if key != "service"}},
        [{key.title(): value for key, value in PLAIN.items()}],
    ],
)
def test_every_container_holds_the_same_services(container: Any) -> None:
    assert read(container).rows == read([PLAIN]).rows


@pytest.mark.parametrize("container", [[], {}, {"services": []}, {"status": "success", "data": "Empty Data"}])
def test_an_empty_list_is_a_list(container: Any) -> None:
    assert read(container) == Catalogue((), ())


@pytest.mark.parametrize("container", ["words", 7, None, {"hello": 1}, {"status": "success"}])
def test_what_is_no_list_is_misshapen(container: Any) -> None:
    with pytest.raises(Misshapen):
        read(container)


@pytest.mark.parametrize(
    ("field", "written", "meant"),
    [
        ("service", "308", "308"),
        ("service", 308.0, "308"),
        ("rate", "$0.50", Decimal("0.50")),
        ("rate", 0.5, Decimal("0.5")),
        ("rate", 95200, Decimal(95200)),
        ("rate", "0", Decimal(0)),
        ("rate", "1.0E-5", Decimal("0.000010")),
        ("min", "1,000", 1000),
        ("max", 2147483647, 2147483647),
        ("name", "Fast &amp; “good” 🚀", "Fast & “good” 🚀"),
        ("name", "a\x00b\ud800", "ab"),
        ("category", None, ""),
        ("type", "Subscriptions ", "Subscriptions"),
        ("type", None, "Default"),
        ("refill", True, True),
        ("refill", 0, False),
        ("refill", "true", True),
        ("refill", 3, None),
        ("refill", None, None),
        ("cancel", "0", False),
        ("dripfeed", 1, True),
    ],
)
def test_a_field_is_read_in_every_writing(field: str, written: Any, meant: Any) -> None:
    fields = {"max": 10_000, field: written}
    assert getattr(row(**fields), field) == meant


@pytest.mark.parametrize(("written", "meant"), [(1, True), (2, True), (3, False), ("3", False), (None, None)])
def test_a_refill_flag_of_three_states_is_read_where_staff_said_so(written: Any, meant: Any) -> None:
    assert read([{**PLAIN, "refill": written}], "tri-state").rows[0].refill is meant


@pytest.mark.parametrize("name", ["desc", "description"])
def test_a_description_may_have_either_name(name: str) -> None:
    assert row(**{name: "Words"}).description == "Words"


def test_a_missing_type_or_flag_is_not_invented() -> None:
    bare = read([{"service": 1, "name": "x", "rate": "1", "min": 1, "max": 2}]).rows[0]
    assert (bare.type, bare.refill, bare.cancel, bare.dripfeed) == ("Default", None, None, None)


def test_a_package_is_one_piece() -> None:
    package = read([{"service": 1, "name": "x", "rate": "1", "type": "Package"}]).rows[0]
    assert (package.min, package.max) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "skipped"),
    [
        ({"rate": "cheap"}, ("1", "bad rate")),
        ({"rate": None}, ("1", "bad rate")),
        ({"rate": "-1"}, ("1", "bad rate")),
        ({"rate": "1e13"}, ("1", "bad rate")),
        ({"rate": True}, ("1", "bad rate")),
        ({"min": "many"}, ("1", "bad min")),
        ({"max": None}, ("1", "bad max")),
        ({"max": "1.5"}, ("1", "bad max")),
        ({"min": 5, "max": 4}, ("1", "min above max")),
        ({"name": " "}, ("1", "no name")),
        ({"service": 0}, ("#1", "no id")),
        ({"service": None}, ("#1", "no id")),
    ],
)
def test_a_bad_row_is_skipped_with_its_reason(fields: dict[str, Any], skipped: tuple[str, str]) -> None:
    found = read([{**PLAIN, **fields}, {**PLAIN, "service": 2}])
    assert found.skipped == (skipped,)
    assert [one.service for one in found.rows] == ["2"]


def test_the_first_of_two_rows_with_one_id_is_kept() -> None:
    found = read([{**PLAIN, "name": "first"}, {**PLAIN, "service": "1", "name": "second"}, "junk"])
    assert [one.name for one in found.rows] == ["first"]
    assert found.skipped == (("1", "the same id again"), ("#3", "not an object"))


def test_a_list_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MOST_ROWS", 3)
    with pytest.raises(Misshapen, match="more than 3 rows"):
        read([{**PLAIN, "service": n} for n in range(1, 5)])


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ('{"error":"Invalid API key"}', 200, Reason.KEY),
        ('{"error":"Invalid API key"}', 401, Reason.KEY),
        ("[]", 403, Reason.UNREADABLE),
        ("[]", 500, Reason.SERVER),
        ("<html>", 200, Reason.UNREADABLE),
        ('{"error":"Too many requests"}', 503, Reason.RATE_LIMITED),
    ],
)
def test_what_is_no_service_list_is_never_an_empty_one(
    upstream: Upstream, body: str, status: int, reason: Reason
) -> None:
    upstream.answers(body, status)
    with upstream.client() as client, pytest.raises(Unavailable) as caught:
        client.services()
    assert caught.value.reason == reason
