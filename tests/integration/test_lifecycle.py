from decimal import Decimal

import pytest

from accounts import ledger
from accounts.models import User
from orders import lifecycle
from orders.models import Order
from tests.conftest import Fund, MakeService, Place


@pytest.fixture
def order(customer: User, make_service: MakeService, fund: Fund, place: Place, books: None) -> Order:
    """An order of 1000 for 2.50, with nothing left on the balance."""
    fund(customer, "2.5")
    return place(customer, make_service(rate=Decimal("2.5")), quantity="1000")


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
