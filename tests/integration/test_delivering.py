"""Orders of products: handed over from our own stock, delivered by staff, or made by a provider and fetched."""

import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from accounts import ledger
from accounts.errors import UserError
from accounts.models import Transfer, User
from catalog import stock
from catalog.models import Product, Provider, ProviderService, StockItem
from catalog.providers.sandbox import Sandbox
from orders import delivering, doubting, forwarding, lifecycle, placing, syncing
from orders.forms import parse_order
from orders.models import DeliveredLine, Delivery, Dispatch, Order, Reveal
from tests.conftest import Fund, MakeProduct

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

Status, State = Order.Status, Dispatch.State
KEYS = ["AAAA-1111", "BBBB-2222", "CCCC-3333"]


def buy(user: User, product_id: int, **values: str) -> Order:
    request = parse_order(placing.find_product(str(product_id)), {"quantity": "1", **values})
    return Order.objects.get(pk=placing.place_order(user.pk, request))


def shown(order: Order, user: User) -> list[str]:
    return delivering.reveal(order, actor_id=user.pk, way=Reveal.Way.PAGE)


def test_lines_of_our_own_are_handed_over_as_they_are_paid_for(
    customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(lines=KEYS).pk, quantity="2")
    assert (order.status, order.remains, order.charge) == (Status.COMPLETED, 0, Decimal(5))
    assert order.ended_at is not None
    assert not order.dispatches.exists()
    assert shown(order, customer) == KEYS[:2]
    assert ledger.read_balance(customer.pk) == 5
    assert [event.kind for event in order.events.order_by("pk")] == ["placed", "delivered", "status"]


def test_too_little_stock_charges_nothing_and_keeps_every_line(
    customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(lines=KEYS)
    with pytest.raises(UserError, match="Not enough stock"):
        buy(customer, product.pk, quantity="4")
    buy(customer, product.pk, quantity="3")
    with pytest.raises(UserError, match="Out of stock"):
        buy(customer, product.pk)
    assert Order.objects.count() == 1
    assert ledger.read_balance(customer.pk) == Decimal("92.5")


def test_who_cannot_pay_takes_no_line(customer: User, fund: Fund, make_product: MakeProduct) -> None:
    fund(customer, "2.49")
    product = make_product(lines=KEYS)
    with pytest.raises(UserError, match="Not enough funds"):
        buy(customer, product.pk)
    assert stock.count([product.pk])[product.pk] == 3
    assert not Delivery.objects.exists()


def test_every_look_at_what_was_delivered_is_noted(customer: User, fund: Fund, make_product: MakeProduct) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(lines=KEYS).pk)
    delivering.reveal(order, actor_id=customer.pk, way=Reveal.Way.FILE, address="192.0.2.7")
    reveal = Reveal.objects.get()
    assert (reveal.delivery.order, reveal.actor, reveal.way, reveal.address) == (order, customer, "file", "192.0.2.7")


