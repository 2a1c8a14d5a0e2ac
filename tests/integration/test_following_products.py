"""A provider's list of products is followed as that of its services is, and beside it (PROTOCOL 3.9, 6.5)."""

import datetime
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from accounts.errors import UserError
from catalog import following, goods, pricing, reading, tasks, telling
from catalog.goods import Availability
from catalog.models import Product, Provider, ProviderService, Route, Service, Sync, SyncChange
from catalog.providers.sandbox import Sandbox
from tests.conftest import make_provider
from tests.integration.products import ALL, listed, open_stall, prices, sold, stock_up, sync

pytestmark = pytest.mark.django_db
State, Kind, Waiting = Sync.State, SyncChange.Kind, ProviderService.Waiting
OTHER: dict[str, object] = {"name": "Photo retouching", "category": "Pictures", "type": "Service"}


@pytest.fixture
def stall(db: None, sandbox: Sandbox) -> Provider:
    return open_stall(sandbox)


@dataclass(frozen=True)
class Step:
    """What differs from the good list; how the sync ends; the diff; what is sold then, at 2.5 where nothing is said."""

    what: str
    listed: dict[int, dict[str, object] | None]
    state: Sync.State
    diff: dict[str, set[int]] = field(default_factory=dict)
    says: str = ""
    sold: AbstractSet[int] = ALL
    rates: dict[int, str] = field(default_factory=dict)
    confirmed: bool = False


SERIES = [
    Step("an empty list", dict.fromkeys(ALL), State.WAITING, says="The list is empty"),
    Step("an empty list again", dict.fromkeys(ALL), State.UNCHANGED, says="The list is empty"),
    Step("the good list", {}, State.UNCHANGED),
    Step("half gone", dict.fromkeys(range(1, 6)), State.WAITING, {Kind.VANISHED: {1, 2, 3, 4, 5}}, "5 of the 10 that"),
    Step("the good list after half of it", {}, State.UNCHANGED),
    Step(
        "all rates × 100",
        {number: {"rate": 250} for number in ALL},
        State.WAITING,
        {Kind.CHANGED: set(ALL)},
        "move by 9900 % on average",
        rates=dict.fromkeys(ALL, "250"),
    ),
    Step("the good list after dear rates", {}, State.UNCHANGED),
    Step("an id reused", {1: OTHER}, State.APPLIED, {Kind.REUSED: {1}}, "stands for something else", sold=ALL - {1}),
    Step(
        "the old product at its id again",
        {},
        State.APPLIED,
        {Kind.REUSED: {1}},
        "stands for something else",
        sold=ALL - {1},
        confirmed=True,
    ),
    Step("one gone", {3: None}, State.APPLIED, {Kind.VANISHED: {3}}, "Not listed any more", sold=ALL - {3}),
    Step("it is back", {}, State.APPLIED, {Kind.BACK: {3}}, "Listed again", sold=ALL - {3}, confirmed=True),
    Step("a rate of 0", {4: {"rate": 0}}, State.APPLIED, {Kind.VANISHED: {4}}, ": rate 0.", sold=ALL - {4}),
    Step("its rate again", {}, State.APPLIED, {Kind.BACK: {4}}, "Listed again", sold=ALL - {4}, confirmed=True),
    Step("no category", {5: {"category": None}}, State.APPLIED, {Kind.CHANGED: {5}}),
    Step("its category again", {}, State.APPLIED, {Kind.CHANGED: {5}}),
    Step("an id twice, cheaper", {77: {"product": 6, "rate": 0.01}}, State.UNCHANGED),
    Step("limits from 0", {7: {"min": 0}}, State.APPLIED, {Kind.VANISHED: {7}}, "limits 0 to 10", sold=ALL - {7}),
    Step("limits that can be", {}, State.APPLIED, {Kind.BACK: {7}}, "Listed again", sold=ALL - {7}, confirmed=True),
    Step("the good list at the end", {}, State.UNCHANGED),
]


def test_a_hostile_series_of_products_leaves_the_shop_as_an_operator_would_want_it(
    stall: Provider, sandbox: Sandbox
) -> None:
    services = list(ProviderService.objects.filter(is_product=False).order_by("pk").values())
    for step in SERIES:
        stock_up(sandbox, step.listed)
        one = sync(stall)
        assert one.state == step.state, step
        changes = list(one.changes.all())
        kinds = {change.kind for change in changes}
        found = {kind: {int(change.remote_id) for change in changes if change.kind == kind} for kind in kinds}
        assert found == step.diff, step
        told = telling.tell(stall, changes, is_product=True)
        assert step.says in one.why or all(step.says in line.note for line in told), step
        rates = {number: Decimal(step.rates.get(number, "2.5")) for number in step.sold}
        assert prices() == rates, step
        if step.confirmed:
            for row in ProviderService.objects.exclude(waiting=""):
                following.confirm(row.pk)
            assert set(prices()) == ALL, step
    assert list(ProviderService.objects.filter(is_product=False).order_by("pk").values()) == services


