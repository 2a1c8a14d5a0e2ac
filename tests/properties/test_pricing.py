"""Prices, whatever the rates, markups, currencies, discounts and customers' own terms are."""

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import orjson
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import ledger
from accounts.models import CustomerGroup, User
from accounts.money import AMOUNT_STEP, RATE_STEP, plain
from catalog import listing
from catalog.models import Category, CustomRate, Markup, Provider, ProviderService, Route, Service
from catalog.pricing import Terms, cost_rate, list_rate, quote, sell_rate, total
from orders import auditing, forms, placing
from orders.models import Order

fixed = settings(derandomize=True, deadline=None, max_examples=300)
rates = st.decimals(min_value="0.00000001", max_value="999999", places=8)
exchange_rates = st.decimals(min_value="0.0000000001", max_value="99999", places=10)
percents = st.decimals(min_value=0, max_value=10000, places=4)
discounts = st.decimals(min_value=0, max_value=100, places=2)
steps = st.sampled_from([Decimal("0.000001"), Decimal("0.01"), Decimal("0.05"), Decimal(1), Decimal("0.99")])
terms = st.builds(
    Terms,
    service_id=st.just(1),
    provider_service_id=st.just(1),
    provider_id=st.just(1),
    route_position=st.just(1),
    provider_rate=rates,
    exchange_rate=exchange_rates,
    percent=percents,
    fixed=st.decimals(min_value=0, max_value=1000, places=8),
    round_to=st.none() | steps | st.decimals(min_value="0.000001", max_value=10**6, places=6),
    own_rate=st.none() | rates,
    custom_rate=st.none() | rates,
    discount_percent=discounts,
    per=st.sampled_from([None, 1, 1000]),
    allow_loss=st.booleans(),
)
units = st.integers(min_value=1, max_value=10**9)


def ceiling(number: Fraction, step: Decimal) -> Fraction:
    """Round up to a multiple, by other arithmetic than the panel's."""
    return math.ceil(number / Fraction(step)) * Fraction(step)


def reckon(terms: Terms) -> Fraction:
    """Return the rate that terms make, by fractions and rounded once."""
    cost = Fraction(terms.provider_rate) * Fraction(terms.exchange_rate)
    rate = cost * (1 + Fraction(terms.percent) / 100) + Fraction(terms.fixed)
    if terms.round_to is not None:
        rate = ceiling(rate, terms.round_to)
    if terms.own_rate is not None:
        rate = Fraction(terms.own_rate)
    rate *= 1 - Fraction(terms.discount_percent) / 100
    if terms.custom_rate is not None:
        rate = Fraction(terms.custom_rate)
    least = Fraction(0) if terms.allow_loss else cost
    return max(ceiling(max(rate, least), RATE_STEP), Fraction(RATE_STEP))


@fixed
@given(terms, units)
def test_a_price_is_never_zero_and_never_below_cost_unless_that_is_allowed(terms: Terms, units: int) -> None:
    price = quote(terms, units)
    assert price.rate >= RATE_STEP
    assert price.charge >= AMOUNT_STEP
    assert price.cost > 0
    assert terms.allow_loss or (price.rate >= cost_rate(terms) and price.charge >= price.cost)


@fixed
@given(terms)
def test_a_rate_is_what_fractions_say_rounded_up_once(terms: Terms) -> None:
    assert Fraction(sell_rate(terms)) == reckon(terms)
    assert Fraction(list_rate(terms)) == reckon(replace(terms, custom_rate=None, discount_percent=Decimal(0)))


@fixed
@given(terms, units)
def test_nothing_about_a_price_is_a_float(terms: Terms, units: int) -> None:
    price = quote(terms, units)
    numbers = (price.rate, price.charge, price.cost, cost_rate(terms), list_rate(terms))
    assert {type(number) for number in numbers} == {Decimal}


@fixed
@given(terms, units)
def test_what_is_shown_is_what_is_charged(terms: Terms, units: int) -> None:
    price = quote(terms, units)
    shown = Fraction(plain(sell_rate(terms)))
    assert price.rate == price.rate.quantize(RATE_STEP)
    assert price.charge == price.charge.quantize(AMOUNT_STEP)
    assert Fraction(price.charge) == ceiling(shown if terms.per is None else shown * units / terms.per, AMOUNT_STEP)


@fixed
@given(terms, units, units)
def test_more_units_never_cost_less(terms: Terms, some: int, others: int) -> None:
    fewer, more = sorted((some, others))
    assert quote(terms, fewer).charge <= quote(terms, more).charge


@fixed
@given(terms, discounts, discounts)
def test_a_larger_discount_never_costs_more(terms: Terms, some: Decimal, others: Decimal) -> None:
    smaller, larger = (sell_rate(replace(terms, discount_percent=percent)) for percent in sorted((some, others)))
    assert larger <= smaller


