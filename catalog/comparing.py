"""Comparing a provider's list with what was last read of it, and when that must wait for a person (PROTOCOL 6.5).

Pure, in one pass: nothing here reads or writes anything. What a difference holds is ready for JSON: rates are texts.
"""

import html
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from accounts.money import EXACT, UP, plain
from catalog.kinds import read_type
from catalog.models import SyncChange
from catalog.providers.catalogue import LARGEST_RATE
from catalog.providers.replies import Catalogue, CatalogueRow

SERVICE_FIELDS = ("name", "type", "category", "rate", "min", "max", "refill", "cancel", "dripfeed", "description")
PRODUCT_FIELDS = ("name", "type", "category", "rate", "min", "max", "require")
FIELDS = (*SERVICE_FIELDS, "require")
HUNDRED = Decimal(100)
# Their columns.
PROVIDER_RATE_STEP = Decimal("0.00000001")
LONGEST_ID, LONGEST_NAME, LONGEST_CATEGORY, LONGEST_TYPE, LONGEST_REQUIRE = 60, 300, 200, 60, 200
WORD, TYPE_WORD = re.compile(r"[^\W\d_]{2,}"), re.compile(r"[^\W_]+")
# A name of which fewer than a third of the words stayed is another name.
RECOGNISED_BY = 3
# A list may say the same twice: the first counts, and nothing is wrong with it.
DUPLICATE = "the same id again"

Kind = SyncChange.Kind


@dataclass(frozen=True, slots=True)
class Goods(CatalogueRow):
    """A product as a row like any other: its id stands in `service`, the rate is per piece.

    What is in stock comes and goes with each reading: it is no difference that anybody decides on.
    """

    require: str = ""
    in_stock: bool | None = None
    inventory: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A provider's service or product as we have it."""

    row: CatalogueRow
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """How one service differs: the fields that do, before and after; of one that is gone, `why` where that is known."""

    remote_id: str
    name: str
    kind: Kind
    before: dict[str, Any]
    after: dict[str, Any]


def compare(known: Iterable[Known], catalogue: Catalogue) -> list[Difference]:
    """Return how a list differs from what is known, in the order of the list, then what is gone from it.

    A known service whose row makes no sense, or whose rate falls to 0, counts as gone: it is never sold by that row.
    """
    ours = {one.row.service: one for one in known}
    unsound = {remote_id: why for remote_id, why in catalogue.skipped if why != DUPLICATE}
    differences: list[Difference] = []
    listed: set[str] = set()
    for row in catalogue.rows:
        if row.service in listed:
            continue
        one = ours.get(row.service)
        try:
            tidied = tidy(row)
        except ValueError as error:
            unsound[row.service] = str(error)
            continue
        if one is not None and one.row.rate and not tidied.rate:
            unsound[row.service] = "rate 0"
            continue
        listed.add(row.service)
        differences += _compare_one(one, tidied)
    gone = (one for remote_id, one in ours.items() if remote_id not in listed and not one.vanished)
    return differences + [_gone(one.row, unsound.get(one.row.service, "")) for one in gone]


def tidy(row: CatalogueRow) -> CatalogueRow:
    """Return a row as our columns can hold it, its rate rounded up; raise ValueError when it cannot be sold by it."""
    rate = row.rate.quantize(PROVIDER_RATE_STEP, context=UP)
    if len(row.service) > LONGEST_ID:
        raise ValueError("id too long")
    if row.min < 1 or row.max < row.min:
        raise ValueError(f"limits {row.min} to {row.max}")
    if rate >= LARGEST_RATE:
        raise ValueError("bad rate")
    tidied = replace(
        row,
        name=clean(row.name)[:LONGEST_NAME] or row.service,
        category=clean(row.category)[:LONGEST_CATEGORY],
        type=row.type[:LONGEST_TYPE],
        rate=rate,
    )
    if not isinstance(tidied, Goods):
        return tidied
    return replace(tidied, require=clean(tidied.require)[:LONGEST_REQUIRE])


