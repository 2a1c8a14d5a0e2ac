"""The world of test keys: the same errors and prices as in the real one, orders that the clock moves, and no money."""

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts import api_keys, ledger
from accounts.api_keys import KeyTerms
from accounts.models import ApiKeyDay, Transfer, User
from catalog import stock
from catalog.models import CustomRate, Service
from orders import trying
from orders.models import Cancel, Delivery, Dispatch, Order, OrderEvent, PlacedOnce, Refill, Reveal, TrialOrder
from tests.conftest import Fund, MakeProduct, MakeService

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books", "nothing_real")]
Api = Callable[..., Any]
WRONG = {"error": "Incorrect order ID"}
NOT_FOUND = {"error": "Refill not found"}


@pytest.fixture
def nothing_real(customer: User, request: pytest.FixtureRequest) -> Iterator[None]:
    """Prove at the end of a test that no order, no outbox row and no transfer came of it, unless it asks for one."""
    yield
    if hasattr(request, "param"):
        return
    for model in (Order, OrderEvent, Dispatch, PlacedOnce, Refill, Cancel, Delivery, Reveal, Transfer):
        assert not model.objects.exists(), model
    assert ledger.read_balance(customer.pk) == 0


def caller(key: str) -> Api:
    return lambda **params: Client().post("/api/v2", {"key": key, **params}).json()


@pytest.fixture
def trial(customer: User) -> Api:
    return caller(api_keys.issue_key(customer.pk, is_test=True)[1])


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(rate=Decimal("0.90"), refill=True, cancel=True)


@pytest.fixture
def add(trial: Api, service: Service) -> Callable[..., int]:
    def place(link: str = "https://e.org/", **params: Any) -> int:
        call = {"service": service.pk, "link": link, "quantity": 1000, **params}
        placed: int = trial(action="add", **call)["order"]
        return placed

    return place


def after(seconds: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + datetime.timedelta(seconds=seconds))


def test_the_balance_is_always_a_thousand(trial: Api, add: Callable[..., int]) -> None:
    add()
    assert trial(action="balance") == {"balance": "1000.00000", "currency": "USD"}


def test_services_and_updates_are_the_real_ones(trial: Api, api: Api, service: Service, customer: User) -> None:
    CustomRate.objects.create(user=customer, service=service, rate=Decimal("0.80"))
    assert trial(action="services") == api(action="services")
    assert trial(action="services")[0]["rate"] == "0.9"
    assert trial(action="updates") == api(action="updates")


@pytest.mark.parametrize(
    ("link", "course"),
    [
        ("https://e.org/", [("Pending", "0.90000", "0", "1000"), ("Completed", "0.90000", "100", "0")]),
        ("https://e.org/PARTIAL", [("Pending", "0.90000", "0", "1000"), ("Partial", "0.45000", "100", "500")]),
        ("https://e.org/cancel", [("Pending", "0.90000", "0", "1000"), ("Canceled", "0.00000", "100", "1000")]),
    ],
)
def test_an_order_moves_by_its_age_alone(
    trial: Api, add: Callable[..., int], link: str, course: list[tuple[str, ...]]
) -> None:
    order = add(link)
    ends = {0: course[0], 9: course[0], 61: course[1], 3600: course[1]}
    for seconds, (status, charge, start_count, remains) in ends.items():
        with after(seconds):
            told = trial(action="status", order=order)
        figures = {"charge": charge, "start_count": start_count, "remains": remains}
        assert told == {**figures, "status": status, "currency": "USD"}
    with after(11):
        assert trial(action="status", order=order)["status"] == "Processing"
    with after(40):
        half = trial(action="status", order=order)
    assert (half["status"], half["charge"], half["start_count"]) == ("In progress", "0.90000", "100")
    if "cancel" not in link:
        assert int(course[1][3]) < int(half["remains"]) < 1000


