"""The order that a customer is about to place: what he may choose, what he has chosen, and what it costs him now.

A draft is made anew for every answer from what the page sent; only `place` changes anything. The page carries the rate
that it showed and a token, so that a moved price is never charged unseen and a double click never places two.
"""

import datetime
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation

from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts import ledger
from accounts.errors import NotEnoughFundsError, UserError
from accounts.money import EXACT
from accounts.requests import read_id
from catalog import browsing, pricing
from catalog.browsing import Offer
from catalog.kinds import SPREADABLE
from catalog.models import Category, Service
from orders import forms, placing, prompting
from orders.models import Order
from orders.prompting import Asked
from orders.reading import present, read_date

# As many as a select is still of use for; the others are found in the list of services.
LONGEST_LIST = 500
# The sum is wanted before everything is filled in; what it does not depend on may be anything for it.
ANYTHING = {**dict.fromkeys(forms.DETAILS, "1"), "link": "-", "delay": "0", "expiry": ""}
HALF_SPREAD = gettext_noop("Enter both the runs and the minutes between them to see the total.")


@dataclass(frozen=True, slots=True)
class Price:
    """What a draft costs: `after` is the balance then, `missing` what the balance lacks.

    `units` are `parts` × `each`; `ends_at` is about when the last of several runs begins.
    """

    units: int
    charge: Decimal
    after: Decimal
    missing: Decimal
    parts: int = 1
    ends_at: datetime.datetime | None = None

    @property
    def each(self) -> int:
        """How much one run, or at most one post, is."""
        return self.units // self.parts


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything the New order page shows; `hint` says why there is no price yet."""

    offer: Offer | None
    values: Mapping[str, str]
    token: str
    balance: Decimal
    price: Price | None
    hint: str
    error: UserError | None = None
    categories: list[Category] = field(default_factory=list)
    category_id: int | None = None
    offers: list[Offer] = field(default_factory=list)

    @property
    def is_cut(self) -> bool:
        """Whether the category has more services than are listed."""
        return len(self.offers) >= LONGEST_LIST

    @property
    def wrong(self) -> str:
        """The field that the error belongs to, of those that are on the page; empty when it belongs to the whole."""
        name = self.error.field if self.error and not isinstance(self.error, NotEnoughFundsError) else ""
        return name if name in self.fields else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the service's type has."""
        form = _find_form(self.offer)
        if self.offer is None or form is None:
            return ()
        service = self.offer.service
        spread = service.dripfeed and service.type in SPREADABLE
        return form.fields + (("runs", "interval") if spread else ())

    @property
    def details(self) -> list[Asked]:
        """What the type asks for beside link and quantity, and does not count."""
        return [asked for asked in self._asked() if asked.name != self._counted]

    @property
    def counted(self) -> Asked | None:
        """The list whose lines are counted, where it is not a number that says how much."""
        return next((asked for asked in self._asked() if asked.name == self._counted), None)

    def _asked(self) -> list[Asked]:
        return prompting.ask(self.offer.service.type, self.values, self.error) if self.offer else []

    @property
    def _counted(self) -> str:
        form = _find_form(self.offer)
        return form.counted if form else ""

    @property
    def delays(self) -> list[str]:
        """The minutes that may be chosen between a post and its delivery."""
        return [str(minutes) for minutes in forms.DELAYS]

    @property
    def moved_from(self) -> Decimal | None:
        """The rate that the customer saw, when it is another one now."""
        return self.error.old if isinstance(self.error, placing.PriceMovedError) else None


def begin(user_id: int, values: Mapping[str, str], *, error: UserError | None = None) -> Draft:
    """Make a draft from what the page sent, or from an order to be placed again (`again`)."""
    values, error = renew_token({**_repeat(user_id, values.get("again")), **values}, error)
    categories = list(browsing.list_categories())
    asked = read_id(values.get("service"))
    category_id = _choose_category(categories, read_id(values.get("category")), asked)
    offers = browsing.make_offers(user_id, _list_services(category_id, asked))
    chosen = next((offer for offer in offers if offer.service.pk == asked), None)
    if chosen is None and asked and not values.get("category"):
        error = error or UserError("Service is not available", field="service")
    draft = _draft(user_id, chosen or next(iter(offers), None), values)
    return replace(draft, categories=categories, category_id=category_id, offers=offers, error=error)


def reprice(user_id: int, values: Mapping[str, str]) -> Draft:
    """Make a draft of the chosen service alone, for a page that is open and wants the new sum only."""
    services = Service.objects.filter(pk=read_id(values.get("service")) or 0, enabled=True, is_product=False)
    offers = browsing.make_offers(user_id, list(services))
    return _draft(user_id, next(iter(offers), None), values)


