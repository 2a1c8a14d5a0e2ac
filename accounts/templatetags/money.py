"""How figures are written on pages: always with the currency, tabular, with separators (SCREENS 3)."""

from decimal import Decimal

from django import template
from django.conf import settings

from accounts.money import AMOUNT_STEP, plain

register = template.Library()
register.filter("plain", plain)

# Written before the figure; any other currency stands there with its code.
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "JPY": "¥", "TRY": "₺", "BRL": "R$", "UAH": "₴", "NGN": "₦"}
MINUS = "\u2212"
NO_BREAK = "\u00a0"


@register.filter
def money(amount: Decimal | None) -> str:
    """Write an amount with all of its 5 places: $248.13742."""
    return "" if amount is None else _with_currency(figure(amount))


@register.filter
def price(amount: Decimal | None) -> str:
    """Write an amount or a rate without needless zeros, but with two places at least: $0.84, $0.004."""
    return "" if amount is None else _with_currency(short(amount))


@register.filter
def signed(amount: Decimal) -> str:
    """Write what a line of a statement moved: +$2.10000, −$2.10000."""
    return money(amount) if amount < 0 else f"+{money(amount)}"


@register.filter
def figure(amount: Decimal) -> str:
    """Write an amount with all of its 5 places and no currency, as in a sum."""
    return format(amount.quantize(AMOUNT_STEP), ",f").replace("-", MINUS)


@register.filter
def short(amount: Decimal) -> str:
    """Write a number without needless zeros, but with two places at least."""
    whole, _, places = format(amount, ",f").partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}".replace("-", MINUS)


@register.filter
def count(number: int | None) -> str:
    """Write a whole number with separators: 50,000."""
    return "" if number is None else format(number, ",d").replace("-", MINUS)


def _with_currency(text: str) -> str:
    sign = SIGNS.get(settings.CURRENCY, settings.CURRENCY + NO_BREAK)
    return f"{MINUS}{sign}{text[1:]}" if text.startswith(MINUS) else f"{sign}{text}"
