"""Real answers and odd ones, as they come over the wire, through an import to what is on sale (PROTOCOL 3.1).

`catalogues/` holds answers byte by byte: of five panels that speak like the five documents, captured as they ran with
eight services (their names are those of their dialects; three sell products as well), and one file for each oddity.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalog import importing, pricing
from catalog.importing import ImportCounts
from catalog.models import ProviderService, Service
from tests.conftest import make_provider
from tests.unit.providers.upstream import running

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).parent / "catalogues"
FIELDS = ("remote_id", "name", "type", "category", "rate", "min", "max", "refill", "cancel", "dripfeed", "description")
SOLD = ("name", "category__name", "type", "min", "max", "refill", "cancel", "dripfeed", "enabled")

Import = Callable[..., ImportCounts]


@pytest.fixture
def take() -> Import:
    """Import the answer in a file, as a provider's whole list."""

    def take(name: str, *, is_product: bool = False, **fields: Any) -> ImportCounts:
        with running() as upstream:
            upstream.answers((FOLDER / name).read_bytes())
            return importing.import_services(make_provider(upstream.url, **fields), is_product=is_product)

    return take


def kept(*fields: str) -> list[tuple[Any, ...]]:
    """Return what was kept of the list, row by row, by their ids."""
    rows = sorted(ProviderService.objects.values_list("remote_id", *fields), key=lambda row: int(row[0]))
    return [row[1:] for row in rows]


def sold(*fields: str) -> list[tuple[Any, ...]]:
    """Return what was made to be sold of the list, by their ids."""
    rows = Service.objects.values_list("routes__provider_service__remote_id", *fields)
    return [row[1:] for row in sorted(rows, key=lambda row: int(row[0]))]


def panel(*, cancel: bool | None) -> list[tuple[Any, ...]]:
    """Return the table of a panel that does or does not say which services can be canceled."""
    generated = "Generated service %d – “quality” <b>&"
    # their id, name, type, category, rate, min, max, refill, cancel, drip-feed, description
    return [
        ("1", "Youtube views", "Default", "Youtube", Decimal("2.5"), 200, 10_000, True, cancel, None, ""),
        ("2", "Facebook comments", "Custom Comments", "Facebook", Decimal(4), 10, 1500, False, cancel, None, ""),
        ("3", "Site visits pack", "Package", "Web", Decimal("1.20"), 1, 1, False, cancel, None, ""),
        ("4", "Followers cheap", "Default", "First Category", Decimal("0.90"), 50, 10_000, True, cancel, None, ""),
        ("1005", generated % 5, "Default", "Category 5", Decimal("0.06"), 10, 100_000, True, cancel, None, ""),
        ("1006", generated % 6, "Default", "Category 6", Decimal("0.07"), 10, 100_000, False, cancel, None, ""),
        ("1007", generated % 7, "Default", "Category 7", Decimal("0.08"), 10, 100_000, True, cancel, None, ""),
        ("1008", generated % 8, "Default", "Category 8", Decimal("0.09"), 10, 100_000, False, cancel, None, ""),
    ]


TRAFFIC = ("5", "Targeted website traffic", "Web Traffic", "Web", Decimal("0.35"), 100, 100_000, False, True, True, "")
PANELS = {
    "smmvna": panel(cancel=None),
    "seed001": panel(cancel=None),
    "smmdiva": panel(cancel=None),
    "smmpro": [*panel(cancel=True)[:4], TRAFFIC, *panel(cancel=True)[5:]],
    "cheapsmmbd": panel(cancel=True),
}


@pytest.mark.parametrize("name", PANELS)
def test_the_catalogue_of_each_of_the_five_panels_comes_in_with_every_field_right(name: str, take: Import) -> None:
    table = PANELS[name]
    counts = take(f"{name}.json")
    assert (counts.added, counts.skipped) == (8, [])
    rows = sorted(ProviderService.objects.values_list(*FIELDS), key=lambda row: int(row[0]))
    assert rows == table
    wanted = [
        (title, category, kind, least, most, refill, bool(cancel), bool(dripfeed), True)
        for _, title, kind, category, _, least, most, refill, cancel, dripfeed, _ in table
    ]
    assert sold(*SOLD) == wanted
    prices = {terms.provider_service_id: pricing.list_rate(terms) for terms in pricing.load_terms(None).values()}
    assert {row.remote_id: prices[row.pk] for row in ProviderService.objects.all()} == {
        remote_id: rate for remote_id, _, _, _, rate, *_ in table
    }


