"""What a provider answered, read: typed, bounded, without the key."""

import datetime
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Added:
    """The provider took the order and named it; `charge` is in its currency and often missing."""

    order_id: str
    charge: Decimal | None
    raw: str


@dataclass(frozen=True, slots=True)
class StatusReport:
    """News about one order.

    `status` is canonical (Pending, Processing, In progress, Completed, Partial, Canceled; Expired, the end of a
    subscription whose time is over; Failed and Paused for staff to look at) and None for an unknown word, which `word`
    keeps. `children` are the orders of a drip-feed or subscription.
    """

    status: str | None
    word: str
    charge: Decimal | None
    start_count: int | None
    remains: int | None
    currency: str
    children: tuple[str, ...]
    runs: int | None
    posts: int | None


@dataclass(frozen=True, slots=True)
class ItemError:
    """One id's own error: news about that id, never about the call.

    `condition` is "unknown" and `refusal_class` (refusals.CLASSES) empty for a text that nobody has classed.
    """

    text: str
    condition: str
    refusal_class: str = ""


@dataclass(frozen=True, slots=True)
class RecentOrder:
    """One row of the provider's own list of our orders, newest or oldest first as it likes.

    `service` and `link` are as it writes them, empty where it does not: a link may come back escaped. `created_at` is
    in UTC, and None where it is missing or cannot be placed in a time zone.
    """

    order_id: str
    service: str
    link: str
    quantity: int | None
    created_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on our account there; `currency` is empty where the provider names none."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One service on offer.

    `rate` is per 1,000 or per package, in the provider's currency; a flag is None where it is not stated.
    """

    service: str
    name: str
    type: str
    category: str
    rate: Decimal
    min: int
    max: int
    refill: bool | None
    cancel: bool | None
    dripfeed: bool | None
    description: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The services on offer, and what was skipped: its id (or position, as "#3") and the reason."""

    rows: tuple[CatalogueRow, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RefillAccepted:
    """A refill was requested, not done; `refill_id` is empty where there is none, and may equal the order's id."""

    order: str
    refill_id: str


@dataclass(frozen=True, slots=True)
class RefillReport:
    """News about one refill: Pending, In progress, Completed, Rejected or Error; None for an unknown word."""

    refill_id: str
    status: str | None
    word: str


@dataclass(frozen=True, slots=True)
class CancelAccepted:
    """The wish to cancel was recorded; the order's status says later whether it was granted."""

    order: str


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One product on offer.

    `rate` is per piece, `require` the label of the extra input (empty = none), `inventory` None where it is not stated.
    """

    product: str
    name: str
    require: str
    rate: Decimal
    min: int
    max: int
    category: str
    in_stock: bool | None
    inventory: int | None
    type: str


@dataclass(frozen=True, slots=True)
class ProductCatalogue:
    """The products on offer, and what was skipped with the reason."""

    rows: tuple[ProductRow, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ProductReport:
    """News about one product order; `result` is a secret: encrypt at rest, never log."""

    status: str | None
    word: str
    charge: Decimal | None
    remains: int | None
    note: str
    result: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProductResult:
    """The delivered lines of a product order: secrets."""

    lines: tuple[str, ...] = field(repr=False)
