"""What an order must say, for the page and for `/api/v2` alike: one form per service type (PROTOCOL 2 and 12).

A form turns text into an OrderRequest, or raises UserError with the field's own words. Limits are checked here against
the service; price and balance are not (catalog/pricing.py, orders/placing.py).
"""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.utils import timezone

from accounts.errors import UserError
from catalog.models import Service

LONGEST_LINK = 2048
LONGEST_COMMENTS = 1_000_000
INTEGER = re.compile(r"\s*\+?\d{1,12}\s*", re.ASCII)
LINE_BREAK = re.compile(r"\r\n|\r|\n|\\r\\n|\\n")  # also the two characters backslash and n (PROTOCOL 12)
INNER_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
# One run, or none that is named, is no drip-feed.
NOT_SPREAD = {"", "0", "1"}
MOST_RUNS, LONGEST_GAP = 1000, 10_080  # minutes in a week (PROTOCOL 9)
MOST_POSTS = 10_000
MOST_UNITS = 10**12
USERNAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
DATES = (
    re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})", re.ASCII),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})", re.ASCII),
)
# Minutes between a post and its delivery (PROTOCOL 2.3).
DELAYS = (0, 5, 10, 15, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420, 480, 540, 600)
ABSENT = {"", "undefined", "null"}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A valid order before it has a price; `details` are the parameters of its type that go upstream as they are.

    `units` is what is charged for, over all `parts`, the runs or posts that it is spread over.
    """

    service: Service
    link: str
    units: int
    details: Mapping[str, str] = field(default_factory=dict)
    parts: int = 1

    @property
    def is_spread(self) -> bool:
        """Whether it comes in runs or posts, be it a single post."""
        return self.parts > 1 or self.service.type == Service.Type.SUBSCRIPTIONS


def present(values: Mapping[str, str], name: str) -> str:
    """Return a parameter without outer blanks; the literals that clients send for nothing count as absent."""
    text = values.get(name, "").strip()
    return "" if text.lower() in ABSENT else text


def parse_order(service: Service, values: Mapping[str, str], *, today: datetime.date | None = None) -> OrderRequest:
    """Check an order's parameters for its service's type; raise UserError naming the first wrong one.

    The service as it is given decides, and the day: one with open limits, on an early day, reads a request that was
    valid once.
    """
    parse = FORMS.get(service.type)
    if parse is None:
        raise UserError("Incorrect service ID", field="service")
    request = parse(service, values)
    expiry = read_date(request.details.get("expiry", ""))
    if expiry is not None and expiry < (today or timezone.localdate()):
        raise UserError("Incorrect expiry", field="expiry")
    return request


def parse_default(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read a link and a quantity (003_31070e689288a311.txt, `add`), and runs where the service can be spread."""
    link = parse_link(values)
    runs = present(values, "runs")
    if runs not in NOT_SPREAD and not service.dripfeed:
        raise UserError("Dripfeed is not supported by this service", field="runs")
    quantity = parse_number(values, "quantity")
    if runs in NOT_SPREAD:
        if service.dripfeed and not runs and present(values, "interval") not in {"", "0"}:
            raise UserError("Incorrect runs", field="runs")
        return OrderRequest(service, link, check_limits(service, quantity, "quantity"))
    return _spread(service, link, quantity, values)


def _spread(service: Service, link: str, quantity: int, values: Mapping[str, str]) -> OrderRequest:
    """Read runs and interval; each run reaches the least quantity, and all together keep the largest (PROTOCOL 9)."""
    runs = parse_number(values, "runs", least=2, most=MOST_RUNS)
    interval = parse_number(values, "interval", least=1, most=LONGEST_GAP)
    check_limits(service, quantity, "quantity")
    units = check_limits(service, quantity * runs, "quantity")
    details = {"quantity": str(quantity), "runs": str(runs), "interval": str(interval)}
    return OrderRequest(service, link, units, details, parts=runs)


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


def parse_subscription(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read whose posts are served, how many and with how much each; what is paid for is the most it may come to.

    Limits are for one post. Without a number of posts there would be no most, so it is wanted (PROTOCOL 2.3, model B).
    """
    username = present(values, "username").removeprefix("@")
    if not USERNAME.fullmatch(username):
        raise UserError("Incorrect username", field="username")
    least = parse_number(values, "min", least=service.min, most=service.max)
    most = parse_number(values, "max", least=least, most=service.max)
    posts = parse_number(values, "posts", least=1, most=MOST_POSTS)
    old_posts = parse_number(values, "old_posts", most=MOST_POSTS) if present(values, "old_posts") else 0
    if (posts + old_posts) * most > MOST_UNITS:
        raise UserError("Incorrect max", field="max")
    delay = parse_number(values, "delay")
    if delay not in DELAYS:
        raise UserError("Incorrect delay", field="delay")
    details = {"username": username, "min": str(least), "max": str(most), "posts": str(posts), "delay": str(delay)}
    if old_posts:
        details["old_posts"] = str(old_posts)
    if present(values, "expiry"):
        details["expiry"] = parse_date(values, "expiry").strftime("%d/%m/%Y")
    parts = posts + old_posts
    return OrderRequest(service, username, parts * most, details, parts=parts)


FORMS: dict[str, Callable[[Service, Mapping[str, str]], OrderRequest]] = {
    Service.Type.DEFAULT: parse_default,
    Service.Type.PACKAGE: parse_package,
    Service.Type.CUSTOM_COMMENTS: parse_custom_comments,
    Service.Type.SUBSCRIPTIONS: parse_subscription,
}


def parse_link(values: Mapping[str, str]) -> str:
    """Return the link; handles and numbers are links too, blanks and control characters inside one are not."""
    link = present(values, "link")
    if not link or len(link) > LONGEST_LINK or INNER_SPACE.search(link):
        raise UserError("Invalid link", field="link")
    return link


def parse_number(values: Mapping[str, str], name: str, *, least: int = 0, most: int = MOST_UNITS) -> int:
    """Return a whole number between two limits; raise UserError with the field's own words."""
    text = present(values, name)
    if not INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise UserError(f"Incorrect {name}", field=name)
    return int(text)


def parse_date(values: Mapping[str, str], name: str) -> datetime.date:
    """Return a day; raise UserError with the field's own words."""
    day = read_date(present(values, name))
    if day is None:
        raise UserError(f"Incorrect {name}", field=name)
    return day


def read_date(text: str) -> datetime.date | None:
    """Return the day that a text names as d/m/Y or Y-m-d; None when it names none (PROTOCOL 1.5)."""
    for form in DATES:
        found = form.fullmatch(text)
        if found:
            try:
                return datetime.date(**{name: int(number) for name, number in found.groupdict().items()})
            except ValueError:
                return None
    return None


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
