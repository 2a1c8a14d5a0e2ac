"""How orders that come in runs or posts end, and what that gives back: the undelivered share, once, to the digit."""

from decimal import Decimal

import pytest

from accounts import ledger
from accounts.models import User
from orders import lifecycle, timeline
from orders.lifecycle import Report
from orders.models import ChildOrder, Dispatch, Order
from tests.conftest import Fund, MakeService, Place

REMAINS = Order.Attention.REMAINS


@pytest.fixture
def order(customer: User, make_service: MakeService, fund: Fund, place: Place, books: None) -> Order:
    """Ten runs of 100 for 2.50 in all, with nothing left on the balance; a provider has them."""
    fund(customer, "2.5")
    service = make_service(rate=Decimal("2.5"), dripfeed=True, max=1000)
    placed = place(customer, service, quantity="100", runs="10", interval="30")
    placed.dispatches.update(state=Dispatch.State.SENT, remote_id="7", due_at=None)
    return placed


def tell(order: Order, status: str | None, done: int | None = None, remains: int | None = None) -> Order:
    """Apply a report three times, as a provider repeats it, and prove that only the first one changed anything."""
    report = Report(status=status, word=status or "Vanished", parts_done=done, remains=remains)
    after = lifecycle.advance(order.pk, report)
    events = after.events.count()
    for _ in range(2):
        again = lifecycle.advance(order.pk, report)
        assert (again.status, again.refunded, again.attention) == (after.status, after.refunded, after.attention)
    assert after.events.count() == events
    assert ledger.read_balance(order.user_id) == again.refunded
    return Order.objects.get(pk=order.pk)


def list_children(order: Order, *ends: tuple[str, int | None]) -> list[ChildOrder]:
    dispatch = order.dispatches.get()
    known = order.children.count()
    return [
        ChildOrder.objects.create(
            order=order, dispatch=dispatch, remote_id=f"7-{known + number}", status=status, remains=remains
        )
        for number, (status, remains) in enumerate(ends, 1)
    ]


@pytest.mark.parametrize(
    ("word", "done", "remains", "status", "refunded"),
    [
        ("Partial", 7, None, "Partial", "0.75"),
        ("Canceled", 7, None, "Canceled", "0.75"),
        ("Canceled", 0, None, "Canceled", "2.5"),
        ("Canceled", 7, 999, "Canceled", "0.75"),
        ("Canceled", None, 250, "Canceled", "0.625"),
        ("Partial", None, 1000, "Partial", "2.5"),
        ("Completed", 10, None, "Completed", "0"),
        ("Completed", 9, None, "Completed", "0.25"),
        ("Completed", None, None, "Completed", "0"),
        ("Completed", None, 400, "Completed", "0"),
        ("Expired", 0, None, "Canceled", "2.5"),
        ("Expired", 4, None, "Partial", "1.5"),
        ("Expired", 10, None, "Completed", "0"),
        ("Expired", None, 1000, "Canceled", "2.5"),
        ("Expired", None, 1, "Partial", "0.0025"),
    ],
)
def test_the_undelivered_share_comes_back_once(
    order: Order, word: str, done: int | None, remains: int | None, status: str, refunded: str
) -> None:
    after = tell(order, word, done, remains)
    assert (after.status, after.refunded, after.attention) == (status, Decimal(refunded), "")


@pytest.mark.parametrize(
    ("word", "done", "remains", "status"),
    [
        ("Partial", 11, None, "Partial"),
        ("Partial", -1, None, "Partial"),
        ("Partial", 10**12, None, "Partial"),
        ("Partial", 10, None, "Partial"),
        ("Partial", None, None, "Partial"),
        ("Completed", 11, None, "Completed"),
        ("Canceled", 10, None, "Pending"),
        ("Canceled", 11, None, "Pending"),
        ("Canceled", None, None, "Pending"),
        ("Canceled", None, 0, "Pending"),
        ("Canceled", None, 1001, "Pending"),
        ("Expired", None, None, "Pending"),
    ],
)
def test_figures_that_cannot_be_pay_nothing_and_go_to_staff(
    order: Order, word: str, done: int | None, remains: int | None, status: str
) -> None:
    after = tell(order, word, done, remains)
    assert (after.status, after.refunded, after.attention) == (status, Decimal(0), REMAINS)


@pytest.mark.parametrize(
    ("word", "done", "status", "refunded", "attention"),
    [
        ("Canceled", 0, "Canceled", "0.25", ""),
        ("Canceled", 1, "Pending", "0", REMAINS),
        ("Canceled", None, "Pending", "0", REMAINS),
        ("Expired", 1, "Completed", "0", ""),
        ("Expired", 0, "Canceled", "0.25", ""),
        ("Paused", 0, "Pending", "0", ""),
        ("Completed", 1, "Completed", "0", ""),
    ],
)
def test_a_subscription_to_a_single_post_is_spread_as_well(
    customer: User,
    make_service: MakeService,
    fund: Fund,
    place: Place,
    books: None,
    word: str,
    done: int | None,
    status: str,
    refunded: str,
    attention: str,
) -> None:
    fund(customer, "0.25")
    service = make_service(rate=Decimal("2.5"), type="Subscriptions")
    one = place(customer, service, username="carla", min="50", max="100", posts="1", delay="0")
    one.dispatches.update(state=Dispatch.State.SENT, remote_id="7", due_at=None)
    after = tell(one, word, done)
    assert (after.status, after.refunded, after.attention) == (status, Decimal(refunded), attention)


