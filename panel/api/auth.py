"""Who is calling: one query from an API key to its owner and his balance (PROTOCOL 1.3 and 4).

The text of a key is turned into its digest at once and dropped, so that no frame, log or report has it.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from decimal import Decimal

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from accounts import api_keys
from accounts.api_keys import UsedKey
from accounts.errors import UserError
from orders.reading import present
from panel.api.errors import AwayError

CALLER = """
SELECT owner.id, coalesce(account.balance, 0), key.networks,
    coalesce(key.last_used_at < now() - interval '1 minute', true),
    key.id, key.prefix, key.may_order, key.is_test, key.style, key.daily_cap
FROM accounts_apikey key
JOIN accounts_user owner ON owner.id = key.user_id AND owner.is_active
LEFT JOIN accounts_ledgeraccount account ON account.user_id = owner.id AND account.kind = 'customer'
WHERE key.digest = %s AND key.revoked_at IS NULL AND coalesce(key.expires_at > %s, true)
"""

# The condition stands here again so that of many calls at once only the first one writes.
TOUCH = """
UPDATE accounts_apikey SET last_used_at = now(), last_address = %s::inet
WHERE id = %s AND coalesce(last_used_at < now() - interval '1 minute', true)
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """The customer behind a key, what he may spend, and what the key may do."""

    user_id: int
    balance: Decimal
    key: UsedKey


class BadKeyError(UserError):
    """No key that is valid now: missing, wrong, revoked, expired, or of a closed account, all in the same words."""

    def __init__(self) -> None:
        super().__init__("Invalid API key", field="key")


def take_digest(values: MutableMapping[str, str], headers: Mapping[str, str]) -> str:
    """Take a key out of its call: the parameter `key`, else `Authorization: Bearer`, else `X-Api-Key`."""
    given = present(values, "key")
    values.pop("key", None)
    return api_keys.digest(given or _bearer(headers) or headers.get("X-Api-Key", ""))


def find_caller(digest: str, address: str) -> Caller:
    """Return who a key belongs to, by the key's digest.

    One query, and once a minute a second one that notes the use. Raises BadKeyError, UserError where the key may not be
    used from the address, and AwayError when the database cannot be asked.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(CALLER, [digest, timezone.now()])
            row = cursor.fetchone()
            if row is None:
                raise BadKeyError
            user_id, balance, networks, is_stale, *key = row
            if networks and not api_keys.is_allowed(networks, address):
                raise UserError("IP not allowed", field="key")
            used = UsedKey(*key)
            if is_stale:
                cursor.execute(TOUCH, [address or None, used.id])
    except (OperationalError, InterfaceError) as error:
        raise AwayError from error
    return Caller(user_id, balance, used)


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("Authorization", "").strip().partition(" ")
    return key if scheme.lower() == "bearer" else ""
