"""Products over the API: listed, bought once, told in five words, and handed over to their buyer alone."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import api_keys, ledger
from accounts.api_keys import KeyTerms
from accounts.models import ApiKey, User
from catalog import pricing, stock
from catalog.models import CustomRate, Provider, ProviderService, Route, Service
from catalog.providers.sandbox import Sandbox
from orders import delivering, forwarding, lifecycle, syncing
from orders.models import Delivery, Dispatch, Order, Reveal
from tests.conftest import Fund, MakeProduct, Place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]
Api = Callable[..., Any]
KEYS = ["AAAA-1111 | x", "BBBB-2222", "CCCC-3333"]
WRONG = {"error": "Incorrect order ID"}


@pytest.fixture
def key(make_product: MakeProduct, customer: User, fund: Fund) -> Service:
    """A licence key of our own stock, and the funds for it."""
    fund(customer, "100")
    return make_product(lines=KEYS)


def raw(api_key: str, action: str, **params: Any) -> str:
    """Return an answer as it goes over the wire."""
    answer: bytes = Client().post("/api/v2", {"key": api_key, "action": action, **params}).content
    return answer.decode()


# The list


def test_a_product_is_listed_in_the_shape_of_the_document(api: Api, make_product: MakeProduct) -> None:
    make_product(name="Keys", lines=KEYS, own_rate=Decimal("2.5"), max=10)
    make_product(name="Empty", own_rate=Decimal(5), max=1, require="Input your account")
    make_product(name="Work", source="hand", kind="Service", own_rate=Decimal("0.5"), max=2)
    common = {"min": 1, "category": "Keys"}
    products = Service.objects.filter(is_product=True).order_by("pk")
    ids = list(products.values_list("pk", flat=True))
    assert api(action="products") == [
        {**common, "product": ids[0], "name": "Keys", "rate": 2.5, "max": 10, "status": "In stock", "inventory": 3}
        | {"type": "Auto"},
        {**common, "product": ids[1], "name": "Empty", "rate": 5, "max": 1, "status": "Out of stock", "inventory": 0}
        | {"type": "Auto", "require": "Input your account"},
        {**common, "product": ids[2], "name": "Work", "rate": 0.5, "max": 2, "status": "In stock", "type": "Service"},
    ]


def test_numbers_are_numbers_and_exact(api_key: str, make_product: MakeProduct) -> None:
    rates = ["2.5", "5", "0.51025", "0.1", "1234567890.123456", "0.000001"]
    for rate in rates:
        make_product(own_rate=Decimal(rate), source="hand")
    listed = json.loads(raw(api_key, "products"), parse_float=Decimal, parse_int=Decimal)
    assert [row["rate"] for row in listed] == [Decimal(rate) for rate in rates]
    text = raw(api_key, "products")
    assert all(f'"rate":{rate},' in text for rate in rates)


def test_the_rate_on_the_list_is_the_one_that_is_charged(
    api: Api, customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    User.objects.update(discount_percent=Decimal("12.5"))
    cut, own = (make_product(lines=[f"{n} {key}" for key in KEYS], own_rate=Decimal("0.333333")) for n in (1, 2))
    CustomRate.objects.create(user=customer, service=own, rate=Decimal("0.1234567"))
    rates = {row["product"]: Decimal(str(row["rate"])) for row in api(action="products")}
    assert rates == {cut.pk: Decimal("0.291667"), own.pk: Decimal("0.123457")}
    for product in (cut, own):
        order = Order.objects.get(pk=api(action="add_product_order", product=product.pk, quantity=3)["order"])
        assert order.rate == rates[product.pk]
        assert order.charge == pricing.total(rates[product.pk], 3, per=1)


def test_services_and_products_are_not_on_each_others_list(
    api: Api, key: Service, service: Service, make_product: MakeProduct
) -> None:
    make_product(enabled=False)
    assert [row["product"] for row in api(action="products")] == [key.pk]
    assert [row["service"] for row in api(action="services")] == [service.pk]


def test_what_providers_said_of_their_stock_is_told(api: Api, make_product: MakeProduct, provider: Provider) -> None:
    for number, (in_stock, inventory) in enumerate([(True, 7), (None, None), (False, None), (True, 0)]):
        product = make_product(provider=provider, remote_id=str(number), own_rate=None)
        ProviderService.objects.filter(routes__service=product).update(in_stock=in_stock, inventory=inventory)
    told = [(row["status"], row.get("inventory"), row["rate"]) for row in api(action="products")]
    assert told == [
        ("In stock", 7, 0.5),
        ("In stock", None, 0.5),
        ("Out of stock", 0, 0.5),
        ("Out of stock", 0, 0.5),
    ]


def test_what_cannot_be_ordered_now_is_not_listed(api: Api, make_product: MakeProduct, provider: Provider) -> None:
    make_product(provider=provider, remote_id="7")
    Provider.objects.update(enabled=False)
    assert api(action="products") == []


def test_a_long_list_costs_no_more_queries(api: Api, make_product: MakeProduct, provider: Provider) -> None:
    api(action="balance")

    def ask() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            api(action="products")
        return len(caught)

    counts = []
    for round_ in range(2):
        for number in range(3):
            make_product(provider=provider, remote_id=f"{round_} {number}")
            make_product(lines=[f"{round_} {number}"])
        counts.append(ask())
    assert counts[0] == counts[1] <= 6


# Ordering


def test_goods_of_our_own_are_there_at_once(api: Api, key: Service, customer: User) -> None:
    order = api(action="add_product_order", product=key.pk, quantity=2)["order"]
    told = api(action="product_order_status", order=order)
    assert {**told, "result": str(UUID(told["result"]))} == told
    assert (told["charge"], told["status"], set(told)) == (5, "Completed", {"charge", "status", "result"})
    assert api(action="result_product", order=order) == {"result": KEYS[:2]}
    assert ledger.read_balance(customer.pk) == 95


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"product": ""}, "Incorrect product ID"),
        ({"product": "999999"}, "Incorrect product ID"),
        ({"product": "9" * 30}, "Incorrect product ID"),
        ({"quantity": ""}, "Incorrect quantity"),
        ({"quantity": "1.5"}, "Incorrect quantity"),
        ({"quantity": "1"}, "Quantity less than minimal 2"),
        ({"quantity": "51"}, "Quantity more than maximum 50"),
        ({"quantity": "4"}, "Not enough stock"),
        ({"require": " "}, "Incorrect require"),
        ({"require": "a\tb"}, "Incorrect require"),
        ({"require": "x" * 1001}, "Incorrect require"),
    ],
)
def test_what_is_wrong_is_told_in_the_fields_words_and_changes_nothing(
    change: dict[str, str], error: str, api: Api, customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(lines=KEYS, min=2, max=50, require="Your account")
    call = {"product": product.pk, "quantity": "2", "require": "me@example.org", **change}
    assert api(action="add_product_order", **call) == {"error": error}
    assert not Order.objects.exists()
    assert stock.count([product.pk]) == {product.pk: 3}
    assert ledger.read_balance(customer.pk) == 100


def test_out_of_stock_and_too_few_funds_take_nothing(
    api: Api, key: Service, customer: User, make_product: MakeProduct, seller: Provider
) -> None:
    empty, dear = make_product(), make_product(lines=["one"], own_rate=Decimal(101))
    assert api(action="add_product_order", product=empty.pk, quantity=1) == {"error": "Out of stock"}
    assert api(action="add_product_order", product=dear.pk, quantity=1) == {"error": "Not enough funds on balance"}
    theirs = make_product(provider=seller, remote_id="7")
    ProviderService.objects.filter(routes__service=theirs).update(in_stock=True, inventory=2)
    assert api(action="add_product_order", product=theirs.pk, quantity=3) == {"error": "Not enough stock"}
    ProviderService.objects.filter(routes__service=theirs).update(in_stock=False, inventory=None)
    assert api(action="add_product_order", product=theirs.pk, quantity=1) == {"error": "Out of stock"}
    assert stock.count([dear.pk]) == {dear.pk: 1}
    assert ledger.read_balance(customer.pk) == 100
    assert not Order.objects.exists()


def test_what_a_later_provider_has_is_ordered_as_it_is_listed(
    api: Api, key: Service, make_product: MakeProduct, seller: Provider
) -> None:
    product = make_product(provider=seller, remote_id="2")
    ProviderService.objects.filter(routes__service=product).update(in_stock=False, inventory=0)
    other = ProviderService.objects.create(
        provider=seller, remote_id="7", name="x", type="Auto", rate=Decimal("0.5"), min=1, max=50, is_product=True
    )
    Route.objects.create(service=product, provider_service=other, position=2)
    assert [row["status"] for row in api(action="products") if row["product"] == product.pk] == ["In stock"]
    assert set(api(action="add_product_order", product=product.pk, quantity=1)) == {"order"}


def test_an_order_asked_for_twice_is_one_order(api: Api, key: Service, customer: User) -> None:
    call = {"action": "add_product_order", "product": key.pk, "quantity": 1, "idempotency_key": "k"}
    first = api(**call)
    assert api(**call) == first
    assert api(**call | {"quantity": 2}) == {"error": "Idempotency key was used for another request"}
    Service.objects.filter(pk=key.pk).update(enabled=False)
    assert api(**call) == first
    assert api(**call | {"quantity": 2}) == {"error": "Incorrect product ID"}
    assert ledger.read_balance(customer.pk) == Decimal("97.5")
    assert Delivery.objects.get().lines.count() == 1


def test_a_key_of_one_action_does_not_answer_the_other(
    api: Api, key: Service, service: Service, customer: User
) -> None:
    bought = {"product": key.pk, "quantity": 1, "idempotency_key": "p"}
    added = {"service": service.pk, "quantity": 1000, "link": "https://e.org/", "idempotency_key": "s"}
    api(action="add_product_order", **bought)
    api(action="add", **added)
    assert api(action="add", service=key.pk, **bought) == {"error": "Incorrect service ID"}
    assert api(action="add_product_order", product=service.pk, **added) == {"error": "Incorrect product ID"}
    assert Order.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_same_request_at_once_takes_one_line(api_key: str, key: Service, customer: User) -> None:
    together = threading.Barrier(4)

    def buy(_: int) -> str:
        together.wait()
        try:
            return raw(api_key, "add_product_order", product=key.pk, quantity=1, idempotency_key="once")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(buy, range(4)))) == 1
    assert stock.count([key.pk]) == {key.pk: 2}
    assert ledger.read_balance(customer.pk) == Decimal("97.5")


# Status


def status_of(api: Api, order: Order) -> dict[str, Any]:
    told: dict[str, Any] = api(action="product_order_status", order=order.pk)
    return told


def test_an_order_of_a_provider_goes_through_the_words_of_the_document(
    api: Api, customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(provider=seller, remote_id="7")
    placed = api(action="add_product_order", product=product.pk, quantity=3)["order"]
    order = Order.objects.get(pk=placed)
    assert status_of(api, order) == {"charge": 7.5, "status": "Pending"}
    assert api(action="result_product", order=order.pk) == {"result": []}
    Dispatch.objects.update(state="SENT", remote_id="1", due_at=None)
    lifecycle.accept(order.pk)
    order.refresh_from_db()
    assert order.status == "Processing"
    assert status_of(api, order) == {"charge": 7.5, "status": "In progress"}
    lifecycle.advance(order.pk, lifecycle.Report(status="Completed", word="Completed"))
    delivering.expect({order.pk: "token"})
    # Ready there, not here: completed is what can be had.
    assert status_of(api, order) == {"charge": 7.5, "status": "In progress"}
    assert api(action="result_product", order=order.pk) == {"result": []}
    delivery = Delivery.objects.get()
    delivering.add_lines(delivery, ["one", "two", "three"])
    Delivery.objects.update(fetch_at=None)
    assert status_of(api, order) == {"charge": 7.5, "status": "Completed", "result": str(delivery.token)}
    assert api(action="result_product", order=order.pk) == {"result": ["one", "two", "three"]}


@pytest.mark.django_db(transaction=True)
def test_partial_and_canceled_are_told_as_in_the_document(
    api: Api, customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(provider=seller, remote_id="7", own_rate=Decimal(2))
    ids = [api(action="add_product_order", product=product.pk, quantity=6)["order"] for _ in range(2)]
    forwarding.forward_all()
    partial, canceled = (Dispatch.objects.get(order=pk).remote_id for pk in ids)
    sandbox.warehouse.set_order(partial, status="Partial", remains=3)
    sandbox.warehouse.set_order(canceled, status="Canceled", note="Out of stock")
    syncing.sync_all(everything=True)
    delivering.fetch_all()
    token = str(Delivery.objects.get().token)
    assert api(action="product_order_status", orders=f"{ids[0]},{ids[1]},999999") == {
        str(ids[0]): {"charge": 6, "status": "Partial", "remains": 3, "result": token},
        str(ids[1]): {"charge": 0, "status": "Canceled", "note": "Out of stock"},
        "999999": WRONG,
    }
    assert api(action="result_product", order=ids[0]) == {"result": sandbox.warehouse.orders[partial].goods}
    assert api(action="result_product", order=ids[1]) == {"result": []}


def test_what_staff_call_done_without_lines_has_no_result(
    api: Api, customer: User, staff: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    work = make_product(source="hand", kind="Service", require="Your page")
    order = api(action="add_product_order", product=work.pk, quantity=1, require="example.org")["order"]
    assert api(action="product_order_status", order=order) == {"charge": 2.5, "status": "Pending"}
    delivering.deliver_by_hand(order, [], actor_id=staff.pk, done=True)
    assert api(action="product_order_status", order=order) == {"charge": 2.5, "status": "Completed"}
    assert api(action="result_product", order=order) == {"result": []}


def test_charges_are_exact(api_key: str, customer: User, fund: Fund, make_product: MakeProduct) -> None:
    fund(customer, "10")
    for rate, charge in (("0.51025", "0.51025"), ("0.1", "0.1"), ("1.000001", "1.00001"), ("3", "3")):
        product = make_product(source="hand", own_rate=Decimal(rate))
        order = json.loads(raw(api_key, "add_product_order", product=product.pk, quantity=1))["order"]
        text = raw(api_key, "product_order_status", order=order)
        assert text == f'{{"charge":{charge},"status":"Pending"}}'


def test_many_orders_are_told_in_one_query(api: Api, key: Service) -> None:
    ids = [api(action="add_product_order", product=key.pk, quantity=1)["order"] for _ in range(3)]
    with CaptureQueriesContext(connection) as caught:
        told = api(action="product_order_status", orders=",".join(map(str, ids)))
    assert [told[str(number)]["status"] for number in ids] == ["Completed"] * 3
    assert len(caught) <= 2


# Two views of one table


def test_orders_of_services_and_of_products_do_not_know_each_other(
    api: Api, key: Service, service: Service, customer: User, place: Place
) -> None:
    product = api(action="add_product_order", product=key.pk, quantity=1)["order"]
    plain = place(customer, service).pk
    for action in ("status", "refill"):
        assert api(action=action, order=product) == WRONG
    assert api(action="cancel", order=product) == [{"order": product, "cancel": WRONG}]
    assert api(action="status", orders=f"{product},{plain}")[str(product)] == WRONG
    for action in ("product_order_status", "result_product"):
        assert api(action=action, order=plain) == WRONG
    assert api(action="product_order_status", orders=f"{product},{plain}")[str(plain)] == WRONG
    assert api(action="add", service=key.pk, quantity=1, link="https://e.org/") == {"error": "Incorrect service ID"}
    assert api(action="add_product_order", product=service.pk, quantity=1000) == {"error": "Incorrect product ID"}


@pytest.mark.parametrize("wrong", ["", "abc", "0", "-1", "9" * 30, "1,2"])
def test_an_id_that_is_none_is_no_order(wrong: str, api: Api, key: Service) -> None:
    assert api(action="result_product", order=wrong) == WRONG


def test_a_stranger_knows_nothing_of_it(api: Api, key: Service, stranger: User) -> None:
    order = api(action="add_product_order", product=key.pk, quantity=1)["order"]
    theirs = api_keys.issue_key(stranger.pk)[1]
    for action in ("product_order_status", "result_product"):
        assert json.loads(raw(theirs, action, order=order)) == WRONG
    assert not Reveal.objects.exists()


# Handing over


def test_every_look_over_the_api_is_noted_with_its_address(api_key: str, key: Service, customer: User) -> None:
    order = json.loads(raw(api_key, "add_product_order", product=key.pk, quantity=1))["order"]
    for address in ("192.0.2.7", "2001:db8::7"):
        answer = Client(REMOTE_ADDR=address).post(
            "/api/v2", {"key": api_key, "action": "result_product", "order": order}
        )
        assert answer.json() == {"result": KEYS[:1]}
        assert answer["Cache-Control"] == "no-store"
    said = list(Reveal.objects.order_by("pk").values_list("delivery__order", "actor", "way", "address"))
    assert said == [(order, customer.pk, "api", "192.0.2.7"), (order, customer.pk, "api", "2001:db8::7")]


def test_asking_before_it_was_delivered_is_no_look(
    api: Api, customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = api(action="add_product_order", product=make_product(source="hand").pk, quantity=1)["order"]
    assert api(action="result_product", order=order) == {"result": []}
    assert not Reveal.objects.exists()


def test_a_key_that_only_reads_neither_buys_nor_takes_away(api: Api, key: Service) -> None:
    order = api(action="add_product_order", product=key.pk, quantity=1)["order"]
    ApiKey.objects.update(may_order=False)
    only = {"error": "This API key may only read"}
    assert api(action="add_product_order", product=key.pk, quantity=1) == only
    assert api(action="result_product", order=order) == only
    assert api(action="product_order_status", order=order)["status"] == "Completed"
    assert len(api(action="products")) == 1


def test_the_cap_of_a_key_holds_for_products(customer: User, key: Service) -> None:
    capped = api_keys.issue_key(customer.pk, terms=KeyTerms(daily_cap=Decimal(5)))[1]
    assert "order" in raw(capped, "add_product_order", product=key.pk, quantity=2)
    over = {"error": "Daily limit of this API key exceeded"}
    assert json.loads(raw(capped, "add_product_order", product=key.pk, quantity=1)) == over
    assert stock.count([key.pk]) == {key.pk: 1}
