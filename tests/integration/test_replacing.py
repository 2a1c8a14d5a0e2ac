"""Replacements within the warranty: asked for by the buyer, granted or refused by staff, each line once."""

import datetime
import threading

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from catalog import stock
from catalog.models import Provider, Service
from orders import delivering, lifecycle, placing, replacing, timeline
from orders.forms import parse_order
from orders.models import DeliveredLine, Order, OrderEvent, Replacement, Reveal
from tests.conftest import Fund, MakeProduct

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

KEYS = ["AAAA-1111", "BBBB-2222", "CCCC-3333", "DDDD-4444"]
DAY = datetime.timedelta(days=1)


@pytest.fixture
def product(make_product: MakeProduct) -> Service:
    return make_product(lines=KEYS, warranty_days=30)


@pytest.fixture
def order(customer: User, fund: Fund, product: Service) -> Order:
    """Three of four lines."""
    fund(customer, "100")
    return buy(customer, product, quantity="3")


def buy(user: User, product: Service, **values: str) -> Order:
    request = parse_order(placing.find_product(str(product.pk)), {"quantity": "1", **values})
    return Order.objects.get(pk=placing.place_order(user.pk, request))


def lines(order: Order, *positions: int) -> list[int]:
    return [DeliveredLine.objects.get(delivery__order=order, position=position).pk for position in positions]


def ask(order: Order, *positions: int, reason: str = "It does not open") -> Replacement:
    return replacing.request_replacement(order.user_id, order.pk, lines(order, *positions), reason)


def shown(order: Order) -> list[tuple[int, str]]:
    return delivering.reveal_numbered(order, actor_id=order.user_id, way=Reveal.Way.PAGE)


def story(order: Order) -> list[str]:
    return [step.title for step in timeline.tell(order, order.events.all())]


def test_bad_lines_are_replaced_from_own_stock_and_no_money_moves(
    order: Order, customer: User, staff: User, product: Service
) -> None:
    before = ledger.read_balance(customer.pk)
    granted = replacing.grant(ask(order, 2).pk, actor_id=staff.pk)
    assert (granted.status, granted.actor) == ("granted", staff)
    assert shown(order) == [(1, KEYS[0]), (3, KEYS[2]), (4, KEYS[3])]
    assert stock.count([product.pk])[product.pk] == 0
    assert ledger.read_balance(customer.pk) == before
    assert story(order)[0] == "1 line replaced"
    assert order.events.filter(kind="delivered").first().actor == staff  # type: ignore[union-attr]  # it has just happened


def test_too_little_stock_leaves_the_replacement_open_and_every_line_valid(order: Order, staff: User) -> None:
    asked = ask(order, 1, 2)
    with pytest.raises(UserError, match="Not enough stock"):
        replacing.grant(asked.pk, actor_id=staff.pk)
    asked.refresh_from_db()
    assert asked.status == "open"
    assert [text for _number, text in shown(order)] == KEYS[:3]


def test_staff_may_enter_the_other_lines_as_many_as_were_asked_for(order: Order, staff: User, product: Service) -> None:
    asked = ask(order, 1, 2)
    with pytest.raises(UserError, match="as were asked for: 2"):
        replacing.grant(asked.pk, actor_id=staff.pk, lines=["one", " "])
    replacing.grant(asked.pk, actor_id=staff.pk, lines=["one", "two"])
    assert shown(order) == [(3, KEYS[2]), (4, "one"), (5, "two")]
    assert stock.count([product.pk])[product.pk] == 1


