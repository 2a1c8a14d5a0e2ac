"""The one place where money is rounded (ARCHITECTURE 4).

Amounts have 5 places, sell rates 6, rates as providers give them 8, exchange rates 10. A charge is rounded up, so it is
never zero and never below cost; a refund is rounded down.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation

AMOUNT_STEP = Decimal("0.00001")
RATE_STEP = Decimal("0.000001")
LARGEST_AMOUNT = Decimal(10) ** 15

# Wide enough for any product of two columns, so that nothing is rounded before its turn.
EXACT = Context(prec=80)
UP = Context(prec=80, rounding=ROUND_CEILING)
DOWN = Context(prec=80, rounding=ROUND_FLOOR)


def round_charge(amount: Decimal) -> Decimal:
    """Round an amount up to 5 places."""
    return amount.quantize(AMOUNT_STEP, context=UP)


def round_refund(amount: Decimal) -> Decimal:
    """Round an amount down to 5 places."""
    return amount.quantize(AMOUNT_STEP, context=DOWN)


def round_rate(rate: Decimal) -> Decimal:
    """Round a sell rate up to 6 places; this very number is shown, stored and multiplied."""
    return rate.quantize(RATE_STEP, context=UP)


def share(charge: Decimal, part: int, whole: int) -> Decimal:
    """Return `part` of `whole` of a charge, rounded down as refunds are."""
    return DOWN.divide(EXACT.multiply(charge, Decimal(part)), Decimal(whole)).quantize(AMOUNT_STEP, context=DOWN)


def parse_amount(text: str) -> Decimal:
    """Read an amount that a person typed; raise ValueError unless it is a number that the ledger can hold exactly."""
    try:
        amount = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError(f"'{text}' is not an amount") from error
    if not amount.is_finite() or abs(amount) >= LARGEST_AMOUNT:
        raise ValueError(f"'{text}' is not an amount")
    if amount != round_refund(amount):
        raise ValueError(f"'{text}' has more than 5 decimal places")
    return amount


def plain(number: Decimal) -> str:
    """Write a number without exponent and without trailing zeros, as the wire does."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
