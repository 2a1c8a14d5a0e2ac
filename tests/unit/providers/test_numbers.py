from decimal import Decimal
from typing import Any

import pytest

from catalog.providers import amounts

READ = [
    (7, "7"),
    (Decimal("0.27819"), "0.27819"),
    ("0.90", "0.90"),
    (" 7 ", "7"),
    ("007", "7"),
    (".5", "0.5"),
    ("+5", "5"),
    ("-2", "-2"),
    ("1,234.56", "1234.56"),
    ("1.234,56", "1234.56"),
    ("12,5", "12.5"),
    ("0,123", "0.123"),
    ("1,234", "1234"),
    ("1.234", "1.234"),
    ("1,234,567", "1234567"),
    ("1.234.567", "1234567"),
    ("1.234.567,8", "1234567.8"),
    ("1 234 567,89", "1234567.89"),
    ("1\u00a0234.5", "1234.5"),
    ("1\u202f234", "1234"),
    ("1.0E-5", "0.000010"),
    ("2E3", "2000"),
    ("$0.50", "0.50"),
    ("-$0.50", "-0.50"),
    ("$-0.50", "-0.50"),
    ("€ 1.234,56", "1234.56"),
    ("12.30 USD", "12.30"),
    ("USD 12.30", "12.30"),
    ("US$12", "12"),
    ("R$ 10,50", "10.50"),
    ("Rs. 100", "100"),
    ("₹1,000", "1000"),
    ("5 USDT", "5"),
    ("0E+9999", "0"),
    (Decimal("0E-999999"), "0"),
]
REFUSED: list[Any] = [
    *(
        "1.2.3",
        "1,23,4",
        "1.234.56",
        "",
        " ",
        "NaN",
        "Infinity",
        "-Infinity",
        "Unknown",
        "12abc",
        "abc12",
        "0x10",
        "1_000",
    ),
    *("--1", "-$-1", "$1$", "5 %", "1 2", "٣", "1e", "9" * 65, "1e99", "1e-99", "1E9999"),
    *(True, False, None, [], {}, 1.5, 10**15, 10**5000),
    *map(Decimal, ("NaN", "Infinity", "1E+999999", "1E-999999", "0." + "1" * 61)),
]


@pytest.mark.parametrize(("written", "meant"), READ, ids=repr)
def test_a_number_is_read_in_every_national_writing(written: Any, meant: str) -> None:
    assert amounts.number(written) == Decimal(meant)


@pytest.mark.parametrize(
    "written", REFUSED, ids=lambda value: repr(value)[:20] if not isinstance(value, int) else "int"
)
def test_what_is_no_number_is_never_guessed_at(written: Any) -> None:
    with pytest.raises(ValueError, match=r"number|size|long"):
        amounts.number(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[("157", 157), (157, 157), ("157.0", 157), ("-2", -2), ("1,000", 1000)],
        *[(written, None) for written in ("1.5", "Unknown", "", None, True)],
    ],
)
def test_a_count_is_whole_or_unknown(written: Any, meant: int | None) -> None:
    assert amounts.count(written) == meant


@pytest.mark.parametrize(
    ("written", "code"), [("12 USD", "USD"), ("EUR 1", "EUR"), ("$1", ""), ("1", ""), (1, ""), ("Rs. 5", "")]
)
def test_a_currency_code_inside_an_amount_is_found(written: Any, code: str) -> None:
    assert amounts.currency_in(written) == code
