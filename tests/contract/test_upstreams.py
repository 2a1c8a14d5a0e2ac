"""One suite, two upstreams: the client reads the sandbox and our own `/api/v2` alike, so panels can be chained."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from catalog import importing
from catalog.models import Provider
from catalog.providers.client import Client, Connection
from catalog.providers.dialects import dialect
from catalog.providers.errors import ProviderError, Rejected, Unavailable
from catalog.providers.replies import CatalogueRow, ItemError, ProductReport, ProductResult, ProductRow, StatusReport
from catalog.providers.sandbox import Sandbox
from tests.conftest import Fund, MakeProduct

pytestmark = pytest.mark.django_db(transaction=True)

Reach = Callable[[str], Client]


@pytest.fixture(params=["sandbox", "our own API"])
def reach(request: pytest.FixtureRequest, sandbox: Sandbox) -> Reach:
    """Return a way to a client of one of the upstreams, with the key given or, for an empty one, the right key."""
    if request.param == "sandbox":
        return lambda key: Client(Connection(sandbox.url, key or sandbox.key))
    server: LiveServer = request.getfixturevalue("live_server")
    provider: Provider = request.getfixturevalue("provider")
    customer: User = request.getfixturevalue("customer")
    fund: Fund = request.getfixturevalue("fund")
    right: str = request.getfixturevalue("api_key")
    importing.import_services(provider)
    fund(customer, "10000")
    return lambda key: Client(Connection(f"{server.url}/api/v2", key or right, dialect=dialect("panel")))


@pytest.fixture
def client(reach: Reach) -> Iterator[Client]:
    with reach("") as client:
        yield client


def find(client: Client, kind: str) -> CatalogueRow:
    return next(row for row in client.services().rows if row.type == kind and row.rate > 0)


def params(row: CatalogueRow) -> dict[str, str]:
    common = {"service": row.service, "link": "https://example.org/contract"}
    more = {
        "Default": {"quantity": str(row.min)},
        "Custom Comments": {"comments": "\n".join(["Nice, really"] * row.min)},
    }
    return common | more.get(row.type, {})


def test_the_catalogue_is_read_without_a_row_skipped(client: Client) -> None:
    catalogue = client.services()
    assert len(catalogue.rows) > 10
    assert catalogue.skipped == ()
    assert all(isinstance(row.cancel, bool) and isinstance(row.refill, bool) for row in catalogue.rows)


def test_the_balance_is_an_amount_in_a_currency(client: Client) -> None:
    balance = client.balance()
    assert (balance.amount, balance.currency) == (Decimal(10000), "USD")


@pytest.mark.parametrize("kind", ["Default", "Package", "Custom Comments"])
def test_an_order_of_each_type_is_taken_and_followed(client: Client, kind: str) -> None:
    row = find(client, kind)
    before = client.balance().amount
    order_id = client.add(params(row)).order_id
    report = client.status([order_id])[order_id]
    assert isinstance(report, StatusReport)
    assert report.status == "Pending"
    assert report.currency == "USD"
    assert report.charge is not None
    assert report.charge == before - client.balance().amount > 0


def test_many_orders_are_followed_at_once_each_by_its_id(client: Client) -> None:
    row = find(client, "Default")
    ids = [client.add(params(row) | {"link": f"https://example.org/{n}"}).order_id for n in range(3)]
    answers = client.status([*ids, "999999999"])
    assert [type(answers[order_id]) for order_id in ids] == [StatusReport] * 3
    assert isinstance(answers["999999999"], ItemError)
    assert answers["999999999"].condition == "order_unknown"


def test_an_unknown_order_is_an_error_of_its_own(client: Client) -> None:
    answer = client.status(["999999999"])["999999999"]
    assert isinstance(answer, ItemError)
    assert answer.text == "Incorrect order ID"


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ({"service": "999999"}, "service_unknown"),
        ({"link": " "}, "invalid_link"),
        ({"quantity": "1"}, "quantity_too_low"),
        ({"quantity": "999999999"}, "quantity_too_high"),
    ],
)
def test_what_is_wrong_with_an_order_is_a_refusal_of_a_known_class(
    client: Client, change: dict[str, str], condition: str
) -> None:
    row = next(row for row in client.services().rows if row.type == "Default" and row.rate > 0 and row.min > 1)
    before = client.balance().amount
    with pytest.raises(Rejected) as refused:
        client.add(params(row) | change)
    assert refused.value.condition == condition
    assert refused.value.failover == (condition == "service_unknown")
    assert client.balance().amount == before


def test_too_few_funds_are_for_staff_not_for_the_customer(client: Client) -> None:
    dear = max((row for row in client.services().rows if row.type == "Default"), key=lambda row: row.rate * row.max)
    costs = dear.rate * dear.max / 1000
    for number in range(int(client.balance().amount / costs)):
        client.add(params(dear) | {"quantity": str(dear.max), "link": f"https://example.org/{number}"})
    with pytest.raises(Unavailable) as refused:
        client.add(params(dear) | {"quantity": str(dear.max)})
    assert refused.value.reason == "funds"


@pytest.mark.parametrize("call", ["services", "balance"])
def test_a_wrong_key_is_said_so(reach: Reach, call: str) -> None:
    with reach("wrong") as client, pytest.raises(ProviderError) as refused:
        getattr(client, call)()
    assert isinstance(refused.value, Unavailable)
    assert refused.value.reason == "key"


GOODS = ["first | 1", "second | 2", "third | 3"]
Finish = Callable[[str], list[str]]


@pytest.fixture
def shelves(client: Client, sandbox: Sandbox, make_product: MakeProduct) -> Client:
    """A client of an upstream that sells products: counted ones, one that is gone, and work by hand that asks."""
    sandbox.configure(has_products=True)
    make_product(lines=GOODS, own_rate=Decimal("0.51025"))
    make_product()
    make_product(source="hand", kind="Service", require="Your wishes")
    return client


@pytest.fixture
def finish(request: pytest.FixtureRequest, sandbox: Sandbox) -> Finish:
    """Return a way to have an order delivered, which tells the goods; what is our own stock is delivered at once."""

    def end(order_id: str) -> list[str]:
        if request.node.callspec.params["reach"] != "sandbox":
            return GOODS
        sandbox.warehouse.set_order(order_id, status="Completed", remains=0)
        return sandbox.warehouse.orders[order_id].goods

    return end


def counted(client: Client) -> ProductRow:
    rows = client.products().rows
    return next(row for row in rows if row.in_stock and row.inventory and not row.require and row.max >= 3)


def test_products_are_read_without_a_row_skipped(shelves: Client) -> None:
    listed = shelves.products()
    assert listed.skipped == ()
    assert {row.in_stock for row in listed.rows} == {True, False}
    assert {row.type for row in listed.rows} == {"Auto", "Service"}
    work = next(row for row in listed.rows if row.type == "Service")
    assert (work.in_stock, work.inventory, bool(work.require)) == (True, None, True)
    gone = next(row for row in listed.rows if not row.in_stock)
    assert gone.inventory == 0
    assert all(row.rate > 0 and row.category and 0 < row.min <= row.max for row in listed.rows)


def test_a_product_is_bought_followed_and_fetched(shelves: Client, finish: Finish) -> None:
    row, before = counted(shelves), shelves.balance().amount
    order_id = shelves.add_product_order({"product": row.product, "quantity": "3"}).order_id
    goods = finish(order_id)
    report = shelves.product_order_status([order_id])[order_id]
    assert isinstance(report, ProductReport)
    assert (report.status, report.charge, report.note) == ("Completed", 3 * row.rate, "")
    assert shelves.balance().amount == before - 3 * row.rate
    assert report.result
    assert not any(line in report.result for line in goods)
    answer = shelves.result_product(order_id)
    assert isinstance(answer, ProductResult)
    assert list(answer.lines) == goods


def test_goods_that_have_not_come_are_no_error(shelves: Client) -> None:
    work = next(row for row in shelves.products().rows if row.require and row.in_stock)
    asked = {"product": work.product, "quantity": "1", "require": "An owl"}
    order_id = shelves.add_product_order(asked).order_id
    report = shelves.product_order_status([order_id])[order_id]
    assert isinstance(report, ProductReport)
    assert (report.status, report.remains, report.note, report.result) == ("Pending", None, "", "")
    answer = shelves.result_product(order_id)
    assert isinstance(answer, ProductResult)
    assert answer.lines == ()


def test_many_orders_of_products_are_followed_each_by_its_id(shelves: Client) -> None:
    row = counted(shelves)
    ids = [shelves.add_product_order({"product": row.product, "quantity": "1"}).order_id for _ in range(2)]
    answers = shelves.product_order_status([*ids, "999999999"])
    assert [type(answers[order_id]) for order_id in ids] == [ProductReport] * 2
    unknown = answers["999999999"]
    assert isinstance(unknown, ItemError)
    assert (unknown.text, unknown.condition) == ("Incorrect order ID", "order_unknown")
    assert shelves.result_product("999999999") == unknown


@pytest.mark.parametrize(
    ("change", "condition", "failover"),
    [
        ({"product": "999999"}, "product_not_found", True),
        ({"quantity": "0"}, "quantity_too_low", False),
        ({"quantity": "999999999"}, "quantity_too_high", False),
        ({"quantity": "x"}, "quantity_invalid", False),
    ],
)
def test_what_is_wrong_with_an_order_of_a_product_is_a_refusal_of_a_known_class(
    shelves: Client, change: dict[str, str], condition: str, *, failover: bool
) -> None:
    before = shelves.balance().amount
    with pytest.raises(Rejected) as refused:
        shelves.add_product_order({"product": counted(shelves).product, "quantity": "1"} | change)
    assert (refused.value.condition, refused.value.failover) == (condition, failover)
    assert shelves.balance().amount == before


def test_what_is_gone_or_asks_in_vain_is_refused_with_nothing_charged(shelves: Client) -> None:
    rows, before = shelves.products().rows, shelves.balance().amount
    gone = next(row for row in rows if not row.in_stock)
    work = next(row for row in rows if row.require and row.in_stock)
    with pytest.raises(Rejected) as refused:
        shelves.add_product_order({"product": gone.product, "quantity": "1", "require": "me@example.org"})
    assert (refused.value.condition, refused.value.failover) == ("out_of_stock", True)
    with pytest.raises(Rejected) as refused:
        shelves.add_product_order({"product": work.product, "quantity": "1"})
    assert refused.value.condition in {"missing_params", "require_invalid"}
    assert not refused.value.failover
    assert shelves.balance().amount == before


@pytest.fixture
def accented(sandbox: Sandbox) -> Iterator[Client]:
    """A client of a sandbox with the habits that our own API does not have."""
    sandbox.configure(remembers_keys=True, lists_orders=True)
    flags = {"list_orders": "orders", "idempotency_param": "request_id"}
    with Client(Connection(sandbox.url, sandbox.key, dialect("perfectpanel", flags))) as client:
        yield client


def test_the_latest_orders_are_listed_with_all_that_tells_them_apart(accented: Client, sandbox: Sandbox) -> None:
    row = find(accented, "Default")
    ids = [accented.add(params(row) | {"link": f"https://example.org/{n}?a=1&b=%20"}).order_id for n in range(3)]
    newest, second = accented.recent_orders(limit=2)
    assert [newest.order_id, second.order_id] == [ids[2], ids[1]]
    assert (newest.service, newest.link, newest.quantity) == (row.service, "https://example.org/2?a=1&b=%20", row.min)
    assert newest.created_at is not None
    assert abs(newest.created_at.timestamp() - sandbox.orders[ids[2]].created) < 1


def test_an_order_sent_twice_with_one_key_is_one_order(accented: Client) -> None:
    row = find(accented, "Default")
    first = accented.add(params(row), idempotency_key="a")
    left = accented.balance().amount
    assert accented.add(params(row), idempotency_key="a").order_id == first.order_id
    assert accented.balance().amount == left
    assert accented.add(params(row), idempotency_key="b").order_id != first.order_id


def test_a_drip_feed_is_followed_by_its_runs(accented: Client, sandbox: Sandbox) -> None:
    row = next(row for row in accented.services().rows if row.type == "Default" and row.dripfeed)
    parent = accented.add(params(row) | {"runs": "3", "interval": "10"}).order_id
    run = sandbox.add_child(parent)
    sandbox.set_order(run, status="Completed", remains=0)
    news = accented.status([parent, run])
    report, part = news[parent], news[run]
    assert isinstance(report, StatusReport)
    assert (report.status, report.runs, report.children, report.remains) == ("Pending", 1, (run,), None)
    assert isinstance(part, StatusReport)
    assert (part.status, part.remains, part.children) == ("Completed", 0, ())


def test_a_subscription_is_followed_to_its_end_by_its_posts(accented: Client, sandbox: Sandbox) -> None:
    row = find(accented, "Subscriptions")
    asked = {"service": row.service, "username": "a.writer", "min": str(row.min), "max": str(row.min)}
    number = accented.add(asked | {"posts": "3", "delay": "0"}).order_id
    post = sandbox.add_child(number)
    words = []
    for word in ("Active", "Paused", "Expired"):
        sandbox.set_order(number, status=word, posts=1)
        report = accented.status([number])[number]
        assert isinstance(report, StatusReport)
        assert (report.word, report.posts, report.children) == (word, 1, (post,))
        words.append(report.status)
    assert words == ["In progress", "Paused", "Expired"]
