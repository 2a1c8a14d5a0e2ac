"""Reading a provider's list of our latest orders (PROTOCOL 1.4, 6.2).

No panel documents its shape, so all that have been seen in other lists are taken.
"""

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from catalog.providers import amounts
from catalog.providers.fields import ID_NAMES, Misshapen, first_id, folded, text_of
from catalog.providers.replies import RecentOrder

# 2,048 characters of a link, some of them escaped.
LONGEST_LINK = 4096
SECONDS = range(10**9, 10**10)
MILLISECONDS = range(10**12, 10**13)

_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)\s?"
    r"(?P<offset>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII | re.IGNORECASE,
)


def orders(value: Any, zone: datetime.tzinfo | None) -> tuple[RecentOrder, ...]:
    """Read a list of orders; raises Misshapen when it is none. A row without an id is dropped.

    Times without an offset are in `zone`, and unknown without one.
    """
    rows = (_order(key, folded(item), zone) for key, item in _listed(value) if isinstance(item, Mapping))
    return tuple(row for row in rows if row.order_id)


def _order(key: str, row: Mapping[str, Any], zone: datetime.tzinfo | None) -> RecentOrder:
    times = (_time(row.get(name), zone) for name in ("created_at", "created", "date", "time"))
    return RecentOrder(
        order_id=first_id(row, ID_NAMES) or first_id({"key": key}, ("key",)),
        service=first_id(row, ("service", "service_id")),
        link=text_of(row.get("link"), longest=LONGEST_LINK) or text_of(row.get("url"), longest=LONGEST_LINK),
        quantity=amounts.count(row.get("quantity", row.get("amount"))),
        created_at=next((time for time in times if time), None),
    )


def _listed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a list, of a list inside an envelope, or of an object keyed by id."""
    if isinstance(value, list):
        yield from (("", item) for item in value)
        return
    row = folded(value) if isinstance(value, Mapping) else {}
    for name in ("data", "orders"):
        if isinstance(row.get(name), list | Mapping):
            yield from _listed(row[name])
            return
    if not isinstance(value, Mapping) or not all(isinstance(item, Mapping) for item in value.values()):
        raise Misshapen("The answer is no list")
    yield from value.items()


def _time(value: Any, zone: datetime.tzinfo | None) -> datetime.datetime | None:
    number = amounts.optional(value)
    if number is not None:
        whole = int(number)
        seconds = number if whole in SECONDS else number / 1000 if whole in MILLISECONDS else None
        return None if seconds is None else datetime.datetime.fromtimestamp(float(seconds), datetime.UTC)
    match = _TIME.fullmatch(text_of(value))
    if match is None:
        return None
    offset = (match["offset"] or "").upper()
    try:
        time = datetime.datetime.fromisoformat(f"{match['date']}T{match['time']}{offset if offset[:1] in '+-' else ''}")
        if not offset:
            time = time.replace(tzinfo=zone)
        elif time.tzinfo is None:
            time = time.replace(tzinfo=datetime.UTC)
        return time.astimezone(datetime.UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        # The 30th of February, midnight of year nought, and the edges of the calendar.
        return None
