"""Prices, whatever the rates, markups, currencies and discounts are."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from accounts.money import AMOUNT_STEP, RATE_STEP
from catalog.pricing import Terms, cost_rate, quote, sell_rate, total

rates = st.decimals(min_value="0.00000001", max_value="999999", places=8)
exchange_rates = st.decimals(min_value="0.0000000001", max_value="99999", places=10)
percents = st.decimals(min_value=0, max_value=10000, places=4)
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
    custom_rate=st.none() | rates,
    discount_percent=st.decimals(min_value=0, max_value=100, places=2),
    flat=st.booleans(),
    allow_loss=st.just(False),
)
units = st.integers(min_value=1, max_value=10**9)


@given(terms, units)
def test_a_price_is_never_zero_and_never_below_cost(terms: Terms, units: int) -> None:
    price = quote(terms, units)
    assert price.rate >= cost_rate(terms)
    assert price.charge >= price.cost > 0


@given(terms, units)
def test_even_where_a_loss_is_allowed_a_price_is_never_zero(terms: Terms, units: int) -> None:
    values = {name: getattr(terms, name) for name in Terms.__slots__}
    price = quote(Terms(**values | {"allow_loss": True}), units)
    assert price.rate >= RATE_STEP
    assert price.charge >= AMOUNT_STEP


@given(terms, units)
def test_what_is_shown_is_what_is_charged(terms: Terms, units: int) -> None:
    price = quote(terms, units)
    assert price.rate == sell_rate(terms)
    assert price.rate == price.rate.quantize(RATE_STEP)
    assert price.charge == price.charge.quantize(AMOUNT_STEP)
    exact = price.rate if terms.flat else price.rate * units / 1000
    assert 0 <= price.charge - exact < AMOUNT_STEP


@given(terms, units, units)
def test_more_units_never_cost_less(terms: Terms, some: int, others: int) -> None:
    fewer, more = sorted((some, others))
    assert quote(terms, fewer).charge <= quote(terms, more).charge


@given(rates, units)
def test_a_total_is_a_decimal_rounded_up_once(rate: Decimal, units: int) -> None:
    charged = total(rate, units, flat=False)
    assert isinstance(charged, Decimal)
    assert charged - AMOUNT_STEP < rate * units / 1000 <= charged
