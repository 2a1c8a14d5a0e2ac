"""Products while everything goes wrong: sent once, handed over once, and what cannot be read is asked for again.

The rows of the fault matrix (ARCHITECTURE 6) for orders of products, the slips of their documents (PROTOCOL 3.9), and
SIGKILL between the word that an order has ended and the moment at which its goods are ours.
"""

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from subprocess import Popen

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog import connecting
from catalog.models import Provider, ProviderService, Route, Service
from catalog.providers.errors import Reason, Unavailable
from catalog.providers.sandbox import Sandbox, serving
from orders import cancels, delivering, forwarding, syncing
from orders.forms import parse_order
from orders.models import Delivery, Dispatch, Order
from orders.placing import place_order
from tests.conftest import Fund, MakeProduct, make_provider
from tests.faults.test_crashes import blocked_statements
from tests.faults.test_races import at_once
from tests.processes import database_url, kill, wait_for, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

State, Status = Dispatch.State, Order.Status
REQUIRED = "carla@example.org"
SLIPS = ("missing_commas", "double_braces", "two_objects")
READ_FAULTS = (*SLIPS, "hang", "reset", "cut", "html", "http500", "empty", "refuse_429", "notice", "wrong_types")
StartWorker = Callable[[], AbstractContextManager[Popen[str]]]


@pytest.fixture
def seller(provider: Provider, sandbox: Sandbox) -> Iterator[Provider]:
    """The sandbox as a provider of products, which at the end of a test has seen no order twice."""
    sandbox.configure(has_products=True)
    Provider.objects.filter(pk=provider.pk).update(dialect="1dg")
    provider.refresh_from_db()
    yield provider
    assert sandbox.warehouse.accepted(REQUIRED) <= 1


@pytest.fixture
def product(seller: Provider, make_product: MakeProduct) -> Service:
    """A product of the sandbox that asks for an address."""
    return make_product(provider=seller, remote_id="8", require="E-mail", max=10)


@pytest.fixture
def order(customer: User, fund: Fund, product: Service) -> Order:
    fund(customer, "100")
    return buy(customer, product)


def buy(customer: User, product: Service, *, quantity: int = 3, require: str = REQUIRED) -> Order:
    request = parse_order(product, {"quantity": str(quantity), "require": require})
    return Order.objects.get(pk=place_order(customer.pk, request))


def forward() -> None:
    """Send what is due, two times: an order that gives way to the next route is due again."""
    forwarding.forward_all()
    forwarding.forward_all()


def finish(order: Order, sandbox: Sandbox) -> list[str]:
    """Let the provider end an order, and return the lines that it made."""
    remote_id = order.dispatches.get().remote_id
    sandbox.warehouse.set_order(remote_id, status="Completed", remains=0)
    return sandbox.warehouse.orders[remote_id].goods


def pass_time() -> None:
    """Make everything due that is put off, by a rate limit as well."""
    past = timezone.now() - datetime.timedelta(seconds=1)
    Provider.objects.update(read_turn_at=None, command_turn_at=None)
    Dispatch.objects.filter(poll_at__isnull=False).update(poll_at=past)
    Delivery.objects.filter(fetch_at__isnull=False).update(fetch_at=past)


def lines(order: Order) -> list[str]:
    """Return what was handed over for an order, as it stands in the database."""
    delivery = Delivery.objects.filter(order=order).first()
    return [delivering.read_line(line) for line in delivery.lines.order_by("position")] if delivery else []


def status(order: Order) -> tuple[str, Decimal | int]:
    """Return an order's status as it is now, and what came back."""
    order.refresh_from_db()
    return order.status, order.refunded


