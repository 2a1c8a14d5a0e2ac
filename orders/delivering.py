"""Delivering: what the buyer of a product is handed, and who was shown it (PROTOCOL 3.9, 12).

Guarantee: lines of our own stock are taken in the transaction that charges for them, so none is sold twice and none is
paid for in vain. What a provider made is fetched as often as it takes, outside of any transaction. Lines are secrets:
encrypted at rest, in no event and in no log; each time somebody is shown them a Reveal is written first.
"""

import datetime
import logging
from collections.abc import Mapping, Sequence

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.errors import UserError
from catalog import connecting, goods, pacing, secrets, stock
from catalog.models import Product, Provider
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError, Reason, Unavailable
from catalog.providers.replies import ItemError
from orders import ending, lifecycle
from orders.models import DeliveredLine, Delivery, Dispatch, Order, OrderEvent, Reveal

logger = logging.getLogger(__name__)

Status = Order.Status
Kind = OrderEvent.Kind

WAITS = tuple(datetime.timedelta(seconds=seconds) for seconds in (15, 60, 300, 1800, 7200, 21600))
# From then on staff are told that it has not come; it is fetched on all the same.
TELL_AFTER = 4
# Failures that say nothing of the other orders, which must not wait for this one.
ABOUT_ONE = frozenset({Reason.UNREADABLE, Reason.SERVER})
MOST_AT_ONCE = 100
LONGEST_LINE, MOST_LINES = 5000, 20_000


def check_stock(product_id: int, units: int) -> None:
    """Raise UserError where nobody has so many of a product, as far as is known; our own lines are taken, not asked."""
    there = goods.read_availability([product_id])[product_id]
    if not there.in_stock:
        raise UserError("Out of stock", field="quantity")
    if not there.has(units):
        raise UserError("Not enough stock", field="quantity")


def hand_over(order_id: int) -> None:
    """Take the lines of an order of our own stock and end it; what staff deliver stays Pending.

    Expects the transaction that places the order. Raises UserError when there are not enough.
    """
    order = Order.objects.select_related("service__product").get(pk=order_id)
    if order.service.product.source != Product.Source.STOCK:
        return
    taken = stock.take(order.service_id, order.quantity)
    delivery = Delivery.objects.create(order=order)
    DeliveredLine.objects.bulk_create(
        DeliveredLine(delivery=delivery, position=position, stock_item_id=item_id)
        for position, item_id in enumerate(taken, 1)
    )
    lifecycle.note(order_id, Kind.DELIVERED, {"lines": len(taken)})
    _complete(order)


@transaction.atomic
def deliver_by_hand(order_id: int, lines: Sequence[str], *, actor_id: int, done: bool = False) -> Order:
    """Add lines to an order that staff deliver, which ends it once all have come, or when staff say it is `done`.

    Raises UserError when it is not open any more, has no lines, or gets more than were bought.
    """
    order = Order.objects.select_for_update(of=("self",)).select_related("service__product").get(pk=order_id)
    if not is_by_hand(order) or order.status in lifecycle.ENDED:
        raise UserError("This order is not to be delivered by hand any more")
    given = check_lines(lines)
    if not given and not done:
        raise UserError("Enter what is handed over", field="lines")
    delivery, _made = Delivery.objects.get_or_create(order=order)
    have = _count_valid(delivery)
    if have + len(given) > order.quantity and order.service.product.kind == Product.Kind.AUTO:
        raise UserError(f"{order.quantity} were bought, and {have} handed over before", field="lines")
    add_lines(delivery, given)
    lifecycle.note(order_id, Kind.DELIVERED, {"lines": len(given)}, actor_id=actor_id)
    if done or have + len(given) >= order.quantity:
        _complete(order, actor_id=actor_id)
    else:
        _begin(order, actor_id=actor_id)
    return order


