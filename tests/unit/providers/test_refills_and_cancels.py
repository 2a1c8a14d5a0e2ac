"""Every shape of answers to refill, refill_status and cancel (PROTOCOL 3.6 to 3.8), through real HTTP."""

from typing import Any

import pytest

from catalog.providers.dialects import Dialect
from catalog.providers.errors import Rejected, Unavailable, Unclear
from catalog.providers.replies import (
    CancelAccepted,
    ItemError,
    RefillAccepted,
    RefillReport,
)
from tests.unit.providers.upstream import Upstream

GONE = ItemError("Incorrect order ID", "order_unknown", "later")
REFILLS: list[tuple[str, Any]] = [
    ('{"refill":"1"}', RefillAccepted("5", "1")),
    ('{"refill":1}', RefillAccepted("5", "1")),
    ('{"status":"success","refill":1}', RefillAccepted("5", "1")),
    ('{"success":"Refill requested","refill":12345}', RefillAccepted("5", "12345")),
    ('{"success":"Refill requested"}', RefillAccepted("5", "")),
    ('{"status":"success"}', RefillAccepted("5", "")),
    ('[{"order":5,"refill":1}]', RefillAccepted("5", "1")),
    ('[{"refill":5,"status":"success"}]', RefillAccepted("5", "5")),
    ('{"refill":{"error":"Refill not allowed"}}', ItemError("Refill not allowed", "refill_not_supported", "final")),
    (
        '{"error":"Refill is disabled for this service"}',
        ItemError("Refill is disabled for this service", "refill_not_supported", "final"),
    ),
    ('{"error":"Refill not allowed yet."}', ItemError("Refill not allowed yet.", "refill_too_early", "later")),
    ('[{"order":5,"error":"Incorrect order ID"}]', GONE),
    ('[{"refill":5,"status":{"error":"Incorrect order ID"}}]', GONE),
    ('{"error":"Only on Sundays"}', ItemError("Only on Sundays", "unknown")),
]


@pytest.mark.parametrize(("body", "news"), REFILLS)
def test_a_refill_is_read_in_every_shape(upstream: Upstream, body: str, news: Any) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.refill(["5"]) == {"5": news}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"error":"Invalid API key"}', Unavailable),
        ('{"error":"Incorrect request"}', Rejected),
        ('{"error":"Internal server error"}', Unclear),
        ('{"refill":0}', Unclear),
        ("<html>", Unclear),
    ],
)
def test_a_refill_that_the_provider_did_not_look_at_is_an_error(
    upstream: Upstream, body: str, error: type[Exception]
) -> None:
    upstream.answers(body)
    with upstream.client() as client, pytest.raises(error):
        client.refill(["5"])


REFILL_NEWS: list[tuple[str, Any]] = [
    ('{"status":"Completed"}', RefillReport("5", "Completed", "Completed")),
    ('[{"refill":5,"status":"Rejected"}]', RefillReport("5", "Rejected", "Rejected")),
    ('[{"status":"Rejected"}]', RefillReport("5", "Rejected", "Rejected")),
    ('{"5":{"status":"Awaiting"}}', RefillReport("5", "Pending", "Awaiting")),
    ('{"5":"In progress"}', RefillReport("5", "In progress", "In progress")),
    ('{"status":"Not found"}', RefillReport("5", "Error", "Not found")),
    ('{"status":"Dancing"}', RefillReport("5", None, "Dancing")),
    ('{"status":{"error":"Refill not found"}}', ItemError("Refill not found", "refill_unknown", "final")),
    ('{"error":"Incorrect refill ID"}', ItemError("Incorrect refill ID", "refill_unknown", "final")),
    ('[{"refill":5,"error":"Refill not found"}]', ItemError("Refill not found", "refill_unknown", "final")),
]


@pytest.mark.parametrize(("body", "news"), REFILL_NEWS)
def test_the_news_about_a_refill_is_read_in_every_shape(upstream: Upstream, body: str, news: Any) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.refill_status(["5"]) == {"5": news}


CANCELS: list[tuple[str, Any]] = [
    ('[{"order":5,"cancel":1}]', CancelAccepted("5")),
    ('[{"order":5,"cancel":true}]', CancelAccepted("5")),
    ('[{"order":5,"cancel":88}]', CancelAccepted("5")),
    ('{"cancel":5,"status":"Success"}', CancelAccepted("5")),
    ('{"cancel":45}', CancelAccepted("5")),
    ('{"success":"Cancel requested"}', CancelAccepted("5")),
    ('{"5":{"cancel":"requested"}}', CancelAccepted("5")),
    ('{"5":{"error":"Cannot cancel"}}', ItemError("Cannot cancel", "cancel_refused", "final")),
    (
        '[{"order":5,"cancel":{"error":"error.incorrect_order_id"}}]',
        ItemError("error.incorrect_order_id", "order_unknown", "later"),
    ),
    ('[{"order":5,"error":"Cancel not allowed"}]', ItemError("Cancel not allowed", "cancel_refused", "final")),
    ('{"error":"Order cannot be cancelled"}', ItemError("Order cannot be cancelled", "cancel_refused", "final")),
]


@pytest.mark.parametrize(("body", "news"), CANCELS)
def test_a_cancel_is_read_in_every_shape(upstream: Upstream, body: str, news: Any) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.cancel(["5"]) == {"5": news}


def test_a_cancel_that_was_not_recorded_is_no_success(upstream: Upstream) -> None:
    upstream.answers('[{"order":5,"cancel":0},{"order":6,"cancel":1}]')
    with upstream.client() as client:
        assert client.cancel(["5", "6"]) == {"6": CancelAccepted("6")}


def test_cancel_uses_the_parameter_of_the_dialect(upstream: Upstream) -> None:
    upstream.answers('{"cancel":1}')
    with upstream.client(Dialect(cancel="order")) as client:
        client.cancel(["5", "6"])
    with upstream.client() as client:
        client.cancel(["5"])
    names = [sorted(set(request.params) - {"key", "action"}) for request in upstream.requests]
    assert names == [["order"], ["order"], ["orders"]]


def test_a_provider_without_cancel_is_not_asked(upstream: Upstream) -> None:
    with upstream.client(Dialect(cancel="none")) as client, pytest.raises(Rejected) as caught:
        client.cancel(["5"])
    assert caught.value.condition == "cancel_not_supported"
    assert upstream.requests == []
