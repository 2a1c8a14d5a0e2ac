"""The list of services that resellers' scripts read again and again, as bytes that are made once for each change.

Guarantee: whoever asks after a change was committed is answered with it. Every change that may show gives the lists
another version in its own transaction (migration 0004), and a reader learns the version before he reads rows: what he
keeps under it is as new or newer, never older. Kept are lists, not versions, so that the cache does not fill up with
old ones. Shape and words are PROTOCOL 3.1 and 12; LIMITS asks for ready-made bytes.
"""

import json
from collections import OrderedDict
from typing import NamedTuple

import orjson
from django.core.cache import cache
from django.db import connection

from accounts.money import plain
from catalog import pricing
from catalog.providers.dialects import dialect

# A list outlives a change of this very code by so many seconds at most.
KEPT_SECONDS = 600
MOST_IN_MEMORY = 8

# The version also says when the next exchange rate grows too old, for that takes services off without any change.
VERSION = """
SELECT concat_ws(' ',
        (SELECT string_agg(number::text, '+' ORDER BY number) FROM catalog_pricelistversion),
        nullif(current_setting('panel.price_lists_changed', true), ''),
        (SELECT min(ends) FROM (
            SELECT exchange_rate_at + exchange_rate_days * interval '24 hours' AS ends
            FROM catalog_provider WHERE enabled AND exchange_rate_days > 0) AS holding
        WHERE ends > now())),
    greatest(customer.discount_percent, customer_group.discount_percent),
    EXISTS (SELECT FROM catalog_customrate custom WHERE custom.user_id = customer.id)
FROM accounts_user customer LEFT JOIN accounts_customergroup customer_group ON customer_group.id = customer.group_id
WHERE customer.id = %s
"""

SERVICES = """
SELECT service.id, service.name, service.type, category.name, service.min, service.max, service.refill,
    service.cancel AND ps.cancel IS TRUE, service.dripfeed, service.description, provider.dialect,
    provider.dialect_overrides::text
FROM unnest(%s::bigint[], %s::bigint[]) AS sold(service_id, provider_service_id)
JOIN catalog_service service ON service.id = sold.service_id AND NOT service.is_product
JOIN catalog_category category ON category.id = service.category_id
JOIN catalog_providerservice ps ON ps.id = sold.provider_service_id
JOIN catalog_provider provider ON provider.id = ps.provider_id
ORDER BY category.position, category.id, service.position, service.id
"""


class Listed(NamedTuple):
    """What the list says about a service besides its price, and the dialect that decides whether it can be canceled."""

    id: int
    name: str
    type: str
    category: str
    min: int
    max: int
    refill: bool
    cancel: bool
    dripfeed: bool
    description: str
    dialect: str
    dialect_overrides: str


_in_memory: OrderedDict[str, tuple[str, bytes]] = OrderedDict()


def read_list(user_id: int) -> bytes:
    """Return a customer's price list as JSON, at the very rates that `add` charges him.

    One query while nothing has changed, three after a change. The cache may be away: then this process alone keeps it.
    """
    place, version = _find_place(user_id)
    kept = _in_memory.get(place)
    if kept is None or kept[0] != version:
        kept = cache.get(place)
        if kept is None or kept[0] != version:
            kept = version, _write_list(user_id)
            cache.set(place, kept, KEPT_SECONDS)
        _in_memory[place] = kept
        if len(_in_memory) > MOST_IN_MEMORY:
            _in_memory.popitem(last=False)
    return kept[1]


def _find_place(user_id: int) -> tuple[str, str]:
    """Return where a customer's list is kept, one place for all who pay the same, and the version it must have."""
    with connection.cursor() as cursor:
        cursor.execute(VERSION, [user_id])
        version, discount, has_custom_rates = cursor.fetchone()
    return f"price-list:{discount}:{user_id if has_custom_rates else 'all'}", version


def _write_list(user_id: int) -> bytes:
    terms = pricing.load_terms(user_id)
    with connection.cursor() as cursor:
        cursor.execute(SERVICES, [list(terms), [known.provider_service_id for known in terms.values()]])
        rows = [Listed(*row) for row in cursor.fetchall()]
    can_cancel = {said: _can_cancel(*said) for said in {(row.dialect, row.dialect_overrides) for row in rows}}
    return orjson.dumps(
        [_describe(row, terms[row.id], can_cancel=can_cancel[row.dialect, row.dialect_overrides]) for row in rows]
    )


def _describe(row: Listed, terms: pricing.Terms, *, can_cancel: bool) -> dict[str, object]:
    """Describe a service; beyond the keys of 003_31070e689288a311.txt only `dripfeed` and `desc`."""
    return {
        "service": row.id,
        "name": row.name,
        "type": row.type,
        "category": row.category,
        "rate": plain(pricing.sell_rate(terms)),
        "min": str(row.min),
        "max": str(row.max),
        "refill": row.refill,
        "cancel": row.cancel and can_cancel,
        "dripfeed": row.dripfeed,
        "desc": row.description,
    }


def _can_cancel(name: str, overrides: str) -> bool:
    """Whether a provider has the action `cancel`; one whose profile cannot be read is not asked for anything."""
    try:
        return dialect(name, json.loads(overrides)).cancel != "none"
    except ValueError:
        return False