def renew_token(values: Mapping[str, str], error: UserError | None) -> tuple[Mapping[str, str], UserError | None]:
    """Forget the token of a page from the browser's memory that was changed and sent again: it means another order."""
    if error is None or error.field != "idempotency_key":
        return values, error
    told = UserError("This page has placed an order already. Place this one too, if you want another.")
    return {**values, "token": ""}, told


def place(user_id: int, values: Mapping[str, str], *, find: Callable[[str], Service] = placing.find_service) -> int:
    """Place the order that the page sent, at the rate that it showed; return its id, once for a double click.

    `find` returns what is on sale under an id: services and products are told apart. Raises UserError; nothing is
    changed then. Opens the transaction itself.
    """
    key, rate = f"page:{read_token(values)}", _read_rate(values)
    try:
        request = forms.parse_order(find(values.get("service", "")), values)
    except UserError:
        # The first click may have been the last order before the service went off sale.
        placed = placing.find_placed(user_id, key, values.get("service", ""), values)
        if placed is None:
            raise
        return placed
    if rate is None or not read_token(values):
        raise UserError("Incorrect request")
    return placing.place_order(user_id, request, idempotency_key=key, quoted_rate=rate)


def read_placed(user_id: int, text: str | None) -> Order | None:
    """Return the customer's order that the page is to confirm."""
    number = read_id(text)
    found = Order.objects.filter(user_id=user_id, pk=number) if number else Order.objects.none()
    return found.select_related("service").defer("details", "service__description").first()


def _repeat(user_id: int, text: str | None) -> dict[str, str]:
    number = read_id(text)
    order = Order.objects.filter(user_id=user_id, pk=number).first() if number else None
    if order is None:
        return {}
    given = {"service": str(order.service_id), "link": order.link, "quantity": str(order.quantity), **order.details}
    expiry = read_date(given.get("expiry", ""))
    if expiry is not None:
        # As a date field reads it; a day that is over is no wish any more.
        given["expiry"] = expiry.isoformat() if expiry >= timezone.localdate() else ""
    return given


def _choose_category(categories: list[Category], asked: int | None, service_id: int | None) -> int | None:
    """Return the category asked for, else that of the service asked for, else the first."""
    if asked is None and service_id is not None:
        asked = Service.objects.filter(pk=service_id).values_list("category_id", flat=True).first()
    known = [category.pk for category in categories]
    return asked if asked in known else next(iter(known), None)


def _list_services(category_id: int | None, asked: int | None) -> list[Service]:
    """Read the services of one category, the one asked for in any case: a select of ten thousand helps nobody."""
    if category_id is None:
        return []
    found = Service.objects.filter(category_id=category_id, enabled=True, is_product=False).order_by("position", "pk")
    services = list(found[:LONGEST_LIST])
    if asked and len(services) == LONGEST_LIST and asked not in {service.pk for service in services}:
        services += found.filter(pk=asked)
    return services


def _draft(user_id: int, offer: Offer | None, values: Mapping[str, str]) -> Draft:
    balance = ledger.read_balance(user_id)
    price, hint = _price(offer, values, balance)
    return Draft(offer=offer, values=values, token=keep_token(values), balance=balance, price=price, hint=hint)


def _find_form(offer: Offer | None) -> forms.Form | None:
    return forms.FORMS.get(offer.service.type) if offer else None


def _price(offer: Offer | None, values: Mapping[str, str], balance: Decimal) -> tuple[Price | None, str]:
    if offer is None:
        return None, ""
    # The least for each post costs nothing; where it is not given yet, any that fits will do.
    form = _find_form(offer)
    anything = {name: text for name, text in ANYTHING.items() if form is None or name != form.counted}
    enough = {**values, **anything, "min": present(values, "min") or values.get("max", "")}
    try:
        request = forms.parse_order(offer.service, enough)
    except UserError as error:
        if present(values, error.field):
            return None, error.text
        return None, HALF_SPREAD if error.field in {"runs", "interval"} else ""
    charge = pricing.quote(offer.terms, request.units).charge
    after = EXACT.subtract(balance, charge)
    ends_at = _end_of_runs(request) if "interval" in request.details else None
    return Price(request.units, charge, after, max(-after, Decimal(0)), request.parts, ends_at), ""


def _end_of_runs(request: forms.OrderRequest) -> datetime.datetime:
    minutes = int(request.details["interval"]) * (request.parts - 1)
    return timezone.now() + datetime.timedelta(minutes=minutes)


def read_token(values: Mapping[str, str]) -> str | None:
    """Return the token that came with a page, None when it is none."""
    try:
        return str(uuid.UUID(values.get("token", "")))
    except ValueError:
        return None


def keep_token(values: Mapping[str, str]) -> str:
    """Keep the page's token through errors: should the first attempt have been placed after all, the next finds it."""
    return read_token(values) or str(uuid.uuid4())


def _read_rate(values: Mapping[str, str]) -> Decimal | None:
    try:
        rate = Decimal(values.get("rate", ""))
    except InvalidOperation:
        return None
    return rate if rate.is_finite() else None