def test_what_is_not_from_own_stock_needs_lines(
    customer: User, staff: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand", warranty_days=3))
    delivering.deliver_by_hand(order.pk, ["one"], actor_id=staff.pk)
    asked = ask(order, 1)
    with pytest.raises(UserError, match="not sold from own stock"):
        replacing.grant(asked.pk, actor_id=staff.pk)
    replacing.grant(asked.pk, actor_id=staff.pk, lines=["other"])
    assert shown(order) == [(2, "other")]


def test_a_replaced_line_does_not_count_towards_what_staff_still_owe(
    customer: User, staff: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(source="hand", warranty_days=3), quantity="3")
    delivering.deliver_by_hand(order.pk, ["one"], actor_id=staff.pk)
    replacing.grant(ask(order, 1).pk, actor_id=staff.pk, lines=["other"])
    assert delivering.deliver_by_hand(order.pk, ["two"], actor_id=staff.pk).status == "In progress"
    assert delivering.deliver_by_hand(order.pk, ["three"], actor_id=staff.pk).status == "Completed"


def test_a_refusal_needs_an_answer_and_keeps_the_lines(order: Order, staff: User) -> None:
    asked = ask(order, 1)
    with pytest.raises(UserError, match="Say why"):
        replacing.refuse(asked.pk, actor_id=staff.pk, answer=" ")
    refused = replacing.refuse(asked.pk, actor_id=staff.pk, answer="It opens here")
    assert (refused.status, refused.answer, refused.actor) == ("refused", "It opens here", staff)
    assert len(shown(order)) == 3
    assert [step.detail for step in replacing.tell(order)] == ["It does not open", "It opens here"]


def test_only_one_is_open_at_a_time_and_a_new_one_may_follow(order: Order, staff: User) -> None:
    asked = ask(order, 1)
    with pytest.raises(UserError, match="being looked at"):
        ask(order, 2)
    replacing.refuse(asked.pk, actor_id=staff.pk, answer="no")
    assert ask(order, 2).status == "open"


def test_it_is_answered_once(order: Order, staff: User) -> None:
    asked = ask(order, 1)
    replacing.grant(asked.pk, actor_id=staff.pk)
    with pytest.raises(UserError, match="answered already"):
        replacing.grant(asked.pk, actor_id=staff.pk, lines=["again"])
    with pytest.raises(UserError, match="answered already"):
        replacing.refuse(asked.pk, actor_id=staff.pk, answer="no")
    assert len(shown(order)) == 3


def test_a_line_that_was_replaced_is_not_replaced_again(order: Order, staff: User) -> None:
    old = lines(order, 1)
    replacing.grant(ask(order, 1).pk, actor_id=staff.pk)
    with pytest.raises(UserError, match="Choose the lines"):
        replacing.request_replacement(order.user_id, order.pk, old, "again")


def test_lines_of_another_order_are_not_taken(order: Order, customer: User, product: Service) -> None:
    other = buy(customer, product)
    with pytest.raises(UserError, match="Choose the lines"):
        replacing.request_replacement(customer.pk, order.pk, lines(other, 1), "bad")


@pytest.mark.parametrize("reason", [" ", "x" * 501])
def test_a_reason_is_needed_and_not_too_long(order: Order, reason: str) -> None:
    with pytest.raises(UserError, match="Say what is wrong"):
        ask(order, 1, reason=reason)


def test_the_days_of_the_warranty_end_and_a_replacement_does_not_begin_them_anew(order: Order, staff: User) -> None:
    now = timezone.now()
    with time_machine.travel(now + 29 * DAY, tick=False):
        replacing.grant(ask(order, 1).pk, actor_id=staff.pk)
    with time_machine.travel(now + 31 * DAY, tick=False), pytest.raises(UserError, match="days of the warranty"):
        ask(order, 2)


def test_without_a_warranty_or_a_delivery_nothing_can_be_asked_for(
    customer: User, fund: Fund, make_product: MakeProduct
) -> None:
    fund(customer, "10")
    bare = buy(customer, make_product(lines=["X-1"]))
    waiting = buy(customer, make_product(source="hand", warranty_days=3))
    for order in (bare, waiting):
        with pytest.raises(UserError, match="no warranty"):
            replacing.request_replacement(customer.pk, order.pk, [1], "bad")


def test_what_is_still_fetched_cannot_be_replaced(
    customer: User, fund: Fund, make_product: MakeProduct, provider: Provider
) -> None:
    fund(customer, "10")
    order = buy(customer, make_product(provider=provider, remote_id="7", warranty_days=3))
    delivering.expect({order.pk: "there"})
    with pytest.raises(UserError, match="no warranty"):
        replacing.request_replacement(customer.pk, order.pk, [1], "bad")


def test_a_canceled_order_has_its_money_and_no_replacement(order: Order, staff: User) -> None:
    lifecycle.end_by_hand(order.pk, "Canceled", None, actor_id=staff.pk, why="test")
    with pytest.raises(UserError, match="was canceled"):
        ask(order, 1)


def test_another_customer_has_no_such_order(order: Order, stranger: User) -> None:
    with pytest.raises(UserError, match="Incorrect order ID"):
        replacing.request_replacement(stranger.pk, order.pk, lines(order, 1), "bad")


def test_no_line_and_no_reason_is_in_an_event(order: Order, staff: User) -> None:
    replacing.refuse(ask(order, 1, reason=f"{KEYS[0]} is dead").pk, actor_id=staff.pk, answer=f"{KEYS[0]} lives")
    replacing.grant(ask(order, 2).pk, actor_id=staff.pk, lines=["EEEE-5555"])
    written = str(list(OrderEvent.objects.values_list("data", flat=True)))
    assert not any(key in written for key in (*KEYS, "EEEE-5555"))


def test_two_who_grant_at_once_hand_over_once(order: Order, staff: User) -> None:
    asked = ask(order, 1)
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def answer(lines: list[str]) -> None:
        start.wait()
        try:
            replacing.grant(asked.pk, actor_id=staff.pk, lines=lines)
        except UserError as error:
            outcomes.append(error.text)
        else:
            outcomes.append("granted")
        finally:
            connection.close()

    threads = [threading.Thread(target=answer, args=([text],)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["It has been answered already", "granted"]
    assert len(shown(order)) == 3