@transaction.atomic
def enter_goods(delivery_id: int, lines: Sequence[str], *, actor_id: int) -> None:
    """Hand over what a provider ended an order with and never told us, as staff got it elsewhere.

    Raises UserError without lines, and when the goods have come meanwhile. Opens the transaction itself.
    """
    order_id = Delivery.objects.values_list("order", flat=True).get(pk=delivery_id)
    Order.objects.select_for_update().only("pk").get(pk=order_id)
    given = check_lines(lines)
    if not given:
        raise UserError("Enter what is handed over", field="lines")
    delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
    if delivery.fetch_at is None:
        raise UserError("It has come meanwhile")
    _keep(delivery, given, actor_id=actor_id)


def is_by_hand(order: Order) -> bool:
    """Tell whether staff deliver an order themselves: a product that no provider was ever asked for."""
    return order.service.is_product and not order.dispatches.exists()


def check_lines(lines: Sequence[str]) -> list[str]:
    """Return lines without blank ones and outer blanks; raise UserError for too many or too long ones."""
    given = [line.strip() for line in lines if line.strip()]
    if len(given) > MOST_LINES or any(len(line) > LONGEST_LINE for line in given):
        raise UserError(f"At most {MOST_LINES} lines of {LONGEST_LINE} characters", field="lines")
    return given


def add_lines(delivery: Delivery, lines: Sequence[str]) -> None:
    """Append lines to a delivery, encrypted. Expects the lock of its order."""
    first = delivery.lines.count() + 1
    DeliveredLine.objects.bulk_create(
        DeliveredLine(delivery=delivery, position=position, text_encrypted=secrets.encrypt(line))
        for position, line in enumerate(lines, first)
    )


def expect(results: Mapping[int, str]) -> None:
    """Note that a provider has ended orders with these results, so that the goods are fetched; once for each order.

    An order whose money went back is left alone: what its provider says of it is for staff.
    """
    known = set(Delivery.objects.filter(order__in=list(results)).values_list("order_id", flat=True))
    known |= set(Order.objects.filter(pk__in=list(results), status=Status.CANCELED).values_list("pk", flat=True))
    now = timezone.now()
    Delivery.objects.bulk_create(
        [
            Delivery(order_id=order_id, result_encrypted=secrets.encrypt(result), fetch_at=now)
            for order_id, result in results.items()
            if order_id not in known
        ],
        ignore_conflicts=True,
    )


def due_providers() -> list[int]:
    """Return the providers that hold goods of ours to be fetched now."""
    due = Delivery.objects.filter(fetch_at__lte=timezone.now(), order__dispatches__state=Dispatch.State.SENT)
    return list(due.order_by().values_list("order__dispatches__provider", flat=True).distinct())


def fetch_all() -> int:
    """Fetch what is due everywhere; return how many deliveries were made."""
    return sum(fetch_provider(provider_id) for provider_id in due_providers())


def fetch_provider(provider_id: int) -> int:
    """Fetch the goods that are due at one provider; return how many deliveries were made.

    Never call it inside a transaction, since it waits for the network.
    """
    provider = Provider.objects.get(pk=provider_id)
    due = _list_due(provider_id)[:MOST_AT_ONCE].count()
    fetched = 0
    try:
        with connecting.connect(provider) as client:
            for delivery, remote_id in _take_due(provider_id, pacing.take(provider_id, pacing.Kind.READ, due)):
                fetched += _fetch_one(client, delivery, remote_id)
    except ProviderError as error:
        logger.warning("provider %s: goods not fetched: %s", provider, error)
        connecting.record_failure(provider, error)
    return fetched


def _list_due(provider_id: int) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        fetch_at__lte=timezone.now(),
        order__dispatches__provider=provider_id,
        order__dispatches__state=Dispatch.State.SENT,
        order__dispatches__command=Dispatch.Command.ADD,
    )


def _take_due(provider_id: int, most: int) -> list[tuple[Delivery, str]]:
    """Put off what is due, so that no other worker fetches it meanwhile, and return it with the ids there."""
    with transaction.atomic():
        due = _list_due(provider_id).select_for_update(skip_locked=True, of=("self",))
        rows = list(due.annotate(remote_id=F("order__dispatches__remote_id")).order_by("fetch_at")[:most])
        for row in rows:
            row.fetch_at = timezone.now() + WAITS[min(row.attempts, len(WAITS) - 1)]
            row.attempts += 1
        Delivery.objects.bulk_update(rows, ["fetch_at", "attempts"])
    return [(row, row.remote_id) for row in rows]