@pytest.mark.parametrize(
    ("done", "ends", "refunded"),
    [
        (0, ["Canceled"], "2.5"),
        (2, ["Completed", "Completed", "Canceled"], "2"),
        (3, ["Completed", "Completed", "Canceled"], "2"),
        (1, ["Completed", "Canceled", "Canceled"], "2.25"),
    ],
)
def test_a_run_that_was_stopped_midway_may_be_listed_without_being_counted(
    order: Order, done: int, ends: list[str], refunded: str
) -> None:
    list_children(order, *[(end, None) for end in ends])
    after = tell(order, "Canceled", done)
    assert (after.status, after.refunded, after.attention) == ("Canceled", Decimal(refunded), "")


@pytest.mark.parametrize(("done", "ends"), [(0, ["Completed", "Canceled"]), (1, ["In progress", "In progress"])])
def test_runs_that_came_and_are_not_counted_are_a_contradiction(order: Order, done: int, ends: list[str]) -> None:
    list_children(order, *[(end, None) for end in ends])
    assert tell(order, "Canceled", done).attention == REMAINS


def test_a_cancellation_without_figures_can_still_be_reckoned_by_the_next_report(order: Order) -> None:
    assert tell(order, "Canceled").attention == REMAINS
    after = tell(order, "Canceled", 6)
    assert (after.status, after.refunded, after.attention) == ("Canceled", Decimal(1), "")


def test_staff_decide_about_a_cancellation_without_figures(order: Order, staff: User) -> None:
    tell(order, "Canceled")
    lifecycle.end_by_hand(order.pk, "Partial", 300, actor_id=staff.pk, why="Seven runs are there")
    after = tell(order, "Canceled")
    assert (after.status, after.refunded, after.attention) == ("Partial", Decimal("0.75"), "")


def test_a_paused_order_moves_no_money_however_often_it_is_looked_at(order: Order) -> None:
    """The undelivered share paid again at every poll is a real panel's fault (SCREENS 5.3)."""
    tell(order, "In progress", 3)
    after = tell(order, "Paused", 3)
    assert (after.status, after.refunded, after.attention, after.ended_at) == ("In progress", Decimal(0), "", None)
    assert not lifecycle.moves(after, Report("Paused", parts_done=3))
    tell(order, "Canceled", 3)
    assert tell(order, "Canceled", 3).refunded == Decimal("1.75")


def test_the_number_of_runs_listed_counts_where_no_other_figure_is_given(order: Order) -> None:
    list_children(order, ("Completed", 0), ("Completed", None), ("In progress", 40))
    assert tell(order, "Canceled").refunded == Decimal("1.75")


def test_a_number_done_that_is_not_the_number_listed_is_for_staff(order: Order) -> None:
    list_children(order, ("Completed", 0), ("Completed", 0))
    after = tell(order, "Partial", 3)
    assert (after.refunded, after.attention) == (Decimal(0), REMAINS)
    assert tell(order, "Partial", 2).refunded == 2


def test_what_ended_runs_lack_comes_back_as_well(order: Order) -> None:
    list_children(order, ("Completed", 0), ("Canceled", 100), ("Partial", 40), ("In progress", 90))
    after = tell(order, "Canceled", 4)
    assert (after.refunded, after.remains, after.attention) == (Decimal("1.85"), 740, "")


@pytest.mark.parametrize("remains", [None, 0, 101, -5])
def test_a_run_that_says_what_cannot_be_is_for_staff_and_the_others_are_settled(
    order: Order, remains: int | None
) -> None:
    list_children(order, ("Partial", remains), ("Canceled", None))
    after = tell(order, "Partial", 2)
    assert (after.refunded, after.attention) == (Decimal("2.25"), REMAINS)


def test_a_run_that_ends_later_brings_back_the_difference_once(order: Order) -> None:
    children = list_children(order, *[("In progress", None)] * 8)
    tell(order, "Canceled", 8)
    ChildOrder.objects.filter(pk=children[0].pk).update(status="Canceled")
    for _ in range(3):
        lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert (order.refunded, order.remains) == (Decimal("0.75"), 300)
    ChildOrder.objects.filter(pk=children[1].pk).update(status="Partial", remains=50)
    lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert order.refunded == Decimal("0.875")


def test_a_run_that_is_listed_only_after_the_end_is_one_of_those_that_were_counted(order: Order) -> None:
    tell(order, "Canceled", 8)
    list_children(order, ("Canceled", None))
    lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert order.refunded == Decimal("0.75")


