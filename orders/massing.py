"""Mass orders: many orders written one to a line, first checked and priced, then placed one by one.

Guarantee: a page places each of its lines at most once, however often it is sent. A line's idempotency key is made of
the page's token and of what the line says, not of where it stands: a line that is moved about keeps its order. Every
line is a transaction of its own, so that one that fails harms no other.
"""

import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation

from django.utils.translation import gettext_noop

from accounts import ledger
from accounts.errors import UserError
from accounts.money import EXACT, plain
from accounts.requests import read_id
from catalog import pricing
from catalog.models import Service
from orders import drafting, forms, placing
from orders.forms import OrderRequest
from orders.models import Order, PlacedOnce

MOST_LINES = 500
MOST_BYTES = 256 * 1024
LINE_BREAK = re.compile(r"\r\n|\r|\n")
SEPARATORS = ("|", "\t", ",")
# Types of which a line says everything; the others want a list, or more than it has room for.
PLAIN = {("link", "quantity"), ("link",)}
NO_LINES = gettext_noop("Write at least one line.")
TOO_LONG = gettext_noop("This is too much at once. Send at most 500 lines, and 256 kB, at a time.")
NEEDS_MORE = gettext_noop("This service needs more than a link and a quantity. Order it under New order.")
ONE_WHOLE = gettext_noop("This is a package: leave out the quantity.")
NOT_CHECKED = gettext_noop("This line had no price when it was checked. Check it again.")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank, what it means and what became of it; `number` counts all lines from 1.

    `twin` is the first line with the same service and link, `order_id` the order that this very line has placed;
    `charge` is what it costs, or has cost.
    """

    number: int
    text: str
    service_text: str
    link: str
    quantity: str
    key: str = ""
    twin: int | None = None
    service: Service | None = None
    request: OrderRequest | None = None
    rate: Decimal | None = None
    charge: Decimal | None = None
    error: UserError | None = None
    order_id: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it can be placed."""
        return self.error is None and self.order_id is None

    @property
    def moved_from(self) -> Decimal | None:
        """The rate that the customer saw, when it is another one now."""
        return self.error.old if isinstance(self.error, placing.PriceMovedError) else None


@dataclass(frozen=True, slots=True)
class MassOrder:
    """Everything the Mass order page shows: the text of its box, and its lines once they were looked at.

    `error` concerns the whole; nothing was read then.
    """

    token: str
    balance: Decimal
    text: str = ""
    lines: list[Line] = field(default_factory=list)
    error: UserError | None = None

    @property
    def ready(self) -> list[Line]:
        """The lines that can be placed."""
        return [line for line in self.lines if line.is_ready]

    @property
    def failed(self) -> list[Line]:
        """The lines with an error."""
        return [line for line in self.lines if line.error is not None]

    @property
    def placed(self) -> list[Line]:
        """The lines that have their order."""
        return [line for line in self.lines if line.order_id is not None]

    @property
    def total(self) -> Decimal:
        """What the lines that can be placed cost together."""
        return _add(self.ready)

    @property
    def charged(self) -> Decimal:
        """What the lines that have their order have cost together."""
        return _add(self.placed)

    @property
    def after(self) -> Decimal:
        """The balance when they are placed; below zero when it does not suffice."""
        return EXACT.subtract(self.balance, self.total)

    @property
    def missing(self) -> Decimal:
        """What the balance lacks for all of them."""
        return max(-self.after, Decimal(0))

    @property
    def rates(self) -> str:
        """The rate of every service that can be placed, as the page carries them."""
        shown = {line.service_text: plain(line.rate) for line in self.ready if line.rate is not None}
        return " ".join(f"{service}={rate}" for service, rate in shown.items())


def begin(user_id: int) -> MassOrder:
    """Make an empty page."""
    return MassOrder(str(uuid.uuid4()), ledger.read_balance(user_id))


def check(user_id: int, values: Mapping[str, str]) -> MassOrder:
    """Read and price every line of what the page sent; nothing is changed. At most five queries.

    The page keeps its token: should it have placed some of the lines before, they are found.
    """
    text = values.get("lines", "")
    page = MassOrder(drafting.keep_token(values), ledger.read_balance(user_id), text)
    try:
        lines = _read_lines(page.token, text)
    except UserError as error:
        return replace(page, error=error)
    return replace(page, lines=_tell_charges(_price(user_id, _understand(user_id, lines))))


def place(user_id: int, values: Mapping[str, str]) -> MassOrder:
    """Place every line that can be placed at the rate that the page showed, once for a double click or a reload.

    Tells of each line its order or its error; those with an error stay in the box, under a new token. Opens a
    transaction for each line itself.
    """
    token, rates = drafting.read_token(values), _read_rates(values.get("rates", ""))
    if token is None:
        return replace(check(user_id, values), error=UserError("Incorrect request"))
    try:
        lines = _read_lines(token, values.get("lines", ""))
    except UserError as error:
        return replace(begin(user_id), text=values.get("lines", ""), error=error)
    lines = [_place(user_id, line, rates) for line in _understand(user_id, lines)]
    text = "\n".join(line.text for line in lines if line.error)
    return replace(begin(user_id), text=text, lines=_tell_charges(lines))


