"""Money moves here and nowhere else: one conditional UPDATE and one Transfer row, in one statement.

Guarantee: a balance never goes below zero, a reference moves money at most once, and every balance can be recomputed
from transfers that nobody can change. The UPDATE takes the account's row lock, so `customer_balance_after` and the
transfers' ids have the same order for each customer; callers run inside a transaction and touch the account last
(lock order: Dispatch, Order, LedgerAccount).
"""

import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.utils import timezone

from accounts.errors import NotEnoughFundsError
from accounts.models import LedgerAccount, Transfer

HOUSE_KINDS = ("cash", "sales", "promotions", "adjustments")

# A transaction that began before midnight may commit after it; a day is closed when none can be open any more.
CLOSE_AFTER = datetime.timedelta(hours=1)

OPEN = """
INSERT INTO accounts_ledgeraccount (kind, user_id, balance)
SELECT kind, NULL::bigint, NULL::numeric FROM unnest(%s::text[]) AS house(kind)
UNION ALL SELECT 'customer', %s::bigint, 0
ON CONFLICT DO NOTHING
"""

MOVE = """
WITH customer AS (
    UPDATE accounts_ledgeraccount SET balance = balance {sign} %(amount)s::numeric
    WHERE user_id = %(user)s AND kind = 'customer' {guard}
    RETURNING id, balance
)
INSERT INTO accounts_transfer
    (debit_id, credit_id, amount, reason, reference, note, actor_id, customer_balance_after)
SELECT {debit}.id, {credit}.id, %(amount)s::numeric, %(reason)s::text, %(reference)s::text, %(note)s::text,
    %(actor)s::bigint, customer.balance
FROM customer, accounts_ledgeraccount house WHERE house.kind = %(house)s::text AND house.user_id IS NULL
RETURNING customer_balance_after
"""
TAKE = MOVE.format(sign="-", guard="AND balance >= %(amount)s::numeric", debit="customer", credit="house")
GIVE = MOVE.format(sign="+", guard="", debit="house", credit="customer")

CLOSE_DAYS = """
INSERT INTO accounts_ledgerday (account_id, day, debits, credits)
SELECT account_id, day, sum(debit), sum(credit) FROM (
    SELECT debit_id AS account_id, (created_at AT TIME ZONE 'UTC')::date AS day, amount AS debit, 0 AS credit
    FROM accounts_transfer WHERE created_at < %(end)s AND created_at >= %(start)s
    UNION ALL
    SELECT credit_id, (created_at AT TIME ZONE 'UTC')::date, 0, amount
    FROM accounts_transfer WHERE created_at < %(end)s AND created_at >= %(start)s
) moved GROUP BY account_id, day
ON CONFLICT DO NOTHING
"""


def open_account(user_id: int) -> None:
    """Make sure that a customer's account and the house accounts exist."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN, [list(HOUSE_KINDS), user_id])


def read_balance(user_id: int) -> Decimal:
    """Return what a customer may spend; zero when no money ever came in."""
    balance = LedgerAccount.objects.filter(user_id=user_id, kind="customer").values_list("balance", flat=True).first()
    return balance if balance is not None else Decimal(0)


def charge(user_id: int, amount: Decimal, *, reference: str) -> Decimal:
    """Take an order's charge, customer → sales, and return the balance after it.

    Raises NotEnoughFundsError when the balance is smaller, IntegrityError when the reference was charged before.
    Expects a transaction.
    """
    return _take(user_id, amount, house="sales", reason=Transfer.Reason.CHARGE, reference=reference)


def refund(user_id: int, amount: Decimal, *, reference: str, note: str = "") -> Decimal:
    """Give money back for an order, sales → customer, and return the balance after it.

    Raises IntegrityError when the reference was refunded before. Expects a transaction that holds the order's lock.
    """
    return _give(user_id, amount, house="sales", reason=Transfer.Reason.REFUND, reference=reference, note=note)


@transaction.atomic
def adjust(user_id: int, amount: Decimal, *, reference: str, note: str, actor_id: int | None = None) -> Decimal:
    """Correct a balance by hand, up or down, with a reason; return the balance after it.

    Raises NotEnoughFundsError when it would go below zero and ValueError when the amount is zero.
    """
    if not amount:
        raise ValueError("an adjustment of zero moves nothing")
    open_account(user_id)
    move = _give if amount > 0 else _take
    return move(
        user_id,
        abs(amount),
        house="adjustments",
        reason=Transfer.Reason.ADJUSTMENT,
        reference=reference,
        note=note,
        actor=actor_id,
    )


@transaction.atomic
def deposit(user_id: int, amount: Decimal, *, reference: str, note: str = "") -> Decimal:
    """Book money that came in from outside, cash → customer, and return the balance after it."""
    open_account(user_id)
    return _give(user_id, amount, house="cash", reason=Transfer.Reason.DEPOSIT, reference=reference, note=note)


def close_days(now: datetime.datetime | None = None) -> int:
    """Write a LedgerDay for every account and day that ended an hour ago or more; return how many were new."""
    ended = (now or timezone.now()) - CLOSE_AFTER
    end = ended.astimezone(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT max(day) FROM accounts_ledgerday")
        last = cursor.fetchone()[0]
        start = datetime.datetime.combine(last or datetime.date(1970, 1, 1), datetime.time(), datetime.UTC)
        cursor.execute(CLOSE_DAYS, {"end": end, "start": start})
        return int(cursor.rowcount)


def _take(user_id: int, amount: Decimal, **words: str | int | None) -> Decimal:
    balance = _move(TAKE, user_id, amount, **words)
    if balance is None:
        raise NotEnoughFundsError
    return balance


def _give(user_id: int, amount: Decimal, **words: str | int | None) -> Decimal:
    balance = _move(GIVE, user_id, amount, **words)
    if balance is None:
        raise LookupError(f"user {user_id} has no account to give {amount} to")
    return balance


def _move(statement: str, user_id: int, amount: Decimal, **words: str | int | None) -> Decimal | None:
    values = {"user": user_id, "amount": amount, "note": "", "actor": None, **words}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return row[0] if row else None