def test_the_largest_number_that_was_ever_said_to_be_done_counts_when_a_run_ends(order: Order) -> None:
    tell(order, "Partial", 3)
    tell(order, "Partial", 5)
    list_children(order, ("Canceled", None))
    lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert (order.refunded, order.attention) == (Decimal("1.75"), Order.Attention.SHRUNK)


def test_a_run_that_ends_before_the_order_moves_no_money_yet(order: Order) -> None:
    list_children(order, ("Canceled", 100))
    lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert (order.refunded, order.status) == (Decimal(0), "Pending")
    assert tell(order, "Completed").refunded == Decimal("0.25")


def test_runs_have_no_say_where_a_person_or_a_figure_for_the_whole_decided(order: Order, staff: User) -> None:
    children = list_children(order, *[("In progress", None)] * 5)
    tell(order, "In progress", 3)
    tell(order, "Partial", None, 500)
    ChildOrder.objects.filter(pk=children[0].pk).update(status="Canceled")
    lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert order.refunded == Decimal("1.25")
    lifecycle.end_by_hand(order.pk, "Partial", 600, actor_id=staff.pk, why="x")
    lifecycle.settle_parts(order.pk)
    order.refresh_from_db()
    assert (order.refunded, order.attention) == (Decimal("1.5"), "")


def test_an_undelivered_share_that_shrinks_is_never_taken_back(order: Order) -> None:
    tell(order, "Partial", 5)
    after = tell(order, "Partial", 6)
    assert (after.refunded, after.attention, after.parts_done) == (Decimal("1.25"), Order.Attention.SHRUNK, 6)
    after = tell(order, "Partial", 4)
    assert (after.refunded, after.parts_done) == (Decimal("1.5"), 6)
    assert tell(order, "Canceled", 2).refunded == 2


def test_a_completed_order_that_turns_out_to_lack_runs_gives_them_back(order: Order) -> None:
    tell(order, "Completed")
    assert tell(order, "Completed", 8).refunded == Decimal("0.5")
    assert tell(order, "Completed").attention == ""
    after = tell(order, "Partial", 7)
    assert (after.status, after.refunded) == ("Partial", Decimal("0.75"))


@pytest.mark.parametrize(("word", "done"), [("Expired", 3), ("Completed", 10), ("Paused", 3), ("In progress", 3)])
def test_other_news_of_a_canceled_order_is_for_staff(order: Order, word: str, done: int) -> None:
    tell(order, "Canceled", 2)
    after = tell(order, word, done)
    assert (after.status, after.refunded, after.attention) == ("Canceled", Decimal(2), Order.Attention.REVIVED)


def test_runs_done_are_counted_up_and_never_down(order: Order) -> None:
    for done, kept, remains in ((2, 2, 800), (1, 2, 800), (4, 4, 600), (11, 4, 600), (-3, 4, 600)):
        after = tell(order, "In progress", done)
        assert (after.parts_done, after.remains) == (kept, remains)


def test_runs_are_counted_for_many_as_for_one(order: Order) -> None:
    for done in (2, 1, 4, 11, -3, 10**20):
        report = Report("Pending", parts_done=done)
        assert lifecycle.counts(order, report) is (done in {2, 4})
        lifecycle.take_counts({order.pk: report})
        order.refresh_from_db()
    assert (order.parts_done, order.remains) == (4, 600)
    lifecycle.take_counts({order.pk: Report("Pending", remains=555)})
    order.refresh_from_db()
    assert (order.parts_done, order.remains) == (4, 555)


def story(order: Order) -> list[tuple[str, str, str]]:
    return [(step.title, step.detail, step.sum) for step in timeline.tell(order, order.events.all())]


def test_the_story_tells_the_runs_and_the_sum(order: Order) -> None:
    told = story(tell(order, "Canceled", 7))
    assert told == [
        (
            "Canceled with 7 of 10 runs delivered, the rest came back",
            "",
            "2.50 × 3 ÷ 10 = $0.75000 returned to your balance",
        ),
        ("Placed and paid", "10 runs of 100", "2.50 × 1,000 ÷ 1000 = $2.50000"),
    ]


def test_the_story_tells_what_was_missing_in_runs_that_came(order: Order) -> None:
    list_children(order, ("Completed", 0), ("Partial", 20))
    assert story(tell(order, "Partial", 2))[0] == (
        "2 of 10 runs delivered, the rest came back",
        "20 of it were missing from what came.",
        "2.50 × 820 ÷ 1,000 = $2.05000 returned to your balance",
    )


def test_the_story_of_wishes_is_told_in_plain_words(order: Order) -> None:
    lifecycle.note(order.pk, "cancel", {"to": "asked"})
    lifecycle.note(order.pk, "cancel", {"to": "refused", "why": "cancel_refused"})
    lifecycle.note(order.pk, "refill", {"refill": 1, "to": "Pending"})
    lifecycle.note(order.pk, "refill", {"refill": 1, "to": "Rejected", "why": "refill_expired"})
    assert [step[:2] for step in story(order)][:4] == [
        ("Refill refused", "The refill days were over."),
        ("Refill asked for", ""),
        ("Cancellation refused", "It can no longer be canceled."),
        ("Cancellation asked for", ""),
    ]