def add_route(product: Service, url: str) -> Provider:
    """Give a product a second route, to the same product of another sandbox."""
    twin: ProviderService = product.routes.get().provider_service
    other = make_provider(url, dialect="1dg")
    twin.pk, twin.provider = None, other
    twin.save(force_insert=True)
    Route.objects.create(service=product, provider_service=twin, position=2)
    return other


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        *((kind, 1) for kind in ("hang", "reset", "cut", "accepted_500", "garbage", "no_id", *SLIPS[1:])),
        *((kind, 0) for kind in ("cut_before", "html", "http500", "empty")),
    ],
)
def test_an_answer_that_proves_nothing_never_sends_a_product_again(
    order: Order, product: Service, sandbox: Sandbox, kind: str, taken: int
) -> None:
    sandbox.misbehave("add_product_order", kind, seconds=30)
    with serving(Sandbox(pace=0, has_products=True)) as url:
        add_route(product, url)
        forward()
    dispatch = order.dispatches.get()
    assert (dispatch.state, dispatch.doubtful) == (State.UNCLEAR, True)
    assert sandbox.warehouse.accepted(REQUIRED) == taken
    assert status(order) == (Status.PENDING, 0)


@pytest.mark.parametrize("kind", ["missing_commas", "wrong_types", "notice"])
def test_an_id_that_can_be_read_is_believed_whatever_stands_around_it(
    order: Order, sandbox: Sandbox, kind: str
) -> None:
    sandbox.misbehave("add_product_order", kind)
    forward()
    dispatch = order.dispatches.get()
    assert (dispatch.state, dispatch.remote_id) == (State.SENT, next(iter(sandbox.warehouse.orders)))


def test_a_completed_product_leaves_nothing_although_its_status_does_not_say_so(order: Order, sandbox: Sandbox) -> None:
    forward()
    finish(order, sandbox)
    pass_time()
    syncing.sync_all()
    order.refresh_from_db()
    assert (order.status, order.remains) == (Status.COMPLETED, 0)


@pytest.mark.parametrize("text", ["Incorrect product ID", "Out of stock", "Not enough stock"])
def test_a_product_that_a_provider_has_not_is_ordered_from_the_next(
    order: Order, product: Service, sandbox: Sandbox, text: str
) -> None:
    sandbox.misbehave("add_product_order", "error", body=text)
    other_sandbox = Sandbox(pace=0, has_products=True)
    with serving(other_sandbox) as url:
        other = add_route(product, url)
        forward()
    assert list(order.dispatches.order_by("pk").values_list("state", flat=True)) == [State.REJECTED, State.SENT]
    assert order.dispatches.latest("pk").provider == other
    assert other_sandbox.warehouse.accepted(REQUIRED) == 1
    assert sandbox.warehouse.accepted(REQUIRED) == 0


def test_a_product_that_nobody_has_is_canceled_and_paid_back(order: Order, sandbox: Sandbox) -> None:
    sandbox.misbehave("add_product_order", "error", body="Out of stock")
    forward()
    assert order.dispatches.get().state == State.REJECTED
    assert status(order) == (Status.CANCELED, order.charge)


@pytest.mark.parametrize(
    ("kind", "text", "state"),
    [
        ("refuse_429", "", State.QUEUED),
        ("maintenance_503", "", State.QUEUED),
        ("error", "Not enough funds on balance", State.HELD),
        ("error", "The moon is full", State.UNCLEAR),
    ],
)
def test_a_refusal_that_is_no_end_keeps_the_order_of_a_product(
    order: Order, sandbox: Sandbox, kind: str, text: str, state: str
) -> None:
    sandbox.misbehave("add_product_order", kind, body=text, seconds=60)
    forward()
    assert order.dispatches.get().state == state
    assert status(order) == (Status.PENDING, 0)


@pytest.mark.parametrize("slip", SLIPS)
def test_a_list_of_products_that_is_no_json_is_said_to_be_unreadable(
    seller: Provider, sandbox: Sandbox, slip: str
) -> None:
    sandbox.misbehave("products", slip)
    with connecting.connect(seller) as client, pytest.raises(Unavailable) as caught:
        client.products()
    assert caught.value.reason == Reason.UNREADABLE


@pytest.mark.parametrize("kind", READ_FAULTS)
def test_a_status_however_it_comes_hands_goods_over_once(order: Order, sandbox: Sandbox, kind: str) -> None:
    forward()
    goods = finish(order, sandbox)
    sandbox.misbehave("product_order_status", kind, times=2, seconds=2)
    pass_time()
    syncing.sync_all()
    assert status(order)[0] in {Status.PROCESSING, Status.COMPLETED}
    for _ in range(3):
        Provider.objects.update(paused_until=None, pause_reason="")
        pass_time()
        syncing.sync_all(everything=True)
        pass_time()
        delivering.fetch_all()
    assert status(order) == (Status.COMPLETED, 0)
    assert lines(order) == goods


