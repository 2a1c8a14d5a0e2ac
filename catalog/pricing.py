"""What a customer pays, and why: pure arithmetic over Terms, and the one query that reads them (PROTOCOL 7).

cost rate = the provider's rate × the exchange rate
list rate = the service's own rate, or by the most specific markup cost rate × (1 + percent ÷ 100) + fixed, rounded up
            to a multiple of `round_to`
rate      = the custom rate, or the list rate less the larger of the customer's and his group's discount; never below
            the cost rate unless the service allows it, never zero; rounded up to 6 places, and that number is shown,
            stored and multiplied. A discount or the cost may leave finer steps than `round_to`
charge    = rate × units ÷ 1000 (a package: the rate itself; a product: rate × units), rounded up to 5 places
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from accounts.money import EXACT, RATE_STEP, round_charge, round_rate

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that decides the price of one service for one customer; the cost is that of its first usable route.

    `per` is how many units the rate is for, None: the whole order. What is our own has no provider and position 0.
    """

    service_id: int
    provider_service_id: int | None
    provider_id: int | None
    route_position: int
    provider_rate: Decimal
    exchange_rate: Decimal
    percent: Decimal
    fixed: Decimal
    round_to: Decimal | None
    own_rate: Decimal | None
    custom_rate: Decimal | None
    discount_percent: Decimal
    per: int | None
    allow_loss: bool

    @property
    def is_each(self) -> bool:
        """Whether the rate is the price of one: of a package or a piece."""
        return self.per in {None, 1}


@dataclass(frozen=True, slots=True)
class Quote:
    """A price: `rate` per 1000 (or per package, or piece), `charge` and expected `cost` in the panel's currency."""

    rate: Decimal
    charge: Decimal
    cost: Decimal


# Markups and the customer are looked up, not joined: joined, they would make PostgreSQL expect millions of rows (and
# compile for them), and planning would take longer than all the rest of reading one service.
OF_CUSTOMER = """    (SELECT rate FROM catalog_customrate WHERE user_id = %(user)s::bigint AND service_id = service.id),
    coalesce((
        SELECT greatest(customer.discount_percent, customer_group.discount_percent)
        FROM accounts_user customer
        LEFT JOIN accounts_customergroup customer_group ON customer_group.id = customer.group_id
        WHERE customer.id = %(user)s::bigint
    ), 0),"""
ROUTED = """
SELECT DISTINCT ON (service.id)
    service.id, ps.id, provider.id, route.position, ps.rate, provider.exchange_rate,
    coalesce(markup.percent, 0), coalesce(markup.fixed, 0), markup.round_to, service.own_rate,
    -- of the customer
    CASE WHEN service.type IN ('Package', 'Custom Comments Package') THEN NULL WHEN service.is_product THEN 1
        ELSE 1000 END,
    service.loss_policy = 'allow'
FROM catalog_service service
JOIN catalog_route route ON route.service_id = service.id AND route.enabled
JOIN catalog_providerservice ps
    ON ps.id = route.provider_service_id AND ps.rate > 0 AND ps.vanished_at IS NULL AND ps.waiting = ''
JOIN catalog_provider provider ON provider.id = ps.provider_id AND provider.enabled AND (
    provider.exchange_rate_days = 0
    OR provider.exchange_rate_at + provider.exchange_rate_days * interval '24 hours' > now())
LEFT JOIN catalog_markup markup ON markup.id = coalesce(
    (SELECT id FROM catalog_markup WHERE service_id = service.id),
    (SELECT id FROM catalog_markup WHERE category_id = service.category_id),
    (SELECT id FROM catalog_markup WHERE provider_id = provider.id),
    (SELECT id FROM catalog_markup WHERE service_id IS NULL AND category_id IS NULL AND provider_id IS NULL))
WHERE service.enabled"""
# What is our own has no provider, and a rate of its own.
OWN = """
SELECT service.id, NULL::bigint, NULL::bigint, 0, product.unit_cost, 1::numeric, 0::numeric, 0::numeric, NULL::numeric,
    service.own_rate,
    -- of the customer
    1, service.loss_policy = 'allow'
FROM catalog_product product JOIN catalog_service service ON service.id = product.service_id
WHERE service.enabled AND product.source <> 'provider' AND service.own_rate IS NOT NULL"""
# Read for some services, or for all of them.
SOME = " AND service.id = ANY(%(services)s::bigint[])"
ALL_TERMS, SOME_TERMS = (
    f"({ROUTED}{some} ORDER BY service.id, route.position) UNION ALL ({OWN}{some})".replace(
        "-- of the customer", OF_CUSTOMER
    )
    for some in ("", SOME)
)


