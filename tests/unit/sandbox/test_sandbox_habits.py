"""What differs between providers of one family can be chosen for the sandbox."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from catalog.providers.sandbox import Sandbox, actions

from .conftest import Clock

Call = Callable[..., Any]
LINK = "https://example.com/a"
ORDER = {"service": "1", "link": LINK, "quantity": "1000"}


def ask(world: Sandbox, action: str, **params: str) -> Any:
    return actions.handle(world, {"key": world.key, "action": action, **params})[1]


@pytest.mark.parametrize("name", ["idempotency_key", "request_id"])
def test_a_key_that_was_seen_gets_the_same_order_and_takes_nothing(call: Call, world: Sandbox, name: str) -> None:
    world.configure(remembers_keys=True)
    first = call("add", **ORDER, **{name: "k1"})
    assert call("add", **ORDER, **{name: "k1"}) == first == {"order": 70001}
    assert call("add", **ORDER, **{name: "k2"}) == {"order": 70002}
    assert [call("add", **ORDER), call("add", **ORDER, **{name: ""})] == [{"order": 70003}, {"order": 70004}]
    assert (world.accepted(LINK), world.balance) == (4, Decimal("9996.4"))


def test_a_key_of_a_refused_order_is_not_remembered(call: Call, world: Sandbox) -> None:
    world.configure(remembers_keys=True)
    assert "error" in call("add", **{**ORDER, "quantity": "1"}, idempotency_key="k1")
    world.misbehave("add", "http500")
    sent = {"key": world.key, "action": "add", **ORDER, "idempotency_key": "k1"}
    assert requests.post(world.url, data=sent, timeout=10).status_code == 500
    assert call("add", **ORDER, idempotency_key="k1") == {"order": 70001}


def test_a_provider_without_a_memory_takes_an_order_for_each_call(call: Call, world: Sandbox) -> None:
    for _ in range(2):
        call("add", **ORDER, idempotency_key="k1")
    assert world.accepted(LINK) == 2


def test_keys_are_remembered_over_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    ask(Sandbox(pace=0, state=state, remembers_keys=True), "add", **ORDER, request_id="k1")
    second = Sandbox(pace=0, state=state, remembers_keys=True)
    assert ask(second, "add", **ORDER, request_id="k1") == {"order": 70001}
    assert second.accepted(LINK) == 1


def test_the_latest_orders_are_listed_newest_first(call: Call, world: Sandbox, clock: Clock) -> None:
    assert call("orders", limit=5) == {"error": "Incorrect request"}
    world.configure(lists_orders=True)
    assert call("orders") == []
    for number in range(3):
        call("add", service=1, link=f"https://example.com/{number}", quantity=100, runs=2, interval=5)
        clock.pass_by(1.5)
    # Between them stand the first runs of the first two.
    row = {"order": 70005, "service": 1, "link": "https://example.com/2", "quantity": 200, "created_at": 1_000_003}
    assert call("orders", limit=1) == [row]
    assert [listed["link"][-1] for listed in call("orders")] == ["2", "1", "0"]
    assert call("orders", limit="many") == {"error": "Incorrect request"}


def test_without_batches_a_list_of_ids_is_no_id(call: Call, world: Sandbox) -> None:
    for _ in range(2):
        call("add", **ORDER)
    world.configure(batches=False)
    unknown = {"error": "Incorrect order ID"}
    for action, name in [
        ("status", "orders"),
        ("refill", "orders"),
        ("cancel", "orders"),
        ("refill_status", "refills"),
    ]:
        assert call(action, **{name: "70001,70002"}) == unknown
    assert call("status", order=70001)["status"] == "Pending"
    assert call("cancel", orders="70001") == [{"order": 70001, "cancel": 1}]
    assert not world.orders["70002"].cancel_requested


def test_a_refill_of_many_can_be_answered_with_the_first_alone(call: Call, world: Sandbox) -> None:
    world.configure(multi_refill="scalar")
    for _ in range(3):
        call("add", **ORDER)
    for number in ("70002", "70003"):
        world.set_order(number, status="Completed")
    assert call("refill", orders="70001,70002,70003") == {"refill": "501"}
    assert {refill.order for refill in world.refills.values()} == {"70002", "70003"}
    assert call("refill", orders="70001,9") == {"error": "The order is not completed"}


def test_calls_beyond_the_limit_are_turned_away_with_the_time_to_wait(
    call: Call, url: str, world: Sandbox, clock: Clock
) -> None:
    world.configure(calls_per_minute=2)
    for _ in range(2):
        call("add", **ORDER)
        clock.pass_by(20.5)
    turned_away = requests.post(url, data={"key": world.key, "action": "cancel", "orders": "70001"}, timeout=10)
    assert (turned_away.status_code, turned_away.headers["Retry-After"]) == (429, "19")
    assert turned_away.json() == {"error": "Too many requests"}
    assert not world.orders["70001"].cancel_requested
    clock.pass_by(19)
    assert call("add", **ORDER) == {"order": 70003}
    again = requests.post(url, data={"key": world.key, "action": "add", **ORDER}, timeout=10)
    assert (again.status_code, again.headers["Retry-After"]) == (429, "21")
    assert world.accepted(LINK) == 3


def test_reads_and_commands_are_limited_apart_and_control_is_not(call: Call, url: str, world: Sandbox) -> None:
    world.configure(calls_per_minute=1)
    call("add", **ORDER)
    assert call("balance")["currency"] == "USD"
    assert call("status", order=70001) == {"error": "Too many requests"}
    assert call("refill", order=70001) == {"error": "Too many requests"}
    where = url.removesuffix("/api/v2") + "/__sandbox__"
    assert requests.post(where, json={"key": world.key, "op": "received", "count": True}, timeout=10).json() == {
        "result": 4
    }
    world.configure(calls_per_minute=None)
    assert call("status", order=70001)["status"] == "Pending"


@pytest.mark.parametrize(
    ("habits", "error"),
    [
        ({"batches": "no"}, TypeError),
        ({"remembers_key": True}, TypeError),
        ({"has_products": 1}, TypeError),
        ({"multi_refill": "dict"}, ValueError),
        ({"calls_per_minute": 0}, ValueError),
        ({"calls_per_minute": "9"}, ValueError),
    ],
)
def test_a_habit_that_is_none_is_refused_and_changes_nothing(
    world: Sandbox, habits: dict[str, Any], error: type[Exception]
) -> None:
    before = world.habits
    with pytest.raises(error):
        world.configure(**habits)
    with pytest.raises(error):
        Sandbox(**habits)
    assert world.habits == before
