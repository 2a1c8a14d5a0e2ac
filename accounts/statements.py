"""A customer's statement: every line of his ledger account, newest first, and the proof that they sum to the balance.

Read by two index scans, one for each side of a transfer; nobody else's transfers can be in it.
"""

import datetime
import re
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from accounts.models import Transfer

PAGE_SIZE = 50
NEWEST = 2**63 - 1
ORDER = re.compile(r"order:(\d{1,18}):")

LINES = """
WITH account AS (SELECT id FROM accounts_ledgeraccount WHERE user_id = %(user)s::bigint AND kind = 'customer')
SELECT id, created_at, reason, reference, note, moved, customer_balance_after FROM (
    (SELECT id, created_at, reason, reference, note, -amount AS moved, customer_balance_after FROM accounts_transfer
        WHERE debit_id = (SELECT id FROM account) AND id < %(before)s::bigint ORDER BY id DESC LIMIT %(limit)s::int)
    UNION ALL
    (SELECT id, created_at, reason, reference, note, amount, customer_balance_after FROM accounts_transfer
        WHERE credit_id = (SELECT id FROM account) AND id < %(before)s::bigint ORDER BY id DESC LIMIT %(limit)s::int)
) line ORDER BY id DESC LIMIT %(limit)s::int
"""

TOTALS = """
SELECT account.balance, moved.reason, moved.total, moved.lines
FROM accounts_ledgeraccount account LEFT JOIN LATERAL (
    SELECT reason, sum(amount) AS total, count(*) AS lines FROM (
        SELECT reason, -amount AS amount FROM accounts_transfer WHERE debit_id = account.id
        UNION ALL SELECT reason, amount FROM accounts_transfer WHERE credit_id = account.id
    ) line GROUP BY reason
) moved ON true
WHERE account.user_id = %(user)s::bigint AND account.kind = 'customer'
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One transfer as its customer sees it: `moved` is above zero when money came in."""

    id: int
    created_at: datetime.datetime
    reason: str
    reference: str
    note: str
    moved: Decimal
    balance_after: Decimal

    @property
    def label(self) -> str:
        """The reason in words."""
        return str(Transfer.Reason(self.reason).label)

    @property
    def order_id(self) -> int | None:
        """The order that the line belongs to."""
        found = ORDER.match(self.reference)
        return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, and where the older ones begin."""

    lines: list[Line]
    older: int | None


@dataclass(frozen=True, slots=True)
class Total:
    """What all lines of one reason moved together."""

    label: str
    moved: Decimal


@dataclass(frozen=True, slots=True)
class Proof:
    """The cached balance beside the sum of all lines, both of the same moment."""

    balance: Decimal
    total: Decimal
    lines: int
    totals: list[Total]

    @property
    def agrees(self) -> bool:
        """Whether the balance is the sum of its lines."""
        return self.balance == self.total


def read_page(user_id: int, *, before: int | None = None) -> Page:
    """Return a page of lines older than the transfer `before`, newest first."""
    values = {"user": user_id, "before": before or NEWEST, "limit": PAGE_SIZE + 1}
    with connection.cursor() as cursor:
        cursor.execute(LINES, values)
        lines = [Line(*row) for row in cursor.fetchall()]
    more = len(lines) > PAGE_SIZE
    return Page(lines[:PAGE_SIZE], lines[PAGE_SIZE - 1].id if more else None)


def prove(user_id: int) -> Proof:
    """Sum all of a customer's transfers, in one statement with the balance, so that nothing can come between."""
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, {"user": user_id})
        rows = cursor.fetchall()
    moved = {reason: (total, lines) for _, reason, total, lines in rows if reason}
    return Proof(
        balance=rows[0][0] if rows else Decimal(0),
        total=sum((total for total, _ in moved.values()), Decimal(0)),
        lines=sum(lines for _, lines in moved.values()),
        totals=[Total(str(reason.label), moved[reason][0]) for reason in Transfer.Reason if reason in moved],
    )
