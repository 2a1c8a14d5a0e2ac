"""Whether a product is there to be bought: our own lines, what its providers said when last read, or staff by hand.

That is what people and programs are told before they buy. Lines of our own are taken in the transaction that charges
for them, and a provider has the last word on its own.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from catalog import stock
from catalog.models import Product, ProviderService

Source = Product.Source


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether something is there, and how many pieces; None where nobody counts them."""

    in_stock: bool
    inventory: int | None

    def has(self, units: int) -> bool:
        """Tell whether so many are there, as far as is known."""
        return self.in_stock and (self.inventory is None or self.inventory >= units)


NOTHING = Availability(in_stock=False, inventory=0)
ALWAYS = Availability(in_stock=True, inventory=None)


def read_availability(service_ids: Collection[int]) -> dict[int, Availability]:
    """Return what is there of products by the ids of their services; what is no product is left out. Three queries."""
    sources = dict(Product.objects.filter(pk__in=service_ids).values_list("pk", "source"))
    own = [pk for pk, source in sources.items() if source == Source.STOCK]
    on_hand = stock.count(own) if own else {}
    listed = _read_listed([pk for pk, source in sources.items() if source == Source.PROVIDER])
    found: dict[int, Availability] = {}
    for pk, source in sources.items():
        if source == Source.STOCK:
            found[pk] = Availability(in_stock=on_hand.get(pk, 0) > 0, inventory=on_hand.get(pk, 0))
        else:
            found[pk] = ALWAYS if source == Source.HAND else sum_up(listed.get(pk, ()))
    return found


def sum_up(listed: Iterable[tuple[bool | None, int | None]]) -> Availability:
    """Return what is there by what providers said of it: the most that one of them has, as an order goes to one.

    A provider that says nothing of its stock is taken to have some: it refuses what it has not.
    """
    counts = [inventory for in_stock, inventory in listed if in_stock is not False and inventory != 0]
    if not counts:
        return NOTHING
    known = [inventory for inventory in counts if inventory is not None]
    return Availability(in_stock=True, inventory=max(known) if len(known) == len(counts) else None)


def _read_listed(service_ids: Collection[int]) -> dict[int, list[tuple[bool | None, int | None]]]:
    """Return what the providers said that products may be ordered from, by the products' ids."""
    if not service_ids:
        return {}
    usable = ProviderService.objects.filter(
        routes__service__in=service_ids,
        routes__enabled=True,
        vanished_at=None,
        waiting="",
        rate__gt=0,
        provider__enabled=True,
    )
    listed: dict[int, list[tuple[bool | None, int | None]]] = {}
    for pk, in_stock, inventory in usable.order_by().values_list("routes__service", "in_stock", "inventory"):
        listed.setdefault(pk, []).append((in_stock, inventory))
    return listed