def list_fields(row: CatalogueRow) -> tuple[str, ...]:
    """Return the fields that a row says something in."""
    return PRODUCT_FIELDS if isinstance(row, Goods) else SERVICE_FIELDS


def clean(text: str) -> str:
    """Turn HTML entities into characters and drop control characters, which no name needs."""
    unescaped = html.unescape(text)
    return " ".join("".join(char if char.isprintable() else " " for char in unescaped).split())


def is_reused(before: CatalogueRow, after: CatalogueRow) -> bool:
    """Tell whether an id stands for something else now: another kind of order, or changed beyond recognition.

    That is when hardly a word of its name stayed, and its type or category is another one as well.
    """
    if read_type(before.type) != read_type(after.type):
        return True
    if before.name == after.name or (
        _words(before.category) == _words(after.category)
        and TYPE_WORD.findall(before.type.casefold()) == TYPE_WORD.findall(after.type.casefold())
    ):
        return False
    ours, theirs = _words(before.name), _words(after.name)
    shared = len(ours & theirs)
    return not shared or shared * RECOGNISED_BY < min(len(ours), len(theirs))


def count(differences: Iterable[Difference]) -> dict[str, int]:
    """Return how many differences there are of each kind, and how many rates go up and down."""
    counts: Counter[str] = Counter(dict.fromkeys([*Kind.values, "up", "down"], 0))
    for one in differences:
        counts[one.kind] += 1
        change = rate_change(one)
        if change:
            counts["up" if change > 0 else "down"] += 1
    return dict(counts)


def rate_change(change: Difference | SyncChange) -> Decimal | None:
    """Return by how many percent a rate moves; None where it does not, or where there was none."""
    before, after = change.before.get("rate"), change.after.get("rate")
    if before is None or after is None or not Decimal(before):
        return None
    moved = EXACT.subtract(Decimal(after), Decimal(before))
    return EXACT.divide(EXACT.multiply(moved, HUNDRED), Decimal(before))


def find_brake(
    differences: Iterable[Difference], sold: Collection[str], *, gone_percent: int, rate_percent: int
) -> str:
    """Say why differences must wait for a person, or return an empty text; `sold` has the ids of what we sell now."""
    ours = [one for one in differences if one.remote_id in sold]
    gone = sum(one.kind in {Kind.VANISHED, Kind.REUSED} for one in ours)
    if gone * 100 > gone_percent * len(sold):
        told = {"gone": gone, "sold": len(sold), "percent": gone_percent}
        return (
            _(
                "%(gone)d of the %(sold)d that we sell are gone or stand for something else; "
                "the brake is at %(percent)d %%."
            )
            % told
        )
    moved = sum((abs(rate_change(one) or Decimal(0)) for one in ours if one.kind == Kind.CHANGED), Decimal(0))
    if moved > rate_percent * (len(sold) - gone):
        mean = EXACT.divide(moved, Decimal(len(sold) - gone))
        told = {"mean": round(mean), "percent": rate_percent}
        return _("The rates of what we sell move by %(mean)d %% on average; the brake is at %(percent)d %%.") % told
    return ""


def _compare_one(known: Known | None, row: CatalogueRow) -> Iterator[Difference]:
    if known is None:
        yield Difference(row.service, row.name, Kind.NEW, {}, _written(row, list_fields(row)))
        return
    names = [name for name in list_fields(row) if getattr(known.row, name) != getattr(row, name)]
    before, after = _written(known.row, names), _written(row, names)
    if known.vanished:
        before["vanished"] = True
    if names and is_reused(known.row, row):
        yield Difference(row.service, row.name, Kind.REUSED, before, after)
    elif known.vanished:
        yield Difference(row.service, row.name, Kind.BACK, before, after)
    elif names:
        yield Difference(row.service, row.name, Kind.CHANGED, before, after)


def _gone(row: CatalogueRow, why: str) -> Difference:
    return Difference(row.service, row.name, Kind.VANISHED, {}, {"why": why} if why else {})


def _written(row: CatalogueRow, names: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in names}
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))
