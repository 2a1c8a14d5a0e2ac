"""Orders move by themselves, by the clock alone, to an end that is known beforehand."""

from collections import Counter
from decimal import Decimal

import pytest

from catalog.providers.sandbox import Sandbox, actions

from .conftest import Clock


def add(world: Sandbox, link: str, *, service: int = 1, quantity: int = 1000) -> str:
    params = {"key": "sandbox-key", "action": "add", "service": str(service), "link": link, "quantity": str(quantity)}
    _, reply = actions.handle(world, params)
    return str(reply["order"])


def ask(world: Sandbox, action: str, **params: str) -> object:
    return actions.handle(world, {"key": "sandbox-key", "action": action, **params})[1]


def test_an_order_goes_its_way_one_step_per_pace(world: Sandbox, clock: Clock) -> None:
    number = add(world, "https://example.com/#completed")
    seen = []
    for _ in range(7):
        order = world.orders[number]
        seen.append((order.status, order.remains))
        clock.pass_by(1.0)
    assert seen == [
        ("Pending", 1000),
        ("Processing", 1000),
        ("In progress", 750),
        ("In progress", 500),
        ("In progress", 250),
        ("Completed", 0),
        ("Completed", 0),
    ]


def test_the_start_count_is_there_with_the_first_progress_and_stays(world: Sandbox, clock: Clock) -> None:
    number = add(world, "https://example.com/#completed")
    clock.pass_by(1.5)
    assert world.orders[number].start_count == 0
    clock.pass_by(1.0)
    first = world.orders[number].start_count
    clock.pass_by(10.0)
    assert first == world.orders[number].start_count == 3019


@pytest.mark.parametrize(
    ("fragment", "status", "remains", "charge"),
    [
        ("completed", "Completed", 0, "0.9"),
        ("partial", "Partial", 157, "0.7587"),
        ("PARTIAL", "Partial", 157, "0.7587"),
        ("canceled", "Canceled", 1000, "0"),
        ("stuck", "In progress", 250, "0.9"),
        ("fail", "Fail", 250, "0.9"),
    ],
)
def test_the_fragment_of_the_link_decides_the_end_and_the_money(
    world: Sandbox, clock: Clock, fragment: str, status: str, remains: int, charge: str
) -> None:
    number = add(world, f"https://example.com/page#{fragment}")
    assert world.balance == Decimal("9999.1")
    clock.pass_by(1000)
    order = world.orders[number]
    assert (order.status, order.remains, order.charge) == (status, remains, Decimal(charge))
    assert world.balance == Decimal(10000) - Decimal(charge)


def test_without_a_fragment_the_number_of_the_order_decides(world: Sandbox, clock: Clock) -> None:
    numbers = [add(world, "https://example.com/page") for _ in range(36)]
    clock.pass_by(5)
    ends = {number: world.orders[number].status for number in numbers}
    assert [ends[number] for number in numbers[:9]] == [
        *["Completed"] * 3,
        "Partial",
        *["Completed"] * 3,
        "Partial",
        "Canceled",
    ]
    assert Counter(ends.values()) == {"Completed": 24, "Partial": 8, "Canceled": 4}


def test_a_package_is_delivered_whole_unless_its_link_asks_otherwise(world: Sandbox, clock: Clock) -> None:
    numbers = [add(world, "https://example.com/page", service=51) for _ in range(4)]
    asked = add(world, "https://example.com/page#partial", service=51)
    clock.pass_by(5)
    assert [world.orders[number].status for number in numbers] == ["Completed"] * 4
    order = world.orders[asked]
    assert (order.status, order.remains, order.charge) == ("Partial", 1, Decimal(0))


def test_the_books_of_the_upstream_balance_whatever_happens(world: Sandbox, clock: Clock) -> None:
    for number in range(40):
        add(world, "https://example.com/page", service=62, quantity=101 + number)
        clock.pass_by(0.7)
        if number % 7 == 0:
            ask(world, "cancel", orders=f"{70001 + number}")
        assert world.balance + sum(order.charge for order in world.orders.values()) == Decimal(10000)
    assert len({order.status for order in world.orders.values()}) == 6


def test_without_a_pace_orders_move_by_hand_only(clock: Clock) -> None:
    still = Sandbox(pace=0, clock=clock)
    number = add(still, "https://example.com/#completed")
    clock.pass_by(100_000)
    assert still.orders[number].status == "Pending"
    still.set_order(number, status="In progress", remains=400, start_count=12)
    assert (still.orders[number].status, still.orders[number].remains) == ("In progress", 400)