@pytest.mark.parametrize("quantity", [1, 2, 3])
def test_the_smallest_orders_end_partial_as_well(
    trial: Api, make_service: MakeService, quantity: int, add: Callable[..., int]
) -> None:
    order = add("partial", service=make_service(min=1).pk, quantity=quantity)
    with after(61):
        told = trial(action="status", order=order)
    assert (told["status"], int(told["remains"])) == ("Partial", quantity - quantity // 2)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"service": "999999"}, "Incorrect service ID"),
        ({"link": ""}, "Invalid link"),
        ({"quantity": "9"}, "Quantity less than minimal 10"),
        ({"quantity": "many"}, "Incorrect quantity"),
        ({"runs": "2", "interval": "5"}, "Dripfeed is not supported by this service"),
        ({"idempotency_key": "x" * 129}, "Incorrect idempotency key"),
    ],
)
def test_errors_are_the_real_ones(trial: Api, api: Api, service: Service, call: dict[str, str], error: str) -> None:
    params = {"action": "add", "service": service.pk, "link": "https://e.org/", "quantity": 1000, **call}
    assert trial(**params) == api(**params) == {"error": error}
    assert not TrialOrder.objects.exists()


def test_a_service_that_cannot_be_sold_now_cannot_be_tried(trial: Api, service: Service) -> None:
    service.routes.update(enabled=False)
    call = {"service": service.pk, "link": "https://e.org/", "quantity": 1000}
    assert trial(action="add", **call) == {"error": "Service is not available"}


def test_what_costs_more_than_the_balance_is_refused(trial: Api, make_service: MakeService) -> None:
    call = {"action": "add", "link": "https://e.org/", "quantity": 1000}
    assert trial(**call, service=make_service(rate=Decimal("1000.00001")).pk) == {
        "error": "Not enough funds on balance"
    }
    assert "order" in trial(**call, service=make_service(rate=Decimal(1000)).pk)


def test_a_cap_holds_for_a_test_key_too(customer: User, service: Service) -> None:
    trial = caller(api_keys.issue_key(customer.pk, is_test=True, terms=KeyTerms(daily_cap=Decimal("1.79")))[1])
    call = {"action": "add", "service": service.pk, "link": "https://e.org/", "quantity": 1000}
    assert "order" in trial(**call)
    assert trial(**call) == {"error": "Daily limit of this API key exceeded"}
    assert TrialOrder.objects.count() == 1


def test_a_test_key_that_may_only_read_places_nothing(customer: User, service: Service) -> None:
    trial = caller(api_keys.issue_key(customer.pk, is_test=True, terms=KeyTerms(may_order=False))[1])
    assert trial(action="add") == {"error": "This API key may only read"}


def test_an_idempotency_key_places_one_order(trial: Api, add: Callable[..., int], service: Service) -> None:
    first = add(idempotency_key="k")
    assert add(idempotency_key="k") == first
    other = {"action": "add", "service": service.pk, "link": "https://e.org/other", "quantity": 1000}
    assert trial(**other, idempotency_key="k") == {"error": "Idempotency key was used for another request"}
    assert add() != add()
    Service.objects.update(enabled=False)
    assert add(idempotency_key="k") == first
    assert TrialOrder.objects.count() == 3


def test_an_idempotency_key_belongs_to_its_api_key(customer: User, add: Callable[..., int], service: Service) -> None:
    second = caller(api_keys.issue_key(customer.pk, is_test=True)[1])
    call = {"service": service.pk, "link": "https://e.org/", "quantity": 1000, "idempotency_key": "k"}
    assert second(action="add", **call)["order"] != add(idempotency_key="k")


