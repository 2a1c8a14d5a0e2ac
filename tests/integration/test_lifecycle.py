from decimal import Decimal

import pytest

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from orders import lifecycle
from orders.models import Cancel, Dispatch, Order
from tests.conftest import Fund, MakeService, Place


@pytest.fixture
def order(customer: User, make_service: MakeService, fund: Fund, place: Place, books: None) -> Order:
    """An order of 1000 for 2.50, with nothing left on the balance."""
    fund(customer, "2.5")
    return place(customer, make_service(rate=Decimal("2.5")), quantity="1000")


@pytest.fixture
def sent(order: Order) -> Order:
    """The same order, which a provider has."""
    order.dispatches.update(state=Dispatch.State.SENT, remote_id="7", due_at=None)
    return order


def report(status: str | None, **fields: int) -> lifecycle.Report:
    return lifecycle.Report(status=status, word=status or "Vanished", **fields)  # type: ignore[arg-type]  # counts only


def test_a_partial_delivery_is_refunded_to_the_digit(order: Order) -> None:
    after = lifecycle.advance(order.pk, report("Partial", remains=157))
    assert (after.status, after.refunded) == ("Partial", Decimal("0.3925"))
    assert ledger.read_balance(order.user_id) == Decimal("0.3925")
    refund = after.events.get(kind="refunded").data
    assert (refund["amount"], refund["remains"], refund["quantity"]) == ("0.3925", 157, 1000)


def test_a_larger_remains_pays_the_difference_and_a_smaller_one_is_for_staff(order: Order) -> None:
    lifecycle.advance(order.pk, report("Partial", remains=100))
    after = lifecycle.advance(order.pk, report("Partial", remains=300))
    assert after.refunded == Decimal("0.75")
    after = lifecycle.advance(order.pk, report("Partial", remains=200))
    assert (after.refunded, after.attention) == (Decimal("0.75"), Order.Attention.SHRUNK)


@pytest.mark.parametrize("remains", [None, 0, -2, 1001])
def test_absurd_remains_pay_nothing_and_go_to_staff(order: Order, remains: int | None) -> None:
    after = lifecycle.advance(order.pk, lifecycle.Report(status="Partial", word="Partial", remains=remains))
    assert [after.status, after.refunded, after.attention] == ["Partial", 0, Order.Attention.REMAINS]


def test_the_remains_of_an_earlier_report_are_never_used_for_money(order: Order) -> None:
    lifecycle.advance(order.pk, report("In progress", remains=400))
    after = lifecycle.advance(order.pk, report("Partial"))
    assert [after.refunded, after.attention] == [0, Order.Attention.REMAINS]


def test_a_cancellation_returns_all_that_is_left_once(order: Order) -> None:
    lifecycle.advance(order.pk, report("Partial", remains=157))
    for _ in range(3):
        after = lifecycle.advance(order.pk, report("Canceled"))
    assert after.refunded == after.charge
    assert ledger.read_balance(order.user_id) == Decimal("2.5")
    assert after.events.filter(kind="refunded").count() == 2


def test_a_provider_may_correct_itself_after_completion(order: Order) -> None:
    lifecycle.advance(order.pk, report("Completed", remains=0))
    after = lifecycle.advance(order.pk, report("Partial", remains=500))
    assert (after.status, after.refunded) == ("Partial", Decimal("1.25"))


@pytest.mark.parametrize(("word", "attention"), [(None, "unknown_word"), ("Failed", "failed"), ("Paused", "failed")])
def test_a_word_that_means_nothing_to_us_keeps_the_status_and_tells_staff_once(
    order: Order, word: str | None, attention: str
) -> None:
    lifecycle.advance(order.pk, report("In progress", start_count=5))
    for _ in range(3):
        after = lifecycle.advance(order.pk, report(word))
    assert (after.status, after.attention) == ("In progress", attention)
    assert after.events.filter(kind="attention").count() == 1
    assert lifecycle.advance(order.pk, report("In progress")).attention == ""


def test_an_earlier_status_after_a_later_one_is_normal_and_changes_only_counts(order: Order) -> None:
    lifecycle.advance(order.pk, report("Completed", remains=0))
    after = lifecycle.advance(order.pk, report("In progress", remains=10))
    assert (after.status, after.remains, after.attention) == ("Completed", 10, "")


def test_news_of_a_canceled_order_is_for_staff_and_moves_no_money(order: Order) -> None:
    lifecycle.advance(order.pk, report("Canceled"))
    after = lifecycle.advance(order.pk, report("Completed"))
    after.refresh_from_db()
    assert (after.status, after.attention, after.refunded) == ("Canceled", Order.Attention.REVIVED, after.charge)


def test_the_first_start_count_that_is_not_zero_is_kept(order: Order) -> None:
    for count in (0, 3572, 9999):
        after = lifecycle.advance(order.pk, report("In progress", start_count=count))
    assert after.start_count == 3572


def test_a_partial_refund_is_not_missed_when_counts_had_moved_before_it(order: Order) -> None:
    lifecycle.advance(order.pk, report("Partial", remains=100))
    lifecycle.take_counts({order.pk: report("In progress", remains=300)})
    order.refresh_from_db()
    again = report("Partial", remains=300)
    assert order.remains == 300
    assert lifecycle.moves(order, again)
    assert lifecycle.advance(order.pk, again).refunded == Decimal("0.75")
    order.refresh_from_db()
    assert not lifecycle.moves(order, again)