def test_delivered_lines_stand_nowhere_in_the_database_as_they_are(
    customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    buy(customer, make_product(lines=KEYS).pk, quantity="3")
    with connection.cursor() as cursor:
        for model in (StockItem, DeliveredLine, Delivery):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {model._meta.db_table} t")  # noqa: S608 -- names of tables
            (text,) = cursor.fetchone()
            assert not any(key in text for key in KEYS)


def test_what_is_required_is_asked_for_and_kept(customer: User, fund: Fund, make_product: MakeProduct) -> None:
    fund(customer, "10")
    product = make_product(source="hand", require="Your account")
    with pytest.raises(UserError, match="Incorrect require"):
        buy(customer, product.pk)
    assert buy(customer, product.pk, require=" me@example.org ").details == {"require": "me@example.org"}


def test_staff_deliver_by_hand_line_by_line(customer: User, staff: User, fund: Fund, make_product: MakeProduct) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand").pk, quantity="3")
    assert order.status == Status.PENDING
    order = delivering.deliver_by_hand(order.pk, ["one", " ", "two "], actor_id=staff.pk)
    assert (order.status, order.remains) == (Status.IN_PROGRESS, 1)
    with pytest.raises(UserError, match="3 were bought"):
        delivering.deliver_by_hand(order.pk, ["three", "four"], actor_id=staff.pk)
    order = delivering.deliver_by_hand(order.pk, ["three"], actor_id=staff.pk)
    assert (order.status, order.remains) == (Status.COMPLETED, 0)
    assert shown(order, customer) == ["one", "two", "three"]
    with pytest.raises(UserError, match="not to be delivered"):
        delivering.deliver_by_hand(order.pk, ["more"], actor_id=staff.pk)


def test_a_delivery_by_hand_that_ends_early_pays_back_the_rest(
    customer: User, staff: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand").pk, quantity="4")
    delivering.deliver_by_hand(order.pk, ["one"], actor_id=staff.pk)
    lifecycle.end_by_hand(order.pk, Status.PARTIAL, 3, actor_id=staff.pk, why="no more of them")
    order.refresh_from_db()
    assert (order.status, order.refunded) == (Status.PARTIAL, Decimal("7.5"))
    assert shown(order, customer) == ["one"]


def test_a_providers_product_is_forwarded_looked_at_and_fetched(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(provider=seller, remote_id="7").pk, quantity="3")
    forwarding.forward_all()
    dispatch = order.dispatches.get()
    assert (dispatch.state, dispatch.is_product) == (State.SENT, True)
    remote = sandbox.warehouse.orders[dispatch.remote_id]
    assert (remote.params["product"], remote.params["quantity"]) == ("7", "3")
    sandbox.warehouse.set_order(dispatch.remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    order.refresh_from_db()
    assert order.status == Status.COMPLETED
    assert shown(order, customer) == []
    assert delivering.fetch_all() == 1
    assert shown(order, customer) == remote.goods
    assert len(remote.goods) == 3
    assert delivering.fetch_all() == 0


def test_goods_that_only_stand_in_the_status_are_taken_from_there(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    sandbox.configure(has_result_product=False)
    Provider.objects.update(dialect_overrides={"result_product": False})
    fund(customer, "10")
    order = buy(customer, make_product(provider=seller, remote_id="7").pk, quantity="2")
    forwarding.forward_all()
    remote_id = order.dispatches.get().remote_id
    sandbox.warehouse.set_order(remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    assert delivering.fetch_all() == 1
    assert shown(order, customer) == sandbox.warehouse.orders[remote_id].goods
    assert Delivery.objects.get().result_encrypted == ""


def test_partial_and_canceled_give_back_and_keep_the_note(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(provider=seller, remote_id="7")
    partial, canceled = (buy(customer, product.pk, quantity="4") for _ in range(2))
    forwarding.forward_all()
    sandbox.warehouse.set_order(partial.dispatches.get().remote_id, status="Partial", remains=3)
    sandbox.warehouse.set_order(canceled.dispatches.get().remote_id, status="Canceled", note="Out of stock")
    syncing.sync_all(everything=True)
    partial.refresh_from_db()
    canceled.refresh_from_db()
    assert (partial.status, partial.refunded) == (Status.PARTIAL, Decimal("7.5"))
    assert (canceled.status, canceled.refunded, canceled.note) == (Status.CANCELED, Decimal(10), "Out of stock")
    delivering.fetch_all()
    assert len(shown(partial, customer)) == 1
    assert shown(canceled, customer) == []


def test_ids_of_products_and_of_services_are_not_mixed_up(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct, service: object
) -> None:
    fund(customer, "100")
    request = parse_order(placing.find_service(str(service.pk)), {"link": "https://example.org/a", "quantity": "1000"})  # type: ignore[attr-defined]
    plain = Order.objects.get(pk=placing.place_order(customer.pk, request))
    order = buy(customer, make_product(provider=seller, remote_id="7").pk)
    forwarding.forward_all()
    assert plain.dispatches.get().remote_id == order.dispatches.get().remote_id
    sandbox.warehouse.set_order(order.dispatches.get().remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    assert Order.objects.get(pk=plain.pk).status != Status.COMPLETED
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETED


def test_an_order_of_a_product_that_hangs_is_unclear_and_sent_once(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    sandbox.configure(lists_orders=True)
    Provider.objects.update(dialect_overrides={"list_orders": "orders"})
    sandbox.misbehave("add_product_order", "reset")
    order = buy(customer, make_product(provider=seller, remote_id="7").pk)
    forwarding.forward_all()
    doubting.look_into_doubts()
    forwarding.forward_all()
    assert order.dispatches.get().state == State.UNCLEAR
    assert sandbox.warehouse.accepted(product="7") == 1


def test_what_the_provider_has_not_is_not_sold(
    customer: User, fund: Fund, seller: Provider, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(provider=seller, remote_id="7")
    ProviderService.objects.update(in_stock=True, inventory=2)
    with pytest.raises(UserError, match="Not enough stock"):
        buy(customer, product.pk, quantity="3")
    ProviderService.objects.update(in_stock=False, inventory=None)
    with pytest.raises(UserError, match="Out of stock"):
        buy(customer, product.pk)
    assert not Transfer.objects.filter(reason="charge").exists()


def test_goods_that_do_not_come_are_asked_for_again_and_told_to_staff(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(provider=seller, remote_id="7").pk)
    forwarding.forward_all()
    delivering.expect({order.pk: "a token"})
    for _try in range(delivering.TELL_AFTER):
        Delivery.objects.update(fetch_at=timezone.now() - datetime.timedelta(seconds=1))
        assert delivering.fetch_all() == 0
    order.refresh_from_db()
    assert order.attention == Order.Attention.GOODS
    sandbox.warehouse.set_order(order.dispatches.get().remote_id, status="Completed", remains=0)
    Delivery.objects.update(fetch_at=timezone.now())
    assert delivering.fetch_all() == 1
    order.refresh_from_db()
    assert order.attention == ""


def test_goods_of_an_order_whose_money_went_back_are_not_handed_over(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(provider=seller, remote_id="7").pk)
    forwarding.forward_all()
    remote_id = order.dispatches.get().remote_id
    sandbox.warehouse.set_order(remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    sandbox.warehouse.set_order(remote_id, status="Canceled")
    syncing.sync_all(everything=True)
    Order.objects.get(pk=order.pk, status=Status.CANCELED, refunded=Decimal("2.5"))
    assert delivering.fetch_all() == 0
    assert shown(order, customer) == []
    assert delivering.due_providers() == []


def test_goods_are_fetched_no_faster_than_the_provider_allows(
    customer: User, fund: Fund, seller: Provider, sandbox: Sandbox, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    product = make_product(provider=seller, remote_id="7")
    orders = [buy(customer, product.pk) for _ in range(8)]
    forwarding.forward_all()
    for order in orders:
        sandbox.warehouse.set_order(order.dispatches.get().remote_id, status="Completed", remains=0)
    syncing.sync_all(everything=True)
    Provider.objects.update(calls_per_minute=120)
    fetched = delivering.fetch_all()
    assert 0 < fetched < 8
    assert Delivery.objects.filter(fetch_at=None).count() == fetched


def test_a_product_is_no_service_and_a_service_no_product(make_product: MakeProduct, service: object) -> None:
    with pytest.raises(UserError, match="Incorrect service ID"):
        placing.find_service(str(make_product().pk))
    with pytest.raises(UserError, match="Incorrect product ID"):
        placing.find_product(str(service.pk))  # type: ignore[attr-defined]


def test_staff_without_a_rate_sell_nothing(customer: User, fund: Fund, make_product: MakeProduct) -> None:
    fund(customer, "10")
    product = make_product(lines=KEYS, own_rate=None)
    with pytest.raises(UserError, match="Service is not available"):
        buy(customer, product.pk)
    assert Product.objects.get().service.own_rate is None