def test_a_cancel_ends_an_open_order_at_once(trial: Api, add: Callable[..., int]) -> None:
    orders = [add(), add()]
    assert trial(action="cancel", orders=orders[0]) == [{"order": orders[0], "cancel": 1}]
    with after(40):
        assert trial(action="cancel", order=orders[1]) == [{"order": orders[1], "cancel": 1}]
    with after(3600):
        told = trial(action="status", orders=f"{orders[0]},{orders[1]}")
        refused = trial(action="cancel", orders=f"{orders[0]},abc,999999")
    assert {row["status"] for row in told.values()} == {"Canceled"}
    assert {row["charge"] for row in told.values()} == {"0.00000"}
    assert told[str(orders[0])]["remains"] == "1000"
    assert 0 < int(told[str(orders[1])]["remains"]) < 1000
    assert refused == [
        {"order": orders[0], "cancel": {"error": "Cancel not allowed"}},
        {"order": "abc", "cancel": WRONG},
        {"order": 999999, "cancel": WRONG},
    ]


def test_what_has_ended_or_takes_no_cancels_is_not_canceled(trial: Api, add: Callable[..., int]) -> None:
    order = add()
    with after(61):
        assert trial(action="cancel", order=order)[0]["cancel"] == {"error": "Cancel not allowed"}
    Service.objects.update(cancel=False)
    with after(15):
        assert trial(action="cancel", order=order)[0]["cancel"] == {"error": "Cancel not allowed"}
    assert trial(action="cancel", order=order)[0]["cancel"] == 1


def test_a_refill_is_done_after_half_a_minute_and_given_once(trial: Api, add: Callable[..., int]) -> None:
    order = add()
    assert trial(action="refill", order=order) == {"error": "The order is not completed"}
    assert trial(action="refill_status", refill=order) == NOT_FOUND
    with after(61):
        assert trial(action="refill", order=order) == {"refill": str(order)}
        assert trial(action="refill_status", refill=order) == {"status": "Pending"}
        assert trial(action="refill", orders=order) == [
            {"order": order, "refill": {"error": "Refill already requested"}}
        ]
    with after(95):
        assert trial(action="refill_status", refills=f"{order},{order + 1}") == [
            {"refill": order, "status": "Completed"},
            {"refill": order + 1, "status": NOT_FOUND},
        ]
        assert "less than 24 hours ago" in trial(action="refill", order=order)["error"]


def test_a_refill_is_given_where_the_service_has_it_and_something_came(trial: Api, add: Callable[..., int]) -> None:
    canceled, partial, delivered = add("cancel"), add("partial"), add()
    with after(61):
        assert trial(action="refill", order=canceled) == {"error": "The order is not completed"}
        assert trial(action="refill", order=partial) == {"refill": str(partial)}
        Service.objects.update(refill=False)
        assert trial(action="refill", order=delivered) == {"error": "Refill is disabled for this service"}


def test_neither_world_sees_the_other(trial: Api, api: Api, add: Callable[..., int], stranger: User) -> None:
    order = add()
    foreign = caller(api_keys.issue_key(stranger.pk, is_test=True)[1])
    with after(61):
        trial(action="refill", order=order)
        for other in (api, foreign):
            assert other(action="status", order=order) == WRONG
            assert other(action="refill", order=order) == WRONG
            assert other(action="refill_status", refill=order) == NOT_FOUND
            assert other(action="cancel", order=order) == [{"order": order, "cancel": WRONG}]
    assert TrialOrder.objects.get().canceled_at is None


def test_a_second_test_key_of_the_customer_sees_the_same_orders(customer: User, add: Callable[..., int]) -> None:
    second = caller(api_keys.issue_key(customer.pk, is_test=True)[1])
    assert second(action="status", order=add())["status"] == "Pending"


def test_the_status_of_a_hundred_costs_two_queries(
    trial: Api, add: Callable[..., int], django_assert_num_queries: Any
) -> None:
    orders = [add() for _ in range(100)]
    with django_assert_num_queries(2):
        assert len(trial(action="status", orders=",".join(map(str, orders)))) == 100


def test_trial_orders_are_forgotten_after_a_week(trial: Api, add: Callable[..., int]) -> None:
    old, young = add(), add()
    TrialOrder.objects.filter(pk=old).update(created_at=timezone.now() - trying.KEPT)
    assert trying.prune_trials() == 1
    assert TrialOrder.objects.get().pk == young