def test_counts_are_taken_for_many_as_for_one(order: Order) -> None:
    for start_count, remains in ((0, 900), (7, 800), (9, 700)):
        lifecycle.take_counts({order.pk: report("Pending", start_count=start_count, remains=remains)})
    order.refresh_from_db()
    assert (order.start_count, order.remains) == (7, 700)
    lifecycle.advance(order.pk, report("Canceled"))
    lifecycle.take_counts({order.pk: report("In progress", remains=1)})
    order.refresh_from_db()
    assert order.remains == 700


def test_an_expiry_means_nothing_to_an_order_that_comes_at_once(order: Order) -> None:
    after = lifecycle.advance(order.pk, report("Expired", remains=1000))
    assert (after.status, after.attention, after.refunded) == ("Pending", Order.Attention.UNKNOWN_WORD, Decimal(0))


@pytest.mark.parametrize(
    ("end", "wish"), [("Completed", "late"), ("Partial", "done"), ("Canceled", "done"), ("In progress", "asked")]
)
def test_the_end_of_an_order_ends_the_wish_to_cancel_it(order: Order, end: str, wish: str) -> None:
    Cancel.objects.create(order=order)
    for _ in range(2):
        lifecycle.advance(order.pk, report(end, remains=100))
    cancel = Cancel.objects.get()
    assert (cancel.status, cancel.ended_at is None) == (wish, wish == "asked")
    assert [event.data for event in order.events.filter(kind="cancel")] == [{"to": wish}] * (wish != "asked")


def test_a_wish_that_was_refused_stays_so(order: Order) -> None:
    Cancel.objects.create(order=order, status=Cancel.Status.REFUSED)
    lifecycle.cancel(order.pk, why="staff")
    assert Cancel.objects.get().status == Cancel.Status.REFUSED
    assert not order.events.filter(kind="cancel").exists()


def test_canceling_what_no_provider_has_ends_the_wish_as_well(order: Order) -> None:
    Cancel.objects.create(order=order)
    order.dispatches.update(state=Dispatch.State.REJECTED, due_at=None)
    lifecycle.cancel(order.pk, why="customer")
    assert Cancel.objects.get().status == Cancel.Status.DONE
    assert [event.kind for event in order.events.all()][:3] == ["cancel", "refunded", "status"]


@pytest.mark.parametrize(
    ("status", "remains", "refunded"),
    [("Completed", None, "0"), ("Partial", 400, "1"), ("Partial", 1000, "2.5"), ("Canceled", None, "2.5")],
)
def test_staff_may_end_an_order_that_a_provider_has(
    sent: Order, staff: User, status: str, remains: int | None, refunded: str
) -> None:
    lifecycle.advance(sent.pk, report("Failed"))
    after = lifecycle.end_by_hand(sent.pk, status, remains, actor_id=staff.pk, why="They said so")
    assert (after.status, after.refunded, after.attention) == (status, Decimal(refunded), "")
    assert after.ended_at is not None
    decided = after.events.get(kind="resolved")
    assert (decided.actor, decided.data["why"], decided.data["attention"]) == (staff, "They said so", "failed")
    assert all("They said so" not in str(event.data) for event in after.events.exclude(kind="resolved"))


def test_what_staff_have_ended_is_not_brought_up_again_by_the_same_word(sent: Order, staff: User) -> None:
    lifecycle.advance(sent.pk, report("Failed"))
    lifecycle.end_by_hand(sent.pk, "Completed", None, actor_id=staff.pk, why="Seen")
    assert lifecycle.advance(sent.pk, report("Failed")).attention == ""
    assert lifecycle.advance(sent.pk, report(None)).attention == Order.Attention.UNKNOWN_WORD


def test_staff_may_give_back_more_of_a_partial_order_but_never_less(sent: Order, staff: User) -> None:
    lifecycle.advance(sent.pk, report("Partial", remains=100))
    for remains in (100, 99):
        with pytest.raises(UserError, match="given back already"):
            lifecycle.end_by_hand(sent.pk, "Partial", remains, actor_id=staff.pk, why="x")
    assert lifecycle.end_by_hand(sent.pk, "Partial", 101, actor_id=staff.pk, why="x").refunded == Decimal("0.2525")
    assert lifecycle.end_by_hand(sent.pk, "Canceled", None, actor_id=staff.pk, why="x").refunded == Decimal("2.5")


@pytest.mark.parametrize(
    ("before", "status", "remains"),
    [
        ("Completed", "Completed", None),
        ("Completed", "In progress", None),
        ("Partial", "Completed", None),
        ("Canceled", "Partial", 1000),
        ("Canceled", "Canceled", None),
        ("In progress", "Partial", None),
        ("In progress", "Partial", 0),
        ("In progress", "Partial", 1001),
        ("In progress", "Expired", None),
    ],
)
def test_staff_cannot_end_an_order_in_a_way_that_is_not_one(
    sent: Order, staff: User, before: str, status: str, remains: int | None
) -> None:
    lifecycle.advance(sent.pk, report(before, remains=10))
    events = sent.events.count()
    with pytest.raises(UserError):
        lifecycle.end_by_hand(sent.pk, status, remains, actor_id=staff.pk, why="x")
    assert sent.events.count() == events


def test_staff_do_not_end_an_order_that_may_still_be_sent(order: Order, staff: User) -> None:
    with pytest.raises(UserError, match="dispatch"):
        lifecycle.end_by_hand(order.pk, "Canceled", None, actor_id=staff.pk, why="x")
