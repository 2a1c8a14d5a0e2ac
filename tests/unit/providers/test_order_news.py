"""Every shape of news about orders (PROTOCOL 3.3 and 3.4), one and many, through real HTTP."""

import json
from decimal import Decimal
from typing import Any

import pytest

from catalog.providers.dialects import Dialect, dialect
from catalog.providers.errors import Reason, Unavailable
from catalog.providers.replies import (
    ItemError,
    StatusReport,
)
from tests.unit.providers.upstream import Request, Upstream, http


def told(status: str | None, word: str, **fields: Any) -> StatusReport:
    blank: dict[str, Any] = {"charge": None, "start_count": None, "remains": None, "currency": ""}
    blank |= {"children": (), "runs": None, "posts": None}
    return StatusReport(status, word, **(blank | fields))


ONE_STATUS = [
    ('{"charge":"","start_count":"","status":"Pending","remains":""}', told("Pending", "Pending")),
    ('{"charge":null,"start_count":null,"status":"Partial","remains":"Unknown"}', told("Partial", "Partial")),
    ('{"status":"Partial","start_counter":"9","remain":4}', told("Partial", "Partial", start_count=9, remains=4)),
    ('{"charge":0.27819000001,"status":"Completed"}', told("Completed", "Completed", charge=Decimal("0.27819000001"))),
    ('{"charge":1.0E-5,"status":"Completed"}', told("Completed", "Completed", charge=Decimal("0.000010"))),
    ('{"Status":"In-progress","Remains":"1,234"}', told("In progress", "In-progress", remains=1234)),
    ('{"order":{"status":"Partial","remains":3}}', told("Partial", "Partial", remains=3)),
    ('{"data":{"status":"Partial","remains":3}}', told("Partial", "Partial", remains=3)),
    ('{"status":"success","data":{"status":"Partial","remains":3}}', told("Partial", "Partial", remains=3)),
    ('{"order":"5","order_status":"Canceled","status":"success"}', None),
    ('[{"order":5,"status":"Partial","remains":3}]', told("Partial", "Partial", remains=3)),
    ('{"5":{"status":"Partial","remains":3}}', told("Partial", "Partial", remains=3)),
    ('{"status":"Active","runs":3,"orders":[8,"9"]}', told("In progress", "Active", runs=3, children=("8", "9"))),
    ('{"status":"Paused","expiry":true,"posts":2,"orders":[]}', told("Paused", "Paused", posts=2)),
    ('{"status":"Fail","charge":"1","remains":"5"}', told("Failed", "Fail", charge=Decimal(1), remains=5)),
    ('{"status":"Fail","message":"Later","remains":"5"}', told("Failed", "Fail", remains=5)),
    ('{"status":"Fail","message":"Later","order":5,"runs":1}', told("Failed", "Fail", runs=1)),
    ('{"status":"Error"}', told("Failed", "Error")),
    ('{"status":"","charge":"1"}', told(None, "", charge=Decimal(1))),
    ('{"status":null,"charge":"1"}', told(None, "", charge=Decimal(1))),
    ('{"status":"2","charge":"1"}', told(None, "2", charge=Decimal(1))),
    ('{"status":"Partial","remains":"-2","currency":"usd"}', told("Partial", "Partial", remains=-2, currency="USD")),
    ('{"error":"Incorrect order ID"}', ItemError("Incorrect order ID", "order_unknown", "later")),
    ('{"error":"error.incorrect_order_id"}', ItemError("error.incorrect_order_id", "order_unknown", "later")),
    ('"Incorrect order ID"', ItemError("Incorrect order ID", "order_unknown", "later")),
    ('{"5":{"error":"Incorrect order ID"}}', ItemError("Incorrect order ID", "order_unknown", "later")),
    ('{"status":{"error":"Order not found"}}', ItemError("Order not found", "order_unknown", "later")),
]


@pytest.mark.parametrize(("body", "report"), ONE_STATUS)
def test_the_status_of_one_order_is_read_in_every_shape(upstream: Upstream, body: str, report: Any) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.status(["5"])["5"] == (report or told("Canceled", "Canceled"))


UNREADABLE_STATUS = [
    "{}",
    "[]",
    "[1]",
    '{"status":"success"}',
    '{"message":"hello"}',
    '{"order":6,"status":"Partial"}',
    '[{"order":5,"status":"Partial"},{"order":5,"status":"Partial"}, 7]',
    '{"error":"The moon is full"}',
    '{"error":"Incorrect request"}',
]


@pytest.mark.parametrize("body", UNREADABLE_STATUS)
def test_an_answer_about_nothing_asked_for_is_unreadable(upstream: Upstream, body: str) -> None:
    upstream.answers(body)
    with upstream.client() as client, pytest.raises(Unavailable) as caught:
        client.status(["5"])
    assert caught.value.reason == Reason.UNREADABLE


def test_numeric_status_codes_are_read_only_where_staff_said_so(upstream: Upstream) -> None:
    upstream.answers('{"status":2,"charge":"1"}')
    with upstream.client(Dialect(numeric_status_map={"2": "completed"})) as client:
        assert client.status(["5"])["5"] == told("Completed", "2", charge=Decimal(1))


