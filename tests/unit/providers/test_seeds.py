"""Every example of the five seed documents, verbatim, through real HTTP."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalog.providers.client import Client
from catalog.providers.dialects import DIALECTS
from catalog.providers.errors import Reason, Unavailable, Unclear
from catalog.providers.replies import (
    Added,
    Balance,
    CancelAccepted,
    CatalogueRow,
    ItemError,
    ProductReport,
    ProductResult,
    ProductRow,
    RefillAccepted,
    RefillReport,
    StatusReport,
)
from tests.unit.providers.upstream import Upstream

SEEDS = Path(__file__).parent / "seeds"
ONE_DG_IDS = ["123", "456", "789", "321"]
PANEL_IDS = ["1", "10", "100"]
FAMILY = {"000": "1dg", "001": "1dg", "002": "1dg", "003": "perfectpanel", "004": "perfectpanel"}
TOKEN = "c85c1d1a-9ef3-4d01-8c58-3dfaf3bbc78e"
TOKEN_2 = "c85c1d1a-9ef3-4d01-8c58-3dfaf3bbc457"


def report(status: str, charge: str, start: int, remains: int, currency: str = "", word: str = "") -> StatusReport:
    return StatusReport(status, word or status, Decimal(charge), start, remains, currency, (), None, None)


def service(number: str, name: str, kind: str, category: str, *terms: str, refill: bool, cancel: bool | None) -> Any:
    rate, least, most = terms
    return CatalogueRow(
        number,
        name,
        kind,
        category,
        Decimal(rate),
        int(least),
        int(most),
        refill,
        cancel,
        dripfeed=None,
        description="",
    )


ONE_DG_SERVICES = (
    service("1", "Youtube views", "Default", "Youtube", "2.5", "200", "10000", refill=True, cancel=None),
    service("2", "Facebook comments", "Custom Comments", "Facebook", "4", "10", "1500", refill=False, cancel=None),
)
PANEL_SERVICES = (
    service("1", "Followers", "Default", "First Category", "0.90", "50", "10000", refill=True, cancel=True),
    service("2", "Comments", "Custom Comments", "Second Category", "8", "10", "1500", refill=False, cancel=True),
)
ONE_DG_STATUSES = {
    "123": report("Partial", "0.27819", 3572, 157),
    "456": ItemError("Incorrect order ID", "order_unknown", "later"),
    "789": report("In progress", "1.44219", 234, 10),
}
PANEL_STATUSES = {
    "1": report("Partial", "0.27819", 3572, 157, "USD"),
    "10": ItemError("Incorrect order ID", "order_unknown", "later"),
    "100": report("In progress", "1.44219", 234, 10, "USD"),
}
PRODUCTS = (
    ProductRow(
        "1",
        "Netflix premium 1 month",
        "Input your account",
        Decimal("2.5"),
        1,
        10,
        "Netflix",
        True,
        40,
        "Auto",
    ),
    ProductRow(
        "2",
        "Youtube premium 1 month",
        "Input your account",
        Decimal(5),
        1,
        1,
        "Youtube",
        False,
        0,
        "Auto",
    ),
    ProductRow(
        "3",
        "Facebook account 5000 friends",
        "",
        Decimal("0.5"),
        1,
        2,
        "Facebook",
        True,
        None,
        "Service",
    ),
)
DELIVERED = ProductReport("Completed", "Completed", Decimal("7.5"), None, "", TOKEN)
HALF_DELIVERED = ProductReport("Partial", "Partial", Decimal(6), 3, "", TOKEN_2)
PRODUCT_ORDERS = {
    "123": DELIVERED,
    "456": ItemError("Incorrect order ID", "order_unknown", "later"),
    "789": ProductReport("Canceled", "Canceled", Decimal(0), None, "Out of stock", ""),
}
LINES = ("abc@gmail | 2 | 3", "abc1@gmail | 2 | 3", "abc2@gmail | 2 | 3")


def refills(text: str) -> dict[str, Any]:
    return {
        "1": RefillReport("1", "Completed", "Completed"),
        "2": RefillReport("2", "Rejected", "Rejected"),
        "3": ItemError(text, "refill_unknown", "final"),
    }


REFILLED = {
    "1": RefillAccepted("1", "1"),
    "2": RefillAccepted("2", "2"),
    "3": ItemError("Incorrect order ID", "order_unknown", "later"),
}

# What is called with what for the part of a file's name behind the seed's number.
CALLS: dict[str, Callable[[Client], Any]] = {
    "services": lambda c: c.services().rows,
    "add": lambda c: c.add({"service": "1", "link": "https://example.org", "quantity": "100"}).order_id,
    "add_product_order": lambda c: c.add_product_order({"product": "1", "quantity": "1"}).order_id,
    "balance": lambda c: c.balance(),
    "status-one": lambda c: c.status(["55"])["55"],
    "status-many": lambda c: c.status(ONE_DG_IDS[:3] + PANEL_IDS),
    "refill-one": lambda c: c.refill(["55"]),
    "refill-many": lambda c: c.refill(["1", "2", "3"]),
    "refill_status-one": lambda c: c.refill_status(["1"]),
    "refill_status-many": lambda c: c.refill_status(["1", "2", "3"]),
    "cancel-many": lambda c: c.cancel(["9", "2"]),
    "products": lambda c: c.products().rows,
    "product_order_status-one": lambda c: c.product_order_status(["55"])["55"],
    "product_order_status-many": lambda c: c.product_order_status(ONE_DG_IDS),
    "result_product": lambda c: c.result_product("55"),
}

MEANT: dict[str, dict[str, Any]] = {
    "1dg": {
        "services": ONE_DG_SERVICES,
        "add": "99999",
        "add_product_order": "99999",
        "balance": Balance(Decimal("68.6868"), "USD"),
        "status-one": report("Completed", "2.5", 168, -2),
        "status-many": ONE_DG_STATUSES,
        "refill-one": {"55": RefillAccepted("55", "1")},
        # One id for many orders says nothing about which: each was asked for by itself.
        "refill-many": {order: RefillAccepted(order, "1") for order in ("1", "2", "3")},
        "refill_status-one": {"1": RefillReport("1", "Completed", "Completed")},
        "refill_status-many": refills("Incorrect refill ID"),
        "products_valid": PRODUCTS,
        "product_order_status-one_valid": DELIVERED,
        "product_order_status-one_valid_partial": HALF_DELIVERED,
        "product_order_status-many_valid": {**PRODUCT_ORDERS, "321": HALF_DELIVERED},
        "result_product": ProductResult(LINES),
    },
    "perfectpanel": {
        "services": PANEL_SERVICES,
        "add": "23501",
        "balance": Balance(Decimal("100.84292"), "USD"),
        "status-one": report("Partial", "0.27819", 3572, 157, "USD"),
        "status-many": PANEL_STATUSES,
        "refill-one": {"55": RefillAccepted("55", "1")},
        "refill-many": REFILLED,
        "refill_status-one": {"1": RefillReport("1", "Completed", "Completed")},
        "refill_status-many": refills("Refill not found"),
        "cancel-many": {"9": ItemError("Incorrect order ID", "order_unknown", "later"), "2": CancelAccepted("2")},
    },
}
# Where a document differs from its family.
MEANT_BY = {
    "002-status-one": report("Completed", "2.5", 168, -2, word="Success"),
    "002-product_order_status-one": DELIVERED,
    "002-product_order_status-many": PRODUCT_ORDERS,
}


def is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True


FILES = sorted(SEEDS.glob("*.json"))
MALFORMED = [path for path in FILES if not is_json(path)]


def call_for(name: str) -> Callable[[Client], Any]:
    return CALLS[name.partition("-")[2].partition("_valid")[0]]


@pytest.mark.parametrize("path", [path for path in FILES if path not in MALFORMED], ids=lambda path: path.stem)
def test_a_seed_example_is_read_in_full(upstream: Upstream, path: Path) -> None:
    upstream.answers(path.read_bytes())
    number, _, action = path.stem.partition("-")
    family = FAMILY[number]
    with upstream.client(DIALECTS[family]) as client:
        got = call_for(path.stem)(client)
    assert got == MEANT_BY.get(path.stem, MEANT[family].get(action))
    assert got is not None


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_a_malformed_seed_example_is_unreadable_and_kept(upstream: Upstream, path: Path) -> None:
    upstream.answers(path.read_bytes())
    with upstream.client(DIALECTS["1dg"]) as client, pytest.raises(Unavailable) as caught:
        call_for(path.stem)(client)
    assert caught.value.reason == Reason.UNREADABLE
    kept, field, _ = path.read_text()[:2048].partition('"result": ')
    assert caught.value.evidence == (f"{kept}{field}[goods]" if field else kept)


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_a_malformed_answer_is_unclear_for_add(upstream: Upstream, path: Path) -> None:
    upstream.answers(path.read_bytes())
    with upstream.client() as client, pytest.raises(Unclear) as caught:
        client.add({"service": "1"})
    assert caught.value.reason == "not_json"
    assert caught.value.evidence == path.read_text()[:2048]


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_every_malformed_example_has_a_valid_twin(path: Path) -> None:
    assert (SEEDS / f"{path.stem}_valid.json").exists()


def test_all_examples_of_the_five_documents_are_here() -> None:
    verbatim = [path for path in FILES if "_valid" not in path.stem]
    counted = {number: sum(path.stem.startswith(number) for path in verbatim) for number in FAMILY}
    assert counted == {"000": 14, "001": 10, "002": 13, "003": 10, "004": 9}


def test_a_refill_of_many_answered_with_one_id_is_asked_for_one_by_one(upstream: Upstream) -> None:
    upstream.answers((SEEDS / "000-refill-many.json").read_bytes())
    with upstream.client(DIALECTS["perfectpanel"]) as client:
        client.refill(["1", "2"])
    assert [request.params.get("orders", request.params.get("order")) for request in upstream.requests] == [
        "1,2",
        "1",
        "2",
    ]


def test_an_added_order_keeps_the_text_of_its_answer(upstream: Upstream) -> None:
    upstream.answers('{"order": 7, "charge": "0.27"}')
    with upstream.client() as client:
        assert client.add({"service": "1"}) == Added("7", Decimal("0.27"), '{"order": 7, "charge": "0.27"}')