@fixed
@given(rates, units)
def test_a_total_is_a_decimal_rounded_up_once(rate: Decimal, units: int) -> None:
    charged = total(rate, units, per=1000)
    assert isinstance(charged, Decimal)
    assert charged - AMOUNT_STEP < rate * units / 1000 <= charged


@dataclass(frozen=True)
class Shop:
    """A service with its prices, and one order for it."""

    rate: Decimal
    exchange_rate: Decimal
    # Percent, fixed and round_to of the site, the provider, the category and the service.
    markups: tuple[tuple[Decimal, Decimal, Decimal | None] | None, ...]
    own_rate: Decimal | None
    custom_rate: Decimal | None
    discount: Decimal
    of_group: Decimal | None
    loss_policy: str
    type: str
    quantity: int
    runs: int


modest = st.decimals(min_value="0.00000001", max_value=1000, places=8)
markups = st.none() | st.tuples(
    st.decimals(min_value=0, max_value=500, places=4),
    st.decimals(min_value=0, max_value=10, places=8),
    st.none() | steps,
)
shops = st.builds(
    Shop,
    rate=modest,
    exchange_rate=st.decimals(min_value="0.0000000001", max_value=100, places=10),
    markups=st.tuples(markups, markups, markups, markups),
    own_rate=st.none() | modest,
    custom_rate=st.none() | modest,
    discount=discounts,
    of_group=st.none() | discounts,
    loss_policy=st.sampled_from(Service.LossPolicy.values),
    type=st.sampled_from(["Default", "Package"]),
    quantity=st.integers(min_value=1, max_value=10**6),
    runs=st.sampled_from([0, 0, 2, 7]),
)


def open_shop(shop: Shop) -> tuple[User, Service]:
    """Write a shop into the database, with a customer who can afford whatever it asks."""
    group = None
    if shop.of_group is not None:
        group = CustomerGroup.objects.create(name="Resellers", discount_percent=shop.of_group)
    user = User.objects.create_user("carla", "carla@example.org", discount_percent=shop.discount, group=group)
    ledger.deposit(user.pk, Decimal(10) ** 14, reference="in")
    provider = Provider.objects.create(
        name="P", api_url="http://127.0.0.1/", key_encrypted="", exchange_rate=shop.exchange_rate
    )
    service = Service.objects.create(
        category=Category.objects.create(name="C"),
        name="S",
        type=shop.type,
        max=10**7,
        dripfeed=True,
        own_rate=shop.own_rate,
        loss_policy=shop.loss_policy,
    )
    remote = ProviderService.objects.create(
        provider=provider, remote_id="1", name="S", type=shop.type, rate=shop.rate, min=1, max=10**7
    )
    Route.objects.create(service=service, provider_service=remote)
    for scope, markup in zip(("", "provider", "category", "service"), shop.markups, strict=True):
        if markup is not None:
            of = {"": None, "provider": provider, "category": service.category, "service": service}[scope]
            percent, fixed, step = markup
            Markup.objects.create(percent=percent, fixed=fixed, round_to=step, **({scope: of} if scope else {}))
    if shop.custom_rate is not None:
        CustomRate.objects.create(user=user, service=service, rate=shop.custom_rate)
    return user, service


def expect(shop: Shop) -> Terms:
    """Return the terms that a shop should have for its customer, by other means than the query."""
    percent, fixed_part, step = next(filter(None, reversed(shop.markups)), (Decimal(0), Decimal(0), None))
    return Terms(
        *(0, 0, 0, 0, shop.rate, shop.exchange_rate, percent, fixed_part, step, shop.own_rate, shop.custom_rate),
        discount_percent=max(shop.discount, shop.of_group or Decimal(0)),
        per=None if shop.type == "Package" else 1000,
        allow_loss=shop.loss_policy == Service.LossPolicy.ALLOW,
    )


@settings(fixed, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shop=shops)
def test_what_the_list_says_is_what_an_order_is_charged(db: None, shop: Shop) -> None:
    before = transaction.savepoint()
    try:
        user, service = open_shop(shop)
        (row,) = orjson.loads(listing.read_list(user.pk))
        spread = {"runs": str(shop.runs), "interval": "5"} if shop.runs else {}
        request = forms.parse_order(service, {"link": "x", "quantity": str(shop.quantity), **spread})
        order = Order.objects.get(pk=placing.place_order(user.pk, request))
        shown = Fraction(row["rate"])
        exact = shown if shop.type == "Package" else shown * shop.quantity * max(shop.runs, 1) / 1000
        assert Fraction(order.rate) == shown == reckon(expect(shop))
        assert Fraction(order.charge) == ceiling(exact, AMOUNT_STEP)
        assert order.charge > 0
        assert order.charge >= order.expected_cost or shop.loss_policy == Service.LossPolicy.ALLOW
        assert auditing.find_differences() == []
    finally:
        transaction.savepoint_rollback(before)
