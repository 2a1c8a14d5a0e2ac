"""Drip-feeds: parents with runs that are orders of their own, one after another, and one purse for all."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalog.providers.sandbox import Sandbox, SandboxOrder, actions

from .conftest import Clock

LINK = "https://example.com/page#completed"
# One pace until a run starts, and five until it ends.
ONE_RUN = 6


def ask(world: Sandbox, action: str, **params: str) -> Any:
    return actions.handle(world, {"key": world.key, "action": action, **params})[1]


def drip(world: Sandbox, *, link: str = LINK, runs: int = 4) -> str:
    order = {"service": "1", "link": link, "quantity": "1000", "runs": str(runs), "interval": "5"}
    return str(ask(world, "add", **order)["order"])


def children(world: Sandbox, parent: str) -> list[SandboxOrder]:
    return [order for order in world.orders.values() if order.parent == parent]


def still(clock: Clock) -> Sandbox:
    return Sandbox(pace=0, clock=clock)


def test_a_drip_feed_answers_for_itself_in_runs_and_for_each_run_as_an_order(world: Sandbox, clock: Clock) -> None:
    parent = drip(world)
    news = {"status": "Pending", "charge": "3.60000", "currency": "USD", "runs": 0, "orders": []}
    assert ask(world, "status", order=parent) == news
    clock.pass_by(ONE_RUN)
    news |= {"status": "In progress", "runs": 1, "orders": [70002]}
    assert ask(world, "status", orders=f"{parent},70002") == {
        parent: news,
        "70002": {
            "charge": "0.90000",
            "start_count": str(world.orders["70002"].start_count),
            "status": "Completed",
            "remains": "0",
            "currency": "USD",
        },
    }


def test_one_run_follows_another_until_all_are_done(world: Sandbox, clock: Clock) -> None:
    parent = drip(world, runs=3)
    seen = []
    for _ in range(3 * ONE_RUN + 1):
        clock.pass_by(1)
        under_way = [part for part in children(world, parent) if part.status != "Completed"]
        assert len(under_way) <= 1
        seen.append((world.orders[parent].status, world.orders[parent].done))
    assert seen[0] == ("In progress", 0)
    assert seen[ONE_RUN - 1] == ("In progress", 1)
    assert seen[-1] == ("Completed", 3)
    assert [(part.quantity, part.remains, part.link) for part in children(world, parent)] == [(1000, 0, LINK)] * 3
    assert (world.orders[parent].charge, world.balance) == (Decimal("2.7"), Decimal("9997.3"))


def test_what_a_run_gives_back_the_parent_gives_back(world: Sandbox, clock: Clock) -> None:
    parent = drip(world, link="https://example.com/page#partial")
    clock.pass_by(ONE_RUN)
    assert (world.orders[parent].charge, world.balance) == (Decimal("3.4587"), Decimal("9996.5413"))
    clock.pass_by(1000)
    assert (world.orders[parent].status, world.orders[parent].done) == ("Completed", 4)
    assert world.orders[parent].charge == 4 * Decimal("0.7587")


def test_shares_that_cannot_be_written_in_five_places_lose_nothing(clock: Clock) -> None:
    world = still(clock)
    parent = drip(world, link="https://example.com/page", runs=7)
    world.set_service(1, rate="0.00011", max="10000")
    small = drip(world, link="https://example.com/page", runs=7)
    before = world.balance
    for number in [world.add_child(parent) for _ in range(7)] + [world.add_child(small) for _ in range(7)]:
        world.set_order(number, status="Canceled")
    assert [world.orders[number].charge for number in (parent, small)] == [Decimal(0), Decimal(0)]
    assert world.balance == before + Decimal("6.3") + Decimal("0.00077") == Decimal(10000)


@pytest.mark.parametrize("fragment", ["stuck", "fail"])
def test_a_run_that_comes_to_no_end_holds_up_the_others(world: Sandbox, clock: Clock, fragment: str) -> None:
    parent = drip(world, link=f"https://example.com/page#{fragment}")
    clock.pass_by(1000)
    order = world.orders[parent]
    assert (order.status, order.done, order.charge) == ("In progress", 0, Decimal("3.6"))
    assert len(children(world, parent)) == 1


def test_a_link_can_ask_for_a_drip_feed_without_runs(world: Sandbox, clock: Clock) -> None:
    parent = drip(world, link="https://example.com/page#canceled")
    clock.pass_by(1000)
    assert (world.orders[parent].status, children(world, parent), world.balance) == ("Canceled", [], Decimal(10000))


def test_a_cancel_ends_a_drip_feed_with_the_runs_delivered_so_far(world: Sandbox, clock: Clock) -> None:
    parent = drip(world)
    clock.pass_by(ONE_RUN + 3.5)
    assert ask(world, "cancel", orders=parent) == [{"order": 70001, "cancel": 1}]
    clock.pass_by(1)
    news = ask(world, "status", order=parent)
    assert news == {"status": "Canceled", "charge": "0.90000", "currency": "USD", "runs": 1, "orders": [70002, 70003]}
    assert ask(world, "status", order="70003")["status"] == "Canceled"
    clock.pass_by(1000)
    assert (ask(world, "status", order=parent), world.balance) == (news, Decimal("9999.1"))
    assert ask(world, "cancel", orders=parent) == [{"order": 70001, "cancel": {"error": "Cancel not allowed"}}]


def test_a_cancel_of_one_run_lets_the_others_follow(world: Sandbox, clock: Clock) -> None:
    parent = drip(world)
    clock.pass_by(1.5)
    ask(world, "cancel", orders="70002")
    clock.pass_by(1000)
    assert [part.status for part in children(world, parent)] == ["Canceled", "Completed", "Completed", "Completed"]
    assert (world.orders[parent].status, world.balance) == ("Completed", Decimal("9997.3"))


@pytest.mark.parametrize(
    ("fields", "status", "done", "charge"),
    [
        ({"runs": 2}, "Pending", 2, "3.6"),
        ({"status": "In progress", "runs": 3}, "In progress", 3, "3.6"),
        ({"status": "Partial", "runs": 3}, "Partial", 3, "2.7"),
        ({"status": "Canceled", "runs": "1"}, "Canceled", 1, "0.9"),
        ({"status": "Canceled"}, "Canceled", 0, "0"),
        ({"status": "Completed"}, "Completed", 4, "3.6"),
        ({"status": "Completed", "runs": 9}, "Completed", 9, "3.6"),
        ({"status": "Canceled", "runs": 1, "charge": "3.3"}, "Canceled", 1, "3.3"),
    ],
)
def test_a_parent_moved_by_hand_brings_its_money_along(
    clock: Clock, fields: dict[str, Any], status: str, done: int, charge: str
) -> None:
    world = still(clock)
    parent = drip(world)
    world.set_order(parent, **fields)
    order = world.orders[parent]
    assert (order.status, order.done, order.charge) == (status, done, Decimal(charge))
    left = Decimal("3.6") if "charge" in fields else Decimal(charge)
    assert world.balance == Decimal(10000) - left


def test_runs_can_be_added_and_moved_by_hand(clock: Clock) -> None:
    world = still(clock)
    parent = drip(world)
    first, second = world.add_child(parent), world.add_child(parent)
    assert ask(world, "status", order=parent)["orders"] == [int(first), int(second)] == [70002, 70003]
    assert ask(world, "status", order=first)["remains"] == "1000"
    world.set_order(first, status="Completed", remains=0)
    world.set_order(second, status="Partial", remains=500)
    news = ask(world, "status", order=parent)
    assert (news["status"], news["runs"], news["charge"]) == ("Pending", 2, "3.15000")
    world.set_order(parent, status="Canceled", runs=2)
    assert (ask(world, "status", order=parent)["charge"], world.balance) == ("1.35000", Decimal("9998.65"))
    clock.pass_by(100_000)
    assert len(world.orders) == 3


def test_runs_that_a_hand_has_counted_are_not_counted_again(clock: Clock) -> None:
    world = still(clock)
    parent = drip(world)
    run = world.add_child(parent)
    world.set_order(parent, status="In progress", runs=3)
    world.set_order(run, status="Completed", remains=0)
    assert ask(world, "status", order=parent)["runs"] == 3


def test_runs_are_no_orders_that_anybody_sent(world: Sandbox, clock: Clock) -> None:
    drip(world)
    clock.pass_by(1000)
    assert (len(world.orders), world.accepted(LINK)) == (5, 1)


@pytest.mark.parametrize("after", [0.5, 1.5, 6.5, 7.5, 20.5, 30.5])
def test_a_drip_feed_goes_on_where_it_was_after_a_restart(tmp_path: Path, clock: Clock, after: float) -> None:
    state = tmp_path / "state"
    parent = drip(Sandbox(state=state, clock=clock))
    clock.pass_by(after)
    first = Sandbox(state=state, clock=clock)
    assert first.orders
    second = Sandbox(state=state, clock=clock)
    # A parent that waits for a run looks once more whether it still does.
    known = [{number: replace(order, due=None) for number, order in world.orders.items()} for world in (first, second)]
    assert (known[0], first.balance) == (known[1], second.balance)
    clock.pass_by(1000)
    assert (second.orders[parent].status, len(children(second, parent))) == ("Completed", 4)
    assert second.balance == Decimal("9996.4")


def test_a_canceled_drip_feed_and_its_last_run_stay_so_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    first = Sandbox(state=state, clock=clock)
    parent = drip(first)
    clock.pass_by(ONE_RUN + 3.5)
    ask(first, "cancel", orders=parent)
    clock.pass_by(1)
    assert [order.status for order in first.orders.values()] == ["Canceled", "Completed", "Canceled"]
    second = Sandbox(state=state, clock=clock)
    assert (second.orders, second.balance) == (first.orders, first.balance)
