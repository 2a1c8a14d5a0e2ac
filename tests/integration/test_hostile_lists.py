"""Lists that would ruin a shop that believed them (PROTOCOL 6.5): what is sold after each, at what rate, and why."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from accounts.errors import UserError
from accounts.models import User
from catalog import following, pricing, telling
from catalog.models import Provider, ProviderService, Sync, SyncChange
from catalog.providers.sandbox import Sandbox
from tests.integration.lists import ALL, found, on_sale, prices, rate, sync

pytestmark = pytest.mark.django_db
State, Kind = Sync.State, SyncChange.Kind
GOOD = {"type": "Default", "category": "Web", "rate": "1", "min": "10", "max": "1000"}
OTHER = {"name": "Photo retouching", "category": "Pictures"}


@dataclass(frozen=True)
class Step:
    """What differs from the good list; how the sync ends; the diff; what is sold then, at rate 1 where nothing is said.

    `says` stands in the sync's reason, or in the note of each difference. `confirmed`: a person looks at what waits.
    """

    what: str
    listed: Mapping[int, Mapping[str, object] | None]
    state: Sync.State
    diff: Mapping[SyncChange.Kind, set[int]] = field(default_factory=dict)
    says: str = ""
    sold: AbstractSet[int] = ALL
    rates: Mapping[int, int] = field(default_factory=dict)
    confirmed: bool = False


def each(numbers: Iterable[int], **fields: object) -> dict[int, Mapping[str, object] | None]:
    return dict.fromkeys(numbers, fields)


def without(*numbers: int) -> dict[int, Mapping[str, object] | None]:
    return dict.fromkeys(numbers)


SERIES = [
    Step("an empty list", without(*ALL), State.WAITING, says="The list is empty: usually a refused key."),
    Step("an empty list again", without(*ALL), State.UNCHANGED, says="The list is empty"),
    Step("the good list", {}, State.UNCHANGED),
    Step("half gone", without(1, 2, 3, 4, 5), State.WAITING, {Kind.VANISHED: {1, 2, 3, 4, 5}}, "5 of the 10 that"),
    Step("half gone still", without(1, 2, 3, 4, 5), State.UNCHANGED, says="nothing but what waits"),
    Step("the good list after half of it", {}, State.UNCHANGED),
    Step(
        "all rates × 100",
        each(ALL, rate="100"),
        State.WAITING,
        {Kind.CHANGED: set(ALL)},
        "move by 9900 % on average",
        rates=dict.fromkeys(ALL, 100),
    ),
    Step("the good list after dear rates", {}, State.UNCHANGED),
    Step("all rates ÷ 100", each(ALL, rate="0.01"), State.WAITING, {Kind.CHANGED: set(ALL)}, "move by 99 % on average"),
    Step("the good list after cheap rates", {}, State.UNCHANGED),
    Step(
        "two ids reused",
        {1: OTHER, 2: {"type": "Package", "min": "1", "max": "1"}},
        State.APPLIED,
        {Kind.REUSED: {1, 2}},
        "stands for something else now",
        sold=ALL - {1, 2},
    ),
    Step(
        "the old services at their ids again",
        {},
        State.APPLIED,
        {Kind.REUSED: {1, 2}},
        "stands for something else now",
        sold=ALL - {1, 2},
        confirmed=True,
    ),
    Step("all ids reused", each(ALL, **OTHER), State.WAITING, {Kind.REUSED: set(ALL)}, "10 of the 10 that"),
    Step("the good list after reused ids", {}, State.UNCHANGED),
    Step("one gone", without(3), State.APPLIED, {Kind.VANISHED: {3}}, "Not listed any more", sold=ALL - {3}),
    Step(
        "it reappears, dearer",
        {3: {"rate": "2"}},
        State.APPLIED,
        {Kind.BACK: {3}},
        "Listed again",
        sold=ALL - {3},
        confirmed=True,
    ),
    Step("its rate from before", {}, State.APPLIED, {Kind.CHANGED: {3}}),
    Step("a rate of 0", {4: {"rate": "0"}}, State.APPLIED, {Kind.VANISHED: {4}}, ": rate 0.", sold=ALL - {4}),
    Step("its rate again", {}, State.APPLIED, {Kind.BACK: {4}}, "Listed again", sold=ALL - {4}, confirmed=True),
    Step("no category", {5: {"category": None}}, State.APPLIED, {Kind.CHANGED: {5}}),
    Step("its category again", {}, State.APPLIED, {Kind.CHANGED: {5}}),
    Step("an id twice, cheaper", {77: {"service": 6, "rate": "0.0001"}}, State.UNCHANGED),
    Step("limits from 0", {7: {"min": "0"}}, State.APPLIED, {Kind.VANISHED: {7}}, "limits 0 to 1000", sold=ALL - {7}),
    Step("limits that can be", {}, State.APPLIED, {Kind.BACK: {7}}, "Listed again", sold=ALL - {7}, confirmed=True),
    Step("a rate in words", {8: {"rate": "cheap"}}, State.APPLIED, {Kind.VANISHED: {8}}, "bad rate", sold=ALL - {8}),
    Step("a rate in numbers", {}, State.APPLIED, {Kind.BACK: {8}}, "Listed again", sold=ALL - {8}, confirmed=True),
    Step("the good list at the end", {}, State.UNCHANGED),
]


def test_a_hostile_series_leaves_the_shop_as_an_operator_would_want_it(shop: Provider, sandbox: Sandbox) -> None:
    for step in SERIES:
        stock(sandbox, step)
        one = sync(shop)
        assert one.state == step.state, step
        assert said(one) == step.diff, step
        assert step.says in one.why or all(step.says in line.note for line in lines(one)), step
        assert prices() == {number: step.rates.get(number, 1) for number in step.sold}, step
        if step.confirmed:
            for row in ProviderService.objects.exclude(waiting=""):
                following.confirm(row.pk)
            assert on_sale() == ALL, step
    assert all(row.rate > 0 for row in ProviderService.objects.all())


def stock(sandbox: Sandbox, step: Step) -> None:
    """Let the sandbox list what a step says."""
    sandbox.services.clear()
    for number in sorted(ALL | set(step.listed)):
        fields = step.listed.get(number, {})
        if fields is not None:
            sandbox.set_service(number, name=f"Visits, plan {number}", **GOOD)
            sandbox.services[number].update(fields)


def lines(one: Sync) -> list[telling.Line]:
    return telling.tell(one.provider, list(one.changes.all()))


def said(one: Sync) -> dict[str, set[int]]:
    """Return the ids of a diff by what it says of them."""
    kinds = {kind for kind, _ in found(one)}
    return {kind: {int(number) for this, number in found(one) if this == kind} for kind in kinds}


def test_an_empty_list_changes_nothing_and_waits_once(shop: Provider, sandbox: Sandbox) -> None:
    rows = dict(sandbox.services)
    sandbox.services.clear()
    one = sync(shop)
    assert (one.state, one.rows) == (State.WAITING, 0)
    assert "The list is empty" in one.why
    assert sync(shop).state == State.UNCHANGED
    with pytest.raises(UserError, match="nothing to apply"):
        following.apply(one.pk)
    assert on_sale() == ALL
    sandbox.services.update(rows)
    assert sync(shop).state == State.UNCHANGED
    one.refresh_from_db()
    assert one.state == State.DISMISSED


def test_half_of_the_list_gone_waits_for_a_person_and_then_is_taken_off_sale(
    shop: Provider, sandbox: Sandbox, staff: User
) -> None:
    for number in range(1, 6):
        sandbox.remove_service(number)
    one = sync(shop)
    assert one.state == State.WAITING
    assert one.why == ("5 of the 10 that we sell are gone or stand for something else; the brake is at 30 %.")
    assert on_sale() == ALL
    following.apply(one.pk, actor_id=staff.pk)
    one.refresh_from_db()
    assert (one.state, one.actor) == (State.APPLIED, staff)
    assert on_sale() == {6, 7, 8, 9, 10}
    with pytest.raises(UserError, match="decided that already"):
        following.apply(one.pk)


def test_up_to_the_brake_what_vanished_is_taken_off_sale_by_itself(shop: Provider, sandbox: Sandbox) -> None:
    for number in range(1, 4):
        sandbox.remove_service(number)
    assert sync(shop).state == State.APPLIED
    assert on_sale() == {4, 5, 6, 7, 8, 9, 10}


def test_rates_a_hundredfold_wait_but_are_never_sold_below_cost_and_a_sane_list_ends_it(
    shop: Provider, sandbox: Sandbox
) -> None:
    for number in ALL:
        sandbox.set_service(number, rate="100")
    one = sync(shop)
    assert one.state == State.WAITING
    assert one.why == "The rates of what we sell move by 9900 % on average; the brake is at 50 %."
    assert {rate(number) for number in ALL} == {Decimal(100)}
    assert all(pricing.list_rate(terms) >= 100 for terms in pricing.load_terms(None).values())
    again = sync(shop)
    assert (again.state, again.changes.count()) == (State.UNCHANGED, 0)
    for number in ALL:
        sandbox.set_service(number, rate="1")
    assert sync(shop).state == State.UNCHANGED
    one.refresh_from_db()
    assert one.state == State.DISMISSED
    assert {rate(number) for number in ALL} == {Decimal(1)}


def test_a_fall_of_all_rates_waits_and_the_price_with_it(shop: Provider, sandbox: Sandbox) -> None:
    for number in ALL:
        sandbox.set_service(number, rate="0.01")
    sandbox.set_service(1, rate="1.5")
    one = sync(shop)
    assert one.state == State.WAITING
    assert (rate(1), rate(2)) == (Decimal("1.5"), Decimal(1))
    following.dismiss(one.pk)
    assert (rate(1), rate(2)) == (Decimal("1.5"), Decimal(1))
    assert sync(shop).state == State.UNCHANGED
    sandbox.set_service(2, rate="0.02")
    assert sync(shop).state == State.WAITING


def test_a_rate_of_zero_is_never_taken_and_the_service_is_not_sold(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.set_service(3, rate="0")
    one = sync(shop)
    assert one.state == State.APPLIED
    assert found(one)[Kind.VANISHED, "3"].after == {"why": "rate 0"}
    assert rate(3) == 1
    assert on_sale() == ALL - {3}
    assert sync(shop).state == State.UNCHANGED


def test_ids_reused_all_over_trip_the_brake(shop: Provider, sandbox: Sandbox) -> None:
    for number in ALL:
        sandbox.set_service(number, name="Something else", category="Pictures")
    one = sync(shop)
    assert one.state == State.WAITING
    assert "10 of the 10" in one.why
    assert on_sale() == ALL
