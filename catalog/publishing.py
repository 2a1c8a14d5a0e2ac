"""Publishing: the history of every list rate, limit and being on sale, whatever caused it (SCREENS 2, 11).

What customers can buy now is compared with what was published last; each difference becomes a ServiceChange. A price
that rose and fell again between two looks was seen by nobody who asks for the list, and is no change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection, transaction

from accounts.money import plain
from catalog import pricing
from catalog.models import Published, Service, ServiceChange

# One publisher at a time; a number of our own among PostgreSQL's advisory locks.
LOCK = 7_205_759
BATCH = 2000

Kind = ServiceChange.Kind


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be bought of a service: its list rate (None: nothing), from min to max."""

    rate: Decimal | None
    min: int
    max: int

    @property
    def limits(self) -> str:
        return f"{self.min}-{self.max}"


def publish() -> int:
    """Write down what changed for customers since the last time, and return how many changes those are.

    The first time of all only notes what is on sale. Three queries and bulk writes; where another process publishes at
    this moment nothing is done, as the next minute's look finds the same.
    """
    with transaction.atomic():
        if not _lock():
            return 0
        before, now = _read_published(), _read_offers()
        told = {
            service_id: offer
            for service_id, offer in now.items()
            if offer != before.get(service_id) and (offer.rate is not None or service_id in before)
        }
        _write_published(told)
        if not before:
            return 0
        changes = [
            change for service_id, offer in told.items() for change in _tell(service_id, before.get(service_id), offer)
        ]
        ServiceChange.objects.bulk_create(changes, batch_size=BATCH)
        return len(changes)


def _lock() -> bool:
    """Tell whether nobody else is at it; the lock ends with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _read_published() -> dict[int, Offer]:
    rows = Published.objects.values_list("service_id", "rate", "min", "max")
    return {service_id: Offer(rate, least, most) for service_id, rate, least, most in rows.iterator(chunk_size=BATCH)}


def _read_offers() -> dict[int, Offer]:
    rates = {service_id: pricing.list_rate(terms) for service_id, terms in pricing.load_terms(None).items()}
    rows = Service.objects.order_by().values_list("pk", "min", "max")
    return {
        service_id: Offer(rates.get(service_id), least, most)
        for service_id, least, most in rows.iterator(chunk_size=BATCH)
    }


def _write_published(offers: dict[int, Offer]) -> None:
    rows = [
        Published(service_id=service_id, rate=offer.rate, min=offer.min, max=offer.max)
        for service_id, offer in offers.items()
    ]
    Published.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["service"],
        update_fields=["rate", "min", "max"],
        batch_size=BATCH,
    )


def _tell(service_id: int, before: Offer | None, now: Offer) -> Iterator[ServiceChange]:
    """Yield what is to be told of a service; limits alone are told only while it can be bought."""
    if before is None or before.rate is None or now.rate is None:
        kind = Kind.NEW if before is None else Kind.DISABLED if now.rate is None else Kind.ENABLED
        if before is None or before.rate != now.rate:
            yield _change(service_id, kind, _rate(before), _rate(now))
        return
    if before.rate != now.rate:
        yield _change(service_id, Kind.UP if now.rate > before.rate else Kind.DOWN, _rate(before), _rate(now))
    if before.limits != now.limits:
        yield _change(service_id, Kind.LIMITS, before.limits, now.limits)


def _rate(offer: Offer | None) -> str:
    return "" if offer is None or offer.rate is None else plain(offer.rate)


def _change(service_id: int, kind: Kind, before: str, after: str) -> ServiceChange:
    return ServiceChange(service_id=service_id, kind=kind, before=before, after=after)
