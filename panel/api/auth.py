"""Who is calling: one query from an API key to its owner and his balance (PROTOCOL 1.3 and 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db import InterfaceError, OperationalError, connection

from accounts import api_keys
from accounts.errors import UserError
from orders.reading import present
from panel.api.errors import AwayError

CALLER = """
SELECT key.id, owner.id, coalesce(account.balance, 0),
    coalesce(key.last_used_at < now() - interval '1 minute', true)
FROM accounts_apikey key
JOIN accounts_user owner ON owner.id = key.user_id AND owner.is_active
LEFT JOIN accounts_ledgeraccount account ON account.user_id = owner.id AND account.kind = 'customer'
WHERE key.digest = %s AND key.revoked_at IS NULL
"""

# The condition stands here again so that of many calls at once only the first one writes.
TOUCH = """
UPDATE accounts_apikey SET last_used_at = now()
WHERE id = %s AND coalesce(last_used_at < now() - interval '1 minute', true)
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """The customer behind a key, and what he may spend."""

    user_id: int
    balance: Decimal


def find_caller(values: Mapping[str, str], headers: Mapping[str, str]) -> Caller:
    """Return who a key belongs to: the parameter `key`, else `Authorization: Bearer`, else `X-Api-Key`.

    One query, and once a minute a second one that notes the use. Raises UserError for a key that is missing, wrong,
    revoked or of a closed account, all in the same words, and AwayError when the database cannot be asked.
    """
    key = present(values, "key") or _bearer(headers) or headers.get("X-Api-Key", "")
    try:
        with connection.cursor() as cursor:
            cursor.execute(CALLER, [api_keys.digest(key)])
            row = cursor.fetchone()
            if row is None:
                raise UserError("Invalid API key", field="key")
            key_id, user_id, balance, is_stale = row
            if is_stale:
                cursor.execute(TOUCH, [key_id])
    except (OperationalError, InterfaceError) as error:
        raise AwayError from error
    return Caller(user_id, balance)


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("Authorization", "").strip().partition(" ")
    return key if scheme.lower() == "bearer" else ""
