"""One parameter of an order: its text as it goes upstream, or a UserError in the field's own words (PROTOCOL 1.5).

Limits that are the service's own are checked here too; which parameters an order has is told by orders/forms.py.
"""

import datetime
import re
from collections.abc import Mapping

from accounts.errors import UserError
from catalog.models import Service

LONGEST_LINK = 2048
LONGEST_TEXT = 200
LONGEST_LIST = 1_000_000
MOST_UNITS = 10**12
INTEGER = re.compile(r"\s*\+?\d{1,12}\s*", re.ASCII)
LINE_BREAK = re.compile(r"\r\n|\r|\n|\\r\\n|\\n")  # also the two characters backslash and n (PROTOCOL 12)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
INNER_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
DATES = (
    re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})", re.ASCII),
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})", re.ASCII),
)
ABSENT = {"", "undefined", "null"}
# What other panels call the same (PROTOCOL 1.4).
ALIASES = {"comments": "customComments", "answer_number": "answers_number", "media": "media_url"}
# The parameters that are lists.
LISTS = frozenset({"comments", "usernames", "hashtags", "keywords", "groups", "list", "suggest", "search"})
# Numbers that stand for a choice, each from 1.
LAST_CHOICES = {"answer_number": 1000, "device": 5, "type_of_traffic": 3}


def present(values: Mapping[str, str], name: str) -> str:
    """Return a parameter without outer blanks; the literals that clients send for nothing count as absent."""
    text = values.get(name, "").strip()
    return "" if text.lower() in ABSENT else text


def rename(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return parameters under the names that we know them by; one that is given under both counts by ours."""
    renamed = {name: values[alias] for name, alias in ALIASES.items() if alias in values and not present(values, name)}
    return {**values, **renamed} if renamed else values


def parse_link(values: Mapping[str, str]) -> str:
    """Return the link; handles and numbers are links too, blanks and control characters inside one are not."""
    link = present(values, "link")
    if not link or len(link) > LONGEST_LINK or INNER_SPACE.search(link):
        raise UserError("Invalid link", field="link")
    return link


def parse_word(values: Mapping[str, str], name: str) -> str:
    """Return an address, a name or a tag, which has no blanks inside; raise UserError with the field's own words."""
    text = present(values, name)
    if not text or len(text) > LONGEST_LINK or INNER_SPACE.search(text):
        raise UserError(f"Incorrect {name}", field=name)
    return text


def parse_text(values: Mapping[str, str], name: str) -> str:
    """Return some words on one line; raise UserError with the field's own words."""
    text = present(values, name)
    if not text or len(text) > LONGEST_TEXT or CONTROL.search(text):
        raise UserError(f"Incorrect {name}", field=name)
    return text


def parse_lines(values: Mapping[str, str], name: str) -> str:
    """Return a list, one item to a line and at least one; raise UserError with the field's own words."""
    lines = split_lines(values.get(name, ""))
    # A comment may hold anything; names and words that cannot be read would be lost on their way.
    if not lines or (name != "comments" and any(CONTROL.search(line) for line in lines)):
        raise UserError(f"Incorrect {name}", field=name)
    return "\n".join(lines)


def parse_choice(values: Mapping[str, str], name: str) -> str:
    """Return the number of a choice; raise UserError with the field's own words."""
    return str(parse_number(values, name, least=1, most=LAST_CHOICES[name]))


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
    if text.strip().lower() in ABSENT or len(text) > LONGEST_LIST:
        return []
    return [line.strip() for line in LINE_BREAK.split(text.replace("\x00", "")) if line.strip()]


def check_limits(service: Service, units: int, name: str) -> int:
    """Return the units when the service takes so many; raise UserError in the wire's words otherwise."""
    if units < service.min:
        raise UserError(f"Quantity less than minimal {service.min}", field=name)
    if units > service.max:
        raise UserError(f"Quantity more than maximum {service.max}", field=name)
    return units
