"""The provider's own list of our latest orders, in every shape that lists have, through real HTTP."""

import datetime
import json
from typing import Any

import pytest

from catalog.providers.dialects import Dialect, dialect
from catalog.providers.errors import Reason, Rejected, Unavailable
from catalog.providers.replies import RecentOrder
from tests.unit.providers.upstream import Upstream

LISTS = Dialect(list_orders="orders")
NOON = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
EPOCH = int(NOON.timestamp())
ROW = {"order": 5, "service": 1, "link": "https://example.org/a", "quantity": "100", "created_at": EPOCH}
READ = RecentOrder("5", "1", "https://example.org/a", 100, NOON)


def listed(upstream: Upstream, answer: Any, **flags: Any) -> tuple[RecentOrder, ...]:
    upstream.answers(json.dumps(answer))
    with upstream.client(dialect("perfectpanel", {"list_orders": "orders", **flags})) as client:
        return client.recent_orders()


def test_the_action_of_the_dialect_is_asked_with_a_limit(upstream: Upstream) -> None:
    upstream.answers("[]")
    with upstream.client(LISTS) as client:
        assert client.recent_orders() == client.recent_orders(limit=7) == ()
    asked = [(request.params["action"], request.params["limit"]) for request in upstream.requests]
    assert asked == [("orders", "100"), ("orders", "7")]


def test_a_provider_without_a_list_is_not_asked(upstream: Upstream) -> None:
    with upstream.client() as client, pytest.raises(Rejected) as refused:
        client.recent_orders()
    assert refused.value.condition == "list_not_supported"
    assert upstream.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        [ROW],
        {"data": [ROW]},
        {"orders": [ROW]},
        {"status": "success", "data": {"orders": [ROW]}},
        {"5": {name: value for name, value in ROW.items() if name != "order"}},
        {"orders": {"5": {**ROW, "order": None}}},
    ],
)
def test_a_list_is_found_in_any_container(upstream: Upstream, answer: Any) -> None:
    assert listed(upstream, answer) == (READ,)


@pytest.mark.parametrize(
    "row",
    [
        {"ID": "5", "Service_ID": "1", "URL": ROW["link"], "Amount": 100, "Created": EPOCH},
        {"order_id": 5, "service": "1", "link": ROW["link"], "quantity": 100.0, "date": EPOCH},
        {"id": 5, "service": 1, "link": f" {ROW['link']} ", "quantity": "100", "time": str(EPOCH)},
    ],
)
def test_a_field_is_found_under_any_of_its_names(upstream: Upstream, row: dict[str, Any]) -> None:
    assert listed(upstream, [row]) == (READ,)


def test_what_a_row_leaves_out_stays_unknown(upstream: Upstream) -> None:
    odd = {"order": "6", "service": {"id": 1}, "link": None, "quantity": "many", "created_at": True}
    nothing = RecentOrder("6", "", "", None, None)
    assert listed(upstream, [odd]) == (nothing,)
    assert listed(upstream, [{"order": 6}]) == (nothing,)


def test_a_row_without_an_id_is_dropped_and_spoils_no_other(upstream: Upstream) -> None:
    rows = [{**ROW, "order": 0}, {**ROW, "order": "pending"}, "5", None, [5], {"error": "Incorrect order ID"}, ROW]
    assert listed(upstream, rows) == (READ,)


def test_a_link_of_the_greatest_length_is_whole(upstream: Upstream) -> None:
    link = "https://example.org/" + "&amp;" * 400
    assert listed(upstream, [{**ROW, "link": link}])[0].link == link


@pytest.mark.parametrize(
    "written",
    [
        EPOCH * 1000,
        float(EPOCH),
        f"{EPOCH}000",
        "2026-03-01T12:00:00Z",
        "2026-03-01 12:00:00 UTC",
        "2026-03-01T12:00:00.000000+00:00",
        "2026-03-01 14:00:00 +0200",
        "2026-03-01 14:00+02",
        "2026-03-01T06:30:00-05:30",
    ],
)
def test_a_time_that_says_its_offset_is_read(upstream: Upstream, written: Any) -> None:
    created = listed(upstream, [{**ROW, "created_at": written}])[0].created_at
    assert created == NOON
    assert created is not None
    assert created.tzinfo is datetime.UTC


def test_a_time_without_an_offset_is_unknown_until_the_zone_is_known(upstream: Upstream) -> None:
    rows = [{**ROW, "created_at": "2026-03-01 13:00:00"}, {**ROW, "created_at": "2026-07-01T14:00:00"}]
    assert [row.created_at for row in listed(upstream, rows)] == [None, None]
    summer = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
    berlin = listed(upstream, rows, time_zone="Europe/Berlin")
    assert [row.created_at for row in berlin] == [NOON, summer]


@pytest.mark.parametrize(
    "written",
    [
        "",
        0,
        -1,
        20260301,
        20260301120000,
        "yesterday",
        "2026-03-01",
        "01/03/2026 12:00",
        "2026-02-30 12:00:00Z",
        "0000-00-00 00:00:00",
        "0001-01-01 00:00:00+14:00",
        "2026-03-01 12:00:00+99:00",
    ],
)
def test_what_is_no_time_is_none(upstream: Upstream, written: Any) -> None:
    assert listed(upstream, [{**ROW, "created_at": written}], time_zone="UTC")[0].created_at is None


@pytest.mark.parametrize("answer", [5, "orders", {"status": "success"}, {"data": "Empty"}, {"order": 5, "service": 1}])
def test_an_answer_that_is_no_list_cannot_be_read(upstream: Upstream, answer: Any) -> None:
    with pytest.raises(Unavailable) as failed:
        listed(upstream, answer)
    assert failed.value.reason == Reason.UNREADABLE


def test_a_refusal_is_the_calls_own(upstream: Upstream) -> None:
    with pytest.raises(Unavailable) as failed:
        listed(upstream, {"error": "Invalid API key"})
    assert failed.value.reason == Reason.KEY


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", 5, "Europe/Berlin ", "\x00"])
def test_only_a_zone_of_this_earth_can_be_set(zone: Any) -> None:
    with pytest.raises(ValueError, match="time_zone"):
        dialect("perfectpanel", {"time_zone": zone})


def test_a_zone_can_be_left_open() -> None:
    assert dialect("perfectpanel", {"time_zone": ""}).time_zone == ""