GONE = ItemError("Incorrect order ID", "order_unknown", "later")
DONE = told("Completed", "Completed")
BATCHES: list[tuple[str, dict[str, Any]]] = [
    ('{"1":{"status":"Completed"},"2":"Incorrect order ID"}', {"1": DONE, "2": GONE}),
    ('{"1":{"status":"Completed"}}', {"1": DONE}),
    ('{"1":{"status":"Completed"},"2":null}', {"1": DONE}),
    ('{"1":{"status":"Completed"},"2":[]}', {"1": DONE}),
    ('{" 2":{"status":"Completed"}}', {"2": DONE}),
    ('[{"order":2,"status":"Completed"},{"order":"1","error":"Incorrect order ID"}]', {"2": DONE, "1": GONE}),
    ('[{"id":2,"status":"Completed"}]', {"2": DONE}),
    ('[{"status":"Completed"},{"status":"Completed"}]', {}),
    ('{"0":{"order":2,"status":"Completed"}}', {"2": DONE}),
    ('{"1":{"order":2,"status":"Completed"}}', {}),
    ('{"1":{"id":99,"status":"Completed"}}', {"1": DONE}),
    ('{"9":{"status":"Completed"}}', {}),
    ("[]", {}),
    ("{}", {}),
    ('{"data":{"1":{"status":"Completed"}}}', {"1": DONE}),
    ('{"status":"success","orders":[{"order":1,"status":"Completed"}]}', {"1": DONE}),
    ('{"1":{"status":"Completed"},"error":"2 not found"}', {"1": DONE}),
    ('{"error":"Incorrect order IDs"}', {}),
]


@pytest.mark.parametrize(("body", "news"), BATCHES)
def test_a_batch_is_matched_by_id_and_never_by_position(upstream: Upstream, body: str, news: dict[str, Any]) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.status(["1", "2"]) == news


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"error":"Invalid API key"}', Reason.KEY),
        ('{"error":"Rate limit exceeded"}', Reason.RATE_LIMITED),
        ('{"error":"This panel is temporarily unavailable"}', Reason.MAINTENANCE),
        ('{"error":"The moon is full"}', Reason.UNREADABLE),
        ('{"status":"Completed","charge":"1"}', Reason.UNREADABLE),
        ('[ "1": {"status":"Completed"} ]', Reason.UNREADABLE),
    ],
)
def test_an_error_on_top_of_a_batch_is_about_the_call(upstream: Upstream, body: str, reason: Reason) -> None:
    upstream.answers(body)
    with upstream.client() as client, pytest.raises(Unavailable) as caught:
        client.status(["1", "2"])
    assert caught.value.reason == reason


def test_ids_without_their_leading_zeros_are_recognised(upstream: Upstream) -> None:
    upstream.answers('{"7":{"status":"Completed"}}')
    with upstream.client() as client:
        assert client.status(["007", "8"]) == {"007": DONE}


def answer_all(upstream: Upstream, fail_at: int = 0) -> None:
    def behave(connection: Any, request: Request) -> None:
        asked = request.params.get("orders", request.params.get("order", "")).split(",")
        if len(upstream.requests) == fail_at:
            connection.sendall(http('{"error":"Rate limit exceeded"}'))
        elif len(asked) == 1:
            connection.sendall(http('{"status":"Completed"}'))
        else:
            connection.sendall(http(json.dumps({one: {"status": "Completed"} for one in asked})))

    upstream.behaviour = behave


def test_no_more_ids_than_the_dialect_allows_go_into_one_call(upstream: Upstream) -> None:
    answer_all(upstream)
    with upstream.client(Dialect(batch_size=3)) as client:
        news = client.status(["1", "2", "3", "4", " 4 ", "", "5", "6", "7", "1"])
    assert list(news) == ["1", "2", "3", "4", "5", "6", "7"]
    asked = [(r.params["action"], r.params.get("orders", r.params.get("order"))) for r in upstream.requests]
    assert asked == [("status", "1,2,3"), ("status", "4,5,6"), ("status", "7")]


def test_what_the_earlier_calls_said_is_kept_when_a_later_one_fails(upstream: Upstream) -> None:
    answer_all(upstream, fail_at=3)
    with upstream.client(Dialect(batch_size=1)) as client:
        assert list(client.status(["1", "2", "3", "4"])) == ["1", "2"]


def test_no_ids_make_no_call(upstream: Upstream) -> None:
    with upstream.client() as client:
        assert client.status([" ", ""]) == {}
    assert upstream.requests == []


def test_the_names_of_a_dialect_are_used(upstream: Upstream) -> None:
    answer_all(upstream)
    with upstream.client(dialect("perfectpanel", {"batch_action": "orders", "status_id_param": "id"})) as client:
        client.status(["1", "2"])
        client.status(["1"])
    assert [request.params["action"] for request in upstream.requests] == ["orders", "status"]
    assert upstream.requests[1].params["id"] == "1"


def test_orders_can_be_asked_for_singly_whatever_the_dialect_allows(upstream: Upstream) -> None:
    answer_all(upstream)
    with upstream.client() as client:
        assert client.status(["1", "2", "3"], singly=True) == {"1": DONE, "2": DONE, "3": DONE}
    assert [request.params.get("order") for request in upstream.requests] == ["1", "2", "3"]


def test_a_subscription_ends_by_expiry(upstream: Upstream) -> None:
    upstream.answers('{"status":"Expired","expiry":"31/12/2025","posts":2,"orders":[7,"8"]}')
    with upstream.client() as client:
        assert client.status(["5"]) == {"5": told("Expired", "Expired", children=("7", "8"), posts=2)}
