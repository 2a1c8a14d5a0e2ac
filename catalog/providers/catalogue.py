"""Reading the lists of services and products (PROTOCOL 3.1, 3.9, 6.5).

One bad row is skipped with its reason, never guessed at, and spoils no other.
"""

import html
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from catalog.providers import amounts, statuses
from catalog.providers.fields import Misshapen, first_id, flag, folded, text_of
from catalog.providers.replies import Catalogue, CatalogueRow, ProductCatalogue, ProductRow

MOST_ROWS = 100_000
LONGEST_DESCRIPTION = 20_000
# What a rate of 8 places can hold.
LARGEST_RATE = Decimal(10) ** 12
TRI_STATE: Mapping[str, bool] = {"0": False, "1": True, "2": True, "3": False}

Row = TypeVar("Row", CatalogueRow, ProductRow)


def services(value: Any, refill_flag_map: str) -> Catalogue:
    """Read a service list; raises Misshapen when it is none."""
    rows, skipped = _read(
        value, ("service", "service_id", "id"), lambda found, row: _service(found, row, refill_flag_map)
    )
    return Catalogue(rows, skipped)


def products(value: Any) -> ProductCatalogue:
    """Read a product list; raises Misshapen when it is none."""
    rows, skipped = _read(value, ("product", "product_id", "id"), _product)
    return ProductCatalogue(rows, skipped)


def _service(found: str, row: Mapping[str, Any], refill_flag_map: str) -> CatalogueRow:
    kind = text_of(row.get("type")) or "Default"
    least, most = _limits(row, package="package" in kind.lower())
    refill = row.get("refill")
    return CatalogueRow(
        service=found,
        name=_name(row),
        type=kind,
        category=html.unescape(text_of(row.get("category"))),
        rate=_rate(row),
        min=least,
        max=most,
        refill=TRI_STATE.get(text_of(refill), flag(refill)) if refill_flag_map == "tri-state" else flag(refill),
        cancel=flag(row.get("cancel")),
        dripfeed=flag(row.get("dripfeed")),
        description=text_of(row.get("desc") or row.get("description"), longest=LONGEST_DESCRIPTION),
    )


def _product(found: str, row: Mapping[str, Any]) -> ProductRow:
    least, most = _limits(row, package=False)
    return ProductRow(
        product=found,
        name=_name(row),
        require=text_of(row.get("require")),
        rate=_rate(row),
        min=least,
        max=most,
        category=html.unescape(text_of(row.get("category"))),
        in_stock=statuses.STOCK_WORDS.get(statuses.normalise(text_of(row.get("status")))),
        inventory=amounts.count(row.get("inventory")),
        type=text_of(row.get("type")),
    )


def _read(
    value: Any,
    names: tuple[str, ...],
    read_row: Callable[[str, Mapping[str, Any]], Row],
) -> tuple[tuple[Row, ...], tuple[tuple[str, str], ...]]:
    rows: dict[str, Row] = {}
    skipped: list[tuple[str, str]] = []
    for position, (key, item) in enumerate(_listed(value), start=1):
        if position > MOST_ROWS:
            raise Misshapen(f"The list has more than {MOST_ROWS} rows")
        row = folded(item) if isinstance(item, Mapping) else {}
        found = first_id(row, names) or (first_id({"key": key}, ("key",)) if row else "")
        if not found:
            skipped.append((f"#{position}", "no id" if row else "not an object"))
        elif found in rows:
            skipped.append((found, "the same id again"))
        else:
            try:
                rows[found] = read_row(found, row)
            except ValueError as error:
                skipped.append((found, str(error)))
    return tuple(rows.values()), tuple(skipped)


def _listed(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a list, of a list inside an envelope, or of an object keyed by id."""
    if isinstance(value, list):
        yield from (("", item) for item in value)
        return
    if not isinstance(value, Mapping):
        raise Misshapen("The answer is no list")
    row = folded(value)
    for name in ("services", "products", "data"):
        if isinstance(row.get(name), list | Mapping):
            yield from _listed(row[name])
            return
        # SmartPanel writes an empty list as {"status": "success", "data": "Empty Data"}.
        if name == "data" and text_of(row.get(name)).lower() == "empty data":
            return
    if not all(isinstance(item, Mapping) for item in value.values()):
        raise Misshapen("The answer is no list")
    yield from value.items()


def _name(row: Mapping[str, Any]) -> str:
    name = html.unescape(text_of(row.get("name")))
    if not name:
        raise ValueError("no name")
    return name


def _rate(row: Mapping[str, Any]) -> Decimal:
    try:
        rate = amounts.number(row.get("rate"))
    except ValueError as error:
        raise ValueError("bad rate") from error
    if not 0 <= rate < LARGEST_RATE:
        raise ValueError("bad rate")
    return rate


def _limits(row: Mapping[str, Any], *, package: bool) -> tuple[int, int]:
    # A package is one piece whether or not its row says so.
    missing = 1 if package else None
    least = missing if row.get("min") is None else amounts.count(row["min"])
    most = missing if row.get("max") is None else amounts.count(row["max"])
    if least is None or least < 0:
        raise ValueError("bad min")
    if most is None or most < 0:
        raise ValueError("bad max")
    if least > most:
        raise ValueError("min above max")
    return least, most
