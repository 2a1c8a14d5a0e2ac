"""Placing an order: one transaction in which the money leaves the balance and the outbox row appears (ARCHITECTURE 2).

Guarantee: an order exists exactly if it was charged and has a dispatch, or is a product of our own (its lines are
handed over in the same transaction, or staff deliver them); an idempotency key places at most one order per
customer for a week. No task is sent: the dispatch row is the message, so buying does not depend on the broker.
"""

import datetime
import hashlib
import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts import api_keys, ledger
from accounts.api_keys import UsedKey
from accounts.errors import NotEnoughFundsError, UserError
from accounts.money import LARGEST_AMOUNT, plain
from accounts.requests import read_id
from catalog import pricing
from catalog.models import Service
from orders import delivering
from orders.forms import NOT_SPREAD, OrderRequest, parse_order
from orders.models import PlacedOnce
from orders.reading import MOST_UNITS, present

KEY_KEPT = datetime.timedelta(days=7)
LONGEST_KEY = 128
USED_KEY = "Idempotency key was used for another request"

FIND_SERVICE = "SELECT * FROM catalog_service WHERE id = %s AND enabled AND NOT is_product"
CLAIM_KEY = """
INSERT INTO orders_placedonce (user_id, key, digest, order_id)
VALUES (%s, %s, %s, nextval(pg_get_serial_sequence('orders_order', 'id')))
ON CONFLICT (user_id, key) DO NOTHING RETURNING order_id
"""

PLACE = """
WITH placed AS (
    INSERT INTO orders_order (id, user_id, service_id, link, quantity, parts, parts_done, details, status, attention,
        remains, rate, charge, provider_rate, exchange_rate, expected_cost)
    VALUES (coalesce(%(id)s::bigint, nextval(pg_get_serial_sequence('orders_order', 'id'))), %(user)s::bigint,
        %(service)s::bigint, %(link)s::text, %(units)s::bigint, %(parts)s::int, %(done)s::int, %(details)s::jsonb,
        'Pending', '', %(units)s::bigint, %(rate)s::numeric, %(charge)s::numeric, %(provider_rate)s::numeric,
        %(exchange_rate)s::numeric, %(cost)s::numeric)
    RETURNING id
), told AS (
    INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, 'placed', %(event)s::jsonb FROM placed
), sent AS (
    INSERT INTO orders_dispatch (order_id, command, provider_id, provider_service_id, route_position, state, key,
        is_product)
    SELECT id, 'add', %(provider)s::bigint, %(provider_service)s::bigint, %(position)s::int, 'QUEUED', %(key)s::uuid,
        %(is_product)s::bool
    FROM placed WHERE %(provider)s::bigint IS NOT NULL
)
SELECT id FROM placed
"""


def request_digest(request: OrderRequest) -> str:
    """Return the digest that says whether two requests under one idempotency key are the same one.

    Over the action and the parsed request, never over raw bytes, the key or the price (ARCHITECTURE 2).
    """
    action = "add_product_order" if request.service.is_product else "add"
    said = [action, request.service.pk, request.link, request.units, sorted(request.details.items())]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def place_order(
    user_id: int,
    request: OrderRequest,
    *,
    idempotency_key: str = "",
    quoted_rate: Decimal | None = None,
    api_key: UsedKey | None = None,
) -> int:
    """Charge a customer and queue the order; return its id, the earlier one when the key has placed it before.

    Raises UserError: not on sale now, the price moved away from `quoted_rate`, not enough funds, beyond the cap of the
    API key, or the idempotency key was used for another request. Nothing is left behind then. Opens the transaction
    itself.
    """
    check_key(idempotency_key)
    with transaction.atomic(durable=True):
        order_id = None
        if idempotency_key:
            digest = request_digest(request)
            order_id = _claim_key(user_id, idempotency_key, digest)
            if order_id is None:
                return _placed_before(user_id, idempotency_key, digest)
        terms = load_terms(user_id, request)
        price = pricing.quote(terms, request.units)
        if quoted_rate is not None and quoted_rate != price.rate:
            raise PriceMovedError(quoted_rate, price.rate)
        if max(price.charge, price.cost) >= LARGEST_AMOUNT:  # no balance is so large, and no column
            raise NotEnoughFundsError
        said = _tell(request, terms, price) | (_tell_key(api_key, idempotency_key) if api_key else {})
        if request.service.is_product and terms.provider_id is not None:
            delivering.check_stock(request.service.pk, request.units)
        placed = _insert(_values(user_id, request, terms, price) | {"id": order_id, "event": json.dumps(said)})
        if terms.provider_id is None:
            delivering.hand_over(placed)
        if api_key:
            api_keys.spend(api_key, price.charge)
        # The account's row lock comes last and is held only until the commit.
        ledger.charge(user_id, price.charge, reference=f"order:{placed}:charge")
        return placed


