"""Every shape of a balance and of product orders (PROTOCOL 3.5 and 3.9), through real HTTP."""

from decimal import Decimal

import pytest

from catalog.providers.errors import Reason, Rejected, Unavailable
from catalog.providers.replies import (
    Balance,
    ItemError,
    ProductReport,
    ProductResult,
)
from tests.unit.providers.upstream import Upstream

GONE = ItemError("Incorrect order ID", "order_unknown", "later")


@pytest.mark.parametrize(
    ("body", "amount", "currency"),
    [
        ('{"balance":"100.84292","currency":"USD"}', "100.84292", "USD"),
        ('{"balance":100.84292,"currency":"usd"}', "100.84292", "USD"),
        ('{"status":"success","balance":"5","currency":"EUR","balancef":"5.00 EUR"}', "5", "EUR"),
        ('{"data":{"balance":"5","currency":"EUR"}}', "5", "EUR"),
        ('{"balance":{"amount":"5","currency":"EUR"}}', "5", "EUR"),
        ('{"Balance":"1,234.56"}', "1234.56", ""),
        ('{"balance":"$1,234.56"}', "1234.56", ""),
        ('{"balance":"12.30 USD"}', "12.30", "USD"),
        ('{"funds":"5"}', "5", ""),
        ('{"amount":-0.5}', "-0.5", ""),
        ('"5.25"', "5.25", ""),
        ("5.25", "5.25", ""),
    ],
)
def test_a_balance_is_read_in_every_shape(upstream: Upstream, body: str, amount: str, currency: str) -> None:
    upstream.answers(body)
    with upstream.client() as client:
        assert client.balance() == Balance(Decimal(amount), currency)


@pytest.mark.parametrize(
    "body", ['{"balance":null}', '{"balance":"none"}', '{"balance":true}', "[]", '{"balance":"1.2.3"}']
)
def test_no_number_is_no_balance(upstream: Upstream, body: str) -> None:
    upstream.answers(body)
    with upstream.client() as client, pytest.raises(Unavailable) as caught:
        client.balance()
    assert caught.value.reason == Reason.UNREADABLE


def test_product_orders_tell_their_notes_and_secrets(upstream: Upstream) -> None:
    upstream.answers(
        '{"1":{"charge":0,"status":"Canceled","note":"Out of stock"},'
        '"2":{"charge":6,"status":"In progress","result":["a","b"]}}'
    )
    with upstream.client() as client:
        news = client.product_order_status(["1", "2"])
    assert news["1"] == ProductReport("Canceled", "Canceled", Decimal(0), None, "Out of stock", "")
    assert news["2"] == ProductReport("In progress", "In progress", Decimal(6), None, "", "a\nb")
    assert "'a" not in repr(news["2"])


def test_delivered_lines_are_not_shown_by_accident(upstream: Upstream) -> None:
    upstream.answers('{"result":["user | password"]}')
    with upstream.client() as client:
        delivered = client.result_product("5")
    assert delivered == ProductResult(("user | password",))
    assert "password" not in repr(delivered)


def test_a_product_order_that_does_not_exist_is_news_about_it(upstream: Upstream) -> None:
    upstream.answers('{"error":"Incorrect order ID"}')
    with upstream.client() as client:
        assert client.result_product("5") == GONE


def test_out_of_stock_lets_another_provider_try(upstream: Upstream) -> None:
    upstream.answers('{"error":"Out of stock"}')
    with upstream.client() as client, pytest.raises(Rejected) as caught:
        client.add_product_order({"product": "1"})
    assert (caught.value.condition, caught.value.failover) == ("out_of_stock", True)
