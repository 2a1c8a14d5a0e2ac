"""What a buyer was handed over stands in his own answers alone: no table, log, mail, webhook or other page has it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from html import escape
from typing import Any

import pytest
from django.contrib import admin
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import User
from catalog.models import Provider
from catalog.providers.sandbox import Sandbox
from orders import delivering, forwarding, syncing
from orders.models import Order, OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import describing
from tests.conftest import Fund, MakeProduct, make_provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]
Api = Callable[..., Any]
OWN, BY_HAND = "own-of-stock | <pass&word>", "made-by-hand | ünïcode"
# What may be found shows that the search works: it is what the buyer entered, which staff must read.
ENTERED = "entered-by-the-buyer@example.org"


class Listener(logging.Handler):
    """Takes down all that a record carries."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told += [repr(vars(record)), self.format(record)]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listen to every logger, also to the one that keeps the answers of providers, which passes nothing on."""
    handler, root = Listener(), logging.getLogger()
    level = root.level
    for logger in (root, forwarding.answers):
        logger.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    for logger in (root, forwarding.answers):
        logger.removeHandler(handler)


@pytest.fixture
def sold(
    api: Api,
    customer: User,
    staff: User,
    fund: Fund,
    sandbox: Sandbox,
    make_product: MakeProduct,
    listener: Listener,
) -> dict[int, list[str]]:
    """Sell one product of each source and way, and return the lines by order; each provider fails once before."""
    sandbox.configure(has_products=True)
    WebhookEndpoint.objects.create(user=customer, url="https://example.org/hook", secret_encrypted="x")
    fund(customer, "1000")
    tokens = make_provider(sandbox.url, dialect="1dg")

    def buy(**values: Any) -> int:
        product = make_product(**values).pk
        entered = {"require": ENTERED} if values.get("require") else {}
        order: int = api(action="add_product_order", product=product, quantity=1, **entered)["order"]
        return order

    own = buy(lines=[OWN])
    by_hand = buy(source="hand", require="Your account")
    delivering.deliver_by_hand(by_hand, [BY_HAND], actor_id=staff.pk)
    fetched = buy(provider=tokens, remote_id="7")
    forwarded = [fetched]
    finish(sandbox, forwarded)
    sandbox.misbehave("result_product", "cut")
    delivering.fetch_all()
    Provider.objects.update(paused_until=None)
    fetch(fetched)
    in_status = _sell_in_status(sandbox, buy)
    ids = {own: [OWN], by_hand: [BY_HAND]}
    for order_id in (fetched, in_status):
        ids[order_id] = sandbox.warehouse.orders[Order.objects.get(pk=order_id).dispatches.get().remote_id].goods
    return ids


def _sell_in_status(sandbox: Sandbox, buy: Callable[..., int]) -> int:
    """Sell a product of a provider whose status brings the goods themselves."""
    sandbox.configure(has_result_product=False)
    plain = make_provider(sandbox.url, dialect="1dg", dialect_overrides={"result_product": False})
    order_id = buy(provider=plain, remote_id="7")
    finish(sandbox, [order_id])
    fetch(order_id)
    return order_id


def finish(sandbox: Sandbox, order_ids: list[int]) -> None:
    """Let a provider take orders and deliver them, and look at it, the first time in vain."""
    forwarding.forward_all()
    for order in Order.objects.filter(pk__in=order_ids):
        sandbox.warehouse.set_order(order.dispatches.get().remote_id, status="Completed", remains=0)
    sandbox.misbehave("product_order_status", "cut")
    for _ in range(2):
        syncing.sync_all(everything=True)
        Provider.objects.update(paused_until=None)


def fetch(order_id: int) -> None:
    delivery = Order.objects.get(pk=order_id).delivery
    type(delivery).objects.filter(pk=delivery.pk, fetch_at__isnull=False).update(fetch_at=delivery.created_at)
    delivering.fetch_all()


