"""Every action answers in the shapes and types of seed 003_31070e689288a311.txt."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from catalog.providers.sandbox import Sandbox, actions, catalogue

Call = Callable[..., Any]
SERVICE_KEYS = {
    "service": int,
    "name": str,
    "type": str,
    "category": str,
    "rate": str,
    "min": str,
    "max": str,
    "refill": bool,
    "cancel": bool,
}
VISITS, COMMENTS, PACKAGE, TRAFFIC, SMS = 1, 41, 52, 5, 11


def test_services_have_the_keys_and_types_of_the_seed(call: Call) -> None:
    rows = call("services")
    for row in rows:
        assert {name: type(value) for name, value in row.items() if name != "dripfeed"} == SERVICE_KEYS
        assert isinstance(row.get("dripfeed", False), bool)
        assert Decimal(row["rate"]) >= 0
        assert 1 <= int(row["min"]) <= int(row["max"])
    assert len(rows) == len({row["service"] for row in rows}) == 25


def test_the_catalogue_shows_an_import_everything_it_must_cope_with() -> None:
    rows = list(catalogue.services().values())
    known = {"Default", "Custom Comments", "Package", "Web Traffic", "Subscriptions"}
    assert {row["type"] for row in rows} == known | {"Telepathy"}
    assert {row.get("dripfeed") for row in rows if row["type"] == "Default"} == {True, False, None}
    assert len({row["category"] for row in rows}) == 8
    assert [row["rate"] for row in rows].count("0") == 1
    assert {row.get("dripfeed") for row in rows} == {True, False, None}
    assert {(row["refill"], row["cancel"]) for row in rows} == {(a, b) for a in (True, False) for b in (True, False)}
    names = " ".join(row["name"] for row in rows)
    assert all(sign in names for sign in "–“”🐢")


def test_add_answers_a_number_and_takes_the_charge(call: Call, world: Sandbox) -> None:
    assert call("add", service=VISITS, link="https://example.com/a", quantity=1000) == {"order": 70001}
    assert call("balance") == {"balance": "9999.10000", "currency": "USD"}
    order = world.orders["70001"]
    assert (order.service, order.link, order.quantity) == (VISITS, "https://example.com/a", 1000)
    assert order.charge == Decimal("0.9")
    assert "key" not in order.params


def test_comments_are_counted_without_blank_lines(call: Call, world: Sandbox) -> None:
    comments = "Well written, thanks\r\n\r\n  \nI learned, much\r\nAgain!"
    assert call("add", service=COMMENTS, link="https://example.com/b", comments=comments) == {"order": 70001}
    order = world.orders["70001"]
    assert order.comments == ["Well written, thanks", "I learned, much", "Again!"]
    assert (order.quantity, order.charge) == (3, Decimal("0.024"))


@pytest.mark.parametrize(
    ("kind", "params", "quantity", "charge"),
    [
        ("Comment Replies", {"username": "reader", "comments": "one\n\ntwo", "quantity": 9}, 2, "0.016"),
        ("Mentions Custom List", {"usernames": "a\r\nb\rc\n"}, 3, "0.024"),
        ("Custom Comments Package", {"comments": "one\ntwo"}, 1, "8"),
        ("Package", {"quantity": 9}, 1, "8"),
    ],
)
def test_lists_are_counted_and_packages_are_flat(
    call: Call, world: Sandbox, kind: str, params: dict[str, Any], quantity: int, charge: str
) -> None:
    world.set_service(500, type=kind, rate="8")
    assert call("add", service=500, link="https://example.com/b", **params) == {"order": 70001}
    assert (world.orders["70001"].quantity, world.orders["70001"].charge) == (quantity, Decimal(charge))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("Comment Replies", "Incorrect comments"),
        ("Custom Comments Package", "Incorrect comments"),
        ("Mentions Custom List", "Missing required parameter: usernames"),
    ],
)
def test_a_list_that_is_not_there_is_missed(call: Call, world: Sandbox, kind: str, error: str) -> None:
    world.set_service(500, type=kind)
    lists = {"comments": " \n", "usernames": "\r\n"}
    assert call("add", service=500, link="https://example.com/b", quantity=5, **lists) == {"error": error}
    assert world.orders == {}


def test_a_list_beyond_the_limit_is_refused(call: Call, world: Sandbox) -> None:
    world.set_service(500, type="Mentions Custom List", max="2")
    answer = call("add", service=500, link="https://example.com/b", usernames="a\nb\nc")
    assert answer == {"error": "Quantity more than maximum 2"}


def test_a_package_is_one_unit_at_the_flat_rate(call: Call, world: Sandbox) -> None:
    assert call("add", service=PACKAGE, link="https://example.com/c") == {"order": 70001}
    assert (world.orders["70001"].quantity, world.orders["70001"].charge) == (1, Decimal("24.5"))


def test_a_drip_feed_is_charged_for_all_its_runs(call: Call, world: Sandbox) -> None:
    call("add", service=VISITS, link="https://example.com/d", quantity=100, runs=5, interval=10)
    assert (world.orders["70001"].quantity, world.orders["70001"].charge) == (500, Decimal("0.45"))


def test_web_traffic_needs_its_fields(call: Call) -> None:
    order = {"service": TRAFFIC, "link": "https://example.com/e", "quantity": 100, "country": "US", "device": "1"}
    assert call("add", **order) == {"error": "Incorrect request"}
    assert call("add", **order, type_of_traffic="1") == {"error": "Incorrect request"}
    assert call("add", **order, type_of_traffic="4") == {"error": "Incorrect request"}
    assert call("add", **order, type_of_traffic="1", google_keyword="shoes") == {"order": 70001}
    assert call("add", **order, type_of_traffic="3") == {"order": 70002}


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"service": 4711}, "Incorrect service ID"),
        ({"service": "1 OR 1"}, "Incorrect service ID"),
        ({"link": ""}, "Invalid link"),
        ({"link": "https://example.com/a b"}, "Invalid link"),
        ({"link": "https://example.com/" + "x" * 2048}, "Invalid link"),
        ({"link": "https://example.com/#refuse-link"}, "Invalid link"),
        ({"link": "https://example.com/#refuse-service"}, "Incorrect service ID"),
        ({"link": "https://example.com/#no-funds"}, "Not enough funds on balance"),
        ({"quantity": 49}, "Quantity less than minimal 50"),
        ({"quantity": 10001}, "Quantity more than maximum 10000"),
        ({"quantity": "-50"}, "Incorrect quantity"),
        ({"quantity": "1,000"}, "Incorrect quantity"),
        ({"quantity": ""}, "Incorrect quantity"),
        ({"runs": 1, "interval": 5}, "Incorrect runs"),
        ({"runs": 3}, "Incorrect interval"),
        ({"runs": 101, "interval": 5}, "Quantity more than maximum 10000"),
        ({"service": SMS, "runs": 2, "interval": 5}, "Dripfeed is not supported by this service"),
        ({"service": COMMENTS, "comments": "\n \r\n"}, "Incorrect comments"),
    ],
)
def test_add_refuses_in_the_words_of_the_field(call: Call, world: Sandbox, params: dict[str, Any], error: str) -> None:
    order = {"service": VISITS, "link": "https://example.com/a", "quantity": 100}
    assert call("add", **{**order, **params}) == {"error": error}
    assert (world.orders, world.balance) == ({}, Decimal(10000))


def test_add_stops_where_the_money_does(call: Call, world: Sandbox) -> None:
    order = {"service": 72, "link": "https://example.com/photos", "quantity": 400}
    answers = [call("add", **order) for _ in range(28)]
    assert answers[:26] == [{"order": 70001 + number} for number in range(26)]
    assert answers[26:] == [{"error": "Not enough funds on balance"}] * 2
    assert world.balance == Decimal(120)


@pytest.mark.parametrize(("balance", "taken"), [("0.17999", 1), ("0.18", 2)])
def test_the_last_cent_can_be_spent_and_no_more(balance: str, taken: int) -> None:
    poor = Sandbox(balance=Decimal(balance))
    order = {"key": poor.key, "action": "add", "service": "1", "link": "https://example.com/", "quantity": "100"}
    for _ in range(3):
        actions.handle(poor, order)
    assert len(poor.orders) == taken


def test_status_is_text_throughout_and_keyed_by_the_id_as_sent(call: Call) -> None:
    call("add", service=VISITS, link="https://example.com/a", quantity=1000)
    one = {"charge": "0.90000", "start_count": "0", "status": "Pending", "remains": "1000", "currency": "USD"}
    unknown = {"error": "Incorrect order ID"}
    assert call("status", order=70001) == one
    assert call("status", order=5) == unknown
    assert call("status", orders="70001, 5,x,") == {"70001": one, "5": unknown, "x": unknown}


def test_a_batch_holds_a_hundred_ids_and_no_more(call: Call) -> None:
    hundred = [str(number) for number in range(100)]
    assert list(call("status", orders=",".join(hundred))) == hundred
    assert call("status", orders=",".join([*hundred, "100"])) == {"error": "Incorrect request"}
    assert list(call("status", orders=",".join(hundred + hundred))) == hundred
    assert call("status", orders="") == {"error": "Incorrect request"}


def test_refills_are_text_singly_and_numbers_in_lists(call: Call, world: Sandbox) -> None:
    for number in range(4):
        call("add", service=VISITS, link=f"https://example.com/{number}", quantity=100)
    for order in ("70001", "70002", "70003"):
        world.set_order(order, status="Completed")
    assert call("refill", order=70001) == {"refill": "501"}
    assert call("refill", order=1) == {"error": "Incorrect order ID"}
    assert call("refill", orders="70002,70004,1,70003") == [
        {"order": 70002, "refill": 502},
        {"order": 70004, "refill": {"error": "The order is not completed"}},
        {"order": 1, "refill": {"error": "Incorrect order ID"}},
        {"order": 70003, "refill": 503},
    ]
    assert call("refill_status", refill=501) == {"status": "Pending"}
    assert call("refill_status", refill=9) == {"error": "Refill not found"}
    world.set_refill("502", "Rejected")
    assert call("refill_status", refills="501,502,9") == [
        {"refill": 501, "status": "Pending"},
        {"refill": 502, "status": "Rejected"},
        {"refill": 9, "status": {"error": "Refill not found"}},
    ]


def test_a_refill_is_refused_while_one_runs_or_the_service_has_none(call: Call, world: Sandbox) -> None:
    call("add", service=VISITS, link="https://example.com/a", quantity=100)
    call("add", service=SMS, link="https://example.com/a", quantity=100)
    world.set_order("70001", status="Completed")
    world.set_order("70002", status="Completed")
    call("refill", order=70001)
    assert call("refill", order=70001) == {"error": "The refill task is not completed for this order"}
    assert call("refill", order=70002) == {"error": "Refill is disabled for this service"}


def test_cancel_answers_a_list_with_one_or_an_error_for_each(call: Call, world: Sandbox) -> None:
    for service in (VISITS, SMS, VISITS):
        call("add", service=service, link="https://example.com/a", quantity=100)
    world.set_order("70003", status="Completed")
    assert call("cancel", orders="9,70001,70002,70003") == [
        {"order": 9, "cancel": {"error": "Incorrect order ID"}},
        {"order": 70001, "cancel": 1},
        {"order": 70002, "cancel": {"error": "Cancel not allowed"}},
        {"order": 70003, "cancel": {"error": "Cancel not allowed"}},
    ]
    assert world.orders["70001"].cancel_requested


@pytest.mark.parametrize("action", ["services", "add", "status", "balance", "refill", "refill_status", "cancel", "x"])
def test_a_wrong_key_is_told_before_anything_else(call: Call, action: str) -> None:
    assert call(action, key="guess") == {"error": "Invalid API key"}
    assert call(action, key="") == {"error": "Invalid API key"}


def test_an_unknown_action_is_an_incorrect_request(call: Call) -> None:
    assert call("products") == {"error": "Incorrect request"}