@pytest.mark.parametrize("nothing_real", ["one order"], indirect=True)
def test_a_test_key_does_not_see_a_real_order_of_the_same_customer(
    trial: Api, api: Api, service: Service, customer: User, fund: Fund
) -> None:
    fund(customer, "10")
    order = api(action="add", service=service.pk, link="https://e.org/", quantity=1000)["order"]
    assert trial(action="status", order=order) == WRONG
    assert trial(action="cancel", order=order) == [{"order": order, "cancel": WRONG}]
    assert api(action="status", order=order)["status"] == "Pending"
    assert not ApiKeyDay.objects.exists()


def test_a_product_is_handed_over_at_its_end_and_nothing_leaves_the_stock(
    trial: Api, make_product: MakeProduct
) -> None:
    product = make_product(lines=["one", "two", "three"])
    order = trial(action="add_product_order", product=product.pk, quantity=2)["order"]
    ask = {"action": "product_order_status", "order": order}
    assert trial(**ask) == {"charge": 5, "status": "Pending"}
    for seconds in (11, 30):
        with after(seconds):
            assert trial(**ask) == {"charge": 5, "status": "In progress"}
            assert trial(action="result_product", order=order) == {"result": []}
    with after(61):
        told = trial(**ask)
        assert (told["charge"], told["status"], set(told)) == (5, "Completed", {"charge", "status", "result"})
        assert trial(**ask) == told
        assert trial(action="result_product", order=order) == {"result": [f"TEST-{order}-1", f"TEST-{order}-2"]}
    assert stock.count([product.pk]) == {product.pk: 3}


def test_what_a_product_requires_says_how_its_trial_ends(trial: Api, make_product: MakeProduct) -> None:
    product = make_product(source="hand", require="Your account")
    call = {"action": "add_product_order", "product": product.pk, "quantity": 4}
    partial = trial(**call, require="partial@example.org")["order"]
    canceled = trial(**call, require="cancel@example.org")["order"]
    with after(61):
        told = trial(action="product_order_status", orders=f"{partial},{canceled}")
        token = told[str(partial)].pop("result")
        assert told == {
            str(partial): {"charge": 5, "status": "Partial", "remains": 2},
            str(canceled): {"charge": 0, "status": "Canceled", "note": "Out of stock"},
        }
        assert len(token) == 36
        assert len(trial(action="result_product", order=partial)["result"]) == 2
        assert trial(action="result_product", order=canceled) == {"result": []}


def test_a_product_is_refused_as_in_the_real_world(trial: Api, make_product: MakeProduct) -> None:
    few, none, asking = make_product(lines=["one"]), make_product(), make_product(source="hand", require="Your page")

    def buy(product: Service, quantity: int) -> Any:
        return trial(action="add_product_order", product=product.pk, quantity=quantity)

    assert buy(few, 2) == {"error": "Not enough stock"}
    assert buy(none, 1) == {"error": "Out of stock"}
    assert buy(asking, 1) == {"error": "Incorrect require"}
    assert buy(few, 1000) == {"error": "Quantity more than maximum 100"}


def test_trials_of_services_and_of_products_do_not_know_each_other(
    trial: Api, add: Callable[..., int], make_product: MakeProduct
) -> None:
    bought = {"product": make_product(source="hand").pk, "quantity": 1, "idempotency_key": "k"}
    product, plain = trial(action="add_product_order", **bought)["order"], add()
    assert trial(action="add_product_order", **bought) == {"order": product}
    assert trial(action="add", service=bought["product"], **bought) == {"error": "Incorrect service ID"}
    for action in ("status", "refill"):
        assert trial(action=action, order=product) == WRONG
    assert trial(action="cancel", order=product) == [{"order": product, "cancel": WRONG}]
    for action in ("product_order_status", "result_product"):
        assert trial(action=action, order=plain) == WRONG
    assert trial(action="products")[0]["product"] == bought["product"]