def _fetch_one(client: Client, delivery: Delivery, remote_id: str) -> bool:
    """Fetch one order's goods and store them; False when they are not there yet, or cannot be read.

    Raises ProviderError where the other orders would fare no better.
    """
    try:
        lines = _read_goods(client, delivery, remote_id)
    except Unavailable as error:
        if error.reason not in ABOUT_ONE:
            raise
        logger.warning("order %s: goods not fetched: %s", delivery.order_id, error)
        lines = ()
    if not lines:
        untold = Order.objects.filter(pk=delivery.order_id, attention=Order.Attention.NONE)
        if delivery.attempts >= TELL_AFTER and untold.exists():
            lifecycle.mark(delivery.order_id, Order.Attention.GOODS, Kind.ATTENTION, {})
        return False
    with transaction.atomic():
        order = Order.objects.select_for_update().only("pk", "status").get(pk=delivery.order_id)
        if not Delivery.objects.filter(pk=delivery.pk, fetch_at=delivery.fetch_at).exists():
            return False
        if order.status == Status.CANCELED:  # its money went back meanwhile
            Delivery.objects.filter(pk=delivery.pk).update(fetch_at=None)
            return False
        _keep(delivery, lines)
    return True


def _keep(delivery: Delivery, lines: Sequence[str], *, actor_id: int | None = None) -> None:
    """Keep the goods of a provider. Expects the lock of the order."""
    Delivery.objects.filter(pk=delivery.pk).update(fetch_at=None, result_encrypted="")
    add_lines(delivery, lines)
    lifecycle.note(delivery.order_id, Kind.DELIVERED, {"lines": len(lines)}, actor_id=actor_id)
    Order.objects.filter(pk=delivery.order_id, attention=Order.Attention.GOODS).update(attention="")


def _read_goods(client: Client, delivery: Delivery, remote_id: str) -> Sequence[str]:
    """Return the lines of an order; without an action for them its result is the goods (PROTOCOL 3.9)."""
    if not client.connection.dialect.result_product:
        return check_lines(secrets.decrypt(delivery.result_encrypted).splitlines())
    answer = client.result_product(remote_id)
    return () if isinstance(answer, ItemError) else answer.lines


def reveal(order: Order, *, actor_id: int, way: Reveal.Way, address: str | None = None) -> list[str]:
    """Return the lines of an order that are not replaced, and note who was shown them; none where nothing came yet."""
    return [text for _number, text in reveal_numbered(order, actor_id=actor_id, way=way, address=address)]


def reveal_numbered(
    order: Order, *, actor_id: int, way: Reveal.Way, address: str | None = None
) -> list[tuple[int, str]]:
    """Return what `reveal` does, each line with the number by which people name it."""
    delivery = Delivery.objects.filter(order=order, fetch_at=None).first()
    if delivery is None:
        return []
    lines = list(delivery.lines.filter(replaced_at=None).select_related("stock_item").order_by("position"))
    if lines:
        Reveal.objects.create(delivery=delivery, actor_id=actor_id, way=way, address=address)
    return [(line.position, read_line(line)) for line in lines]


def read_line(line: DeliveredLine) -> str:
    """Return the text of a delivered line: a secret."""
    return secrets.decrypt(line.stock_item.text_encrypted if line.stock_item else line.text_encrypted)


def _complete(order: Order, *, actor_id: int | None = None) -> None:
    before = order.status
    order.remains = 0
    ending.change(order, Status.COMPLETED, actor_id=actor_id)
    ending.save(order, before)


def _count_valid(delivery: Delivery) -> int:
    """Return how many lines the buyer has; one that was replaced counts no more."""
    return delivery.lines.filter(replaced_at=None).count()


def _begin(order: Order, *, actor_id: int) -> None:
    before = order.status
    order.remains = max(order.quantity - _count_valid(order.delivery), 0)
    if before == Status.PENDING:
        ending.change(order, Status.IN_PROGRESS, actor_id=actor_id)
    ending.save(order, before)