def _read_lines(token: str, text: str) -> list[Line]:
    """Take a text apart; raise UserError when it has no lines or too many of them."""
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise UserError(TOO_LONG, field="lines")
    parted = enumerate(LINE_BREAK.split(text), start=1)
    lines = [Line(number, line.strip(), *_split(line)) for number, line in parted if line.strip()]
    if not 0 < len(lines) <= MOST_LINES:
        raise UserError(TOO_LONG if lines else NO_LINES, field="lines")
    return _mark(token, lines)


def _split(text: str) -> tuple[str, str, str]:
    """Return service, link and quantity: the outermost separators count, so a link may hold some of its own."""
    separator = next((one for one in SEPARATORS if one in text), SEPARATORS[0])
    service, _, rest = text.partition(separator)
    link, parted, quantity = rest.rpartition(separator)
    if not parted:
        link, quantity = rest, ""
    number = read_id(service.strip())
    return service.strip() if number is None else str(number), link.strip(), quantity.strip()


def _mark(token: str, lines: Sequence[Line]) -> list[Line]:
    """Give each line its key; a line that is there twice is two orders, and says so, as does one for the same link."""
    times: Counter[str] = Counter()
    first: dict[tuple[str, str], int] = {}
    marked = []
    for line in lines:
        said = json.dumps([line.service_text, line.link, line.quantity])
        digest = hashlib.sha256(said.encode()).hexdigest()[:40]
        times[digest] += 1
        number = first.setdefault((line.service_text, line.link), line.number)
        twin = None if number == line.number else number
        marked.append(replace(line, key=f"mass:{token}:{digest}:{times[digest]}", twin=twin))
    return marked


def _understand(user_id: int, lines: Sequence[Line]) -> list[Line]:
    """Find every line's service, and the order that it has placed before; read the others. Two queries."""
    keys = [line.key for line in lines]
    placed = dict(PlacedOnce.objects.filter(user_id=user_id, key__in=keys).values_list("key", "order_id"))
    numbers = [number for line in lines if (number := read_id(line.service_text)) is not None]
    found = Service.objects.filter(pk__in=numbers, enabled=True, is_product=False).defer("description")
    services = {str(service.pk): service for service in found}
    known = [replace(line, service=services.get(line.service_text)) for line in lines]
    return [replace(line, order_id=placed[line.key]) if line.key in placed else _parse(line) for line in known]


def _parse(line: Line) -> Line:
    try:
        return replace(line, request=_parse_order(line))
    except UserError as error:
        return replace(line, error=error)


def _parse_order(line: Line) -> OrderRequest:
    service = line.service
    if service is None:
        raise UserError("Incorrect service ID", field="service")
    form = forms.FORMS.get(service.type)
    if form is None or form.fields not in PLAIN:
        raise UserError(NEEDS_MORE, field="service")
    if not form.counted and line.quantity not in {"", "1"}:
        raise UserError(ONE_WHOLE, field="quantity")
    return forms.parse_order(service, {"link": line.link, "quantity": line.quantity})


def _price(user_id: int, lines: Sequence[Line]) -> list[Line]:
    """Price all lines that can be placed, in one query."""
    wanted = {line.request.service.pk for line in lines if line.request}
    terms = pricing.load_terms(user_id, wanted)
    priced = []
    for line in lines:
        if line.request and line.request.service.pk in terms:
            quote = pricing.quote(terms[line.request.service.pk], line.request.units)
            priced.append(replace(line, rate=quote.rate, charge=quote.charge))
        elif line.request:
            priced.append(replace(line, error=UserError("Service is not available", field="service")))
        else:
            priced.append(line)
    return priced


def _place(user_id: int, line: Line, rates: Mapping[int, Decimal]) -> Line:
    if line.request is None:
        return line
    rate = rates.get(line.request.service.pk)
    if rate is None:
        return replace(line, error=UserError(NOT_CHECKED))
    try:
        placed = placing.place_order(user_id, line.request, idempotency_key=line.key, quoted_rate=rate)
    except UserError as error:
        return replace(line, error=error)
    return replace(line, order_id=placed)


def _read_rates(text: str) -> dict[int, Decimal]:
    """Read the rates that a page showed; what is none is left out."""
    rates = {}
    for part in text.split():
        service, _, rate = part.partition("=")
        number = read_id(service)
        try:
            shown = Decimal(rate)
        except InvalidOperation:
            continue
        if number is not None and shown.is_finite():
            rates[number] = shown
    return rates


def _tell_charges(lines: Sequence[Line]) -> list[Line]:
    """Tell what the orders that were placed have cost, in one query."""
    found = Order.objects.filter(pk__in=[line.order_id for line in lines if line.order_id])
    charges = dict(found.values_list("pk", "charge"))
    return [replace(line, charge=charges[line.order_id]) if line.order_id in charges else line for line in lines]


def _add(lines: Iterable[Line]) -> Decimal:
    return sum((line.charge for line in lines if line.charge is not None), Decimal(0))
