import time
from dataclasses import replace
from decimal import Decimal

import pytest

from catalog import comparing
from catalog.comparing import Known
from catalog.models import SyncChange
from catalog.providers.replies import Catalogue, CatalogueRow
from tests.integration.test_importing import read, row

Kind = SyncChange.Kind


def known(*rows: CatalogueRow, vanished: bool = False) -> list[Known]:
    return [Known(one, vanished) for one in rows]


def kinds(before: list[Known], catalogue: Catalogue) -> list[tuple[str, str]]:
    return [(one.kind, one.remote_id) for one in comparing.compare(before, catalogue)]


def test_the_same_list_has_no_differences() -> None:
    rows = row("1"), row("2", rate=Decimal("0.900"))
    assert comparing.compare(known(row("1"), row("2")), read(*rows)) == []


def test_each_kind_of_difference_is_told_by_the_fields_that_differ() -> None:
    before = [*known(row("1"), row("2"), row("4")), *known(row("3"), row("5"), vanished=True)]
    after = read(row("1", rate=Decimal(1), refill=None), row("3"), row("4", name="Photos", category="Art"), row("6"))
    found = comparing.compare(before, after)
    assert [(one.kind, one.remote_id) for one in found] == [
        (Kind.CHANGED, "1"),
        (Kind.BACK, "3"),
        (Kind.REUSED, "4"),
        (Kind.NEW, "6"),
        (Kind.VANISHED, "2"),
    ]
    assert (found[0].before, found[0].after) == ({"rate": "0.9", "refill": True}, {"rate": "1", "refill": None})
    assert (found[1].before, found[1].after) == ({"vanished": True}, {})
    assert found[3].after["rate"] == "0.9"
    assert comparing.count(found) == {
        "new": 1,
        "changed": 1,
        "gone": 1,
        "back": 1,
        "reused": 1,
        "up": 1,
        "down": 0,
    }


@pytest.mark.parametrize(
    ("before", "after", "reused"),
    [
        ({}, {"name": "Photo retouching"}, False),
        ({}, {"category": "Art"}, False),
        ({}, {"name": "Photo retouching", "category": "Art"}, True),
        ({"name": "Visits, slow"}, {"name": "VISITS - slow & steady", "category": "⭐ Web traffic ⭐"}, False),
        ({"name": "New views real fast"}, {"name": "Real photos by hand", "category": "Art"}, True),
        ({"name": "🐢", "category": "A"}, {"name": "🐇", "category": "Animals"}, True),
        ({"name": "🐢", "category": "Web"}, {"name": "🐢", "category": "Animals"}, False),
        ({}, {"name": "Photo retouching", "category": " WEB! "}, False),
        ({}, {"type": "default "}, False),
        ({}, {"type": "Package"}, True),
        ({"type": "Custom_Comments"}, {"type": "custom comments"}, False),
        ({"type": "Telepathy"}, {"type": "Telekinesis"}, False),
    ],
)
def test_an_id_is_reused_when_hardly_anything_of_its_service_stayed(
    before: dict[str, str], after: dict[str, str], *, reused: bool
) -> None:
    assert comparing.is_reused(row("1", **before), row("1", **after)) is reused


def test_a_service_that_is_listed_in_a_way_that_cannot_be_sold_counts_as_gone() -> None:
    rows = [row(str(number)) for number in range(1, 5)]
    listed = Catalogue(
        rows=(row("1", rate=Decimal(0)), row("2", min=0), row("3", rate=Decimal("999999999999.999999999"))),
        skipped=(("4", "no name"), ("1", "the same id again")),
    )
    found = comparing.compare(known(*rows), listed)
    assert [(one.remote_id, one.kind, one.after["why"]) for one in found] == [
        ("1", Kind.VANISHED, "rate 0"),
        ("2", Kind.VANISHED, "limits 0 to 1000"),
        ("3", Kind.VANISHED, "bad rate"),
        ("4", Kind.VANISHED, "no name"),
    ]


def test_what_vanished_before_and_is_not_listed_is_no_difference() -> None:
    assert kinds(known(row("1"), vanished=True), read(row("1", rate=Decimal(0)))) == []


def test_a_rate_is_rounded_up_to_what_its_column_holds_and_stays_the_same_then() -> None:
    fine = row("1", rate=Decimal("0.0000000001"), name="A &amp; B\u0007", category="")
    tidied = comparing.tidy(fine)
    assert (tidied.rate, tidied.name) == (Decimal("0.00000001"), "A & B")
    assert comparing.compare(known(tidied), read(fine)) == []


def test_rows_that_can_never_be_kept_are_left_out() -> None:
    assert kinds([], read(row("x" * 61), row("2", min=5, max=4), row("3"), row("3"))) == [(Kind.NEW, "3")]


def brake(before: list[CatalogueRow], after: list[CatalogueRow], gone: int = 30, rate: int = 50) -> str:
    found = comparing.compare(known(*before), read(*after))
    sold = {one.service for one in before if one.category != "Unsold"}
    return comparing.find_brake(found, sold, gone_percent=gone, rate_percent=rate)


def test_a_brake_holds_beyond_its_limit_and_not_at_it() -> None:
    rows = [row(str(number), rate=Decimal(1)) for number in range(10)]
    assert brake(rows, rows[3:]) == ""
    assert "4 of the 10 that" in brake(rows, rows[4:])
    dearer = [replace(one, rate=Decimal("1.5")) for one in rows]
    assert brake(rows, dearer) == ""
    assert "60 % on average" in brake(rows, [replace(one, rate=Decimal("1.6")) for one in rows])
    assert "90 % on average" in brake(rows, [replace(one, rate=Decimal("0.1")) for one in rows])
    assert brake(rows, [*dearer[:5], *rows[5:]], rate=25) == ""


def test_what_we_do_not_sell_trips_no_brake() -> None:
    sold = [row(str(number), rate=Decimal(1)) for number in range(10)]
    unsold = [row(str(number), rate=Decimal(1), category="Unsold") for number in range(10, 100)]
    assert brake([*sold, *unsold], sold) == ""
    assert brake([*sold, *unsold], [*sold, *(replace(one, rate=Decimal(100)) for one in unsold)]) == ""
    assert brake(unsold, []) == ""


def test_fifty_thousand_rows_are_compared_in_one_pass() -> None:
    rows = [row(str(number), name=f"Service {number}", rate=Decimal(number + 1)) for number in range(50_000)]
    after = [replace(one, rate=one.rate + 1) for one in rows[1000:]]
    begun = time.process_time()
    found = comparing.compare(known(*rows), read(*after))
    assert len(found) == 50_000
    assert time.process_time() - begun < 10
