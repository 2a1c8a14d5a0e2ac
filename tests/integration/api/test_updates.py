"""The action `updates`: what changed, for programs; its shape, its limits, and what it refuses."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from catalog.models import ServiceChange
from tests.conftest import MakeService

Api = Callable[..., Any]
NOON = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


def change(service_id: int, kind: str, before: str, after: str, at: datetime.datetime = NOON) -> None:
    ServiceChange.objects.create(service_id=service_id, kind=kind, before=before, after=after, created_at=at)


@pytest.fixture
def three(make_service: MakeService) -> int:
    """Three changes of one service, an hour apart; returns the service's id."""
    service = make_service().pk
    for hours, kind in enumerate(("new", "up", "down")):
        change(service, kind, "" if kind == "new" else "1", "2", NOON + datetime.timedelta(hours=hours))
    return service


@pytest.mark.parametrize(
    ("kind", "before", "after", "shown"),
    [
        ("new", "", "0.840000", ("", "0.84")),
        ("up", "0.84", "1.200", ("0.84", "1.2")),
        ("down", "1000", "0.000001", ("1000", "0.000001")),
        ("limits", "10 – 50000", "10-100000", ("10-50000", "10-100000")),
        ("disabled", "0.84", "", ("0.84", "")),
    ],
)
def test_a_change_is_answered_in_bare_numbers(
    api: Api, make_service: MakeService, kind: str, before: str, after: str, shown: tuple[str, str]
) -> None:
    service = make_service().pk
    change(service, kind, before, after)
    assert api(action="updates") == [
        {"service": service, "kind": kind, "before": shown[0], "after": shown[1], "at": "2026-03-01T12:00:00Z"}
    ]


def test_changes_come_newest_first(api: Api, three: int) -> None:
    assert [row["kind"] for row in api(action="updates")] == ["down", "up", "new"]


@pytest.mark.parametrize(
    ("since", "kinds"),
    [
        ("2026-03-01T13:00:00Z", ["down", "up"]),
        ("2026-03-01T13:00:01", ["down"]),
        ("2026-03-01T18:30:00+05:30", ["down", "up"]),
        ("2026-03-01", ["down", "up", "new"]),
        ("2026-03-02", []),
        (str(int(NOON.timestamp()) + 7200), ["down"]),
        ("0", ["down", "up", "new"]),
        ("undefined", ["down", "up", "new"]),
        ("0001-01-01T00:00:00+14:00", ["down", "up", "new"]),
        ("9999-12-31T23:59:59-14:00", []),
    ],
)
def test_since_may_be_a_date_a_moment_or_seconds(api: Api, three: int, since: str, kinds: list[str]) -> None:
    assert [row["kind"] for row in api(action="updates", since=since)] == kinds


@pytest.mark.parametrize(
    "since", ["yesterday", "2026-13-01", "2026-02-30", "9" * 18, "1767225600000", "-1", "1.5", "\x00"]
)
def test_a_since_that_says_nothing_is_refused(api: Api, three: int, since: str) -> None:
    assert api(action="updates", since=since) == {"error": "Incorrect since"}


def test_a_limit_cuts_off_the_oldest(api: Api, three: int) -> None:
    assert [row["kind"] for row in api(action="updates", limit=2)] == ["down", "up"]
    assert len(api(action="updates", limit=500)) == 3


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ("0", "Incorrect limit"),
        ("-1", "Incorrect limit"),
        ("many", "Incorrect limit"),
        ("501", "Limit of 500 updates exceeded"),
    ],
)
def test_a_limit_that_says_nothing_or_too_much_is_refused(api: Api, three: int, limit: str, error: str) -> None:
    assert api(action="updates", limit=limit) == {"error": error}


def test_without_a_limit_a_hundred_come(api: Api, three: int) -> None:
    ServiceChange.objects.bulk_create(
        ServiceChange(service_id=three, kind="up", before="1", after="2") for _ in range(120)
    )
    assert len(api(action="updates")) == 100


def test_a_list_of_any_length_costs_two_queries(api: Api, three: int, django_assert_num_queries: Any) -> None:
    api(action="balance")
    with django_assert_num_queries(2):
        assert len(api(action="updates", since="2026-01-01", limit=500)) == 3


def test_a_wrong_key_is_told_nothing(api: Api, three: int) -> None:
    assert api(action="updates", key="wrong") == {"error": "Invalid API key"}


def test_an_empty_history_is_an_empty_list(api: Api) -> None:
    assert api(action="updates") == []
