"""A hundred buyers at once for ten lines, after the same race without a lock has been seen to sell lines twice."""

import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.db import connection

from accounts import ledger
from accounts.errors import NotEnoughFundsError, UserError
from accounts.models import Transfer, User
from catalog import stock
from catalog.models import StockItem
from orders import forms, placing
from orders.models import DeliveredLine, Order
from tests.conftest import Fund
from tests.faults.test_races import at_once, query
from tests.stocking import keep, make_product

pytestmark = pytest.mark.django_db(transaction=True)
BUYERS, LINES = 100, 10


def make_buyers(number: int, *, balance: str) -> list[User]:
    buyers = User.objects.bulk_create(
        User(username=f"buyer{place}", email=f"buyer{place}@example.org") for place in range(number)
    )
    for place, buyer in enumerate(buyers):
        ledger.open_account(buyer.pk)
        ledger.deposit(buyer.pk, Decimal(balance), reference=f"stock:{place}")
    return buyers


@pytest.fixture
def shelf() -> Iterator[None]:
    """Make a scratch table of ten lines and one of what was sold, both without any constraint."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_line (id int, taken bool); CREATE TABLE scratch_sold (id int)")
        cursor.execute("INSERT INTO scratch_line SELECT n, false FROM generate_series(1, %s) n", [LINES])
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch_line; DROP TABLE scratch_sold")


def test_without_the_lock_a_hundred_buyers_get_the_same_line(shelf: None) -> None:
    have_read = threading.Barrier(BUYERS)

    def buy(_number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM scratch_line WHERE NOT taken ORDER BY id LIMIT 1")
            [line] = cursor.fetchone()
            have_read.wait(30)
            cursor.execute("UPDATE scratch_line SET taken = true WHERE id = %s", [line])
            cursor.execute("INSERT INTO scratch_sold VALUES (%s)", [line])

    at_once(buy, BUYERS)
    assert query("SELECT count(*) FROM scratch_sold") == BUYERS
    assert query("SELECT count(DISTINCT id) FROM scratch_sold") == 1


def test_a_hundred_buyers_at_once_for_ten_lines_are_ten_served_and_ninety_refused(books: None) -> None:
    product = make_product()
    keep(product, "\n".join(f"line {number}" for number in range(LINES)))
    buyers = make_buyers(BUYERS, balance="2.5")
    request = forms.parse_order(product.service, {"quantity": "1"})

    outcomes = at_once(lambda number: placing.place_order(buyers[number].pk, request), BUYERS)

    refused = [outcome for outcome in outcomes if isinstance(outcome, UserError)]
    assert {error.text for error in refused} == {"Out of stock"}
    assert (len(refused), Order.objects.count()) == (BUYERS - LINES, LINES)
    assert set(Order.objects.values_list("status", "charge")) == {("Completed", Decimal("2.5"))}
    assert Transfer.objects.filter(reason="charge").count() == LINES
    for number, outcome in enumerate(outcomes):
        paid = Decimal(0) if isinstance(outcome, int) else Decimal("2.5")
        assert ledger.read_balance(buyers[number].pk) == paid
    delivered = DeliveredLine.objects.order_by("stock_item").values_list("stock_item", flat=True)
    assert list(delivered) == list(product.stock.order_by("pk").values_list("pk", flat=True))
    assert len(set(stock.read_lines(list(delivered)))) == LINES


def test_buyers_of_several_lines_never_keep_each_other_from_the_last_ones(books: None) -> None:
    """Whoever holds a part of what others want gives it back before he waits, so all that is there is sold."""
    product = make_product()
    keep(product, "\n".join(f"line {number}" for number in range(400)))
    buyers = make_buyers(25, balance="100")
    request = forms.parse_order(product.service, {"quantity": "40"})

    outcomes = at_once(lambda number: placing.place_order(buyers[number].pk, request), 25)

    assert sum(isinstance(outcome, int) for outcome in outcomes) == 10
    assert DeliveredLine.objects.count() == StockItem.objects.exclude(taken_at=None).count() == 400


def test_lines_that_a_buyer_cannot_pay_for_stay(customer: User, fund: Fund, books: None) -> None:
    product = make_product()
    keep(product, "only")
    request = forms.parse_order(product.service, {"quantity": "1"})
    fund(customer, "2.49")
    with pytest.raises(NotEnoughFundsError):
        placing.place_order(customer.pk, request)
    assert stock.count([product.pk]) == {product.pk: 1}
    assert Order.objects.count() == 0


def test_buyers_and_staff_who_take_lines_out_at_once_never_get_the_same_one(books: None) -> None:
    product = make_product()
    keep(product, "\n".join(f"line {number}" for number in range(LINES)))
    buyers = make_buyers(LINES, balance="2.5")
    request = forms.parse_order(product.service, {"quantity": "1"})

    def act(number: int) -> int | list[str]:
        if number == LINES // 2:
            return stock.withdraw(product.pk)
        return placing.place_order(buyers[number].pk, request)

    outcomes = at_once(act, LINES)
    exported = next(outcome for outcome in outcomes if isinstance(outcome, list))
    sold = stock.read_lines(list(DeliveredLine.objects.values_list("stock_item", flat=True)))
    assert sorted(exported + sold) == sorted(f"line {number}" for number in range(LINES))
