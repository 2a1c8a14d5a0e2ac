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
from catalog.kinds import SPREADABLE
from catalog.models import Service
from orders.reading import (
    CONTROL,
    MOST_UNITS,
    check_limits,
    parse_choice,
    parse_date,
    parse_lines,
    parse_link,
    parse_number,
    parse_text,
    parse_word,
    present,
    read_date,
    rename,
)

# One run, or none that is named, is no drip-feed.
NOT_SPREAD = {"", "0", "1"}
MOST_RUNS, LONGEST_GAP = 1000, 10_080  # minutes in a week (PROTOCOL 9)
MOST_POSTS = 10_000
LONGEST_REQUIRED = 1000
USERNAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# Minutes between a post and its delivery (PROTOCOL 2.3).
DELAYS = (0, 5, 10, 15, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420, 480, 540, 600)


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


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of a service type, and the one that says how much: its number, or its number of lines.

    Where none does, an order is one whole.
    """

    fields: tuple[str, ...]
    counted: str = "quantity"


FORMS: Mapping[str, Form] = {
    Service.Type.DEFAULT: Form(("link", "quantity")),
    Service.Type.PACKAGE: Form(("link",), counted=""),
    Service.Type.SEO: Form(("link", "keywords", "quantity")),
    Service.Type.CUSTOM_COMMENTS: Form(("link", "comments"), counted="comments"),
    Service.Type.CUSTOM_COMMENTS_PACKAGE: Form(("link", "comments"), counted=""),
    Service.Type.MENTIONS: Form(("link", "usernames", "quantity")),
    Service.Type.MENTIONS_WITH_HASHTAGS: Form(("link", "usernames", "hashtags", "quantity")),
    Service.Type.MENTIONS_CUSTOM_LIST: Form(("link", "usernames"), counted="usernames"),
    Service.Type.MENTIONS_HASHTAG: Form(("link", "hashtag", "quantity")),
    Service.Type.MENTIONS_USER_FOLLOWERS: Form(("link", "username", "quantity")),
    Service.Type.MENTIONS_MEDIA_LIKERS: Form(("link", "media", "quantity")),
    Service.Type.COMMENT_LIKES: Form(("link", "username", "quantity")),
    Service.Type.COMMENT_REPLIES: Form(("link", "username", "comments"), counted="comments"),
    Service.Type.POLL: Form(("link", "answer_number", "quantity")),
    Service.Type.INVITES_FROM_GROUPS: Form(("link", "groups", "quantity")),
    Service.Type.SUBSCRIPTIONS: Form(
        ("username", "min", "max", "posts", "old_posts", "delay", "expiry"), counted="max"
    ),
    Service.Type.WEB_TRAFFIC: Form(
        ("link", "country", "device", "type_of_traffic", "google_keyword", "referring_url", "quantity")
    ),
    Service.Type.SPECIAL_1DG: Form(("link", "list", "quantity")),
    Service.Type.SPECIAL_1_1DG: Form(("link", "suggest", "search", "quantity")),
}
DETAILS: Mapping[str, Callable[[Mapping[str, str], str], str]] = {
    "answer_number": parse_choice,
    "comments": parse_lines,
    "country": parse_text,
    "device": parse_choice,
    "google_keyword": parse_text,
    "groups": parse_lines,
    "hashtag": parse_word,
    "hashtags": parse_lines,
    "keywords": parse_lines,
    "list": parse_lines,
    "media": parse_word,
    "referring_url": parse_word,
    "search": parse_lines,
    "suggest": parse_lines,
    "type_of_traffic": parse_choice,
    "username": parse_word,
    "usernames": parse_lines,
}
# What goes with one kind of traffic alone (003_31070e689288a311.txt, `add`); with another it is not read.
ONLY_WITH = {"google_keyword": ("type_of_traffic", "1"), "referring_url": ("type_of_traffic", "2")}


def parse_order(service: Service, values: Mapping[str, str], *, today: datetime.date | None = None) -> OrderRequest:
    """Check an order's parameters for its service's type; raise UserError naming the first wrong one.

    The service as it is given decides, and the day: one with open limits, on an early day, reads a request that was
    valid once.
    """
    if service.is_product:
        return parse_product(service, values)
    form = FORMS.get(service.type)
    if form is None:
        raise UserError("Incorrect service ID", field="service")
    parse = parse_subscription if service.type == Service.Type.SUBSCRIPTIONS else parse_linked
    request = parse(service, rename(values))
    expiry = read_date(request.details.get("expiry", ""))
    if expiry is not None and expiry < (today or timezone.localdate()):
        raise UserError("Incorrect expiry", field="expiry")
    return request


def parse_product(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read how many pieces of a product are wanted, and what it requires (PROTOCOL 3.9)."""
    units = check_limits(service, parse_number(values, "quantity"), "quantity")
    if not service.product.require:
        return OrderRequest(service, "", units)
    required = "\n".join(present(values, "require").splitlines())
    if not required or len(required) > LONGEST_REQUIRED or CONTROL.search(required.replace("\n", " ")):
        raise UserError("Incorrect require", field="require")
    return OrderRequest(service, "", units, {"require": required})


def parse_linked(service: Service, values: Mapping[str, str]) -> OrderRequest:
    """Read a link and what else the service's type wants; the quantity is a number, a number of lines, or one whole."""
    form = FORMS[service.type]
    link = parse_link(values)
    details: dict[str, str] = {}
    for name in form.fields:
        needed, choice = ONLY_WITH.get(name, ("", ""))
        if name in DETAILS and details.get(needed, "") == choice:
            details[name] = DETAILS[name](values, name)
    if not form.counted:
        return OrderRequest(service, link, 1, details)
    if form.counted in details:
        lines = details[form.counted].count("\n") + 1
        return OrderRequest(service, link, check_limits(service, lines, form.counted), details)
    return _parse_quantity(service, link, details, values)


def _parse_quantity(service: Service, link: str, details: dict[str, str], values: Mapping[str, str]) -> OrderRequest:
    """Read a quantity, and runs where the service can be spread."""
    runs = present(values, "runs")
    spreadable = service.dripfeed and service.type in SPREADABLE
    if runs not in NOT_SPREAD and not spreadable:
        raise UserError("Dripfeed is not supported by this service", field="runs")
    quantity = parse_number(values, "quantity")
    if runs in NOT_SPREAD:
        if spreadable and not runs and present(values, "interval") not in {"", "0"}:
            raise UserError("Incorrect runs", field="runs")
        return OrderRequest(service, link, check_limits(service, quantity, "quantity"), details)
    return _spread(OrderRequest(service, link, quantity, details), values)


def _spread(run: OrderRequest, values: Mapping[str, str]) -> OrderRequest:
    """Read runs and interval; each run reaches the least quantity, and all together keep the largest (PROTOCOL 9)."""
    runs = parse_number(values, "runs", least=2, most=MOST_RUNS)
    interval = parse_number(values, "interval", least=1, most=LONGEST_GAP)
    check_limits(run.service, run.units, "quantity")
    units = check_limits(run.service, run.units * runs, "quantity")
    details = {**run.details, "quantity": str(run.units), "runs": str(runs), "interval": str(interval)}
    return OrderRequest(run.service, run.link, units, details, parts=runs)


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