def test_the_same_id_is_a_product_and_a_service_and_neither_follows_the_others_list(
    stall: Provider, sandbox: Sandbox
) -> None:
    assert ProviderService.objects.filter(remote_id=1).count() == 2
    service = ProviderService.objects.get(remote_id=1, is_product=False)
    sandbox.warehouse.products[1]["rate"] = 3
    one = sync(stall)
    assert (one.state, one.is_product, one.rows) == (State.APPLIED, True, 10)
    assert listed(1).rate == 3
    sandbox.set_service(1, rate="0.5")
    assert following.sync_provider(stall.pk).is_product is False
    service.refresh_from_db()
    assert (service.rate, listed(1).rate) == (Decimal("0.5"), Decimal(3))
    assert following.last_applied(one) == one


def test_what_is_in_stock_is_written_at_each_reading_and_is_no_difference(stall: Provider, sandbox: Sandbox) -> None:
    assert (listed(1).in_stock, listed(1).inventory) == (True, 40)
    sandbox.warehouse.set_product(1, inventory=0)
    sandbox.warehouse.set_product(2, inventory=7)
    sandbox.warehouse.set_product(3, inventory=None)
    assert sync(stall).state == State.UNCHANGED
    rows = [(listed(number).in_stock, listed(number).inventory) for number in (1, 2, 3)]
    assert rows == [(False, 0), (True, 7), (True, None)]
    services = ProviderService.objects.filter(is_product=False)
    assert set(services.values_list("in_stock", "inventory")) == {(None, None)}


def test_what_is_in_stock_is_written_even_while_a_person_is_waited_for(stall: Provider, sandbox: Sandbox) -> None:
    stock_up(sandbox, {**dict.fromkeys(range(1, 6)), 6: {"inventory": 3}})
    assert sync(stall).state == State.WAITING
    assert listed(6).inventory == 3
    assert listed(1).inventory == 40


def test_an_inventory_that_makes_no_sense_is_not_believed(stall: Provider, sandbox: Sandbox) -> None:
    sandbox.warehouse.products[1]["inventory"] = 10**30
    sandbox.warehouse.products[2] |= {"inventory": -4, "status": "Out of stock"}
    sandbox.warehouse.products[3]["status"] = "Ask us"
    sync(stall)
    assert [listed(number).inventory for number in (1, 2)] == [None, 0]
    assert listed(3).in_stock is None


def test_limits_and_the_kind_follow_and_so_does_what_the_buyer_must_enter(stall: Provider, sandbox: Sandbox) -> None:
    stock_up(sandbox, {1: {"max": 5, "type": "Service", "require": "Your account"}})
    one = sync(stall)
    assert one.changes.get().before == {"type": "Auto", "max": 10, "require": ""}
    product = sold(1).product
    assert (sold(1).max, product.kind, product.require) == (5, Product.Kind.SERVICE, "Your account")
    stock_up(sandbox, {1: {"max": 5, "type": "Service", "require": "Your e-mail"}})
    again = sync(stall)
    assert sold(1).product.require == "Your e-mail"
    following.undo(again.pk)
    assert sold(1).product.require == "Your account"


def test_a_label_that_staff_wrote_stays_but_nothing_is_asked_for_that_nobody_wants(
    stall: Provider, sandbox: Sandbox
) -> None:
    stock_up(sandbox, {1: {"require": "Your account"}})
    sync(stall)
    Product.objects.update(require="Which account shall we fill?")
    stock_up(sandbox, {1: {"require": "Your e-mail"}})
    sync(stall)
    assert sold(1).product.require == "Which account shall we fill?"
    stock_up(sandbox, {})
    sync(stall)
    assert sold(1).product.require == ""


def test_products_that_are_new_are_read_but_not_put_on_sale(stall: Provider, sandbox: Sandbox) -> None:
    stock_up(sandbox, {11: {"require": "Your account"}})
    one = sync(stall)
    line = telling.tell(stall, list(one.changes.all()), is_product=True)[0]
    assert [(field.label, field.after) for field in line.fields] == [
        ("type", "Auto"),
        ("category", "Keys"),
        ("rate", "2.5 USD"),
        ("min", "1"),
        ("max", "10"),
        ("the buyer must enter", "Your account"),
    ]
    assert (listed(11).require, listed(11).inventory) == ("Your account", 40)
    assert set(prices()) == ALL