def load_terms(user_id: int | None, service_ids: Collection[int] | None = None) -> dict[int, Terms]:
    """Read the terms of services for a customer (None: the list price); services that cannot be sold now are left out.

    One query, whatever the number of services; None reads all of them.
    """
    with connection.cursor() as cursor:
        if service_ids is None:
            cursor.execute(ALL_TERMS, {"user": user_id})
        else:
            cursor.execute(SOME_TERMS, {"user": user_id, "services": list(service_ids)})
        return {row[0]: Terms(*row) for row in cursor.fetchall()}


def cost_rate(terms: Terms) -> Decimal:
    """Return what a thousand (or a package, or a piece) costs us, exactly, in the panel's currency."""
    return EXACT.multiply(terms.provider_rate, terms.exchange_rate)


def sell_rate(terms: Terms) -> Decimal:
    """Return what a thousand (or a package, or a piece) costs this customer, at 6 places."""
    return _charged(rate_exactly(terms), terms)


def list_rate(terms: Terms) -> Decimal:
    """Return the rate without the customer's own terms, at 6 places: what a discount is shown against."""
    return _charged(list_exactly(terms), terms)


def quote(terms: Terms, units: int) -> Quote:
    """Price `units` of a service: pure, Decimal throughout, rounded once up at each of the two steps."""
    rate = sell_rate(terms)
    return Quote(
        rate=rate, charge=total(rate, units, per=terms.per), cost=total(cost_rate(terms), units, per=terms.per)
    )


def total(rate: Decimal, units: int, *, per: int | None) -> Decimal:
    """Return what units cost at a rate per so many of them (None: for the whole), rounded up to 5 places."""
    return round_charge(rate if per is None else EXACT.divide(EXACT.multiply(rate, Decimal(units)), Decimal(per)))


def list_exactly(terms: Terms) -> Decimal:
    """Return what the service's own rate, or cost and markup, make, before it is lifted to the cost and rounded."""
    if terms.own_rate is not None:
        return terms.own_rate
    factor = EXACT.add(HUNDRED, terms.percent)
    rate = EXACT.add(EXACT.divide(EXACT.multiply(cost_rate(terms), factor), HUNDRED), terms.fixed)
    return rate if terms.round_to is None else _multiple(rate, terms.round_to)


def rate_exactly(terms: Terms) -> Decimal:
    """Return what this customer's own terms make of the list rate, before it is lifted to the cost and rounded."""
    if terms.custom_rate is not None:
        return terms.custom_rate
    kept = EXACT.subtract(HUNDRED, terms.discount_percent)
    return EXACT.divide(EXACT.multiply(list_exactly(terms), kept), HUNDRED)


def _charged(rate: Decimal, terms: Terms) -> Decimal:
    """Lift a rate to the cost, unless a loss is allowed, and to something; rounded up to 6 places at the very end."""
    if not terms.allow_loss:
        rate = max(rate, cost_rate(terms))
    return max(round_rate(rate), RATE_STEP)


def _multiple(rate: Decimal, step: Decimal) -> Decimal:
    """Round a rate up to a multiple of a step, exactly."""
    rest = EXACT.remainder(rate, step)
    return EXACT.add(EXACT.subtract(rate, rest), step) if rest else rate
