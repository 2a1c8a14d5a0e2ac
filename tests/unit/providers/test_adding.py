"""Every shape of an answer to `add` (PROTOCOL 3.2 and 4), through real HTTP."""

import pytest

from catalog.providers.client import Client, Connection
from catalog.providers.errors import Rejected, Unclear
from catalog.providers.refusals import Refusal
from tests.unit.providers.upstream import KEY, Upstream

ADDED = [
    ('{"order": 23501}', "23501"),
    ('{"order": "23501"}', "23501"),
    ('{"order": " 23501 "}', "23501"),
    ('{"order": 23501.0}', "23501"),
    ('{"order": "ord_9fA-3"}', "ord_9fA-3"),
    ('{"order": 99999999999999999999}', "99999999999999999999"),
    ('{"status":"success","order":7}', "7"),
    ('{"status":"success","message":"ok","order":7}', "7"),
    ('{"status":"Success","order":7,"charge":"0.1","start_count":0,"created_at":"x","currency":"USD"}', "7"),
    ('{"order_id": 7}', "7"),
    ('{"orderId": "7"}', "7"),
    ('{"Order": 7}', "7"),
    ('{"data":{"order":7}}', "7"),
    ('{"data":{"order_id":"7"}}', "7"),
    ('{"data":{"id":7}}', "7"),
    ('{"id": 7}', "7"),
    ("23501", "23501"),
    ('"23501"', "23501"),
    ('{"order":7,"error":false}', "7"),
    ('{"order":7,"error":null}', "7"),
    ('{"order":7,"error":""}', "7"),
    ('{"order":1,"order":2}', "2"),
    ('\ufeff<br />\n<b>Notice</b>: Undefined index: [x] {y} in <b>api.php</b><br />\n{"order": 7}', "7"),
    ('Warning: json of {"a":1} failed\n{"order": 7}', "7"),
    ('{"order":7,"status":"error","message":"whatever"}', "7"),
]


@pytest.mark.parametrize(("body", "order_id"), ADDED)
def test_an_order_id_is_found_in_every_known_place(upstream: Upstream, body: str, order_id: str) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.add({"service": "1"}).order_id == order_id


NOT_ADDED = [
    ('{"id": 7, "error": "Something odd"}', 200, "unknown_refusal"),
    ('{"id": "req-1", "message": "Forbidden"}', 403, "no_id"),
    ("404", 404, "no_id"),
    ('{"status":"success" "order":7}', 200, "not_json"),
    ('{"order":7}{"order":8}', 200, "not_json"),
    ('{"order":7} trailing words', 200, "not_json"),
    ('{"order":7', 200, "not_json"),
    ('{"order":NaN}', 200, "not_json"),
    ('{"order":"' + "7" * 129 + '"}', 200, "no_id"),
    ('{"order":' + "7" * 5000 + "}", 200, "not_json"),
    ('{"order":1e999999}', 200, "no_id"),
    ('{"order":[7]}', 200, "no_id"),
    ('{"order":"7,8"}', 200, "no_id"),
    ('{"order":"<b>"}', 200, "no_id"),
    ('{"order":"success"}', 200, "no_id"),
    ('{"error":true}', 200, "unknown_refusal"),
    ("[" * 100_000, 200, "not_json"),
    ("[" * 40 + "]" * 40, 200, "not_json"),
]


@pytest.mark.parametrize(("body", "status", "reason"), NOT_ADDED)
def test_what_is_not_surely_an_order_id_is_unclear(upstream: Upstream, body: str, status: int, reason: str) -> None:
    upstream.answers(body, status)
    with upstream.client() as client, pytest.raises(Unclear) as caught:
        client.add({"service": "1"})
    assert caught.value.reason == reason


REJECTED = [
    ('{"error":"Incorrect service ID"}', 200, "service_unknown", "failover resync"),
    ('{"error":"neworder.error.incorrect_service_id"}', 422, "service_unknown", "failover resync"),
    ('{"error":"Ordering is disabled"}', 200, "service_disabled", "failover"),
    ('{"error":"neworder.error.link"}', 200, "invalid_link", ""),
    ('{"error":"  INVALID   link. "}', 400, "invalid_link", ""),
    ('{"error":"Quantity less than minimal 200"}', 200, "quantity_too_low", "resync"),
    ('{"errors":["Invalid link"]}', 200, "invalid_link", ""),
    ('{"errors":{"link":["Invalid link"]},"message":"The given data was invalid."}', 422, "invalid_link", ""),
    ('{"error":{"message":"Invalid link"}}', 200, "invalid_link", ""),
    ('{"error":["Invalid link"]}', 200, "invalid_link", ""),
    ('{"error":true,"message":"Invalid link"}', 200, "invalid_link", ""),
    ('{"error":"error","msg":"Invalid link"}', 200, "invalid_link", ""),
    ('{"status":"error","msg":"Invalid link","error":"Invalid link"}', 200, "invalid_link", ""),
    ('{"status":"error","message":"Invalid link"}', 200, "invalid_link", ""),
    ('{"status":"error","msg":"Invalid link"}', 200, "invalid_link", ""),
    ('{"status":"fail","message":"Invalid link"}', 200, "invalid_link", ""),
    ('{"status":false,"message":"Invalid link"}', 200, "invalid_link", ""),
    ('{"success":false,"msg":"Invalid link"}', 200, "invalid_link", ""),
    ('{"Error":"Invalid link"}', 200, "invalid_link", ""),
    ('"Invalid link"', 200, "invalid_link", ""),
    ('\ufeff \n{"error":"Invalid link"}\n', 200, "invalid_link", ""),
]


@pytest.mark.parametrize(("body", "status", "condition", "advice"), REJECTED)
def test_every_envelope_of_a_known_error_is_a_refusal(
    upstream: Upstream, body: str, status: int, condition: str, advice: str
) -> None:
    upstream.answers(body, status)
    with upstream.client() as client, pytest.raises(Rejected) as caught:
        client.add({"service": "1"})
    error = caught.value
    assert (error.condition, error.http_status) == (condition, status)
    assert (error.failover, error.resync) == ("failover" in advice, "resync" in advice)


def test_a_text_that_staff_classed_settles_by_itself(upstream: Upstream) -> None:
    upstream.answers('{"error":"The moon is full."}')
    own = {"the moon is FULL": Refusal("service_disabled", "failover")}
    with Client(Connection(upstream.url, KEY, refusals=own)) as client, pytest.raises(Rejected) as caught:
        client.add({"service": "1"})
    assert (caught.value.condition, caught.value.failover) == ("service_disabled", True)
