"""The actions of products misbehave as all others do, and in the ways in which their documents are written."""

import json
import re
from typing import Any

import pytest
import requests

from catalog.providers.sandbox import KINDS, Sandbox, actions
from catalog.providers.sandbox.faults import BEFORE_ACCEPTANCE, MALFORMED

from .conftest import Clock

ORDER = {"key": "sandbox-key", "action": "add_product_order", "product": "7", "quantity": "2", "require": "me"}


@pytest.fixture
def world(clock: Clock) -> Sandbox:
    return Sandbox(pace=1.0, clock=clock, has_products=True)


def send(url: str, **params: str) -> str | None:
    """Send one call and return the body, None where the line broke."""
    try:
        return requests.post(url, data={**ORDER, **params}, timeout=10, allow_redirects=False).text
    except requests.RequestException:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_is_taken_or_not_as_its_kind_says(url: str, world: Sandbox, kind: str) -> None:
    world.misbehave("add_product_order", kind, seconds=0.05, body="Sorry" if kind == "error" else "", match="me")
    send(url)
    taken = 0 if kind in BEFORE_ACCEPTANCE else 1
    assert world.warehouse.accepted("me") == taken
    assert world.balance == 10000 - taken
    assert send(url) == f'{{"order": {70001 + taken}}}'


@pytest.mark.parametrize("action", ["products", "product_order_status", "result_product"])
@pytest.mark.parametrize("kind", ["http500", "html", "cut", "reset", "error", "slow"])
def test_reads_misbehave_too_and_are_well_the_next_time(url: str, world: Sandbox, action: str, kind: str) -> None:
    send(url)
    world.misbehave(action, kind, seconds=0.05, body="Sorry" if kind == "error" else "")
    spoilt = send(url, action=action, order="70001")
    well = send(url, action=action, order="70001")
    assert (spoilt == well) == (kind == "slow")
    assert json.loads(well or "")


def test_a_requirement_can_ask_for_a_reset_by_its_fragment(url: str, world: Sandbox) -> None:
    assert send(url, require="me#reset") is None
    assert world.warehouse.accepted("me#reset") == 1
    assert send(url, action="add", require="me#reset", service="1", link="https://example.com/a", quantity="100")


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_answer_is_no_json_and_holds_what_was_meant(url: str, world: Sandbox, kind: str) -> None:
    for number in range(2):
        send(url)
        world.warehouse.set_order(str(70001 + number), status="Completed")
    world.misbehave("*", kind, times=100)
    for params in (
        {"action": "products"},
        {"action": "product_order_status", "order": "70001"},
        {"action": "product_order_status", "orders": "70001,70002,9"},
        {"action": "result_product", "order": "70001"},
    ):
        body = send(url, **params)
        assert body
        if "result_product" in params.values() and kind == "double_braces":
            # It has no object inside another.
            continue
        with pytest.raises(ValueError, match=r"Expecting|Extra data"):
            json.loads(body)
        assert "70001" in body or params["action"] != "product_order_status" or "orders" not in params


def test_the_slips_are_those_of_the_documents(url: str, world: Sandbox) -> None:
    for number in range(2):
        send(url)
        world.warehouse.set_order(str(70001 + number), status="Partial", remains=1)
    world.misbehave("product_order_status", "double_braces")
    doubled = send(url, action="product_order_status", orders="70001,70002")
    assert re.fullmatch(r'\{"70001": \{\{"charge": .*\}\}, "70002": \{\{.*\}\}\}', doubled or "")
    world.misbehave("product_order_status", "two_objects")
    first, second = (send(url, action="product_order_status", order="70001") or "").split("\n")
    assert json.loads(first) == json.loads(second)
    world.misbehave("products", "missing_commas")
    listed = send(url, action="products") or ""
    assert '"category": "Software licences"\n' in listed
    assert '"min": 1,\n' in listed
    world.misbehave("add_product_order", "double_braces")
    assert send(url) == '{{"order": 70003}}'


def test_wrong_types_swap_numbers_and_texts(url: str, world: Sandbox) -> None:
    world.misbehave("*", "wrong_types", times=4)
    assert json.loads(send(url) or "") == {"order": "70001"}
    world.warehouse.set_order("70001", status="Partial", remains=1, charge="0.25", lines=["1234", "a | 1"])
    news = json.loads(send(url, action="product_order_status", order="70001") or "")
    assert (news["charge"], news["remains"]) == ("0.25", "1")
    assert json.loads(send(url, action="result_product", order="70001") or "") == {"result": [1234, "a | 1"]}
    row = json.loads(send(url, action="products") or "")[0]
    assert (row["product"], row["rate"], row["inventory"]) == ("1", "12.5", "40")


def test_what_a_product_order_draws_does_not_depend_on_when_it_comes() -> None:
    def draw(numbers: list[int]) -> dict[int, str]:
        world = Sandbox(pace=0, has_products=True)
        world.misrule(3, {"add_product_order": {"http500": 0.3, "hang": 0.3}})
        return {number: kind(world, f"customer {number}") for number in numbers}

    def kind(world: Sandbox, require: str) -> str:
        fault, _ = actions.handle(world, {**ORDER, "require": require})
        return fault.kind if fault else ""

    drawn: dict[int, Any] = draw(list(range(60)))
    assert drawn == draw(list(reversed(range(60))))
    assert set(drawn.values()) == {"", "http500", "hang"}
