"""The action `updates`, an extension of ours: what changed in the list of services, at list prices."""

import datetime
from collections.abc import Mapping

from django.utils.dateparse import parse_datetime

from accounts.errors import UserError
from accounts.requests import read_id
from catalog import updates
from orders.reading import present

LIMIT, USUAL_LIMIT = 500, 100


def list_updates(values: Mapping[str, str]) -> list[dict[str, object]]:
    """List changes, newest first: at most `limit` of them, none from before `since`. One query.

    Raises UserError for a `limit` or a `since` that says nothing.
    """
    limit = read_id(present(values, "limit") or str(USUAL_LIMIT))
    if not limit:
        raise UserError("Incorrect limit", field="limit")
    if limit > LIMIT:
        raise UserError(f"Limit of {LIMIT} updates exceeded", field="limit")
    since = present(values, "since")
    found = updates.read_since(_read_moment(since) if since else None, limit)
    return [{**change._asdict(), "at": f"{change.at:%Y-%m-%dT%H:%M:%SZ}"} for change in found]


def _read_moment(text: str) -> datetime.datetime:
    """Read seconds since 1970, or a date or a moment as ISO 8601 writes them; without a zone it is UTC."""
    seconds = read_id(text)
    try:
        moment = parse_datetime(text) if seconds is None else datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UserError("Incorrect since", field="since") from error
    if moment is None:
        raise UserError("Incorrect since", field="since")
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
