"""Proof of the books: every balance recomputed from transfers that nobody can change (ARCHITECTURE 4).

Each query returns the rows that do not add up, as sentences; no row means that the books are right.
"""

from django.db import connection

BALANCES = """
SELECT format('customer %s: balance %s, but the transfers sum to %s', a.user_id, a.balance, coalesce(t.total, 0))
FROM accounts_ledgeraccount a LEFT JOIN (
    SELECT account, sum(amount) AS total FROM (
        SELECT credit_id AS account, amount FROM accounts_transfer
        UNION ALL SELECT debit_id, -amount FROM accounts_transfer
    ) moved GROUP BY account
) t ON t.account = a.id
WHERE a.kind = 'customer' AND a.balance <> coalesce(t.total, 0)
"""

CHAIN = """
SELECT format('transfer %s: balance after it %s, but the transfers up to it sum to %s',
    reference, customer_balance_after, running)
FROM (
    SELECT t.reference, t.customer_balance_after, sum(CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END)
        OVER (PARTITION BY a.id ORDER BY t.id) AS running
    FROM accounts_transfer t JOIN accounts_ledgeraccount a ON a.kind = 'customer' AND a.id IN (t.debit_id, t.credit_id)
) chain WHERE running IS DISTINCT FROM customer_balance_after
"""

ZERO = """
SELECT format('all accounts together hold %s, not zero', total) FROM (
    SELECT sum(balance) AS total FROM (
        SELECT balance FROM accounts_ledgeraccount WHERE kind = 'customer'
        UNION ALL SELECT t.amount FROM accounts_transfer t
            JOIN accounts_ledgeraccount a ON a.id = t.credit_id AND a.kind <> 'customer'
        UNION ALL SELECT -t.amount FROM accounts_transfer t
            JOIN accounts_ledgeraccount a ON a.id = t.debit_id AND a.kind <> 'customer'
    ) held
) sums WHERE total <> 0
"""

DAYS = """
SELECT format('closed day %s of account %s: %s out and %s in, but the transfers say %s and %s',
    coalesce(d.day, m.day), coalesce(d.account_id, m.account_id), d.debits, d.credits, m.debits, m.credits)
FROM accounts_ledgerday d FULL JOIN (
    SELECT account_id, day, sum(debit) AS debits, sum(credit) AS credits FROM (
        SELECT debit_id AS account_id, (created_at AT TIME ZONE 'UTC')::date AS day, amount AS debit, 0 AS credit
        FROM accounts_transfer
        UNION ALL SELECT credit_id, (created_at AT TIME ZONE 'UTC')::date, 0, amount FROM accounts_transfer
    ) moved WHERE day <= (SELECT max(day) FROM accounts_ledgerday) GROUP BY account_id, day
) m ON m.account_id = d.account_id AND m.day = d.day
WHERE d.debits IS DISTINCT FROM m.debits OR d.credits IS DISTINCT FROM m.credits
"""


def find_differences() -> list[str]:
    """Return every balance, chain, sum and closed day that does not agree with the transfers, one sentence each."""
    return [row for query in (BALANCES, CHAIN, ZERO, DAYS) for row in run(query)]


def run(query: str) -> list[str]:
    """Run one audit query and return its sentences."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [sentence for (sentence,) in cursor.fetchall()]


def read_one_moment() -> None:
    """Let every query of the transaction that has just begun see the same moment, while customers go on buying."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