@pytest.mark.parametrize("kind", READ_FAULTS)
def test_goods_however_they_come_are_handed_over_once_and_whole(order: Order, sandbox: Sandbox, kind: str) -> None:
    forward()
    goods = finish(order, sandbox)
    pass_time()
    syncing.sync_all()
    assert status(order) == (Status.COMPLETED, 0)
    sandbox.misbehave("result_product", kind, seconds=2)
    delivering.fetch_all()
    assert lines(order) in ([], goods)
    for _ in range(2):
        pass_time()
        delivering.fetch_all()
    assert lines(order) == goods
    assert order.events.filter(kind="delivered").count() == 1


def test_goods_that_cannot_be_read_keep_no_others_waiting_and_are_told_to_staff(
    customer: User, order: Order, product: Service, sandbox: Sandbox
) -> None:
    other = buy(customer, product, require="other@example.org")
    forward()
    goods = [finish(order, sandbox), finish(other, sandbox)]
    pass_time()
    syncing.sync_all()
    sandbox.misbehave("result_product", "missing_commas", times=100, match=order.dispatches.get().remote_id)
    for _ in range(delivering.TELL_AFTER):
        pass_time()
        delivering.fetch_all()
    assert (lines(order), lines(other)) == ([], goods[1])
    order.refresh_from_db()
    other.refresh_from_db()
    assert (order.attention, other.attention) == (Order.Attention.GOODS, "")
    sandbox.behave()
    pass_time()
    delivering.fetch_all()
    assert lines(order) == goods[0]


def test_goods_of_a_provider_that_we_thought_had_an_action_for_them_come_once_its_profile_is_mended(
    order: Order, seller: Provider, sandbox: Sandbox
) -> None:
    sandbox.configure(has_result_product=False)
    forward()
    goods = finish(order, sandbox)
    pass_time()
    syncing.sync_all()
    for _ in range(delivering.TELL_AFTER):
        pass_time()
        delivering.fetch_all()
    order.refresh_from_db()
    seller.refresh_from_db()
    assert (order.attention, seller.paused_until) == (Order.Attention.GOODS, None)
    Provider.objects.update(dialect_overrides={"result_product": False})
    pass_time()
    delivering.fetch_all()
    assert lines(order) == goods


def test_goods_that_two_workers_fetch_at_a_time_are_kept_once(order: Order, sandbox: Sandbox) -> None:
    forward()
    goods = finish(order, sandbox)
    pass_time()
    syncing.sync_all()
    sandbox.misbehave("result_product", "slow", seconds=1)

    def fetch() -> None:
        delivering.fetch_all()
        connections.close_all()

    slow = threading.Thread(target=fetch)
    slow.start()
    wait_for(lambda: asked(sandbox, "result_product"), what="the first worker to ask")
    pass_time()
    delivering.fetch_all()
    slow.join()
    assert lines(order) == goods
    assert order.events.filter(kind="delivered").count() == 1


def asked(sandbox: Sandbox, action: str) -> int:
    """Count the calls of an action that have arrived."""
    with sandbox.lock:
        return sum(call.get("action") == action for call in sandbox.received)


def test_two_of_staff_who_deliver_the_same_order_hand_it_over_once(
    customer: User, staff: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "100")
    order = buy(customer, make_product(source="hand"), quantity=2)
    outcomes = at_once(
        lambda number: delivering.deliver_by_hand(order.pk, [f"{number}-a", f"{number}-b"], actor_id=staff.pk), 8
    )
    assert sum(isinstance(outcome, UserError) for outcome in outcomes) == 7
    assert len(lines(order)) == 2
    assert status(order) == (Status.COMPLETED, 0)


