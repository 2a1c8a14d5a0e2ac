"""The documentation of the API: open to anybody, complete, and with this panel's own address and numbers."""

import datetime
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from jsonschema_rs import Draft202012Validator

from accounts.models import User
from orders.forms import FORMS
from orders.models import Order, OrderEvent, WebhookDelivery
from orders.webhooks import describing, sending
from panel.api import documentation
from panel.api.actions import ACTIONS
from panel.api.openapi import DOCUMENT
from tests.conftest import Fund, MakeProduct, MakeService, Place
from tests.contract import shop
from tests.integration.pages.reading import Reader, find_texts, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def page() -> Reader:
    return read(Client().get("/api/docs/"))


def test_anybody_may_read_it_and_customers_keep_their_menu(customer_client: Client) -> None:
    for client, is_menu in ((Client(), False), (customer_client, True)):
        answer = client.get("/api/docs/")
        reader = read(answer)
        assert (answer.status_code, reader.misplaced, reader.open) == (200, [], [])
        assert bool(reader.having(id="side")) == is_menu
        assert ("Sign out" in reader.text) == is_menu


def test_the_page_of_the_keys_leads_to_it(customer_client: Client) -> None:
    assert read(customer_client.get("/api/")).having(href="/api/docs/")


def test_every_link_on_the_page_leads_somewhere(page: Reader) -> None:
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    anchors = {given["href"][1:] for _, given in page.tags if given.get("href", "").startswith("#")}
    assert anchors - {"main"} <= set(ids)
    labels = {given["aria-labelledby"] for _, given in page.tags if "aria-labelledby" in given}
    assert labels <= set(ids)
    copied = {given["data-copy"] for _, given in page.tags if "data-copy" in given}
    names = ("curl", "python", "php", "verify-python", "verify-php")
    assert copied == {"api-url", *(f"snippet-{name}" for name in names)}
    assert copied <= set(ids)


def test_every_action_type_parameter_and_error_is_on_it(page: Reader) -> None:
    for name in ACTIONS:
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", page.text), name
    for kind, form in FORMS.items():
        assert kind in page.text
        for name in form.fields:
            assert re.search(rf"\b{name}\b", page.text), name
    for row in DOCUMENT["x-errors"]:
        assert row["error"] in page.text


def test_every_type_shows_just_what_its_form_takes() -> None:
    for kind in documentation.read_kinds():
        spread = {"runs", "interval"} if kind.name in {"Default", "Web Traffic"} else set()
        assert {*kind.required, *kind.optional} == {*FORMS[kind.name].fields} | spread


def test_the_samples_are_the_examples_of_the_document_at_this_address(page: Reader) -> None:
    for name in ("services", "status", "balance"):
        assert f"curl http://testserver/api/v2 -d key=YOUR_KEY -d action={name}" in page.text
    assert "--data-urlencode 'comments=Great work! Thank you'" in page.text
    assert '{"order": 23501}' in page.text


def read_curl() -> str:
    return find_texts(Client().get("/api/docs/").content.decode(), "pre")["snippet-curl"]


def test_the_programs_buy_what_is_on_sale(make_service: MakeService) -> None:
    assert "service=1 -d quantity=1000" in read_curl()
    off = make_service()
    off.routes.all().delete()
    make_service(type="Package")
    service = make_service(min=25)
    assert f"service={service.pk} -d quantity=25" in read_curl()


def test_the_page_costs_few_queries_however_much_is_on_sale(
    make_service: MakeService, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        make_service()
    with django_assert_max_num_queries(4):
        Client().get("/api/docs/")


def test_it_tells_the_limits_that_hold(settings: Any) -> None:
    settings.API_KEY_CALLS_PER_SECOND, settings.API_KEY_BURST = 7.0, 70
    settings.API_ADDRESS_CALLS_PER_SECOND = 0.0
    text = read(Client().get("/api/docs/")).text
    assert "A key may call 7 times a second, and up to 70 times at once" in text
    assert "An address may call" not in text


def test_it_tells_what_becomes_of_a_trial_order(page: Reader) -> None:
    assert "after 10 seconds Processing; after 20 In progress" in page.text
    assert "a balance that is always 1000.00000" in page.text


NOON = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
ORDER = Order(
    pk=1,
    charge=Decimal("0.9"),
    refunded=Decimal("0.1413"),
    start_count=3572,
    status="Partial",
    remains=157,
    quantity=1000,
)
SAID = {
    OrderEvent.Kind.STATUS: {"from": "In progress", "to": "Partial"},
    OrderEvent.Kind.REFUNDED: {"amount": "0.1413", "refunded": "0.1413"},
    OrderEvent.Kind.REFILL: {"refill": 1, "to": "Completed"},
    OrderEvent.Kind.CANCEL: {"to": "noted"},
}


def test_the_webhooks_that_it_shows_are_those_that_are_sent(
    page: Reader, customer: User, fund: Fund, make_product: MakeProduct, place: Place
) -> None:
    fund(customer, "100")
    shop.trade_products(customer, shop.shelve(make_product), place)
    delivered = Order.objects.get(pk=201)
    content = DOCUMENT["webhooks"]["event"]["post"]["requestBody"]["content"]["application/json"]
    shown = [example["value"] for example in content["examples"].values()]
    assert [value["type"] for value in shown] == list(describing.TYPES.values())
    valid = Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]})
    for value, kind in zip(shown, describing.TYPES, strict=True):
        delivery = WebhookDelivery(pk=int(value["id"].removeprefix("msg_")), kind=kind, endpoint_id=1, created_at=NOON)
        if kind != describing.PING:
            delivery.order = delivered if kind == OrderEvent.Kind.DELIVERED else ORDER
            delivery.event = OrderEvent(kind=kind, data=SAID.get(OrderEvent.Kind(kind), {}), created_at=NOON)
        assert json.loads(describing.describe(delivery)) == value
        valid.validate(value)
        assert value["type"] in page.text


def test_it_tells_when_a_webhook_comes_again(page: Reader) -> None:
    minutes = [wait.total_seconds() / 60 for wait in sending.WAITS]
    assert minutes == [1 / 6, 1, 5, 30, 120, 360, 720, 1440]
    assert "after 10 seconds, then 1, 5 and 30 minutes, 2, 6, 12 and 24 hours" in page.text
