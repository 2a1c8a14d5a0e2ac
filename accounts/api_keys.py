"""API keys: made here, shown once, kept as a digest; what a key may do, from where, and how much it may spend.

A key has 256 random bits, so one SHA-256 is as strong as any slow hash and lets the database find it by an index.
"""

import datetime
import hashlib
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import ApiKey, ApiKeyDay

KEY_BYTES = 32
PREFIX_LENGTH = 8
MOST_NETWORKS = 50

SPEND = """
INSERT INTO accounts_apikeyday AS today (api_key_id, day, spent)
SELECT %(key)s::bigint, %(day)s::date, %(amount)s::numeric WHERE %(amount)s::numeric <= %(cap)s::numeric
ON CONFLICT (api_key_id, day) DO UPDATE SET spent = today.spent + excluded.spent
WHERE today.spent + excluded.spent <= %(cap)s::numeric
RETURNING spent
"""


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What the owner of a key lets it do; no networks: it may be used from anywhere, no cap: it may spend any sum."""

    may_order: bool = True
    style: str = ApiKey.Style.LIST
    networks: tuple[str, ...] = ()
    daily_cap: Decimal | None = None
    expires_at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class UsedKey:
    """The key that a call came with."""

    id: int
    prefix: str
    may_order: bool = True
    is_test: bool = False
    style: str = ApiKey.Style.LIST
    daily_cap: Decimal | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as its owner sees it; `spent` is what orders with it cost today, where there is a cap."""

    key: ApiKey
    spent: Decimal
    last_day: datetime.date | None
    is_expired: bool


def digest(key: str) -> str:
    """Return the digest under which a key is kept; spaces around it do not count (PROTOCOL 1.3)."""
    return hashlib.sha256(key.strip().encode("utf-8", "replace")).hexdigest()


def issue_key(
    user_id: int, *, name: str = "", terms: KeyTerms | None = None, is_test: bool = False
) -> tuple[ApiKey, str]:
    """Make a key for a user and return it with its text, which cannot be read again."""
    key = secrets.token_hex(KEY_BYTES)
    fields = {"name": name, "digest": digest(key), "prefix": key[:PREFIX_LENGTH], "is_test": is_test}
    return ApiKey.objects.create(user_id=user_id, **fields, **_fields(terms or KeyTerms())), key


def list_keys(user_id: int) -> list[KeyRow]:
    """Return a user's keys that were not revoked, newest first, in two queries."""
    keys = list(ApiKey.objects.filter(user_id=user_id, revoked_at=None))
    days = ApiKeyDay.objects.filter(api_key__in=[key.pk for key in keys if key.daily_cap], day=_today())
    spent = dict(days.values_list("api_key_id", "spent"))
    now = timezone.now()
    return [
        KeyRow(key, spent.get(key.pk, Decimal(0)), last_day(key), key.expires_at is not None and key.expires_at <= now)
        for key in keys
    ]


def last_day(key: ApiKey) -> datetime.date | None:
    """Return the last day on which a key works, where it expires."""
    return key.expires_at and timezone.localdate(key.expires_at - datetime.timedelta(microseconds=1))


def change_key(user_id: int, key_id: int, *, name: str, terms: KeyTerms) -> bool:
    """Change what one of a user's keys may do, from the next call on; False when there is no such key any more."""
    live = ApiKey.objects.filter(pk=key_id, user_id=user_id, revoked_at=None)
    return bool(live.update(name=name, **_fields(terms)))


def revoke_key(user_id: int, key_id: int) -> bool:
    """Revoke one of a user's keys; False when there is no such key or it was revoked before."""
    live = ApiKey.objects.filter(pk=key_id, user_id=user_id, revoked_at=None)
    return bool(live.update(revoked_at=timezone.now()))


def spend(key: UsedKey, amount: Decimal) -> None:
    """Count what an order costs against its key's cap for the day (UTC); nothing is counted without a cap.

    One statement, in the placing transaction; it holds the day's row until the commit. Raises UserError beyond the cap.
    """
    if key.daily_cap is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(SPEND, {"key": key.id, "day": _today(), "amount": amount, "cap": key.daily_cap})
        if cursor.fetchone() is None:
            raise UserError("Daily limit of this API key exceeded", field="quantity")


def parse_networks(text: str) -> list[str]:
    """Read addresses and networks, one on each line, and return them as they are kept.

    Raises UserError, naming the first line that is none.
    """
    networks: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            networks.append(_read_network(line))
        except ValueError as error:
            raise UserError(f"'{line[:60]}' is no address and no network", field="networks") from error
    if len(networks) > MOST_NETWORKS:
        raise UserError(f"At most {MOST_NETWORKS} addresses", field="networks")
    return list(dict.fromkeys(networks))


def is_allowed(networks: Iterable[str], address: str) -> bool:
    """Tell whether a key that is bound to some networks may be used from an address; one that is not known may not."""
    if not address:
        return False
    place = ipaddress.ip_address(address)
    return any(place in ipaddress.ip_network(network) for network in networks)


def _read_network(text: str) -> str:
    """Return a network in its one spelling, a single address without a length; callers have no zone (%) either."""
    network = ipaddress.ip_network(text.partition("%")[0], strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        network = ipaddress.ip_network((mapped, network.prefixlen - 96), strict=False)
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def _today() -> datetime.date:
    return timezone.now().astimezone(datetime.UTC).date()


def _fields(terms: KeyTerms) -> dict[str, object]:
    return {**asdict(terms), "networks": list(terms.networks)}
