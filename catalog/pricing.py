"""What a customer pays, and why: pure arithmetic over Terms, and the one query that reads them (PROTOCOL 7).

cost rate = the provider's rate × the exchange rate
list rate = cost rate × (1 + percent ÷ 100) + fixed, by the most specific markup
rate      = the custom rate, or the list rate less the discount; never below the cost rate unless the service
            allows it, never zero; rounded up to 6 places, and that number is shown, stored and multiplied
charge    = rate × units ÷ 1000 (a package: the rate itself), rounded up to 5 places
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from accounts.money import EXACT, RATE_STEP, round_charge, round_rate

HUNDRED, THOUSAND = Decimal(100), Decimal(1000)


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that decides the price of one service for one customer; the cost is that of its first usable route."""

    service_id: int
    provider_service_id: int
    provider_id: int
    route_position: int
    provider_rate: Decimal
    exchange_rate: Decimal
    percent: Decimal
    fixed: Decimal
    custom_rate: Decimal | None
    discount_percent: Decimal
    flat: bool
    allow_loss: bool


@dataclass(frozen=True, slots=True)
class Quote:
    """A price: `rate` per 1000 (or per package), `charge` and expected `cost` in the panel's currency."""

    rate: Decimal
    charge: Decimal
    cost: Decimal


TERMS = """
SELECT DISTINCT ON (service.id)
    service.id, ps.id, provider.id, route.position, ps.rate, provider.exchange_rate,
    coalesce(m_service.percent, m_category.percent, m_provider.percent, m_site.percent, 0),
    coalesce(m_service.fixed, m_category.fixed, m_provider.fixed, m_site.fixed, 0),
    custom.rate, coalesce(customer.discount_percent, 0), service.type = 'Package', service.loss_policy = 'allow'
FROM catalog_service service
JOIN catalog_route route ON route.service_id = service.id AND route.enabled
JOIN catalog_providerservice ps ON ps.id = route.provider_service_id AND ps.rate > 0 AND ps.vanished_at IS NULL
JOIN catalog_provider provider ON provider.id = ps.provider_id AND provider.enabled
LEFT JOIN catalog_markup m_service ON m_service.service_id = service.id
LEFT JOIN catalog_markup m_category ON m_category.category_id = service.category_id
LEFT JOIN catalog_markup m_provider ON m_provider.provider_id = provider.id
LEFT JOIN catalog_markup m_site
    ON m_site.service_id IS NULL AND m_site.category_id IS NULL AND m_site.provider_id IS NULL
LEFT JOIN accounts_user customer ON customer.id = %(user)s::bigint
LEFT JOIN catalog_customrate custom ON custom.user_id = %(user)s::bigint AND custom.service_id = service.id
WHERE service.enabled AND (%(services)s::bigint[] IS NULL OR service.id = ANY(%(services)s::bigint[]))
ORDER BY service.id, route.position
"""


def load_terms(user_id: int | None, service_ids: Collection[int] | None = None) -> dict[int, Terms]:
    """Read the terms of services for a customer (None: the list price); services that cannot be sold now are left out.

    One query, whatever the number of services; None reads all of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(TERMS, {"user": user_id, "services": None if service_ids is None else list(service_ids)})
        return {row[0]: Terms(*row) for row in cursor.fetchall()}


def cost_rate(terms: Terms) -> Decimal:
    """Return what a thousand (or a package) costs us, exactly, in the panel's currency."""
    return EXACT.multiply(terms.provider_rate, terms.exchange_rate)


def sell_rate(terms: Terms) -> Decimal:
    """Return what a thousand (or a package) costs this customer, at 6 places."""
    cost = cost_rate(terms)
    if terms.custom_rate is not None:
        rate = terms.custom_rate
    else:
        rate = _discounted(_listed(cost, terms), terms.discount_percent)
    if not terms.allow_loss:
        rate = max(rate, cost)
    return max(round_rate(rate), RATE_STEP)


def list_rate(terms: Terms) -> Decimal:
    """Return the rate without the customer's own terms, at 6 places: what a discount is shown against."""
    cost = cost_rate(terms)
    return max(round_rate(_listed(cost, terms)), RATE_STEP)


def quote(terms: Terms, units: int) -> Quote:
    """Price `units` of a service: pure, Decimal throughout, rounded once up at each of the two steps."""
    rate = sell_rate(terms)
    return Quote(
        rate=rate, charge=total(rate, units, flat=terms.flat), cost=total(cost_rate(terms), units, flat=terms.flat)
    )


def total(rate: Decimal, units: int, *, flat: bool) -> Decimal:
    """Multiply a rate by units and round up to 5 places; a flat rate is the price of one whole."""
    return round_charge(rate if flat else EXACT.divide(EXACT.multiply(rate, Decimal(units)), THOUSAND))


def _listed(cost: Decimal, terms: Terms) -> Decimal:
    factor = EXACT.add(HUNDRED, terms.percent)
    return EXACT.add(EXACT.divide(EXACT.multiply(cost, factor), HUNDRED), terms.fixed)


def _discounted(rate: Decimal, discount_percent: Decimal) -> Decimal:
    return EXACT.divide(EXACT.multiply(rate, EXACT.subtract(HUNDRED, discount_percent)), HUNDRED)