def check_key(idempotency_key: str) -> None:
    """Raise UserError for an idempotency key that is too long to be kept."""
    if len(idempotency_key) > LONGEST_KEY:
        raise UserError("Incorrect idempotency key", field="idempotency_key")


def load_terms(user_id: int, request: OrderRequest) -> pricing.Terms:
    """Read what decides the price of a request now; raise UserError when it cannot be sold."""
    terms = pricing.load_terms(user_id, [request.service.pk]).get(request.service.pk)
    if terms is None:
        raise UserError("Service is not available", field="service")
    return terms


class PriceMovedError(UserError):
    """The rate changed between the page that showed it and the order."""

    def __init__(self, old: Decimal, new: Decimal) -> None:
        super().__init__("The price has changed", field="quoted_rate")
        self.old = old
        self.new = new


def _tell(request: OrderRequest, terms: pricing.Terms, price: pricing.Quote) -> dict[str, object]:
    """Return what the event of placing keeps."""
    said = {"rate": plain(price.rate), "units": request.units, "charge": plain(price.charge), "per": terms.per}
    return said | ({"parts": request.parts} if request.is_spread else {})


def _tell_key(key: UsedKey, idempotency_key: str) -> dict[str, object]:
    said: dict[str, object] = {"api_key": key.id, "api_key_prefix": key.prefix}
    return said | ({"idempotency_key": idempotency_key} if idempotency_key else {})


def _values(user_id: int, request: OrderRequest, terms: pricing.Terms, price: pricing.Quote) -> dict[str, Any]:
    return {
        "user": user_id,
        "service": request.service.pk,
        "link": request.link,
        "units": request.units,
        "parts": request.parts,
        "done": 0 if request.is_spread else None,
        "details": json.dumps(dict(request.details)),
        "rate": price.rate,
        "charge": price.charge,
        "provider_rate": terms.provider_rate,
        "exchange_rate": terms.exchange_rate,
        "cost": price.cost,
        "provider": terms.provider_id,
        "is_product": request.service.is_product,
        "provider_service": terms.provider_service_id,
        "position": terms.route_position,
        "key": uuid.uuid4(),
    }


def _insert(values: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(PLACE, values)
        placed: int = cursor.fetchone()[0]
    return placed


def _claim_key(user_id: int, key: str, digest: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_KEY, [user_id, key, digest])
        row = cursor.fetchone()
    return row[0] if row else None


def _placed_before(user_id: int, key: str, digest: str) -> int:
    before = PlacedOnce.objects.get(user_id=user_id, key=key)
    if before.digest != digest:
        raise UserError(USED_KEY, field="idempotency_key")
    return before.order_id


def find_placed(
    user_id: int, key: str, service_text: str, values: Mapping[str, str], *, is_product: bool | None = None
) -> int | None:
    """Return the order that this key placed with this very request, although it could not be placed any more.

    A service that was switched off or got other limits since, or a day that has passed, must not make a repeated call
    look refused: its sender would take the order for lost and give the money back. None when the key is new, the
    request another one, or the order not of the kind that is wanted (None: of either).
    """
    before = PlacedOnce.objects.filter(user_id=user_id, key=key).select_related("order__service").first()
    if before is None or read_id(service_text) != before.order.service_id:
        return None
    if is_product not in {None, before.order.service.is_product}:
        return None
    return before.order_id if is_repeated(before.order.service, values, before.digest) else None


def is_repeated(service: Service, values: Mapping[str, str], digest: str) -> bool:
    """Tell whether parameters make the request with this digest, whatever the service takes by now."""
    service.min, service.max = 1, MOST_UNITS
    service.dripfeed = present(values, "runs") not in NOT_SPREAD
    try:
        request = parse_order(service, values, today=datetime.date.min)
    except UserError:
        return False
    return request_digest(request) == digest


def find_service(text: str) -> Service:
    """Return the service on sale with this id; raise UserError in the wire's words when there is none."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        # Written by hand: building this query would take longer than running it, at every order.
        for service in Service.objects.raw(FIND_SERVICE, [int(text)]):
            return service
    raise UserError("Incorrect service ID", field="service")


def find_product(text: str) -> Service:
    """Return the product on sale with this id; raise UserError in the wire's words when there is none."""
    number = read_id(text)
    on_sale = Service.objects.filter(pk=number or 0, enabled=True, is_product=True).select_related("product")
    for service in on_sale:
        return service
    raise UserError("Incorrect product ID", field="product")


def prune_placed_once() -> int:
    """Forget idempotency keys older than a week; return how many."""
    return PlacedOnce.objects.filter(created_at__lt=timezone.now() - KEY_KEPT).delete()[0]
