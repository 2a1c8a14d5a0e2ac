"""The sandbox sells products in the shapes of 000_fa79b687568cfb1d.txt, out of a stock that runs out."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests

from catalog.providers.sandbox import Sandbox, actions, catalogue

from .buying import ADDRESS, BY_HAND, DOMAIN, LICENCE, MAILBOX, SOLD_OUT, ask, buy
from .conftest import Clock

Call = Callable[..., Any]


@pytest.fixture
def world(clock: Clock) -> Sandbox:
    return Sandbox(pace=1.0, clock=clock, has_products=True)


def test_products_have_the_keys_and_types_of_the_seed(call: Call) -> None:
    rows = call("products")
    for row in rows:
        assert {name: type(value) for name, value in row.items() if name not in ("rate", "require", "inventory")} == {
            "product": int,
            "name": str,
            "min": int,
            "max": int,
            "category": str,
            "status": str,
            "type": str,
        }
        assert isinstance(row["rate"], int | float)
        assert isinstance(row.get("require", ""), str)
        assert ("inventory" in row) == (row["type"] == "Auto")
        assert row["status"] == ("Out of stock" if row.get("inventory") == 0 else "In stock")
        assert 1 <= row["min"] <= row["max"]
    assert len(rows) == len({row["product"] for row in rows}) == 12


def test_the_list_of_products_shows_an_import_everything_it_must_cope_with() -> None:
    rows = list(catalogue.products().values())
    assert len({row["category"] for row in rows}) == 4
    assert {(row["type"], "require" in row) for row in rows} == {("Auto", True), ("Auto", False), ("Service", True)}
    assert [row["product"] for row in rows if row["status"] == "Out of stock"] == [SOLD_OUT]
    # Whoever takes one number space for the other is found out.
    assert {row["product"] for row in rows} & set(catalogue.services())


def test_an_order_is_answered_with_a_number_of_its_own_space_and_paid_by_the_piece(call: Call, world: Sandbox) -> None:
    call("add", service=1, link="https://example.com/a", quantity=1000)
    assert call("add_product_order", product=LICENCE, quantity=3) == {"order": 70001}
    assert call("balance") == {"balance": f"{Decimal('9999.1') - Decimal('37.5'):.5f}", "currency": "USD"}
    assert (set(world.orders), set(world.warehouse.orders)) == ({"70001"}, {"70001"})
    order = world.warehouse.orders["70001"]
    assert (order.product, order.quantity, order.charge) == (LICENCE, 3, Decimal("37.5"))
    assert "key" not in order.params


def test_a_product_order_is_no_order_and_the_other_way_round(call: Call) -> None:
    call("add_product_order", product=LICENCE, quantity=1)
    call("add_product_order", product=LICENCE, quantity=1)
    call("add", service=1, link="https://example.com/a", quantity=1000)
    unknown = {"error": "Incorrect order ID"}
    assert call("status", order=70002) == unknown
    assert call("product_order_status", order=70003) == unknown
    assert call("result_product", order=70003) == unknown


def test_an_order_goes_its_way_and_hands_its_goods_over_at_the_end(call: Call, world: Sandbox, clock: Clock) -> None:
    number = buy(world, LICENCE, 3)
    assert call("product_order_status", order=number) == {"charge": 37.5, "status": "Pending"}
    clock.pass_by(1)
    assert call("product_order_status", order=number) == {"charge": 37.5, "status": "In progress"}
    assert call("result_product", order=number) == {"result": []}
    clock.pass_by(1)
    news = call("product_order_status", order=number)
    assert news == {"charge": 37.5, "status": "Completed", "result": str(uuid.UUID(news["result"]))}
    lines = call("result_product", order=number)["result"]
    assert len(set(lines)) == 3
    assert all(isinstance(line, str) and "|" in line for line in lines)
    clock.pass_by(100)
    assert call("result_product", order=number) == {"result": lines}


def test_no_two_orders_are_given_the_same_goods(world: Sandbox, clock: Clock) -> None:
    for number in range(20):
        buy(world, MAILBOX, 5, f"customer {number}#completed")
    clock.pass_by(2)
    goods = [line for order in world.warehouse.orders.values() for line in order.goods]
    tokens = {order.token for order in world.warehouse.orders.values()}
    assert (len(goods), len(set(goods)), len(tokens)) == (100, 100, 20)


@pytest.mark.parametrize(
    ("fragment", "news", "given"),
    [
        ("completed", {"charge": 5, "status": "Completed"}, 10),
        ("partial", {"charge": 4, "status": "Partial", "remains": 2}, 8),
        ("canceled", {"charge": 0, "status": "Canceled", "note": "Could not be delivered"}, 0),
        ("stuck", {"charge": 5, "status": "In progress"}, 0),
        ("fail", {"charge": 5, "status": "Fail"}, 0),
    ],
)
def test_the_fragment_of_the_requirement_decides_the_end_and_the_money(
    world: Sandbox, clock: Clock, fragment: str, news: dict[str, Any], given: int
) -> None:
    number = buy(world, MAILBOX, 10, f"me@example.com#{fragment}")
    clock.pass_by(1000)
    said = ask(world, "product_order_status", order=number)
    assert ({name: value for name, value in said.items() if name != "result"}, "result" in said) == (news, given > 0)
    assert len(ask(world, "result_product", order=number)["result"]) == given
    assert world.balance == Decimal(10000) - news["charge"]
    assert world.warehouse.products[MAILBOX]["inventory"] == 1000 - given


def test_without_a_fragment_the_number_of_the_order_decides(world: Sandbox, clock: Clock) -> None:
    for _ in range(9):
        buy(world, MAILBOX, 2, "")
    clock.pass_by(2)
    ends = [order.status for order in world.warehouse.orders.values()]
    assert ends == [*["Completed"] * 3, "Partial", *["Completed"] * 3, "Partial", "Canceled"]


def test_what_runs_out_meanwhile_is_delivered_in_part_or_not_at_all(world: Sandbox, clock: Clock) -> None:
    world.warehouse.set_product(MAILBOX, inventory=15)
    whole, part, nothing = (buy(world, MAILBOX, 10) for _ in range(3))
    clock.pass_by(2)
    said = ask(world, "product_order_status", orders=f"{whole},{part},{nothing}")
    assert said[whole]["status"] == "Completed"
    assert {**said[part], "result": ""} == {"charge": 2.5, "status": "Partial", "remains": 5, "result": ""}
    assert said[nothing] == {"charge": 0, "status": "Canceled", "note": "Out of stock"}
    assert world.balance == Decimal("9992.5")
    row = ask(world, "products")[6]
    assert (row["product"], row["inventory"], row["status"]) == (MAILBOX, 0, "Out of stock")
    assert ask(world, "add_product_order", product=MAILBOX, quantity=1) == {"error": "Out of stock"}
    world.warehouse.set_product(MAILBOX, inventory=1)
    assert world.warehouse.products[MAILBOX]["status"] == "In stock"


def test_work_by_hand_never_runs_out(world: Sandbox, clock: Clock) -> None:
    for _ in range(5):
        buy(world, BY_HAND, 3, "my account#completed")
    clock.pass_by(2)
    assert {order.status for order in world.warehouse.orders.values()} == {"Completed"}
    assert "inventory" not in world.warehouse.products[BY_HAND]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"product": 4711}, "Incorrect product ID"),
        ({"product": ""}, "Incorrect product ID"),
        ({"product": SOLD_OUT, "quantity": 1, "require": "a"}, "Out of stock"),
        ({"product": DOMAIN}, "Missing required parameter: require"),
        ({"product": DOMAIN, "require": " "}, "Missing required parameter: require"),
        ({"quantity": ""}, "Incorrect quantity"),
        ({"quantity": "-1"}, "Incorrect quantity"),
        ({"quantity": 0}, "Quantity less than minimal 1"),
        ({"product": ADDRESS, "quantity": 9}, "Quantity less than minimal 10"),
        ({"quantity": 51}, "Quantity more than maximum 50"),
        ({"require": "a#no-funds"}, "Not enough funds on balance"),
        ({"require": "a#out-of-stock"}, "Out of stock"),
        ({"require": "a#refuse-product"}, "Incorrect product ID"),
    ],
)
def test_orders_are_refused_in_the_words_of_the_field(world: Sandbox, params: dict[str, Any], error: str) -> None:
    assert ask(world, "add_product_order", **{"product": MAILBOX, "quantity": 2, **params}) == {"error": error}
    assert (world.warehouse.accepted(), world.balance) == (0, Decimal(10000))


def test_more_than_is_in_stock_or_in_the_purse_is_refused(world: Sandbox) -> None:
    world.warehouse.set_product(MAILBOX, inventory=3)
    assert ask(world, "add_product_order", product=MAILBOX, quantity=4) == {"error": "Not enough stock"}
    world.warehouse.set_product(MAILBOX, rate="5000.00001")
    assert ask(world, "add_product_order", product=MAILBOX, quantity=2) == {"error": "Not enough funds on balance"}
    assert world.warehouse.accepted() == 0


def test_a_batch_holds_a_hundred_ids_each_with_its_own_answer(world: Sandbox) -> None:
    number = buy(world)
    answers = ask(world, "product_order_status", orders=f"{number}, 5,x,")
    unknown = {"error": "Incorrect order ID"}
    assert answers == {number: {"charge": 0.5, "status": "Pending"}, "5": unknown, "x": unknown}
    many = ",".join(str(order) for order in range(101))
    assert ask(world, "product_order_status", orders=many) == {"error": "Incorrect request"}
    assert len(ask(world, "product_order_status", orders=many.removesuffix(",100"))) == 100
    world.configure(batches=False)
    assert ask(world, "product_order_status", orders=f"{number},5") == unknown


def test_without_result_product_the_status_brings_the_goods(world: Sandbox) -> None:
    number = buy(world, MAILBOX, 2)
    world.warehouse.set_order(number, status="Completed")
    world.configure(has_result_product=False)
    goods = world.warehouse.orders[number].goods
    assert len(goods) == 2
    assert ask(world, "product_order_status", order=number)["result"] == "\n".join(goods)
    assert ask(world, "result_product", order=number) == {"error": "Incorrect request"}


@pytest.mark.parametrize("action", ["products", "add_product_order", "product_order_status", "result_product"])
def test_a_provider_without_products_has_none_of_their_actions(clock: Clock, action: str) -> None:
    plain = Sandbox(clock=clock)
    assert ask(plain, action, product=MAILBOX, quantity=1, order=70001) == {"error": "Incorrect request"}
    assert actions.handle(plain, {"key": "guess", "action": action})[1] == {"error": "Invalid API key"}
    assert plain.warehouse.accepted() == 0


def test_a_key_that_was_seen_gets_the_same_order_and_takes_nothing(world: Sandbox) -> None:
    world.configure(remembers_keys=True)
    order = {"service": 1, "link": "https://example.com/a", "quantity": 1000}
    assert ask(world, "add", **order, idempotency_key="k1") == {"order": 70001}
    assert buy(world, idempotency_key="k0") == "70001"
    # The key of a product order is none of an order's.
    assert [buy(world, idempotency_key="k1") for _ in range(2)] == ["70002", "70002"]
    assert buy(world, request_id="k2") == "70003"
    assert (world.warehouse.accepted(), world.balance) == (3, Decimal("9997.6"))


def test_orders_are_counted_by_requirement_and_by_product(world: Sandbox) -> None:
    for product, require in ((MAILBOX, "a"), (MAILBOX, "b"), (LICENCE, "a")):
        buy(world, product, 1, require)
    accepted = world.warehouse.accepted
    assert [accepted(), accepted("a"), accepted(product="7"), accepted("a", product="7"), accepted("c")] == [
        3,
        2,
        2,
        1,
        0,
    ]


def test_orders_of_products_count_as_commands_of_the_minute(call: Call, url: str, world: Sandbox) -> None:
    world.configure(calls_per_minute=1)
    assert call("add_product_order", product=MAILBOX, quantity=1) == {"order": 70001}
    assert call("products")[0]["product"] == 1
    again = requests.post(url, data={"key": world.key, "action": "add"}, timeout=10)
    assert again.status_code == 429
