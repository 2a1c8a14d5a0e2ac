"""How a provider speaks, concluded from what it answers to reads; every family of PROTOCOL 0 that can be told apart."""

from decimal import Decimal
from typing import Any

import pytest

from catalog import detecting
from catalog.detecting import Detected
from catalog.providers.connection import Connection
from catalog.providers.dialects import DIALECTS, dialect
from catalog.providers.errors import ProviderError
from catalog.providers.sandbox import Sandbox

CLASSIC = {"service": 1, "name": "Followers", "type": "Default", "category": "First", "rate": "0.90", "min": "50"}
FIVE = {"balance": "100.84292", "currency": "USD"}
FOUR = {"balance": "68.6868", "currency": "USD"}


def row(**fields: Any) -> dict[str, Any]:
    return {**CLASSIC, "max": "10000", **fields}


def conclude(balance: Any, services: Any, *, products: bool = False) -> Detected:
    found = detecting.conclude(balance, services, products=products)
    assert dialect(found.dialect, found.overrides)
    return found


# What panels that speak like the five documents and this very panel answer; of their lists the first rows.
VIEWS = {
    "service": 1,
    "name": "Youtube views",
    "type": "Default",
    "category": "Youtube",
    "rate": "2.5",
    "min": "200",
    "max": "10000",
    "refill": True,
}
COMMENTS = {
    "service": 2,
    "name": "Facebook comments",
    "type": "Custom Comments",
    "category": "Facebook",
    "rate": "4",
    "min": "10",
    "max": "1500",
    "refill": False,
}
TRAFFIC = {
    "service": 5,
    "name": "Targeted website traffic",
    "type": "Web Traffic",
    "category": "Web",
    "rate": "0.35",
    "min": "100",
    "max": "100000",
    "refill": False,
    "cancel": True,
    "dripfeed": True,
}
OURS = {
    "service": 1,
    "name": "Website visits – worldwide",
    "type": "Default",
    "category": "Website visits",
    "rate": "0.95",
    "min": "50",
    "max": "10000",
    "refill": True,
    "cancel": True,
    "dripfeed": True,
    "desc": "",
}
ROUND = {"balance": "100000", "currency": "USD"}
CANCELED = [VIEWS | {"cancel": True}, COMMENTS | {"cancel": True}]
RECORDED: list[tuple[str, Any, Any, bool, str, str]] = [
    ("smmvna", ROUND, [VIEWS, COMMENTS], True, "1dg", "It sells products and its services say nothing of canceling"),
    ("seed001", ROUND, [VIEWS, COMMENTS], True, "1dg", "It sells products and its services say nothing of canceling"),
    ("smmdiva", ROUND, [VIEWS, COMMENTS], True, "1dg", "look for result_product in its documentation"),
    ("smmpro", ROUND, [*CANCELED, TRAFFIC], False, "perfectpanel", "Flags in its list: refill, cancel, dripfeed."),
    # It has cancel flags and no action, and no reading tells.
    ("cheapsmmbd", ROUND, CANCELED, False, "perfectpanel", "say “none” where its documentation lacks it"),
    (
        "this very panel",
        {"balance": "235.20050", "currency": "USD"},
        [OURS],
        False,
        "perfectpanel",
        "If it runs this very software, choose “panel”",
    ),
]


@pytest.mark.parametrize(("name", "balance", "services", "products", "preset", "words"), RECORDED)
def test_recorded_answers_are_told_apart(
    *, name: str, balance: Any, services: Any, products: bool, preset: str, words: str
) -> None:
    found = conclude(balance, services, products=products)
    assert (found.dialect, found.overrides) == (preset, {}), name
    assert any(words in finding for finding in found.findings), found.findings


SELLING = {"products": True, "result_product": True}
CASES: list[tuple[str, Any, Any, bool, str, dict[str, Any]]] = [
    ("000_fa79b687568cfb1d.txt", FOUR, [row(refill=True)], True, "1dg", {}),
    ("003_31070e689288a311.txt", FIVE, [row(refill=True, cancel=True)], False, "perfectpanel", {}),
    ("types of 1DG", FIVE, [row(type="Special 1 (1DG)")], False, "1dg", {}),
    (
        "SmartPanel",
        {"status": "success", "balance": "5.00", "currency": "USD"},
        [row(type="custom_comments", desc="", dripfeed="0")],
        False,
        "smartpanel",
        {},
    ),
    (
        "SmartPanel, without services",
        {"status": "success", "balance": "5"},
        {"status": "success", "data": "Empty Data"},
        False,
        "perfectpanel",
        {},
    ),
    ("nothing told", {"balance": "68.68"}, [row()], False, "perfectpanel", {"cancel": "none"}),
    (
        "C5",
        FIVE,
        [row(refill=3, cancel=1), row(refill=1, cancel=0)],
        False,
        "perfectpanel",
        {"refill_flag_map": "tri-state"},
    ),
    ("this very panel", FIVE, [row(cancel=True, desc="", dripfeed=True)], True, "perfectpanel", SELLING),
    ("a bare number", Decimal("12.5"), {"1": row(cancel=True)}, False, "perfectpanel", {}),
]


