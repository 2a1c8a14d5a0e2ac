"""How the differences of a sync read to people, on the page and in a shell: before, after, and the margin after."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.money import EXACT
from catalog import comparing, pricing
from catalog.comparing import FIELDS, HUNDRED, Difference
from catalog.models import Provider, ProviderService, Route, SyncChange
from catalog.pricing import Terms

Kind = SyncChange.Kind
NOTHING = "–"
LONGEST_TEXT = 120
LABELS: Mapping[str, str | Promise] = {
    "name": gettext_lazy("name"),
    "type": gettext_lazy("type"),
    "category": gettext_lazy("category"),
    "rate": gettext_lazy("rate"),
    "min": gettext_lazy("min"),
    "max": gettext_lazy("max"),
    "refill": gettext_lazy("refill"),
    "cancel": gettext_lazy("cancel"),
    "dripfeed": gettext_lazy("drip-feed"),
    "description": gettext_lazy("description"),
    "require": gettext_lazy("the buyer must enter"),
}
# What is new is told by what a customer would ask for first.
OF_NEW = ("category", "rate", "min", "max")
OF_NEW_PRODUCT = ("type", *OF_NEW, "require")
COUNTED: Mapping[str, str | Promise] = {
    **{kind.value: kind.label for kind in Kind},
    "up": gettext_lazy("Rates up"),
    "down": gettext_lazy("Rates down"),
    "skipped": gettext_lazy("Rows that make no sense"),
    "missed": gettext_lazy("Changed meanwhile"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a difference; `change` is by how much a rate moves."""

    label: str
    before: str
    after: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One difference in words; `margin` is what is left at the list price when the provider is paid the new rate.

    It is empty for what nobody sells.
    """

    change: SyncChange | Difference
    fields: list[Field]
    note: str
    margin: str
    is_loss: bool


def tell(provider: Provider, changes: Sequence[SyncChange | Difference], *, is_product: bool = False) -> list[Line]:
    """Return differences in words, of services or of products. Three queries, however many they are."""
    terms = _read_terms(provider, {change.remote_id for change in changes}, is_product=is_product)
    return [_tell_one(provider, change, terms.get(change.remote_id, [])) for change in changes]


def tell_counts(counts: Mapping[str, Any]) -> str:
    """Return the counts of a sync in one line; what is none is left out."""
    told = [f"{label}: {counts[name]}" for name, label in COUNTED.items() if counts.get(name)]
    return ", ".join(told) or _("Nothing differed")


def _tell_one(provider: Provider, change: SyncChange | Difference, terms: Collection[Terms]) -> Line:
    if change.kind == Kind.NEW:
        names: Collection[str] = OF_NEW_PRODUCT if "require" in change.after else OF_NEW
    else:
        names = [name for name in FIELDS if name in change.after]
    fields = [_tell_field(provider, change, name) for name in names]
    margin = None
    if change.kind != Kind.VANISHED:
        margin = min((_margin(one, change.after.get("rate")) for one in terms), default=None)
    told = "" if margin is None else f"{margin:.1f} %"
    return Line(change, fields, _tell_note(change), told, is_loss=margin is not None and margin < 0)


def _tell_field(provider: Provider, change: SyncChange | Difference, name: str) -> Field:
    before, after = (_tell_value(values.get(name)) for values in (change.before, change.after))
    if name != "rate":
        return Field(str(LABELS[name]), before, after)
    moved = comparing.rate_change(change)
    percent = "" if moved is None else f"{moved:+,.1f} %"
    return Field(str(LABELS[name]), before, f"{after} {provider.currency}", percent)


def _tell_value(value: object) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = str(value)
    return f"{text[:LONGEST_TEXT]}…" if len(text) > LONGEST_TEXT else text


def _tell_note(change: SyncChange | Difference) -> str:
    if change.after.get("skipped"):
        return _("Something else has changed it meanwhile: left as it is.")
    if change.kind == Kind.VANISHED:
        why = change.after.get("why")
        return _("Listed, but not as it could be sold: %s.") % why if why else _("Not listed any more.")
    if change.kind == Kind.REUSED:
        return _("The ID stands for something else now: not sold until you confirm it.")
    return _("Listed again: what we sell of it waits until you confirm it.") if change.kind == Kind.BACK else ""


def _margin(terms: Terms, rate: str | None) -> Decimal:
    """Return what share of the list price is left at a rate of the provider, in percent."""
    after = terms if rate is None else replace(terms, provider_rate=Decimal(rate))
    price = pricing.list_rate(after)
    left = EXACT.subtract(price, pricing.cost_rate(after))
    return EXACT.divide(EXACT.multiply(left, HUNDRED), price)


def _read_terms(provider: Provider, remote_ids: Collection[str], *, is_product: bool) -> dict[str, list[Terms]]:
    """Return the terms of what is sold now by the provider's rows with these ids, at the list price."""
    rows = ProviderService.objects.filter(
        provider=provider, is_product=is_product, remote_id__in=remote_ids, routes__enabled=True
    )
    ids = dict(rows.values_list("pk", "remote_id"))
    services = Route.objects.filter(provider_service__in=list(ids)).values_list("service", flat=True)
    found = defaultdict(list)
    for terms in pricing.load_terms(None, set(services)).values():
        if terms.provider_service_id in ids:
            found[ids[terms.provider_service_id]].append(terms)
    return found


def write_fields(line: Line) -> str:
    """Write the fields of a difference for a shell."""
    parts = [
        f"{field.label}: {field.after if line.change.kind == Kind.NEW else f'{field.before} → {field.after}'}"
        + (f" ({field.change})" if field.change else "")
        for field in line.fields
    ]
    return "; ".join([*parts, *filter(None, [line.note])])
