"""Numbers as providers write them (PROTOCOL 6.2): never a float, never a guess, never a size that would hurt us."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_TEXT = 64
MOST_DIGITS = 60
LARGEST = Decimal(10) ** 15
SMALLEST_EXPONENT = -40

# A currency is a symbol ("$", "R$", "Rs.") or a code of three or four capitals; a sign may stand before or behind it.
_CURRENCY = r"(?:[A-Z]{0,2}[$€£¥₹₺₽₫฿₦₱₩₴₸₪₲₡₵₼₾]|Rs\.?|[A-Z]{3,4})"
_WRITTEN = re.compile(
    rf"(?P<before>[+-]?)\s*(?P<prefix>{_CURRENCY})?\s*(?P<sign>[+-]?)(?P<digits>[0-9.,][0-9.,\s]*(?:[eE][+-]?[0-9]{{1,4}})?)\s*"
    rf"(?P<suffix>{_CURRENCY})?",
    re.ASCII,
)
_PLAIN = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?", re.ASCII)
_COMMA_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)
_DOT_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+,[0-9]+|(?:\.[0-9]{3}){2,})", re.ASCII)
_SPACE_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?: [0-9]{3})+(?:[.,][0-9]+)?", re.ASCII)
_COMMA_DECIMAL = re.compile(r"[0-9]+,[0-9]+", re.ASCII)


def number(value: Any) -> Decimal:
    """Read a number from an integer, a Decimal or a text in any national writing.

    "1,234" is 1234, as a list of prices means it. Raises ValueError for booleans, blanks, NaN, infinities, 1.2.3, and
    for sizes that no price or count has (10^15 and more).
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("not a number")  # noqa: TRY004 -- callers want one exception for "no number", whatever came
    if isinstance(value, str):
        amount = _from_text(value)
    elif isinstance(value, int):
        if abs(value) >= LARGEST:
            raise ValueError("a number of absurd size")
        amount = Decimal(value)
    else:
        amount = value
    return _within_bounds(amount)


def count(value: Any) -> int | None:
    """Read a whole number such as a start count, or None where the provider wrote none ("Unknown", "", null)."""
    try:
        amount = number(value)
    except ValueError:
        return None
    if amount != amount.to_integral_value():
        return None
    return int(amount)


def optional(value: Any) -> Decimal | None:
    """Read a number, or None where there is none."""
    try:
        return number(value)
    except ValueError:
        return None


def currency_in(value: Any) -> str:
    """Return the currency code inside an amount such as "12.30 USD", or an empty text."""
    match = _WRITTEN.fullmatch(_spaced(value)) if isinstance(value, str) and len(value) <= LONGEST_TEXT else None
    code = (match["prefix"] or match["suffix"] or "") if match else ""
    return code if code.isalpha() and code.isupper() else ""


def _from_text(text: str) -> Decimal:
    if len(text) > LONGEST_TEXT:
        raise ValueError("too long for a number")
    match = _WRITTEN.fullmatch(_spaced(text))
    if match is None or (match["before"] and match["sign"]) or (match["prefix"] and match["suffix"]):
        raise ValueError("not a number")
    digits = _plain(match["digits"].rstrip())
    try:
        return Decimal((match["before"] or match["sign"]) + digits)
    except InvalidOperation as error:
        raise ValueError("not a number") from error


def _plain(digits: str) -> str:
    if _PLAIN.fullmatch(digits):
        return digits
    if _COMMA_GROUPS.fullmatch(digits):
        return digits.replace(",", "")
    if _DOT_GROUPS.fullmatch(digits):
        return digits.replace(".", "").replace(",", ".")
    if _SPACE_GROUPS.fullmatch(digits):
        return digits.replace(" ", "").replace(",", ".")
    if _COMMA_DECIMAL.fullmatch(digits):
        return digits.replace(",", ".")
    raise ValueError("not a number")


def _spaced(text: str) -> str:
    """Turn every kind of space, the non-breaking ones included, into a plain one."""
    return " ".join(text.split())


def _within_bounds(amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise ValueError("not a number")
    if not amount:
        return Decimal(0)
    if abs(amount) >= LARGEST or amount.adjusted() < SMALLEST_EXPONENT or len(amount.as_tuple().digits) > MOST_DIGITS:
        raise ValueError("a number of absurd size")
    return amount
