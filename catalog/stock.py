"""Our own stock: lines that are uploaded once, sold once, and read only by whoever bought them.

Guarantee: a line is never kept twice, whoever uploads it when, and leaves once: taken in the transaction that charges
for it, or withdrawn. Its text is encrypted; what finds it again is a keyed fingerprint, so a dump tells nothing of it.
"""

import datetime
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from accounts.errors import UserError
from catalog import secrets
from catalog.models import Product, StockBatch, StockItem

LONGEST_LINE = 5000
MOST_LINES = 20_000
MOST_BYTES = 4_000_000
# One upload at a time, as two with the same lines in another order would wait for each other for ever.
LOCK = 7_205_760
SALT = "catalog.stock"
LINE_END = re.compile(r"\r\n|\n|\r")

TAKE = """
WITH line AS MATERIALIZED (
    SELECT id FROM catalog_stockitem
    WHERE product_id = %(product)s AND taken_at IS NULL AND withdrawn_at IS NULL
        AND (expires_at IS NULL OR expires_at > %(now)s)
    ORDER BY id LIMIT %(quantity)s FOR UPDATE -- others
)
UPDATE catalog_stockitem item SET taken_at = %(now)s FROM line WHERE item.id = line.id RETURNING item.id
"""
TAKE_FREE, TAKE_WAITING = TAKE.replace("-- others", "SKIP LOCKED"), TAKE.replace("-- others", "")

KEEP = """
INSERT INTO catalog_stockitem (batch_id, product_id, text_encrypted, fingerprint, expires_at)
SELECT %(batch)s, %(product)s, line.text_encrypted, line.fingerprint, %(expires_at)s
FROM unnest(%(texts)s::text[], %(fingerprints)s::text[]) WITH ORDINALITY AS line(text_encrypted, fingerprint, place)
ORDER BY line.place
ON CONFLICT (fingerprint) DO NOTHING RETURNING id
"""

WITHDRAW = """
WITH line AS MATERIALIZED (
    SELECT id FROM catalog_stockitem
    WHERE product_id = %(product)s AND taken_at IS NULL AND withdrawn_at IS NULL
        AND (%(batch)s::bigint IS NULL OR batch_id = %(batch)s)
        AND (NOT %(expired)s OR expires_at <= %(now)s)
    ORDER BY id FOR UPDATE
)
UPDATE catalog_stockitem item SET withdrawn_at = %(now)s FROM line WHERE item.id = line.id
RETURNING item.id, item.text_encrypted
"""


