"""How providers differ, as data: the switches of PROTOCOL 10 and the presets for the known families."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Dialect:
    """What must be known about a provider beyond its address and key; the defaults are the PerfectPanel family's."""

    encoding: str = "form"
    method: str = "POST"
    # In the body under a name, or in one of the two HEADERS.
    key_in: str = "body:key"
    # Ids per call of status, refill, cancel and product_order_status; 1 = the provider knows no batches.
    batch_size: int = 100
    batch_action: str = "status"
    status_id_param: str = "order"
    # The action that lists our latest orders; "none" = there is none.
    list_orders: str = "none"
    # The IANA name of the zone in which times without an offset are written; empty = unknown, and so are those times.
    time_zone: str = ""
    # The parameter of `add` that makes a second sending harmless; empty = there is none.
    idempotency_param: str = ""
    charge_semantics: str = "unknown"
    # Empty = whatever `balance` says.
    currency: str = ""
    refill_multi: str = "list"
    refill_flag_map: str = "bool"
    # The parameter of `cancel`; "none" = the provider has no such action.
    cancel: str = "orders"
    products: bool = False
    result_product: bool = False
    package_price: str = "flat"
    posts_zero: str = "forbidden"
    fail_policy: str = "hold"
    numeric_status_map: Mapping[str, str] = field(default_factory=dict)
    type_overrides: Mapping[str, str] = field(default_factory=dict)
    service_param_overrides: Mapping[str, Any] = field(default_factory=dict)
    expiry_format: str = "d/m/Y"
    duplicate_link: str = "unknown"
    max_body_mb: int = 64


CHOICES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "encoding": frozenset({"form", "json", "multipart", "query"}),
        "method": frozenset({"POST", "GET"}),
        "batch_action": frozenset({"status", "orders", "statuses", "multi_status"}),
        "status_id_param": frozenset({"order", "id"}),
        "list_orders": frozenset({"none", "orders"}),
        "charge_semantics": frozenset({"unknown", "gross", "net", "rate", "none"}),
        "refill_multi": frozenset({"list", "scalar", "per-order"}),
        "refill_flag_map": frozenset({"bool", "tri-state"}),
        "cancel": frozenset({"none", "orders", "order"}),
        "package_price": frozenset({"flat", "min"}),
        "posts_zero": frozenset({"forbidden", "unlimited", "none"}),
        "fail_policy": frozenset({"hold", "refund"}),
        "expiry_format": frozenset({"d/m/Y", "Y-m-d"}),
        "duplicate_link": frozenset({"unknown", "denied", "allowed"}),
    },
)
HEADERS = frozenset({"header:Authorization", "header:X-Api-Key"})

PERFECTPANEL = Dialect()
ONE_DG = Dialect(cancel="none", refill_multi="scalar", charge_semantics="net", products=True, result_product=True)

DIALECTS: dict[str, Dialect] = {
    # 003_31070e689288a311.txt, 004_72bf84db900f01bc.txt, and whatever nothing is known about
    "perfectpanel": PERFECTPANEL,
    # 000_fa79b687568cfb1d.txt, 001_0d7708dbe0f379e6.txt, 002_f802ba56adcaf7c9.txt
    "1dg": ONE_DG,
    "smartpanel": Dialect(cancel="none", refill_multi="per-order", charge_semantics="net"),
    "notpanel": Dialect(idempotency_param="request_id", package_price="min", cancel="none"),
    # This very panel: it drops an `add` that it has seen, and it reports what the customer paid in the end.
    "panel": Dialect(idempotency_param="idempotency_key", charge_semantics="net", products=True, result_product=True),
}


def dialect(name: str, overrides: Mapping[str, Any] | None = None) -> Dialect:
    """Return a preset with single flags changed; raises ValueError naming the unknown preset, flag or value."""
    if name not in DIALECTS:
        raise ValueError(f"'{name}' is no dialect; known: {', '.join(DIALECTS)}")
    changes = dict(overrides or {})
    defaults = {item.name: getattr(PERFECTPANEL, item.name) for item in fields(Dialect)}
    for flag, value in changes.items():
        if flag not in defaults:
            raise ValueError(f"'{flag}' is no flag of a dialect; known: {', '.join(defaults)}")
        if not _fits(flag, value, defaults[flag]):
            raise ValueError(f"{value!r} is no value for the flag '{flag}'{_allowed(flag)}")
    return replace(DIALECTS[name], **changes)


def _fits(flag: str, value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if isinstance(default, Mapping):
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if not isinstance(value, str):
        return False
    if flag in CHECKS:
        return CHECKS[flag](value)
    return flag not in CHOICES or value in CHOICES[flag]


def _is_place_of_key(value: str) -> bool:
    return value in HEADERS or (value.startswith("body:") and len(value) > len("body:"))


def _is_time_zone(name: str) -> bool:
    if not name:
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # A path that leads out of theirs is a ValueError, and a folder an OSError where zones come from tzdata's wheel.
        return False
    return True


CHECKS: Mapping[str, Callable[[str], bool]] = MappingProxyType({"key_in": _is_place_of_key, "time_zone": _is_time_zone})


def _allowed(flag: str) -> str:
    if flag == "time_zone":
        return "; known: the names of the IANA time zones, such as Europe/Berlin"
    return f"; known: {', '.join(sorted(CHOICES[flag]))}" if flag in CHOICES else ""
