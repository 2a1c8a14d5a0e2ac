"""What an order must say, for the page and for `/api/v2` alike: one form per service type (PROTOCOL 2 and 12).

A form turns text into an OrderRequest, or raises UserError with the field's own words. Limits are checked here against
the service; price and balance are not (catalog/pricing.py, orders/placing.py).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from accounts.errors import UserError
from catalog.models import Service

LONGEST_LINK = 2048
LONGEST_COMMENTS = 1_000_000
INTEGER = re.compile(r"\s*\+?\d{1,12}\s*", re.ASCII)
LINE_BREAK = re.compile(r"\r\n|\r|\n|\\r\\n|\\n")  # also the two characters backslash and n (PROTOCOL 12)
INNER_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
# What asks for no drip-feed; anything else would deliver less than was asked for, so it is refused.
NOT_SPREAD = {"", "0", "1"}
ABSENT = {"", "undefined", "null"}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A valid order before it has a price; `details` are the parameters of its type that go upstream as they are."""

    service: Service
    link: str
    units: int
    details: Mapping[str, str] = field(default_factory=dict)


def present(values: Mapping[str, str], name: str) -> str:
    """Return a parameter without outer blanks; the literals that clients send for nothing count as absent."""
    text = values.get(name, "").strip()
    return "" if text.lower() in ABSENT else text


def parse_order(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Check an order's parameters for its service's type; raise UserError naming the first wrong one.

    The service as it is given decides: one with open limits reads a request that was valid once.
    """
    parse = FORMS.get(service.type)
    if parse is None:
        raise UserError("Incorrect service ID", field="service")
    return parse(service, values)


def parse_default(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read a link and a quantity (003_31070e689288a311.txt, `add`)."""
    link = parse_link(values)
    if present(values, "runs") not in NOT_SPREAD:
        raise UserError("Dripfeed is not supported by this service", field="runs")
    text = present(values, "quantity")
    if not INTEGER.fullmatch(text):
        raise UserError("Incorrect quantity", field="quantity")
    return OrderRequest(service, link, check_limits(service, int(text), "quantity"))


def parse_package(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read a link alone; the quantity is one whole."""
    return OrderRequest(service, parse_link(values), 1)


def parse_custom_comments(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read a link and one comment per line; the quantity is the number of lines that are not blank."""
    link = parse_link(values)
    lines = split_lines(values.get("comments", ""))
    if not lines:
        raise UserError("Incorrect comments", field="comments")
    units = check_limits(service, len(lines), "comments")
    return OrderRequest(service, link, units, {"comments": "\n".join(lines)})


FORMS: dict[str, Callable[[Service, Mapping[str, str]], OrderRequest]] = {
    Service.Type.DEFAULT: parse_default,
    Service.Type.PACKAGE: parse_package,
    Service.Type.CUSTOM_COMMENTS: parse_custom_comments,
}


def parse_link(values: Mapping[str, str]) -> str:
    """Return the link; handles and numbers are links too, blanks and control characters inside one are not."""
    link = present(values, "link")
    if not link or len(link) > LONGEST_LINK or INNER_SPACE.search(link):
        raise UserError("Invalid link", field="link")
    return link


def split_lines(text: str) -> list[str]:
    """Split a list at line breaks, never at commas; trim, and drop blank lines (PROTOCOL 1.5)."""
    if text.strip().lower() in ABSENT or len(text) > LONGEST_COMMENTS:
        return []
    return [line.replace("\x00", "").strip() for line in LINE_BREAK.split(text) if line.strip()]


def check_limits(service: Service, units: int, name: str) -> int:
    """Return the units when the service takes so many; raise UserError in the wire's words otherwise."""
    if units < service.min:
        raise UserError(f"Quantity less than minimal {service.min}", field=name)
    if units > service.max:
        raise UserError(f"Quantity more than maximum {service.max}", field=name)
    return units
