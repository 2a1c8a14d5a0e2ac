"""Placing an order in the sandbox: what each type of service needs, and the refusals of PROTOCOL 4.

All of it expects the world's lock.
"""

import datetime
import re
from decimal import Decimal
from typing import Any

from catalog.providers.sandbox.catalogue import NEEDED_BY_TRAFFIC, SUBSCRIPTIONS, TRAFFIC, WEB_TRAFFIC_FIELDS
from catalog.providers.sandbox.life import fragment, rounded
from catalog.providers.sandbox.spreading import POSTS, RUNS, UNDER_WAY, expiry
from catalog.providers.sandbox.world import Sandbox

LINK_LIMIT = 2048
REFUSED_BY_FRAGMENT = {
    "refuse-link": "Invalid link",
    "refuse-service": "Incorrect service ID",
    "no-funds": "Not enough funds on balance",
}
# PROTOCOL 2: the types that are sold whole, and those whose quantity is the number of lines of a list.
PACKAGES = ("Package", "Custom Comments Package")
LISTS = {"Custom Comments": "comments", "Comment Replies": "comments", "Mentions Custom List": "usernames"}
# PROTOCOL 2.3, minutes
DELAYS = (0, 5, 10, 15, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420, 480, 540, 600)


class RefusedError(Exception):
    """The call is refused; the text is what the caller reads."""


def add(world: Sandbox, params: dict[str, str]) -> dict[str, int]:
    known = world.register.keyed(params) if world.habits.remembers_keys else None
    if known is not None:
        return {"order": int(known.id)}
    service = next((row for number, row in world.services.items() if str(number) == params.get("service")), None)
    if service is None:
        raise RefusedError("Incorrect service ID")
    wanted = subscribed(world, service, params) if service["type"] == SUBSCRIPTIONS else ordered(service, params)
    if wanted["gross"] > world.balance:
        raise RefusedError("Not enough funds on balance")
    sent = {name: value for name, value in params.items() if name != "key"}
    return {"order": int(world.take(service=int(service["service"]), params=sent, **wanted).id)}


def ordered(service: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
    """Read an order for a link, at once or by drip-feed, as fields of SandboxOrder; raises RefusedError."""
    link = params.get("link", "").strip()
    if not link or len(link) > LINK_LIMIT or re.search(r"[\s\x00-\x1f]", link):
        raise RefusedError("Invalid link")
    if fragment(link) in REFUSED_BY_FRAGMENT:
        raise RefusedError(REFUSED_BY_FRAGMENT[fragment(link)])
    kind = str(service["type"])
    comments = listed(params, "comments")
    if kind == "Web Traffic":
        demand_traffic_fields(params)
    if kind == "Custom Comments Package" and not comments:
        raise RefusedError("Incorrect comments")
    quantity, runs = ordered_quantity(service, params)
    spread = {"spread": RUNS, "parts": runs} if runs > 1 else {}
    units = 1 if kind in PACKAGES else Decimal(quantity * runs) / 1000
    gross = rounded(Decimal(str(service["rate"])) * units)
    return {"link": link, "quantity": quantity * runs, "comments": comments, "gross": gross, **spread}


def subscribed(world: Sandbox, service: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
    """Read a subscription, paid in advance for the most that it can take, as `ordered` does (PROTOCOL 2.3, model B)."""
    account = params.get("username", "")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", account):
        raise RefusedError("Incorrect username")
    least = whole(params.get("min", ""), "Incorrect min")
    most = whole(params.get("max", ""), "Incorrect max")
    if least < int(service["min"]):
        raise RefusedError("Incorrect min")
    if not least <= most <= int(service["max"]):
        raise RefusedError("Incorrect max")
    posts = whole(params.get("posts", ""), "Incorrect posts")
    if not posts or not (params.get("old_posts") or "0").isdecimal():
        raise RefusedError("Incorrect posts")
    if whole(params.get("delay", ""), "Incorrect delay") not in DELAYS:
        raise RefusedError("Incorrect delay")
    last = expiry(params.get("expiry", ""))
    today = datetime.datetime.fromtimestamp(world.clock(), datetime.UTC).date()
    if params.get("expiry") and (last is None or last < today):
        raise RefusedError("Incorrect expiry")
    gross = rounded(Decimal(str(service["rate"])) * posts * most / 1000)
    spread = {"spread": POSTS, "parts": posts, "status": UNDER_WAY[POSTS]}
    return {"link": account, "quantity": posts * most, "comments": [], "gross": gross, **spread}


def ordered_quantity(service: dict[str, Any], params: dict[str, str]) -> tuple[int, int]:
    """Count what is ordered per run, and the runs, within the service's limits (PROTOCOL 2); raises RefusedError."""
    if service["type"] in PACKAGES:
        return 1, 1
    name = LISTS.get(str(service["type"]), "")
    if name:
        quantity, runs = len(listed(params, name)), 1
        if not quantity:
            raise RefusedError("Incorrect comments" if name == "comments" else f"Missing required parameter: {name}")
    else:
        quantity = whole(params.get("quantity", ""), "Incorrect quantity")
        runs = ordered_runs(service, params)
    if quantity < int(service["min"]):
        raise RefusedError(f"Quantity less than minimal {service['min']}")
    if quantity * runs > int(service["max"]):
        raise RefusedError(f"Quantity more than maximum {service['max']}")
    return quantity, runs


def listed(params: dict[str, str], name: str) -> list[str]:
    """Read a list that comes line by line, without its blank lines."""
    return [line.strip() for line in re.split(r"\r\n|\r|\n", params.get(name, "")) if line.strip()]


def ordered_runs(service: dict[str, Any], params: dict[str, str]) -> int:
    """Read runs and interval, which come together or not at all; raises RefusedError."""
    if not params.get("runs") and not params.get("interval"):
        return 1
    if service.get("dripfeed") is False:
        raise RefusedError("Dripfeed is not supported by this service")
    runs = whole(params.get("runs", ""), "Incorrect runs")
    if runs < 2:
        raise RefusedError("Incorrect runs")
    if whole(params.get("interval", ""), "Incorrect interval") < 1:
        raise RefusedError("Incorrect interval")
    return runs


def demand_traffic_fields(params: dict[str, str]) -> None:
    """Look for what web traffic needs beside link and quantity; raises RefusedError."""
    needed = (*WEB_TRAFFIC_FIELDS, NEEDED_BY_TRAFFIC.get(params.get(TRAFFIC, ""), TRAFFIC))
    if params.get(TRAFFIC) not in NEEDED_BY_TRAFFIC or not all(params.get(name, "").strip() for name in needed):
        raise RefusedError("Incorrect request")


def whole(text: str, error: str) -> int:
    """Read a whole number without sign or separators; raises RefusedError with the given text."""
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise RefusedError(error)
    return int(text)
