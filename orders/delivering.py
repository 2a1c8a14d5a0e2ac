"""Delivering: what the buyer of a product is handed, and who was shown it (PROTOCOL 3.9, 12).

Guarantee: lines of our own stock are taken in the transaction that charges for them, so none is sold twice and none is
paid for in vain. What a provider made is fetched as often as it takes, outside of any transaction. Lines are secrets:
encrypted at rest, in no event and in no log; each time somebody is shown them a Reveal is written first.
"""

import datetime
import logging
from collections.abc import Collection, Mapping, Sequence

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.errors import UserError
from catalog import connecting, secrets, stock
from catalog.models import Product, Provider, ProviderService
from catalog.pricing import Terms
from catalog.providers.client import Client
from catalog.providers.errors import ProviderError
from catalog.providers.replies import ItemError
from orders import ending, lifecycle
from orders.models import DeliveredLine, Delivery, Dispatch, Order, OrderEvent, Reveal

logger = logging.getLogger(__name__)

Status = Order.Status
Kind = OrderEvent.Kind

WAITS = tuple(datetime.timedelta(seconds=seconds) for seconds in (15, 60, 300, 1800, 7200, 21600))
# From then on staff are told that it has not come; it is fetched on all the same.
TELL_AFTER = 4
MOST_AT_ONCE = 100
LONGEST_LINE, MOST_LINES = 5000, 20_000


def check_stock(terms: Terms, units: int) -> None:
    """Raise UserError where the provider, when last read, had not so many of a product; our own is taken, not asked."""
    if terms.provider_service_id is None:
        return
    listed = ProviderService.objects.only("in_stock", "inventory").get(pk=terms.provider_service_id)
    if listed.in_stock is False or listed.inventory == 0:
        raise UserError("Out of stock", field="quantity")
    if listed.inventory is not None and listed.inventory < units:
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
    have = delivery.lines.count()
    if have + len(given) > order.quantity and order.service.product.kind == Product.Kind.AUTO:
        raise UserError(f"{order.quantity} were bought, and {have} handed over before", field="lines")
    add_lines(delivery, given)
    lifecycle.note(order_id, Kind.DELIVERED, {"lines": len(given)}, actor_id=actor_id)
    if done or have + len(given) >= order.quantity:
        _complete(order, actor_id=actor_id)
    else:
        _begin(order, actor_id=actor_id)
    return order


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
    """Note that a provider has ended orders with these results, so that the goods are fetched; once for each order."""
    known = set(Delivery.objects.filter(order__in=list(results)).values_list("order_id", flat=True))
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
    fetched = 0
    try:
        with connecting.connect(provider) as client:
            for delivery, remote_id in _take_due(provider_id):
                fetched += _fetch_one(client, delivery, remote_id)
    except ProviderError as error:
        logger.warning("provider %s: goods not fetched: %s", provider, error)
        connecting.record_failure(provider, error)
    return fetched


def _take_due(provider_id: int) -> list[tuple[Delivery, str]]:
    """Put off what is due, so that no other worker fetches it meanwhile, and return it with the ids there."""
    now = timezone.now()
    with transaction.atomic():
        due = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            fetch_at__lte=now,
            order__dispatches__provider=provider_id,
            order__dispatches__state=Dispatch.State.SENT,
            order__dispatches__command=Dispatch.Command.ADD,
        )
        rows = list(due.annotate(remote_id=F("order__dispatches__remote_id")).order_by("fetch_at")[:MOST_AT_ONCE])
        for row in rows:
            row.fetch_at = now + WAITS[min(row.attempts, len(WAITS) - 1)]
            row.attempts += 1
        Delivery.objects.bulk_update(rows, ["fetch_at", "attempts"])
    return [(row, row.remote_id) for row in rows]


def _fetch_one(client: Client, delivery: Delivery, remote_id: str) -> bool:
    """Fetch one order's goods and store them; False when they are not there yet. Raises ProviderError."""
    lines = _read_goods(client, delivery, remote_id)
    if not lines:
        if delivery.attempts == TELL_AFTER:
            lifecycle.mark(delivery.order_id, Order.Attention.GOODS, Kind.ATTENTION, {})
        return False
    with transaction.atomic():
        Order.objects.select_for_update().only("pk").get(pk=delivery.order_id)
        mine = Delivery.objects.filter(pk=delivery.pk, fetch_at=delivery.fetch_at)
        if not mine.update(fetch_at=None, result_encrypted=""):
            return False
        add_lines(delivery, lines)
        lifecycle.note(delivery.order_id, Kind.DELIVERED, {"lines": len(lines)})
        Order.objects.filter(pk=delivery.order_id, attention=Order.Attention.GOODS).update(attention="")
    return True


def _read_goods(client: Client, delivery: Delivery, remote_id: str) -> Sequence[str]:
    """Return the lines of an order; without an action for them its result is the goods (PROTOCOL 3.9)."""
    if not client.connection.dialect.result_product:
        return check_lines(secrets.decrypt(delivery.result_encrypted).splitlines())
    answer = client.result_product(remote_id)
    return () if isinstance(answer, ItemError) else answer.lines


def reveal(order: Order, *, actor_id: int, way: Reveal.Way, address: str | None = None) -> list[str]:
    """Return the lines of an order that are not replaced, and note who was shown them; none where nothing came yet."""
    delivery = Delivery.objects.filter(order=order, fetch_at=None).first()
    if delivery is None:
        return []
    lines = list(delivery.lines.filter(replaced_at=None).select_related("stock_item").order_by("position"))
    if lines:
        Reveal.objects.create(delivery=delivery, actor_id=actor_id, way=way, address=address)
    return [read_line(line) for line in lines]


def read_line(line: DeliveredLine) -> str:
    """Return the text of a delivered line: a secret."""
    return secrets.decrypt(line.stock_item.text_encrypted if line.stock_item else line.text_encrypted)


def find_tokens(order_ids: Collection[int]) -> dict[int, str]:
    """Return the names under which the wire knows what was delivered, by order; nothing that is still to come."""
    rows = Delivery.objects.filter(order__in=order_ids, fetch_at=None).values_list("order", "token")
    return {order_id: str(token) for order_id, token in rows}


def _complete(order: Order, *, actor_id: int | None = None) -> None:
    before = order.status
    order.remains = 0
    ending.change(order, Status.COMPLETED, actor_id=actor_id)
    ending.save(order, before)


def _begin(order: Order, *, actor_id: int) -> None:
    before = order.status
    order.remains = max(order.quantity - order.delivery.lines.count(), 0)
    if before == Status.PENDING:
        ending.change(order, Status.IN_PROGRESS, actor_id=actor_id)
    ending.save(order, before)
