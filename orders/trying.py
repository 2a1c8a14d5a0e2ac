"""The world of a test key: orders are checked and priced like any other, and then only the clock moves them.

Guarantee: no order, no dispatch and no transfer comes of it. What becomes of a trial order follows from its age: it is
accepted after 10 s, begins after 20 s and ends after 60 s; `partial` in its link ends it halfway, `cancel` canceled.
One of a product does the same by what it requires; no stock is touched, and what it hands over at its end is made up.
"""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from accounts import api_keys
from accounts.api_keys import UsedKey
from accounts.errors import NotEnoughFundsError, UserError
from accounts.money import share
from accounts.requests import read_id
from catalog import pricing
from orders import cancels, delivering, placing
from orders.answering import ProductRow
from orders.forms import OrderRequest
from orders.models import Order, Refill, TrialOrder
from orders.offering import Obstacle

Status = Order.Status

BALANCE = Decimal("1000.00000")
ACCEPTED_AFTER, BEGINS_AFTER, ENDS_AFTER = (datetime.timedelta(seconds=seconds) for seconds in (10, 20, 60))
REFILLED_AFTER = datetime.timedelta(seconds=30)
KEPT = datetime.timedelta(days=7)
START_COUNT = 100
ENDED = frozenset({Status.COMPLETED, Status.PARTIAL, Status.CANCELED})
CANCEL_NOTE = "Out of stock"

PLACE = """
INSERT INTO orders_trialorder (api_key_id, service_id, link, quantity, charge, idempotency_key, digest)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id
"""


class Standing(NamedTuple):
    """How a trial order stands; `start_count` is unknown until it has begun."""

    status: str
    remains: int
    refunded: Decimal
    start_count: int | None


def place_trial(key: UsedKey, user_id: int, request: OrderRequest, *, idempotency_key: str = "") -> int:
    """Keep an order that would have been placed; return its id, the earlier one when the key has placed it before.

    Raises UserError as `placing.place_order` does. Opens the transaction itself.
    """
    placing.check_key(idempotency_key)
    digest = placing.request_digest(request)
    with transaction.atomic():
        if idempotency_key and (before := _find_before(key.id, idempotency_key)):
            return _placed_before(before, digest)
        price = pricing.quote(placing.load_terms(user_id, request), request.units)
        if price.charge > BALANCE:
            raise NotEnoughFundsError
        if request.service.is_product:
            delivering.check_stock(request.service.pk, request.units)
        trial = TrialOrder(
            api_key_id=key.id,
            service=request.service,
            # A product has no link: what it requires says as well how its order is to end.
            link=request.link or request.details.get("require", ""),
            quantity=request.units,
            charge=price.charge,
            idempotency_key=idempotency_key,
            digest=digest,
        )
        trial_id = _insert(trial)
        if trial_id is None:
            return _placed_before(TrialOrder.objects.get(api_key_id=key.id, idempotency_key=idempotency_key), digest)
        api_keys.spend(key, price.charge)
    return trial_id


def find_placed(
    key: UsedKey, idempotency_key: str, service_text: str, values: Mapping[str, str], *, is_product: bool
) -> int | None:
    """Return the trial order that an idempotency key placed with this very request, as `placing.find_placed` does."""
    before = _find_before(key.id, idempotency_key)
    if before is None or read_id(service_text) != before.service_id or before.service.is_product != is_product:
        return None
    return before.pk if placing.is_repeated(before.service, values, before.digest) else None


def read_trials(user_id: int, ids: Sequence[int], *, is_product: bool = False) -> list[TrialOrder]:
    """Return those of some orders that were placed with test keys of this user, of services or of products.

    One query.
    """
    mine = TrialOrder.objects.filter(api_key__user_id=user_id, service__is_product=is_product, pk__in=ids)
    return list(mine.select_related("service").order_by())


def read_products(user_id: int, ids: Sequence[int]) -> list[ProductRow]:
    """Return how trial orders of products stand, as `answering.read_products` does real ones."""
    rows = []
    for trial in read_trials(user_id, ids, is_product=True):
        now = stand(trial)
        token = uuid.uuid5(uuid.NAMESPACE_OID, f"trial {trial.pk}") if _make_up(trial) else None
        note = CANCEL_NOTE if now.status == Status.CANCELED else ""
        charge = trial.charge - now.refunded
        rows.append(ProductRow(trial.pk, charge, now.status, now.remains, note, token, is_coming=False))
    return rows


def reveal(user_id: int, trial_id: int) -> list[str]:
    """Return the made-up lines of a trial order, none before its end; raise UserError when there is no such order."""
    return _make_up(_find(user_id, trial_id, is_product=True))


