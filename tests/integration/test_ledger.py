import datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts import ledger
from accounts.errors import NotEnoughFundsError
from accounts.models import LedgerAccount, LedgerDay, Transfer, User
from orders import auditing
from tests.conftest import Fund


def book(user: User, charge: str, reference: str) -> Decimal:
    with transaction.atomic():
        return ledger.charge(user.pk, Decimal(charge), reference=reference)


def tamper(statement: str) -> None:
    """Change a row behind the triggers, as only the owner of the tables could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_transfer DISABLE TRIGGER transfers_are_never_changed")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE accounts_transfer ENABLE TRIGGER transfers_are_never_changed")


def test_money_moves_between_two_accounts_and_the_balance_follows(customer: User, fund: Fund) -> None:
    fund(customer, "10")
    assert book(customer, "3.50000", "order:1:charge") == Decimal("6.5")
    ledger.refund(customer.pk, Decimal("1.25"), reference="order:1:refund:1.25")
    assert ledger.read_balance(customer.pk) == Decimal("7.75")
    charge = Transfer.objects.get(reference="order:1:charge")
    assert (charge.debit.kind, charge.credit.kind, charge.customer_balance_after) == (
        "customer",
        "sales",
        Decimal("6.5"),
    )


def test_a_charge_beyond_the_balance_moves_nothing(customer: User, fund: Fund) -> None:
    fund(customer, "1")
    with pytest.raises(NotEnoughFundsError):
        book(customer, "1.00001", "order:1:charge")
    assert ledger.read_balance(customer.pk) == 1
    assert Transfer.objects.filter(reason="charge").count() == 0


def test_a_customer_who_never_paid_in_has_no_funds(stranger: User) -> None:
    LedgerAccount.objects.filter(user=stranger).delete()
    assert ledger.read_balance(stranger.pk) == 0
    with pytest.raises(NotEnoughFundsError):
        book(stranger, "1", "order:1:charge")


def test_a_reference_moves_money_once(customer: User, fund: Fund) -> None:
    fund(customer, "10")
    book(customer, "1", "order:1:charge")
    with pytest.raises(IntegrityError, match="reference"):
        book(customer, "1", "order:1:charge")
    assert ledger.read_balance(customer.pk) == 9


@pytest.mark.parametrize(
    "change", [lambda rows: rows.update(amount=1), lambda rows: rows.delete()], ids=["update", "delete"]
)
def test_the_database_refuses_to_change_a_transfer(customer: User, fund: Fund, change: object) -> None:
    fund(customer, "10")
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        change(Transfer.objects.all())  # type: ignore[operator]  # a lambda of the table above


def test_the_database_refuses_a_balance_below_zero(customer: User) -> None:
    with pytest.raises(IntegrityError, match="balance_never_below_zero"), transaction.atomic():
        LedgerAccount.objects.filter(user=customer).update(balance=-1)


def test_an_adjustment_goes_both_ways_but_never_below_zero(customer: User, staff: User) -> None:
    ledger.adjust(customer.pk, Decimal(5), reference="a", note="gift", actor_id=staff.pk)
    ledger.adjust(customer.pk, Decimal(-2), reference="b", note="mistake")
    with pytest.raises(NotEnoughFundsError):
        ledger.adjust(customer.pk, Decimal(-4), reference="c", note="too much")
    assert ledger.read_balance(customer.pk) == 3
    assert Transfer.objects.get(reference="a").actor == staff


def test_closed_days_are_written_once_and_agree_with_the_transfers(customer: User, fund: Fund) -> None:
    fund(customer, "10")
    book(customer, "4", "adjust:1")
    tomorrow = timezone.now() + datetime.timedelta(days=1, hours=2)
    assert ledger.close_days(tomorrow) == 3
    assert ledger.close_days(tomorrow) == 0
    account = LedgerAccount.objects.get(user=customer)
    day = LedgerDay.objects.get(account=account)
    assert [day.debits, day.credits] == [4, 10]
    assert auditing.find_differences() == []


def test_a_day_is_not_closed_while_a_transaction_of_it_may_be_open(customer: User, fund: Fund) -> None:
    fund(customer, "10")
    midnight = (timezone.now() + datetime.timedelta(days=1)).replace(hour=0, minute=30)
    assert ledger.close_days(midnight) == 0


def test_the_audit_is_silent_while_everything_adds_up(customer: User, fund: Fund) -> None:
    fund(customer, "10")
    book(customer, "4", "adjust:1")
    assert auditing.find_differences() == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE accounts_ledgeraccount SET balance = 99 WHERE kind = 'customer'", "the transfers sum to"),
        ("UPDATE accounts_transfer SET amount = 11 WHERE reason = 'deposit'", "the transfers sum to"),
        ("UPDATE accounts_transfer SET customer_balance_after = 5 WHERE reason = 'deposit'", "up to it sum to"),
        ("UPDATE accounts_transfer SET customer_balance_after = NULL WHERE reason = 'deposit'", "up to it sum to"),
        ("DELETE FROM accounts_transfer WHERE reason = 'deposit'", "the transfers sum to"),
        ("UPDATE accounts_transfer SET reference = 'order:77:charge' WHERE reason = 'charge'", "no such order"),
        ("UPDATE accounts_ledgerday SET debits = debits + 1", "closed day"),
        ("DELETE FROM accounts_ledgerday", ""),
    ],
)
def test_the_audit_names_what_was_tampered_with(customer: User, fund: Fund, statement: str, sentence: str) -> None:
    fund(customer, "10")
    book(customer, "4", "adjust:1")
    ledger.close_days(timezone.now() + datetime.timedelta(days=1, hours=2))
    tamper(statement)
    differences = auditing.find_differences()
    assert any(sentence in difference for difference in differences) if sentence else differences == []