@pytest.mark.parametrize(("name", "balance", "services", "products", "preset", "overrides"), CASES)
def test_each_family_is_told_by_its_tell_tales(
    *, name: str, balance: Any, services: Any, products: bool, preset: str, overrides: dict[str, Any]
) -> None:
    found = conclude(balance, services, products=products)
    assert (found.dialect, found.overrides) == (preset, overrides), name
    assert found.findings


@pytest.mark.parametrize("products", [True, False])
@pytest.mark.parametrize("keys", [{}, {"cancel": True}, {"desc": "", "dripfeed": 1}])
def test_no_reading_ever_proves_that_sending_twice_is_harmless(*, keys: dict[str, Any], products: bool) -> None:
    """An idempotency parameter believed in error buys twice (PROTOCOL 6.3)."""
    for balance in (FIVE, FOUR, {"status": "success", "balance": 1}):
        found = conclude(balance, [row(**keys)], products=products)
        assert dialect(found.dialect, found.overrides).idempotency_param == ""
    assert any(preset.idempotency_param for preset in DIALECTS.values())


@pytest.mark.parametrize(
    ("balance", "services", "words"),
    [
        ({"balance": "1"}, [row(cancel=True)], "does not say in which currency"),
        ({"balance": "1", "currency": "TRY"}, [row(cancel=True)], "counts in TRY"),
        (FIVE, [], "Its service list is empty"),
        (FIVE, [row(rate=Decimal("0.9"), cancel=True)], "rates as numbers"),
        (FIVE, {"services": [row(cancel=True)], "count": 1}, "in an envelope"),
        (FIVE, [row(cancel=True, refill=1)] * 1500, "1,500 services of 1 types"),
        (FIVE, [row(cancel=True, refill=1)], "Flags in its list: refill, cancel."),
    ],
)
def test_what_decides_nothing_is_told_all_the_same(balance: Any, services: Any, words: str) -> None:
    assert any(words in finding for finding in conclude(balance, services).findings)


def test_only_reads_are_asked_and_each_of_them_once(sandbox: Sandbox) -> None:
    found = detecting.detect(Connection(sandbox.url, sandbox.key))
    assert found.dialect == "perfectpanel"
    assert "It has no list of products." in found.findings
    assert [call["action"] for call in sandbox.received] == ["balance", "services", "products"]


@pytest.mark.parametrize(
    ("has", "overrides", "words"),
    [
        (True, {}, "by the action result_product"),
        (False, {"result_product": False}, "what was bought is what its status says"),
    ],
)
def test_who_sells_products_is_asked_for_the_goods_of_nobodys_order(
    sandbox: Sandbox, *, has: bool, overrides: dict[str, Any], words: str
) -> None:
    sandbox.configure(has_products=True, has_result_product=has)
    found = detecting.detect(Connection(sandbox.url, sandbox.key))
    assert found.overrides == {"products": True, "result_product": True, **overrides}
    assert any(words in finding for finding in found.findings)
    assert [call["action"] for call in sandbox.received] == ["balance", "services", "products", "result_product"]


def test_the_panel_without_result_product_is_told_from_those_with_it() -> None:
    """As smmdiva answers (002_f802ba56adcaf7c9.txt)."""
    found = detecting.conclude(ROUND, [VIEWS, COMMENTS], products=True, hands_over=False)
    assert (found.dialect, found.overrides) == ("1dg", {"result_product": False})
    assert not any("look for result_product" in finding for finding in found.findings)


def test_a_list_that_cannot_be_read_is_a_finding_and_no_balance_an_error(sandbox: Sandbox) -> None:
    sandbox.misbehave("services", "html")
    found = detecting.detect(Connection(sandbox.url, sandbox.key))
    assert any("could not be read" in finding for finding in found.findings)
    with pytest.raises(ProviderError, match="Invalid API key"):
        detecting.detect(Connection(sandbox.url, "wrong-key"))


@pytest.mark.parametrize("body", ['{"products": 1}', '"hello"', "[]", '{"balance": "lots"}'])
def test_what_is_no_balance_is_an_error(sandbox: Sandbox, body: str) -> None:
    sandbox.misbehave("balance", "raw", body=body)
    with pytest.raises(ProviderError):
        detecting.detect(Connection(sandbox.url, sandbox.key))