class Fault(Enum):
    """Why a line of an upload is not kept."""

    BLANK = "blank"
    TWICE = "twice"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Preview:
    """What an upload would keep; `faults` are the other lines by their number from 1, never their text."""

    new: int
    faults: Sequence[tuple[int, Fault]]

    def count(self, fault: Fault) -> int:
        """Return how many lines have a fault."""
        return sum(found is fault for _number, found in self.faults)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload has kept and left out; no batch where nothing was new."""

    batch_id: int | None
    kept: int
    left_out: int


class _TooFewError(Exception):
    """Fewer lines could be taken than are wanted."""


def take(product_id: int, quantity: int) -> list[int]:
    """Take the oldest lines of a product that can be sold and return their ids, oldest first; nobody else gets them.

    In the caller's transaction, which charges for them; what is locked by other buyers is passed over, and waited for
    only where the rest does not suffice, so nobody is refused for the sake of a buyer who cannot pay. Raises UserError
    when there is not enough; the caller rolls back.
    """
    for statement in (TAKE_FREE, TAKE_WAITING):
        try:
            # Two who each hold a part of what the other wants give it back before they wait, in one order.
            with transaction.atomic():
                return _take(statement, product_id, quantity)
        except _TooFewError:
            continue
    if count([product_id])[product_id]:
        raise UserError("Not enough stock", field="quantity")
    raise UserError("Out of stock", field="quantity")


def count(product_ids: Collection[int] | None = None) -> dict[int, int]:
    """Return how many lines of products are on hand and can be sold; one query, None: of all that have some."""
    lines = list_on_hand().filter(_unexpired())
    if product_ids is not None:
        lines = lines.filter(product_id__in=list(product_ids))
    counted = dict(lines.order_by().values_list("product_id").annotate(Count("pk")))
    return dict.fromkeys(product_ids or (), 0) | counted


def list_on_hand() -> QuerySet[StockItem]:
    """Return the lines that have not left, expired or not."""
    return StockItem.objects.filter(taken_at=None, withdrawn_at=None)


@sensitive_variables()
def read_lines(item_ids: Sequence[int]) -> list[str]:
    """Return the texts of lines in the order of their ids as given; for whoever bought them alone."""
    texts = dict(StockItem.objects.filter(pk__in=list(item_ids)).values_list("pk", "text_encrypted"))
    return [secrets.decrypt(texts[item_id]) for item_id in item_ids]


@sensitive_variables()
def preview(text: str) -> Preview:
    """Return what an upload would keep; raise UserError when it is empty, too large, or a line of it too long."""
    lines = _split(text)
    found = _find_faults(lines)
    return Preview(len(lines) - len(found), sorted(found.items()))


@sensitive_variables()
def upload(
    product: Product, text: str, *, actor_id: int | None, name: str = "", expires_at: datetime.datetime | None = None
) -> Uploaded:
    """Keep the lines of a text that are new, in their order, and return how many; blank and known ones are left out.

    Looked at again under a lock, so two uploads at once never keep a line twice. Opens the transaction itself; raises
    UserError as `preview` does, for a product that is not sold from stock, and for a time that is over.
    """
    if product.source != Product.Source.STOCK:
        raise UserError(_("This product is not sold from own stock"))
    check_time(expires_at)
    lines = _split(text)
    encrypted = {line: secrets.encrypt(line) for line in dict.fromkeys(lines)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        faults = _find_faults(lines)
        new = [line for number, line in enumerate(lines, 1) if number not in faults]
        if not new:
            return Uploaded(None, 0, len(lines))
        batch = StockBatch.objects.create(product=product, name=name, actor_id=actor_id)
        values: dict[str, Any] = {
            "batch": batch.pk,
            "product": product.pk,
            "texts": [encrypted[line] for line in new],
            "fingerprints": [fingerprint(line) for line in new],
            "expires_at": expires_at,
        }
        cursor.execute(KEEP, values)
        kept = cursor.rowcount
    return Uploaded(batch.pk, kept, len(lines) - kept)


def check_time(expires_at: datetime.datetime | None) -> None:
    """Raise UserError for lines that could not be sold any more."""
    if expires_at is not None and expires_at <= timezone.now():
        raise UserError(_("That time is over"), field="expires_at")


def end_of_day(day: datetime.date) -> datetime.datetime:
    """Return when lines whose last day this is are not sold any more: at its end, here."""
    return timezone.make_aware(datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time()))


@sensitive_variables()
def withdraw(product_id: int, *, batch_id: int | None = None, expired: bool = False) -> list[str]:
    """Take what is left of a product out of the stock and return its lines, which are told this once.

    All of it, or of one upload, or what has expired. Lines that are being bought are waited for. In the caller's
    transaction, together with the entry in the log that says who did it and why.
    """
    values = {"product": product_id, "batch": batch_id, "expired": expired, "now": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(WITHDRAW, values)
        return [secrets.decrypt(text) for _id, text in sorted(cursor.fetchall())]


def find_low() -> QuerySet[Product]:
    """Return the products on sale from stock with fewer lines than their warning says, each with `on_hand`."""
    ready = Q(stock__taken_at=None, stock__withdrawn_at=None) & (
        Q(stock__expires_at=None) | Q(stock__expires_at__gt=timezone.now())
    )
    return (
        Product.objects.filter(source=Product.Source.STOCK, low_stock__gt=0, service__enabled=True)
        .annotate(on_hand=Count("stock", filter=ready))
        .filter(on_hand__lt=F("low_stock"))
        .order_by("pk")
    )


def fingerprint(line: str, secret: str | bytes | None = None) -> str:
    """Return what a line is found by again: keyed, so that a list of guesses cannot be tried on a dump."""
    return salted_hmac(SALT, line, secret=secret, algorithm="sha256").hexdigest()


def _take(statement: str, product_id: int, quantity: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"product": product_id, "quantity": quantity, "now": timezone.now()})
        taken = sorted(row[0] for row in cursor.fetchall())
    if len(taken) < quantity:
        raise _TooFewError
    return taken


def _unexpired() -> Q:
    return Q(expires_at=None) | Q(expires_at__gt=timezone.now())


@sensitive_variables()
def _split(text: str) -> list[str]:
    """Return the lines of an upload, the last one without the line end behind it."""
    if len(text.encode()) > MOST_BYTES:
        raise UserError(_("It is larger than %s MB") % (MOST_BYTES // 1_000_000), field="text")
    lines = LINE_END.split(text.removeprefix("\ufeff"))
    if not lines[-1]:
        lines.pop()
    if not any(line.strip() for line in lines):
        raise UserError(_("There is no line in it"), field="text")
    if len(lines) > MOST_LINES:
        raise UserError(_("It has more than %s lines") % f"{MOST_LINES:,}", field="text")
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise UserError(
                _("Line %(number)s is longer than %(most)s characters") % {"number": number, "most": LONGEST_LINE},
                field="text",
            )
    return lines


@sensitive_variables()
def _find_faults(lines: Sequence[str]) -> dict[int, Fault]:
    """Return the lines that are not to be kept, by their number from 1."""
    known = _find_known({line for line in lines if line.strip()})
    faults: dict[int, Fault] = {}
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, 1):
        seen[line] += 1
        if not line.strip():
            faults[number] = Fault.BLANK
        elif line in known:
            faults[number] = Fault.KNOWN
        elif seen[line] > 1:
            faults[number] = Fault.TWICE
    return faults


@sensitive_variables()
def _find_known(lines: Iterable[str]) -> set[str]:
    """Return those lines that are or were in any stock, whichever of our secret keys was in use then."""
    secret_keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    prints = {fingerprint(line, secret): line for line in lines for secret in secret_keys}
    with connection.cursor() as cursor:
        cursor.execute("SELECT fingerprint FROM catalog_stockitem WHERE fingerprint = ANY(%s)", [list(prints)])
        return {prints[row[0]] for row in cursor.fetchall()}