def test_a_hand_on_an_order_stops_its_own_way(world: Sandbox, clock: Clock) -> None:
    number = add(world, "https://example.com/#completed")
    world.set_order(number, status="Processing")
    clock.pass_by(100)
    assert world.orders[number].status == "Processing"
    ask(world, "cancel", orders=number)
    clock.pass_by(100)
    assert (world.orders[number].status, world.orders[number].cancel_requested) == ("Processing", True)


def test_a_status_by_hand_brings_its_money_along(world: Sandbox) -> None:
    number = add(world, "https://example.com/x")
    world.set_order(number, status="Partial", remains="400")
    assert (world.orders[number].charge, world.balance) == (Decimal("0.54"), Decimal("9999.46"))
    world.set_order(number, status="Canceled")
    assert (world.orders[number].charge, world.balance) == (Decimal(0), Decimal(10000))
    world.set_order(number, status="Completed", remains=0)
    assert (world.orders[number].charge, world.balance) == (Decimal("0.9"), Decimal("9999.1"))


@pytest.mark.parametrize("remains", ["0", "-2", "1001", "Unknown", "", 0, 1001])
def test_a_partial_with_absurd_remains_gives_nothing_back(world: Sandbox, remains: int | str) -> None:
    number = add(world, "https://example.com/x")
    world.set_order(number, status="Partial", remains=remains)
    assert ask(world, "status", order=number) == {
        "charge": "0.90000",
        "start_count": "0",
        "status": "Partial",
        "remains": str(remains),
        "currency": "USD",
    }


def test_a_charge_by_hand_is_only_reported(world: Sandbox) -> None:
    number = add(world, "https://example.com/x")
    world.set_order(number, charge="12.5")
    assert (world.orders[number].charge, world.balance) == (Decimal("12.5"), Decimal("9999.1"))


def test_only_what_a_status_reports_can_be_set_by_hand(world: Sandbox) -> None:
    number = add(world, "https://example.com/x")
    with pytest.raises(ValueError, match="quantity"):
        world.set_order(number, quantity=5)
    with pytest.raises(KeyError):
        world.set_order("1", status="Completed")


@pytest.mark.parametrize(
    ("after", "status", "remains", "charge"), [(0.5, "Canceled", 1000, "0"), (3.5, "Partial", 500, "0.45")]
)
def test_a_cancel_is_fulfilled_by_the_next_step(
    world: Sandbox, clock: Clock, after: float, status: str, remains: int, charge: str
) -> None:
    number = add(world, "https://example.com/#completed")
    clock.pass_by(after)
    before = world.orders[number].status
    ask(world, "cancel", orders=number)
    assert world.orders[number].status == before
    clock.pass_by(0.5)
    order = world.orders[number]
    assert (order.status, order.remains, order.charge) == (status, remains, Decimal(charge))


def test_a_cancel_frees_a_stuck_order(world: Sandbox, clock: Clock) -> None:
    number = add(world, "https://example.com/#stuck")
    clock.pass_by(100)
    ask(world, "cancel", orders=number)
    clock.pass_by(1)
    assert (world.orders[number].status, world.orders[number].remains) == ("Partial", 250)


def test_every_fourth_refill_is_rejected(world: Sandbox, clock: Clock) -> None:
    numbers = [add(world, "https://example.com/#completed") for _ in range(4)]
    clock.pass_by(5)
    ask(world, "refill", orders=",".join(numbers))
    clock.pass_by(1)
    assert {refill.status for refill in world.refills.values()} == {"In progress"}
    clock.pass_by(1)
    assert [refill.status for refill in world.refills.values()] == ["Completed"] * 3 + ["Rejected"]


def test_a_service_changed_or_removed_sells_at_once_as_it_then_is(world: Sandbox) -> None:
    world.set_service(1, rate="2", min="10")
    changed = add(world, "https://example.com/x", quantity=10)
    world.set_service(500, name="Brand new")
    new = add(world, "https://example.com/x", service=500)
    assert (world.orders[changed].charge, world.orders[new].charge) == (Decimal("0.02"), Decimal(1))
    world.remove_service(1)
    order = {"service": "1", "link": "https://example.com/x", "quantity": "10"}
    assert ask(world, "add", **order) == {"error": "Incorrect service ID"}
    with pytest.raises(KeyError):
        world.remove_service(1)
