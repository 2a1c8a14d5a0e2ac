"""What must be true when everything has settled, whatever happened before: the promises of orders/FORWARDING.md.

The truth about deliveries is what the providers themselves say they took; ours is the database.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import F

from accounts import ledger
from accounts.money import share
from orders import auditing
from orders.models import Cancel, Dispatch, Order, Refill
from tests.chaos import inspecting
from tests.chaos.buying import Takings
from tests.chaos.shop import PURSE, Shop
from tests.chaos.upstreams import Upstream

State = Dispatch.State
Status = Order.Status
ENDED = (Status.COMPLETED, Status.PARTIAL, Status.CANCELED)


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, and the order that it was given for."""

    text: str
    order_id: int | None = None

    def __str__(self) -> str:
        return f"order {self.order_id}: {self.text}" if self.order_id else self.text


@dataclass(frozen=True, slots=True)
class Taken:
    """One order as a provider took it, with the runs that it came in."""

    provider_id: int
    record: dict[str, Any]
    parts: Sequence[dict[str, Any]]

    @property
    def status(self) -> str:
        """What the provider says of it now."""
        return str(self.record["status"])

    def __str__(self) -> str:
        return f"{self.record['id']} at provider {self.provider_id} ({self.status})"


def judge(takings: Takings, shop: Shop, upstreams: Sequence[Upstream], *, all_settled: bool = False) -> list[Violation]:
    """Return every promise that was broken; `all_settled` where nothing may wait for anybody any more."""
    taken = read_taken(shop, upstreams)
    orders = Order.objects.select_related("service__product").in_bulk()
    adds: defaultdict[int, list[Dispatch]] = defaultdict(list)
    for dispatch in Dispatch.objects.filter(command="add").order_by("pk"):
        adds[dispatch.order_id].append(dispatch)
    found = [Violation(text) for text in (*takings.errors, *auditing.find_differences())]
    found += judge_whole(takings, shop, orders, taken)
    for order in orders.values():
        texts = [*judge_order(order, adds[order.pk], taken[subject(order)]), *judge_cancels(order, adds[order.pk])]
        if all_settled and order.status not in ENDED:
            texts.append(f"still {order.status} after staff decided")
        found += [Violation(text, order.pk) for text in texts]
    found += [Violation(text) for text in inspecting.judge_stock()]
    return found + judge_refills(shop, upstreams)


def subject(order: Order) -> str:
    """Return what an order can be told by at a provider: its link, or what its product required."""
    return order.link or str(order.details.get("require", ""))


def read_taken(shop: Shop, upstreams: Sequence[Upstream]) -> defaultdict[str, list[Taken]]:
    """Return what the providers took, by link or by what a product required."""
    taken: defaultdict[str, list[Taken]] = defaultdict(list)
    for provider, upstream in zip(shop.providers, upstreams, strict=True):
        records = upstream.orders().values()
        parts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in records:
            parts[record["parent"]].append(record)
        for record in parts[""]:
            taken[record["link"]].append(Taken(provider.pk, record, parts[record["id"]]))
        for record in upstream.product_orders().values():
            taken[record["require"]].append(Taken(provider.pk, record, ()))
    return taken


def judge_whole(
    takings: Takings, shop: Shop, orders: dict[int, Order], taken: dict[str, list[Taken]]
) -> list[Violation]:
    """Judge what is about no single order."""
    found = []
    if set(takings.orders.values()) != set(orders):
        found.append(Violation(f"customers were told of {len(takings.orders)} orders, there are {len(orders)}"))
    strays = set(taken) - {subject(order) for order in orders.values()}
    found += [Violation(f"nobody ordered {stray}, but it was taken") for stray in strays if taken[stray]]
    for customer in shop.customers:
        spent = sum((order.net_charge for order in orders.values() if order.user_id == customer.pk), Decimal(0))
        if ledger.read_balance(customer.pk) != PURSE - spent:
            found.append(Violation(f"customer {customer.pk} has {ledger.read_balance(customer.pk)}, spent {spent}"))
    below_cost = Dispatch.objects.filter(command="add", cost__gt=F("order__charge"), loss_allowed=False)
    sold = below_cost.filter(state__in=[State.SENT, State.UNCLEAR, State.LEASED])
    found += [Violation("sent although it cost more than was charged", row.order_id) for row in sold]
    return found


