from decimal import Decimal

import pytest

from accounts.money import parse_amount, plain, round_charge, round_rate, round_refund, share


def test_a_charge_is_rounded_up_and_a_refund_down() -> None:
    assert round_charge(Decimal("0.000001")) == Decimal("0.00001")
    assert round_refund(Decimal("0.000019")) == Decimal("0.00001")
    assert round_rate(Decimal("0.8400001")) == Decimal("0.840001")


def test_products_of_the_widest_columns_are_not_rounded_on_the_way() -> None:
    widest = Decimal("999999999999999.99999")
    assert round_charge(widest) == widest
    assert share(widest, 999_999_999_999, 1_000_000_000_000) == Decimal("999999999998999.99999")


def test_a_share_is_the_seed_documents_own_arithmetic() -> None:
    assert share(Decimal("2.50000"), 157, 1000) == Decimal("0.39250")


@pytest.mark.parametrize(
    ("number", "text"), [("100.84292", "100.84292"), ("1E-5", "0.00001"), ("2.50", "2.5"), ("100", "100"), ("0", "0")]
)
def test_numbers_are_written_without_exponent_or_trailing_zeros(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1e400", "0.000001", "1,5", "1" * 16])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_amount(text)


def test_an_amount_may_have_a_sign_and_five_places() -> None:
    assert parse_amount(" -12.34567 ") == Decimal("-12.34567")