def find(sold: dict[int, list[str]], text: str) -> list[str]:
    """Return the lines that stand in a text, as they are, as HTML or JSON writes them, or in part."""
    lines = [line for lines in sold.values() for line in lines]
    written = {form: line for line in lines for form in (line, escape(line), repr(line)[1:-1], ascii(line)[1:-1])}
    written |= {word: line for line in lines for word in line.split(" | ") if len(word) > 7}
    return sorted({line for form, line in written.items() if form in text})


def dump() -> str:
    """Return every row of every table as text."""
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        rows = []
        for name in names:
            cursor.execute(f'SELECT "row"::text FROM "{name}" AS "row"')  # noqa: S608 -- names of tables
            rows += [row[0] for row in cursor.fetchall()]
    return "\n".join(rows)


def test_the_buyer_is_handed_all_of_them(sold: dict[int, list[str]], api: Api) -> None:
    assert len(sold) == 4
    assert all(lines and all(lines) for lines in sold.values())
    for order_id, lines in sold.items():
        assert api(action="result_product", order=order_id) == {"result": lines}
    assert find(sold, "\n".join(line for lines in sold.values() for line in lines))


def test_no_column_of_any_table_has_them(sold: dict[int, list[str]], api: Api) -> None:
    for order_id in sold:
        api(action="result_product", order=order_id)
    text = dump()
    assert ENTERED in text
    assert find(sold, text) == []


def test_no_log_and_no_mail_has_them(sold: dict[int, list[str]], api: Api, listener: Listener) -> None:
    for order_id in sold:
        api(action="result_product", order=order_id)
    told = "\n".join(listener.told)
    assert "attempt 1" in told
    assert "goods not fetched" in told
    assert "status not read" in told
    assert find(sold, told) == []
    assert find(sold, "\n".join(f"{one.subject} {one.body}" for one in mail.outbox)) == []


def test_no_webhook_has_them(sold: dict[int, list[str]]) -> None:
    said = []
    for event in OrderEvent.objects.filter(kind__in=describing.TYPES).select_related("order"):
        delivery = WebhookDelivery(pk=1, kind=event.kind, order=event.order, event=event)
        said.append(describing.describe(delivery))
    assert sum("order.delivered" in one for one in said) == len(sold)
    assert find(sold, "\n".join(said)) == []


def test_no_page_of_the_buyer_has_them_before_he_asks(sold: dict[int, list[str]], customer_client: Client) -> None:
    pages = ["/orders/", "/products/", "/orders/new/", "/", *(f"/orders/{order_id}/" for order_id in sold)]
    for page in pages:
        answer = customer_client.get(page, follow=True)
        assert answer.status_code == 200, page
        assert find(sold, answer.content.decode()) == [], page


def test_another_customer_is_told_nothing(sold: dict[int, list[str]], stranger: User) -> None:
    client = Client()
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    for order_id in sold:
        answers = [client.get(f"/orders/{order_id}/")]
        answers += [client.post(f"/orders/{order_id}/{name}/") for name in ("lines", "file", "replace")]
        assert {answer.status_code for answer in answers} == {404}
        assert all(find(sold, answer.content.decode()) == [] for answer in answers)


def test_no_staff_page_has_them_unasked(sold: dict[int, list[str]], staff_client: Client) -> None:
    """Every list of the admin and the page of each of its rows, as a GET shows them."""
    seen = ""
    for page in staff_pages():
        answer = staff_client.get(page)
        if answer.status_code == 200:
            text = b"".join(answer).decode() if answer.streaming else answer.content.decode()
            assert find(sold, text) == [], page
            seen += text
    assert ENTERED in seen


def staff_pages() -> Iterator[str]:
    """Return the address of every list and of the first rows of each that have pages."""
    yield "/admin/"
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        with suppress(NoReverseMatch):
            yield reverse(f"{name}_changelist")
            for row in model._default_manager.all()[:10]:
                yield reverse(f"{name}_change", args=[row.pk])
                yield reverse(f"{name}_history", args=[row.pk])