def judge_order(order: Order, adds: Sequence[Dispatch], taken: Sequence[Taken]) -> list[str]:
    """Judge one order by what its dispatches say and what the providers took."""
    found = []
    if len(taken) > 1:
        found.append(f"taken {len(taken)} times: {', '.join(map(str, taken))}")
    if order.attention:
        found.append(f"needs attention: {order.attention}")
    if order.service.is_product and not adds:
        return found + inspecting.judge_own(order)
    live = next((dispatch for dispatch in adds if dispatch.state != State.REJECTED), None)
    provider_id = live.provider_id if live else None
    found += [f"taken as {one}, which we think refused it" for one in taken if one.provider_id != provider_id]
    if live is None:
        if order.status != Status.CANCELED or order.refunded != order.charge:
            found.append(f"nobody has it, but it is {order.status} and {order.refunded} of {order.charge} came back")
    elif live.state == State.SENT:
        found += judge_sent(order, live, taken)
    else:
        found += judge_waiting(order, live, taken)
    if order.service.is_product:
        made = next((one for one in taken if live and one.record["id"] == live.remote_id), None)
        found += inspecting.judge_goods(order, made.record["goods"] if made else [])
    return found


def judge_sent(order: Order, live: Dispatch, taken: Sequence[Taken]) -> list[str]:
    """Judge an order that a provider has, by what that provider says of it."""
    one = next((one for one in taken if one.record["id"] == live.remote_id), None)
    if one is None:
        return [f"we say it was taken as {live.remote_id}, the provider does not"]
    found = []
    if order.status not in ENDED or one.status not in ENDED:
        found.append(f"not settled: {order.status} here, {one.status} there")
    elif not one.parts and order.status != one.status:
        found.append(f"{order.status} here, {one.status} there")
    due = share(order.charge, undelivered(order, one), order.quantity)
    if order.status in ENDED and order.refunded != due:
        found.append(f"{order.refunded} came back, due were {due} of {order.charge}: {one}")
    return found


def undelivered(order: Order, one: Taken) -> int:
    """Return how many units a provider says it did not deliver."""
    if order.parts == 1:
        return order.quantity if one.status == Status.CANCELED else int(one.record["remains"])
    size = order.quantity // order.parts
    ended = [part for part in one.parts if part["status"] in ENDED]
    lacking = sum(size if part["status"] == Status.CANCELED else int(part["remains"]) for part in ended)
    return (order.parts - len(ended)) * size + lacking


def judge_waiting(order: Order, live: Dispatch, taken: Sequence[Taken]) -> list[str]:
    """Judge an order that is neither sent nor refused: charged, waiting, and staff can read why."""
    found = []
    if order.status != Status.PENDING or order.refunded:
        found.append(f"{live.state}, but {order.status} and {order.refunded} came back")
    if live.state == State.LEASED:
        found.append("still leased")
    if not live.reason and not live.evidence:
        found.append(f"{live.state} without a reason")
    if taken and not live.doubtful:
        found.append(f"taken as {taken[0]}, but {live.state} without doubt")
    return found


def judge_cancels(order: Order, adds: Sequence[Dispatch]) -> list[str]:
    """Judge the wish to cancel: granted where nobody had the order, else told to the provider, never forgotten."""
    found = []
    doubtful = any(dispatch.doubtful and dispatch.state != State.SENT for dispatch in adds)
    for cancel in Cancel.objects.filter(order=order):
        if cancel.status in Cancel.OPEN and order.status in ENDED:
            found.append(f"cancel {cancel.pk} is {cancel.status}, the order {order.status}")
        if cancel.status == Cancel.Status.ASKED and cancel.dispatch_id is None and not doubtful:
            found.append(f"cancel {cancel.pk} was neither granted nor forwarded")
        if cancel.status == Cancel.Status.DONE and order.status not in (Status.CANCELED, Status.PARTIAL):
            found.append(f"cancel {cancel.pk} is done, the order {order.status}")
    return found


def judge_refills(shop: Shop, upstreams: Sequence[Upstream]) -> list[Violation]:
    """Judge refills that a provider gave an id by what it says of them, and all others by their having an end."""
    there = {
        (provider.pk, number): status
        for provider, upstream in zip(shop.providers, upstreams, strict=True)
        for number, status in upstream.refills().items()
    }
    found = []
    for refill in Refill.objects.select_related("dispatch"):
        status = there.get((refill.dispatch.provider_id, refill.remote_id), "unknown")
        waits = refill.dispatch.state in (State.QUEUED, State.UNCLEAR, State.HELD) and refill.dispatch.reason
        if refill.remote_id and status != refill.status:
            found.append(Violation(f"refill {refill.pk} is {refill.status} here, {status} there", refill.order_id))
        elif refill.status in Refill.OPEN and not waits:
            found.append(Violation(f"refill {refill.pk} is {refill.status} for ever", refill.order_id))
    return found