def stand(trial: TrialOrder) -> Standing:
    """Say how a trial order stands now, or stood when it was canceled."""
    age = (trial.canceled_at or timezone.now()) - trial.created_at
    ending = _ending(trial)
    last = {Status.PARTIAL: trial.quantity - trial.quantity // 2, Status.CANCELED: trial.quantity}.get(ending, 0)
    begun = START_COUNT if age >= BEGINS_AFTER else None
    delivered = 0
    if begun is not None:
        delivered = int((trial.quantity - last) * min((age - BEGINS_AFTER) / (ENDS_AFTER - BEGINS_AFTER), 1))
    remains = trial.quantity - delivered
    if trial.canceled_at or (age >= ENDS_AFTER and ending == Status.CANCELED):
        return Standing(Status.CANCELED, remains, trial.charge, begun)
    if age >= ENDS_AFTER:
        return Standing(ending, last, share(trial.charge, last, trial.quantity), begun)
    status = Status.IN_PROGRESS if begun else Status.PROCESSING if age >= ACCEPTED_AFTER else Status.PENDING
    return Standing(status, remains, Decimal(0), begun)


def cancel(user_id: int, trial_id: int) -> None:
    """Cancel a trial order at once: while it is pending, and later where its service takes cancels.

    Raises UserError in the wire's words otherwise.
    """
    trial = _find(user_id, trial_id)
    status = stand(trial).status
    if status in ENDED or (status != Status.PENDING and not trial.service.cancel):
        raise UserError(cancels.NOT_ALLOWED, field="order")
    TrialOrder.objects.filter(pk=trial.pk, canceled_at=None).update(canceled_at=timezone.now())


def refill(user_id: int, trial_id: int) -> int:
    """Ask for the refill of a trial order that was delivered, once; return the refill's id, which is the order's.

    Raises UserError in the wire's words when it cannot be refilled.
    """
    trial = _find(user_id, trial_id)
    obstacle = _find_obstacle(trial)
    if obstacle is None:
        asked = TrialOrder.objects.filter(pk=trial.pk, refill_asked_at=None).update(refill_asked_at=timezone.now())
        obstacle = None if asked else Obstacle.REQUESTED
    if obstacle is not None:
        raise UserError(obstacle.value, field="order")
    return trial.pk


def refill_status(trial: TrialOrder) -> str | None:
    """Return how the refill of a trial order stands; None when none was asked for."""
    if trial.refill_asked_at is None:
        return None
    done = timezone.now() - trial.refill_asked_at >= REFILLED_AFTER
    return Refill.Status.COMPLETED if done else Refill.Status.PENDING


def prune_trials() -> int:
    """Forget trial orders older than a week; return how many."""
    return TrialOrder.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def _insert(trial: TrialOrder) -> int | None:
    """Insert a trial order and return its id; None when its idempotency key was used at the same moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            PLACE,
            [
                trial.api_key_id,
                trial.service_id,
                trial.link,
                trial.quantity,
                trial.charge,
                trial.idempotency_key,
                trial.digest,
            ],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _find_obstacle(trial: TrialOrder) -> Obstacle | None:
    standing = stand(trial)
    delivered = standing.status in {Status.COMPLETED, Status.PARTIAL} and standing.remains < trial.quantity
    if not trial.service.refill:
        return Obstacle.DISABLED
    if not delivered:
        return Obstacle.NOT_COMPLETED
    if trial.refill_asked_at is None:
        return None
    return Obstacle.REQUESTED if refill_status(trial) == Refill.Status.PENDING else Obstacle.EARLY


def _ending(trial: TrialOrder) -> Status:
    link = trial.link.lower()
    if "cancel" in link:
        return Status.CANCELED
    return Status.PARTIAL if "partial" in link else Status.COMPLETED


def _make_up(trial: TrialOrder) -> list[str]:
    now = stand(trial)
    if now.status not in {Status.COMPLETED, Status.PARTIAL}:
        return []
    return [f"TEST-{trial.pk}-{number}" for number in range(1, trial.quantity - now.remains + 1)]


def _find(user_id: int, trial_id: int, *, is_product: bool = False) -> TrialOrder:
    for trial in read_trials(user_id, [trial_id], is_product=is_product):
        return trial
    raise UserError("Incorrect order ID", field="order")


def _find_before(key_id: int, idempotency_key: str) -> TrialOrder | None:
    earlier = TrialOrder.objects.filter(api_key_id=key_id, idempotency_key=idempotency_key)
    return earlier.select_related("service").first()


def _placed_before(before: TrialOrder, digest: str) -> int:
    if before.digest != digest:
        raise UserError(placing.USED_KEY, field="idempotency_key")
    return before.pk
