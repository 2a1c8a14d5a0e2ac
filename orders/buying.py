"""Buying a product: what the page asks for, what it would cost now, and the order once it is placed.

A draft is made anew for every answer from what the page sent, as that of New order; only `place` changes anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.http import Http404
from django.utils.translation import gettext_noop

from accounts import ledger
from accounts.errors import NotEnoughFundsError, UserError
from accounts.money import EXACT
from catalog import pricing, shelves
from catalog.shelves import Item
from orders import drafting, forms, placing
from orders.drafting import Price
from orders.forms import LONGEST_REQUIRED
from orders.reading import present

LACKING = gettext_noop("There are not so many of it right now.")
# What is asked for does not change what it costs.
ANYTHING = {"require": "1"}
FIELDS = frozenset({"quantity", "require"})


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything the page of a product shows; `hint` says why there is no price yet."""

    item: Item
    values: Mapping[str, str]
    token: str
    balance: Decimal
    price: Price | None
    hint: str
    error: UserError | None = None

    @property
    def wrong(self) -> str:
        """The field that the error belongs to; empty when it belongs to the whole."""
        error = self.error
        return error.field if error and error.field in FIELDS and not isinstance(error, NotEnoughFundsError) else ""

    @property
    def longest(self) -> int:
        """How much may be entered."""
        return LONGEST_REQUIRED

    @property
    def moved_from(self) -> Decimal | None:
        """The rate that the customer saw, when it is another one now."""
        return self.error.old if isinstance(self.error, placing.PriceMovedError) else None


def begin(user_id: int, product_id: int, values: Mapping[str, str], *, error: UserError | None = None) -> Draft:
    """Make a draft of a product from what its page sent, else of the least; raise Http404 when it is not on sale."""
    item = shelves.find_item(user_id, product_id)
    if item is None:
        raise Http404
    values, error = drafting.renew_token({"quantity": str(item.service.min), **values}, error)
    balance = ledger.read_balance(user_id)
    price, hint = _price(item, values, balance)
    return Draft(item, values, drafting.keep_token(values), balance, price, hint, error)


def place(user_id: int, product_id: int, values: Mapping[str, str]) -> int:
    """Buy what the page asked for, at the rate that it showed; return the order's id, once for a double click.

    Raises UserError; nothing is changed then. Opens the transaction itself.
    """
    return drafting.place(user_id, {**values, "service": str(product_id)}, find=placing.find_product)


def _price(item: Item, values: Mapping[str, str], balance: Decimal) -> tuple[Price | None, str]:
    try:
        request = forms.parse_order(item.service, {**values, **ANYTHING})
    except UserError as error:
        return None, error.text if present(values, error.field) else ""
    charge = pricing.quote(item.offer.terms, request.units).charge
    after = EXACT.subtract(balance, charge)
    hint = "" if item.there.has(request.units) else LACKING
    return Price(request.units, charge, after, max(-after, Decimal(0))), hint
