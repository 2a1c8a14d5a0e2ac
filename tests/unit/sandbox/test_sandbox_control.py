"""The control channel does from another process what the methods do in this one."""

from typing import Any

import pytest
import requests

from catalog.providers.sandbox import Sandbox
from catalog.providers.sandbox.control import handle as handle_control

ORDER = {"key": "sandbox-key", "action": "add", "service": 1, "link": "https://example.com/a", "quantity": 1000}


def control(url: str, op: str, **fields: Any) -> Any:
    where = url.removesuffix("/api/v2") + "/__sandbox__"
    reply = requests.post(where, json={"key": "sandbox-key", "op": op, **fields}, timeout=10)
    assert reply.status_code == 200, reply.text
    return reply.json()["result"]


def test_what_arrived_and_what_stands_can_be_read(url: str) -> None:
    requests.post(url, data=ORDER, timeout=10)
    requests.post(url, data={**ORDER, "action": "balance"}, timeout=10)
    assert control(url, "received", count=True) == 2
    assert control(url, "received", count=True, action="add") == 1
    assert [call["action"] for call in control(url, "received")] == ["add", "balance"]
    assert control(url, "accepted", link=ORDER["link"]) == 1
    assert control(url, "balance") == "9999.10000"
    order = control(url, "orders")["70001"]
    assert (order["charge"], order["status"], order["quantity"]) == ("0.90000", "Pending", 1000)
    assert control(url, "orders", link="https://example.com/other") == {}


def test_orders_and_refills_can_be_moved(url: str, world: Sandbox) -> None:
    requests.post(url, data=ORDER, timeout=10)
    control(url, "set_order", order=70001, fields={"status": "Partial", "remains": "157"})
    assert world.orders["70001"].remains == "157"
    requests.post(url, data={"key": "sandbox-key", "action": "refill", "order": "70001"}, timeout=10)
    control(url, "set_refill", refill=501, status="Rejected")
    assert world.refills["501"].status == "Rejected"


def test_misbehaviour_can_be_scripted_and_forgotten(url: str) -> None:
    control(url, "misbehave", action="*", kind="http500", times=9)
    assert requests.post(url, data=ORDER, timeout=10).status_code == 500
    control(url, "behave")
    assert requests.post(url, data=ORDER, timeout=10).status_code == 200


def test_the_catalogue_can_be_changed(url: str, world: Sandbox) -> None:
    control(url, "set_service", service=1, fields={"rate": "3"})
    control(url, "remove_service", service=2)
    assert (world.services[1]["rate"], 2 in world.services) == ("3", False)


def test_habits_and_misrule_can_be_set(url: str, world: Sandbox) -> None:
    control(url, "configure", remembers_keys=True, calls_per_minute=100)
    assert (world.habits.remembers_keys, world.habits.calls_per_minute) == (True, 100)
    control(url, "misrule", seed=7, rules={"add": {"error": 1.0}}, seconds=0.5, refusals=["Not today"])
    assert requests.post(url, data=ORDER, timeout=10).json() == {"error": "Not today"}
    control(url, "misrule", seed=7, rules={})
    assert requests.post(url, data=ORDER, timeout=10).json() == {"order": 70001}


def test_runs_can_be_added_and_moved(url: str) -> None:
    requests.post(url, data={**ORDER, "runs": 3, "interval": 5}, timeout=10)
    run = control(url, "add_child", parent=70001)
    control(url, "set_order", order=run, fields={"status": "Completed", "remains": 0})
    control(url, "set_order", order=70001, fields={"status": "Canceled", "runs": 1})
    orders = control(url, "orders")
    assert (run, orders[run]["parent"], orders["70001"]["charge"]) == ("70002", "70001", "0.90000")
    assert list(control(url, "orders", link=ORDER["link"])) == ["70001"]


def test_products_and_their_orders_can_be_read_and_changed(url: str, world: Sandbox) -> None:
    control(url, "configure", has_products=True)
    control(url, "set_product", product=14, fields={"rate": 2, "inventory": 5})
    order = {"key": "sandbox-key", "action": "add_product_order", "product": 14, "quantity": 2, "require": "a"}
    requests.post(url, data=order, timeout=10)
    assert [control(url, "accepted_products", **about) for about in ({}, {"require": "a"}, {"product": 1})] == [1, 1, 0]
    control(url, "set_product_order", order=70001, fields={"status": "Partial", "remains": 1})
    taken = control(url, "product_orders")["70001"]
    assert (taken["charge"], taken["status"], taken["require"]) == ("2.00000", "Partial", "a")
    assert taken["goods"] == world.warehouse.orders["70001"].goods != []
    assert (control(url, "orders"), world.warehouse.products[14]["inventory"]) == ({}, 4)
    control(url, "remove_product", product=14)
    assert 14 not in world.warehouse.products


def test_control_calls_are_not_among_those_received(url: str, world: Sandbox) -> None:
    control(url, "received")
    assert world.received == []


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"op": "received"}, 403, "Invalid API key"),
        ({"key": "guess", "op": "received"}, 403, "Invalid API key"),
        ({"key": "sandbox-key", "op": "explode"}, 400, "Unknown op; known: received, orders, accepted"),
        (
            {"key": "sandbox-key", "op": "misbehave", "action": "add", "kind": "explode"},
            400,
            "ValueError: Unknown kind",
        ),
        ({"key": "sandbox-key", "op": "misbehave", "action": "add"}, 400, "TypeError: "),
        ({"key": "sandbox-key", "op": "set_order", "order": "1", "fields": {}}, 400, "KeyError: '1'"),
        ({"key": "sandbox-key", "op": "configure", "batches": "no"}, 400, "TypeError: batches must be"),
        ({"key": "sandbox-key", "op": "remove_service", "service": 4711}, 400, "KeyError: 4711"),
        ({"key": "sandbox-key", "op": "remove_product", "product": 4711}, 400, "KeyError: 4711"),
        ([], 400, "Send a JSON object"),
    ],
)
def test_a_wrong_operation_is_answered_with_the_reason(url: str, body: Any, status: int, error: str) -> None:
    reply = requests.post(url.removesuffix("/api/v2") + "/__sandbox__", json=body, timeout=10)
    assert reply.status_code == status
    assert reply.json()["error"].startswith(error)


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403), ("fe80::1", 403)]
)
def test_only_this_machine_may_control(world: Sandbox, address: str, status: int) -> None:
    assert handle_control(world, address, b'{"key": "sandbox-key", "op": "behave"}')[0] == status