@pytest.mark.parametrize("name", ["smmvna", "seed001", "smmdiva"])
def test_the_products_of_each_of_the_three_panels_come_in_with_every_field_right(name: str, take: Import) -> None:
    counts = take(f"{name}_products.json", is_product=True, dialect="1dg")
    assert (counts.added, counts.skipped) == (3, [])
    listed = ("name", "require", "category", "rate", "min", "max", "type", "in_stock", "inventory", "is_product")
    account = "Input your account"
    assert kept(*listed) == [
        ("Netflix premium 1 month", account, "Netflix", Decimal("2.5"), 1, 10, "Auto", True, 40, True),
        ("Youtube premium 1 month", account, "Youtube", Decimal(5), 1, 1, "Auto", False, 0, True),
        ("Facebook account 5000 friends", "", "Facebook", Decimal("0.5"), 1, 2, "Service", True, None, True),
    ]
    made = ("name", "category__name", "type", "min", "max", "enabled", "is_product")
    assert sold(*made, "product__source", "product__kind", "product__require") == [
        ("Netflix premium 1 month", "Netflix", "Default", 1, 10, True, True, "provider", "Auto", account),
        ("Youtube premium 1 month", "Youtube", "Default", 1, 1, True, True, "provider", "Auto", account),
        ("Facebook account 5000 friends", "Facebook", "Default", 1, 2, True, True, "provider", "Service", ""),
    ]
    terms = pricing.load_terms(None)
    assert sorted((one.per, pricing.list_rate(one)) for one in terms.values()) == [
        (1, Decimal("0.5")),
        (1, Decimal("2.5")),
        (1, Decimal(5)),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "in_services.json",
        "in_data.json",
        "by_id.json",
        "by_id_in_data.json",
        "in_title_case.json",
        "ids_as_text.json",
        "behind_a_notice.txt",
    ],
)
def test_a_list_comes_in_from_any_container(name: str, take: Import) -> None:
    counts = take(name)
    assert (counts.added, counts.skipped) == (2, [])
    rows = ProviderService.objects.order_by("remote_id").values_list(*FIELDS)
    assert list(rows) == [
        ("7", "Visits", "Default", "Web", Decimal("0.9"), 10, 1000, True, False, None, ""),
        ("8", "Photos", "Package", "Art", Decimal(4), 1, 1, False, True, None, ""),
    ]
    assert len(pricing.load_terms(None)) == 2


@pytest.mark.parametrize("name", ["empty_data.json", "empty_list.json"])
def test_an_empty_list_in_either_form_brings_nothing_and_is_no_error(name: str, take: Import) -> None:
    assert take(name) == ImportCounts()


def test_numbers_are_read_in_every_writing_and_none_is_guessed(take: Import) -> None:
    counts = take("odd_numbers.json")
    rows = {row.remote_id: (row.rate, row.min, row.max) for row in ProviderService.objects.all()}
    assert rows == {
        "1": (Decimal("0.9"), 50, 10_000),
        "2": (Decimal("0.5"), 10, 10_000),
        "3": (Decimal(95_200), 10, 1000),
        "4": (Decimal("0.00001"), 10, 1000),
        "5": (Decimal("0.35"), 10, 1000),
        "6": (Decimal("1234567.5"), 10, 1000),
        "7": (Decimal("0.00000001"), 10, 1000),  # up, never to nothing
        "9": (Decimal(0), 10, 1000),
        "308": (Decimal(8), 10, 1000),
    }
    assert dict(counts.skipped) == {
        "9": "rate 0: imported, not on sale",
        "10": "bad rate",
        "11": "bad rate",
        "12": "bad rate",
        "13": "limits 0 to 1000",
        "14": "min above max",
        "15": "bad max",
    }
    assert Service.objects.filter(enabled=True).count() == 8


def test_flags_are_read_in_every_writing_and_what_is_not_said_is_not_invented(take: Import) -> None:
    take("odd_flags.json")
    assert kept("refill", "cancel", "dripfeed") == [
        (True, True, True),
        (False, False, False),
        (False, None, True),
        (None, None, None),
        (None, None, None),
    ]
    assert sold("refill", "cancel", "dripfeed") == [
        (True, True, True),
        (False, False, False),
        (False, False, True),
        (False, False, False),
        (False, False, False),
    ]


def test_a_refill_flag_of_three_states_is_read_where_staff_said_so(take: Import) -> None:
    take("tri_state_refills.json", dialect_overrides={"refill_flag_map": "tri-state"})
    assert kept("refill") == [(True,), (True,), (False,), (False,), (None,)]


def test_types_come_in_under_their_raw_names_and_unknown_ones_are_not_on_sale(take: Import) -> None:
    counts = take("odd_types.json")
    raw = [row[0] for row in kept("type")]
    assert list(zip(raw, sold("type", "enabled"), strict=True)) == [
        ("default", ("Default", True)),
        ("Default", ("Default", True)),
        ("custom_comments", ("Custom Comments", True)),
        ("Custom-Comments", ("Custom Comments", True)),
        ("CUSTOM COMMENTS PACKAGE", ("Custom Comments Package", True)),
        ("Subscriptions", ("Subscriptions", True)),
        ("Mentions with Hastags", ("Mentions with Hashtags", True)),
        ("web traffic", ("Web Traffic", True)),
        ("comment_likes", ("Comment Likes", True)),
        ("Telepathy", ("Unknown", False)),
        ("Default", ("Default", True)),
        ("Default", ("Default", True)),
        ("Package", ("Package", True)),
    ]
    assert kept("min", "max")[-1] == (1, 1)
    assert counts.skipped == [("10", "unknown type Telepathy: imported, not on sale")]


def test_texts_keep_their_characters_and_lose_what_no_name_needs(take: Import) -> None:
    counts = take("odd_texts.json")
    assert kept("name", "category", "description") == [
        ('Fast & "steady" 🚀 — ‘good’ 🚀🔥', "⭐ Web > Visits", ""),
        ("Visits", "", ""),
        ("Two lines and blanks", "Web", ""),
        ("<script>alert(1)</script>", "Web", ""),
        ("Visits", "Web", "Starts <b>now</b>\nThen waits"),
        ("Visits", "Web", "Words"),
        ("x" * 300, "y" * 200, ""),
        ("First of two", "Web", ""),
    ]
    assert sold("category__name")[1] == ("Other",)
    assert counts.skipped == [
        ("4", "no name"),
        ("9", "the same id again"),
        ("#11", "not an object"),
        ("#12", "not an object"),
        ("#13", "no id"),
        ("#14", "no id"),
        ("#15", "not an object"),
    ]