def test_the_margin_of_a_product_is_that_of_the_product(stall: Provider, sandbox: Sandbox) -> None:
    Service.objects.filter(pk=sold(1).pk).update(own_rate=Decimal(10))
    stock_up(sandbox, {1: {"rate": 5}})
    one = sync(stall, review=True)
    assert [line.margin for line in telling.tell(stall, list(one.changes.all()), is_product=True)] == ["50.0 %"]


def test_an_empty_list_is_the_truth_where_no_product_is_known(sandbox: Sandbox) -> None:
    sandbox.configure(has_products=True)
    sandbox.warehouse.products.clear()
    provider = make_provider(sandbox.url, key=sandbox.key, dialect="1dg")
    one = sync(provider)
    assert (one.state, one.why) == (State.UNCHANGED, "")
    assert reading.last_read(provider, is_product=True) == one.ended_at
    assert following.preview(provider.pk, is_product=True).brake == ""


def test_who_has_no_products_is_not_asked_for_them(provider: Provider, sandbox: Sandbox) -> None:
    one = sync(provider)
    assert (one.state, one.why) == (State.FAILED, "Its dialect has no products")
    assert sandbox.received == []


def test_a_tick_reads_both_lists_of_a_provider_one_after_the_other(stall: Provider, sandbox: Sandbox) -> None:
    sandbox.received.clear()
    assert reading.due_providers() == [stall.pk]
    tasks.sync_services(stall.pk)
    assert [call["action"] for call in sandbox.received] == ["services", "products"]
    assert reading.due_providers() == []
    with time_machine.travel(timezone.now() + datetime.timedelta(minutes=61), tick=True):
        assert reading.due_providers() == [stall.pk]
        assert reading.list_asked(stall.pk) == [False, True]


def test_a_list_of_products_that_fails_holds_up_no_list_of_services(stall: Provider, sandbox: Sandbox) -> None:
    sandbox.misbehave("products", "html")
    reading.due_providers()
    tasks.sync_services(stall.pk)
    assert set(Sync.objects.values_list("is_product", "state")) == {(False, State.UNCHANGED), (True, State.FAILED)}
    assert reading.due_providers() == []
    with time_machine.travel(timezone.now() + datetime.timedelta(minutes=11), tick=True):
        assert reading.due_providers() == [stall.pk]
        assert reading.list_asked(stall.pk) == [True]


def test_a_review_of_products_waits_is_applied_and_is_undone(stall: Provider, sandbox: Sandbox) -> None:
    stock_up(sandbox, {1: {"rate": 2}})
    one = sync(stall, review=True)
    assert (one.state, listed(1).rate) == (State.WAITING, Decimal("2.5"))
    following.apply(one.pk)
    assert listed(1).rate == 2
    assert following.undo(one.pk).state == State.UNDONE
    assert listed(1).rate == Decimal("2.5")
    with pytest.raises(UserError, match="Only the last"):
        following.undo(one.pk)


def test_a_product_is_there_as_its_provider_last_said(stall: Provider, sandbox: Sandbox) -> None:
    stock_up(sandbox, {1: {"inventory": 3}, 2: {"inventory": 0}, 3: {"status": "Out of stock"}})
    del sandbox.warehouse.products[4]["inventory"]
    sync(stall)
    ids = [sold(number).pk for number in (1, 2, 3, 4)]
    assert goods.read_availability(ids) == {
        ids[0]: Availability(in_stock=True, inventory=3),
        ids[1]: Availability(in_stock=False, inventory=0),
        ids[2]: Availability(in_stock=False, inventory=0),
        ids[3]: Availability(in_stock=True, inventory=None),
    }
    there = goods.read_availability(ids)
    assert [there[ids[0]].has(3), there[ids[0]].has(4), there[ids[3]].has(10**6)] == [True, False, True]


def test_a_product_of_two_providers_is_there_where_one_of_them_has_it(stall: Provider, sandbox: Sandbox) -> None:
    service = sold(1)
    Route.objects.create(service=service, provider_service=listed(2), position=2)
    ProviderService.objects.filter(remote_id=1).update(in_stock=False, inventory=0)
    assert goods.read_availability([service.pk])[service.pk] == Availability(in_stock=True, inventory=40)
    ProviderService.objects.filter(remote_id=2).update(vanished_at=timezone.now())
    assert goods.read_availability([service.pk])[service.pk] == Availability(in_stock=False, inventory=0)
    assert goods.read_availability([service.pk, 0]).keys() == {service.pk}


def test_products_are_priced_by_the_piece_with_the_rules_of_services(stall: Provider) -> None:
    terms = pricing.load_terms(None, [sold(1).pk])[sold(1).pk]
    assert (terms.per, pricing.quote(terms, 3).charge) == (1, Decimal("7.5"))
