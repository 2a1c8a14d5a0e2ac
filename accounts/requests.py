"""What a page's view is given: the signed-in customer and htmx's headers, told to the type checker once."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django_htmx.middleware import HtmxDetails

from accounts.models import User

LONGEST_ID = 18  # digits; any such number fits a bigint
LONGEST_SEARCH = 200


class CustomerRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User
    htmx: HtmxDetails


def read_values(query: QueryDict) -> dict[str, str]:
    """Return each parameter's last value."""
    return {name: str(query.get(name, "")) for name in query}


def read_id(text: str | None) -> int | None:
    """Return an id that came in an address, None when it is none."""
    if text and text.isascii() and text.isdigit() and len(text) <= LONGEST_ID:
        return int(text)
    return None


def read_search(text: str | None) -> str:
    """Return what a person searches for, without what a database cannot take."""
    return (text or "").replace("\x00", "").strip()[:LONGEST_SEARCH]


def read_address(meta: Mapping[str, Any]) -> str:
    """Return where a request comes from, behind a proxy what the proxy itself saw; empty when unknown.

    The proxy is the last to add to X-Forwarded-For; what stands before its word may be anybody's invention.
    """
    forwarded = meta.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    text = forwarded.rpartition(",")[2].strip() or meta.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)