def test_no_cancel_is_forwarded_for_a_product_since_its_id_means_another_order_there(
    customer: User, order: Order, product: Service
) -> None:
    Service.objects.filter(pk=product.pk).update(cancel=True)
    Provider.objects.update(dialect="perfectpanel", dialect_overrides={"products": True, "result_product": True})
    forward()
    with pytest.raises(UserError, match="Cancel not allowed"):
        cancels.request_cancel(customer.pk, order.pk)
    assert not order.dispatches.filter(command="cancel").exists()


@pytest.fixture
def start_worker(tmp_path: Path) -> StartWorker:
    return lambda: worker(tmp_path, DISPATCH_LEASE_SECONDS="3", PROVIDER_READ_TIMEOUT="20")


@pytest.fixture
def other_session() -> Iterator[psycopg.Connection]:
    """A second connection, to hold locks that the worker then waits for."""
    with psycopg.connect(database_url()) as session:
        yield session


def let_go(session: psycopg.Connection) -> None:
    session.rollback()
    wait_for(lambda: not blocked_statements(), what="the dead session to be rolled back")


def see_it_delivered(order: Order, goods: list[str], start_worker: StartWorker) -> None:
    """Start a worker, let the time pass that it would wait, and see the goods handed over once."""
    with start_worker():
        pass_time()
        wait_for(lambda: lines(order), what="the goods")
    assert lines(order) == goods
    assert status(order) == (Status.COMPLETED, 0)
    assert order.events.filter(kind="delivered").count() == 1


@pytest.mark.worker
def test_killed_before_the_answer_to_an_order_of_a_product_is_kept(
    order: Order, sandbox: Sandbox, start_worker: StartWorker, other_session: psycopg.Connection
) -> None:
    sandbox.misbehave("add_product_order", "slow", seconds=1)
    with start_worker() as process:
        wait_for(lambda: sandbox.warehouse.accepted(REQUIRED), what="the provider to accept")
        other_session.execute("SELECT 1 FROM orders_dispatch WHERE order_id = %s FOR UPDATE", [order.pk])
        wait_for(blocked_statements, what="the settling that waits for the row")
        kill(process)
    let_go(other_session)
    assert order.dispatches.get().state == State.LEASED
    with start_worker():
        wait_for(lambda: order.dispatches.get().state == State.UNCLEAR, what="the ended lease to be swept")
    assert sandbox.warehouse.accepted(REQUIRED) == 1
    assert status(order) == (Status.PENDING, 0)


@pytest.mark.worker
def test_killed_between_the_word_that_it_has_ended_and_the_note_that_its_goods_are_due(
    order: Order, sandbox: Sandbox, start_worker: StartWorker, other_session: psycopg.Connection
) -> None:
    """An order that its buyer sees completed has its goods on their way, wherever the worker died."""
    forward()
    goods = finish(order, sandbox)
    pass_time()
    other_session.execute("LOCK TABLE orders_delivery IN EXCLUSIVE MODE")
    with start_worker() as process:
        wait_for(blocked_statements, what="the note of the goods that waits for us")
        kill(process)
    let_go(other_session)
    assert status(order)[0] == Status.PROCESSING
    see_it_delivered(order, goods, start_worker)


@pytest.mark.worker
def test_killed_while_the_goods_are_on_their_way(order: Order, sandbox: Sandbox, start_worker: StartWorker) -> None:
    forward()
    goods = finish(order, sandbox)
    sandbox.misbehave("result_product", "hang", seconds=60)
    with start_worker() as process:
        pass_time()
        wait_for(lambda: asked(sandbox, "result_product"), what="the worker to ask for the goods")
        kill(process)
    assert status(order) == (Status.COMPLETED, 0)
    assert lines(order) == []
    see_it_delivered(order, goods, start_worker)


@pytest.mark.worker
def test_killed_before_the_goods_are_kept(
    order: Order, sandbox: Sandbox, start_worker: StartWorker, other_session: psycopg.Connection
) -> None:
    forward()
    goods = finish(order, sandbox)
    pass_time()
    syncing.sync_all()
    other_session.execute("SELECT 1 FROM orders_order WHERE id = %s FOR UPDATE", [order.pk])
    with start_worker() as process:
        wait_for(blocked_statements, what="the goods that wait for their order")
        kill(process)
    let_go(other_session)
    assert lines(order) == []
    see_it_delivered(order, goods, start_worker)
