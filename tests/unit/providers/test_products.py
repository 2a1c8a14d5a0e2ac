"""Products read off the sandbox through real HTTP, and goods that reach neither an error's text nor its evidence."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from catalog.providers.client import Client, Connection
from catalog.providers.dialects import DIALECTS, Dialect
from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable, Unclear
from catalog.providers.replies import Added, ItemError, ProductReport, ProductResult
from catalog.providers.sandbox import Sandbox, serving
from catalog.providers.sandbox.faults import AFTER_ACCEPTANCE, MALFORMED
from tests.unit.providers.upstream import Upstream

MAILBOX = {"product": "7", "quantity": "3"}
SECRET = "abc@gmail | hunter2"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    world = Sandbox(pace=0, has_products=True)
    with serving(world):
        yield world


def speak(world: Sandbox, dialect: str = "1dg", seconds: float = 5) -> Client:
    return Client(Connection(world.url, world.key, DIALECTS[dialect], read_timeout=seconds))


def test_the_list_is_read_row_by_row(sandbox: Sandbox) -> None:
    with speak(sandbox) as client:
        read = client.products()
    assert read.skipped == ()
    rows = {row.product: row for row in read.rows}
    assert {number: (row.rate, row.inventory, row.in_stock, row.require) for number, row in rows.items()} == {
        str(number): (Decimal(str(row["rate"])), row.get("inventory"), number != 2, row.get("require", ""))
        for number, row in sandbox.warehouse.products.items()
    }
    assert {row.type for row in rows.values()} == {"Auto", "Service"}


@pytest.mark.parametrize("kind", ["notice", "wrong_types", "slow", "dribble"])
def test_an_order_is_read_from_its_beginning_to_its_goods_however_it_is_told(sandbox: Sandbox, kind: str) -> None:
    sandbox.misbehave("*", kind, times=100, seconds=0.05)
    with speak(sandbox) as client:
        placed = client.add_product_order(MAILBOX)
        assert client.product_order_status([placed.order_id]) == {
            "70001": ProductReport("Pending", "Pending", Decimal("1.5"), None, "", "")
        }
        assert client.result_product("70001") == ProductResult(())
        sandbox.warehouse.set_order("70001", status="Partial", remains=1)
        order = sandbox.warehouse.orders["70001"]
        assert client.product_order_status(["70001"]) == {
            "70001": ProductReport("Partial", "Partial", Decimal(1), 1, "", order.token)
        }
        assert client.result_product("70001") == ProductResult(tuple(order.goods))
    assert (placed.order_id, len(order.goods)) == ("70001", 2)


def test_many_are_asked_for_by_the_hundred(sandbox: Sandbox) -> None:
    with speak(sandbox) as client:
        for _ in range(120):
            client.add_product_order({**MAILBOX, "quantity": "1"})
        sandbox.warehouse.set_order("70002", status="Canceled", note="Out of stock")
        news = client.product_order_status([*sandbox.warehouse.orders, "9"])
    assert len(news) == 121
    assert news["70002"] == ProductReport("Canceled", "Canceled", Decimal(0), None, "Out of stock", "")
    assert news["9"] == ItemError("Incorrect order ID", "order_unknown", "later")
    assert [call["action"] for call in sandbox.received].count("product_order_status") == 2


def test_without_result_product_the_goods_come_with_the_status(sandbox: Sandbox) -> None:
    sandbox.configure(has_result_product=False)
    with speak(sandbox) as client:
        client.add_product_order(MAILBOX)
        sandbox.warehouse.set_order("70001", status="Completed")
        news = client.product_order_status(["70001"])["70001"]
        assert isinstance(news, ProductReport)
        assert news.result.split("\n") == sandbox.warehouse.orders["70001"].goods
        with pytest.raises(Unavailable):
            client.result_product("70001")


def test_a_key_makes_a_second_sending_harmless(sandbox: Sandbox) -> None:
    sandbox.configure(remembers_keys=True)
    sandbox.misbehave("add_product_order", "reset")
    with speak(sandbox, "panel") as client:
        with pytest.raises(Unclear):
            client.add_product_order(MAILBOX, idempotency_key="k1")
        assert client.add_product_order(MAILBOX, idempotency_key="k1").order_id == "70001"
    assert sandbox.warehouse.accepted() == 1


@pytest.mark.parametrize("kind", [*AFTER_ACCEPTANCE, "double_braces", "two_objects"])
def test_an_order_that_may_have_been_taken_is_unclear(sandbox: Sandbox, kind: str) -> None:
    sandbox.misbehave("add_product_order", kind, seconds=2)
    with speak(sandbox, seconds=0.5) as client, pytest.raises(Unclear):
        client.add_product_order(MAILBOX)
    assert sandbox.warehouse.accepted() == 1


@pytest.mark.parametrize(
    ("params", "condition", "failover"),
    [
        ({"product": "4711"}, "product_not_found", True),
        ({"require": "a#out-of-stock"}, "out_of_stock", True),
        ({"product": "8"}, "missing_params", False),
        ({"quantity": "51"}, "quantity_too_high", False),
        ({"quantity": "0"}, "quantity_too_low", False),
    ],
)
def test_a_refusal_says_whether_another_provider_may_help(
    sandbox: Sandbox, params: dict[str, str], condition: str, *, failover: bool
) -> None:
    with speak(sandbox) as client, pytest.raises(Rejected) as caught:
        client.add_product_order({**MAILBOX, **params})
    assert (caught.value.condition, caught.value.failover) == (condition, failover)


def test_an_order_without_money_waits_for_the_operator(sandbox: Sandbox) -> None:
    with speak(sandbox) as client, pytest.raises(Unavailable) as caught:
        client.add_product_order({**MAILBOX, "require": "a#no-funds"})
    assert caught.value.reason == Reason.FUNDS


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_answer_is_unreadable_and_the_goods_stay_out_of_the_evidence(sandbox: Sandbox, kind: str) -> None:
    sandbox.configure(has_result_product=False)
    with speak(sandbox) as client:
        for number in (70001, 70002):
            client.add_product_order(MAILBOX)
            sandbox.warehouse.set_order(str(number), status="Completed", lines=[SECRET])
        sandbox.misbehave("product_order_status", kind, times=2)
        for asked in (["70001"], ["70001", "70002"]):
            with pytest.raises(Unavailable) as caught:
                client.product_order_status(asked)
            assert caught.value.reason == Reason.UNREADABLE
            assert "Completed" in caught.value.evidence
            assert "hunter2" not in f"{caught.value} {caught.value.evidence}"


@pytest.mark.parametrize(
    "body",
    [
        f'{{"result": ["{SECRET}"',
        f'{{"Result":"{SECRET}"}}}}',
        f'{{"status": "ok", "results" : ["{SECRET}"',
        f'{{"status": "ok", "results": "{SECRET}',
        f'["{SECRET}", ',
        f'"{SECRET}"',
        f'<br>Notice: ["{SECRET}", ',
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_goods_in_an_answer_that_cannot_be_read_are_not_kept(upstream: Upstream, body: str, status: int) -> None:
    upstream.answers(body, status)
    with upstream.client() as client:
        for ask in (client.result_product, lambda order: client.product_order_status([order])):
            with pytest.raises(ProviderError) as caught:
                ask("5")
            assert "hunter2" not in f"{caught.value} {caught.value.args} {caught.value.evidence}"


def test_an_added_order_keeps_its_answer_without_the_goods(upstream: Upstream) -> None:
    upstream.answers(f'{{"order": 7, "charge": 2.5, "result": ["{SECRET}"]}}')
    with upstream.client() as client:
        added = client.add_product_order(MAILBOX)
    assert added == Added("7", Decimal("2.5"), '{"order": 7, "charge": 2.5, "result": [goods]')


def test_a_page_instead_of_goods_is_kept_as_evidence(upstream: Upstream) -> None:
    upstream.answers("<html><title>Down</title></html>")
    with upstream.client() as client, pytest.raises(Unavailable) as caught:
        client.result_product("5")
    assert caught.value.evidence == "<html><title>Down</title></html>"


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ('["a | 1", "", " b ", null]', ("a | 1", "b")),
        ('"a | 1\\r\\nb\\u2028c\\n"', ("a | 1", "b\u2028c")),
        ('["one\\ntwo"]', ("one\ntwo",)),
        ("[1234567890123456789, 1.50]", ("1234567890123456789", "1.50")),
        ('{"1": "a", "3": "b"}', ("a", "b")),
        ('[{"login": "a", "age": 1.5}]', ('{"login": "a", "age": "1.5"}',)),
        ('[["a", "b"]]', ('["a", "b"]',)),
    ],
)
def test_goods_are_read_in_every_shape_and_none_is_lost(
    upstream: Upstream, written: str, lines: tuple[str, ...]
) -> None:
    upstream.answers(f'{{"result": {written}}}')
    with upstream.client() as client:
        assert client.result_product("5") == ProductResult(lines)


def test_goods_longer_than_a_megabyte_arrive_whole(upstream: Upstream) -> None:
    lines = [f"{number} {'x' * 999}" for number in range(2000)]
    upstream.answers('{"result": ["' + '", "'.join(lines) + '"]}')
    with upstream.client() as client:
        assert client.result_product("5") == ProductResult(tuple(lines))
    upstream.answers('{"5": {"charge": 1, "status": "Completed", "result": "' + "\\n".join(lines) + '"}}')
    with upstream.client() as client:
        news = client.product_order_status(["5", "6"])["5"]
    assert isinstance(news, ProductReport)
    assert news.result == "\n".join(lines)


def test_goods_beyond_the_cap_are_unreadable_and_never_cut(upstream: Upstream) -> None:
    upstream.answers('{"result": ["' + "x" * 1_100_000 + '"]}')
    with upstream.client(Dialect(max_body_mb=1)) as client, pytest.raises(Unavailable) as caught:
        client.result_product("5")
    assert caught.value.reason == Reason.UNREADABLE


def test_a_text_in_the_place_of_news_is_an_error_only_where_it_is_known_as_one(upstream: Upstream) -> None:
    upstream.answers(f'{{"1": "Incorrect order ID", "2": "{SECRET}"}}')
    with upstream.client() as client:
        assert client.product_order_status(["1", "2"]) == {
            "1": ItemError("Incorrect order ID", "order_unknown", "later")
        }
