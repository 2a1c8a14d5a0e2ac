"""Products and their orders are changed by hand, and outlive the sandbox."""

from decimal import Decimal
from pathlib import Path

import pytest

from catalog.providers.sandbox import Sandbox

from .buying import LICENCE, MAILBOX, ask, buy
from .conftest import Clock


@pytest.fixture
def world(clock: Clock) -> Sandbox:
    return Sandbox(pace=1.0, clock=clock, has_products=True)


def test_a_hand_decides_everything_that_is_reported(world: Sandbox, clock: Clock) -> None:
    number = buy(world, MAILBOX, 10)
    world.warehouse.set_order(number, status="Partial", remains="4", note="Four were bad", lines=["a | 1", "a | 1"])
    clock.pass_by(100)
    said = ask(world, "product_order_status", order=number)
    assert {**said, "result": ""} == {
        "charge": 3,
        "status": "Partial",
        "remains": "4",
        "note": "Four were bad",
        "result": "",
    }
    assert ask(world, "result_product", order=number) == {"result": ["a | 1", "a | 1"]}
    assert world.balance == Decimal(9997)
    world.warehouse.set_order(number, status="Canceled", charge="9.5", lines=[])
    said = ask(world, "product_order_status", order=number)
    assert said == {"charge": 9.5, "status": "Canceled", "note": "Four were bad"}
    # A charge that is given is only reported.
    assert world.balance == Decimal(9997)


@pytest.mark.parametrize("remains", [-2, 11, "Unknown", ""])
def test_a_partial_with_absurd_remains_gives_nothing_back(world: Sandbox, remains: int | str) -> None:
    number = buy(world, MAILBOX, 10)
    world.warehouse.set_order(number, status="Partial", remains=remains)
    said = ask(world, "product_order_status", order=number)
    assert (said["charge"], said["remains"]) == (5, remains)
    assert len(world.warehouse.orders[number].goods) == 10


def test_only_what_is_reported_can_be_set_by_hand(world: Sandbox) -> None:
    with pytest.raises(ValueError, match="quantity"):
        world.warehouse.set_order(buy(world), quantity=5)
    with pytest.raises(KeyError):
        world.warehouse.set_order("1", status="Completed")


def test_products_can_be_changed_added_and_taken_off_the_list(world: Sandbox, clock: Clock) -> None:
    world.warehouse.set_product(500, name="Brand new", require="Input your wishes", rate="0.25")
    assert ask(world, "products")[-1] == {
        "product": 500,
        "name": "Brand new",
        "rate": "0.25",
        "min": 1,
        "max": 100,
        "category": "Other",
        "inventory": 100,
        "type": "Auto",
        "require": "Input your wishes",
        "status": "In stock",
    }
    world.warehouse.set_product(500, require=None, inventory=None)
    assert not {"require", "inventory"} & set(world.warehouse.products[500])
    number = buy(world, 500, 4, "")
    assert world.warehouse.orders[number].charge == 1
    world.warehouse.remove_product(500)
    assert ask(world, "add_product_order", product=500, quantity=1) == {"error": "Incorrect product ID"}
    clock.pass_by(2)
    assert world.warehouse.orders[number].note == "Out of stock"


def test_orders_stock_and_keys_outlive_a_restart(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    first = Sandbox(state=state, clock=clock, has_products=True, remembers_keys=True)
    done, waiting = buy(first, MAILBOX, 10, request_id="k1"), buy(first, LICENCE, 1)
    clock.pass_by(1.5)
    first.warehouse.set_order(waiting, note="Soon", lines=["early"])
    clock.pass_by(0.5)
    before = first.warehouse.orders
    second = Sandbox(state=state, clock=clock, has_products=True, remembers_keys=True)
    assert second.warehouse.orders == before
    assert (second.warehouse.orders[done].status, second.warehouse.orders[waiting].status) == (
        "Completed",
        "In progress",
    )
    assert second.warehouse.products[MAILBOX]["inventory"] == 990
    assert second.balance == first.balance
    assert buy(second, MAILBOX, 10, request_id="k1") == done
    assert buy(second) == "70003"


def test_a_life_goes_on_through_the_time_the_sandbox_was_down(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    number = buy(Sandbox(state=state, clock=clock, has_products=True))
    clock.pass_by(5)
    assert Sandbox(state=state, clock=clock).warehouse.orders[number].status == "Completed"
