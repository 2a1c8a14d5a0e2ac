"""The products of the shop: of our own stock, which is small, of the providers, and what a clerk hands over."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from django.db import connections

from accounts.errors import UserError
from accounts.models import User
from catalog import stock
from catalog.models import Category, Product, Provider, ProviderService, Route, Service
from orders import delivering, lifecycle
from orders.models import Delivery, Order
from tests.chaos.plan import ENDLESS, RUNS_OUT, WARES, Plan, Ware

Source = Product.Source
Status = Order.Status

RATE = Decimal("2.50")
# By their ids at the sandbox: what they cost there, and how many may be bought at once.
REMOTE = {RUNS_OUT: (Decimal("2.5"), 10), ENDLESS: (Decimal("7.5"), 3)}
HAND_EVERY = 0.5


def offer(category: Category, providers: Sequence[Provider]) -> list[Service]:
    """Make the products, a provider's with a route to each of two providers."""
    return [_offer(category, providers, place, ware) for place, ware in enumerate(WARES)]


def _offer(category: Category, providers: Sequence[Provider], place: int, ware: Ware) -> Service:
    own = ware.source != Source.PROVIDER
    service = Service.objects.create(
        category=category,
        name=f"Product {place}",
        is_product=True,
        min=1,
        max=3,
        own_rate=RATE if own else None,
        loss_policy=Service.LossPolicy.NEXT_ROUTE,
    )
    Product.objects.create(service=service, source=ware.source, require="" if own else "E-mail")
    if not own:
        for position in (1, 2):
            row = _list(providers[(place + position - 1) % len(providers)], ware)
            Route.objects.create(service=service, provider_service=row, position=position)
    return service


def _list(provider: Provider, ware: Ware) -> ProviderService:
    rate, most = REMOTE[ware.remote]
    row, _ = ProviderService.objects.get_or_create(
        provider=provider,
        is_product=True,
        remote_id=str(ware.remote),
        defaults={"name": "Product", "type": "Auto", "rate": rate, "min": 1, "max": most, "require": "E-mail"},
    )
    return row


def fill(plan: Plan, wares: Sequence[Service], share: float) -> None:
    """Upload lines for a share of what customers will want of our own stock, so that it never suffices."""
    for place, ware in enumerate(wares):
        if ware.product.source == Source.STOCK:
            lines = [f"{ware.pk}-{share}-{number}" for number in range(max(1, int(plan.count_wanted(place) * share)))]
            stock.upload(ware.product, "\n".join(lines), actor_id=None)


def clerk() -> User:
    """Return the member of staff who delivers by hand and decides what waits for a person."""
    return User.objects.get_or_create(username="petra", email="petra@example.org", is_staff=True)[0]


def deliver(clerk_id: int, *, everything: bool = False) -> int:
    """Hand over one line for each order that staff deliver, or all lines; return for how many orders.

    Every third order waits for the end of the day.
    """
    waiting = Order.objects.filter(service__product__source=Source.HAND).exclude(status__in=lifecycle.ENDED)
    served = 0
    for order_id, quantity in waiting.order_by("pk").values_list("pk", "quantity"):
        if not everything and order_id % 3 == 0:
            continue
        have = _count(order_id)
        wanted = range(have, quantity if everything else have + 1)
        try:
            delivering.deliver_by_hand(order_id, [f"by-hand-{order_id}-{n}" for n in wanted], actor_id=clerk_id)
        except UserError:
            continue  # somebody else was quicker
        served += 1
    return served


def _count(order_id: int) -> int:
    delivery = Delivery.objects.filter(order=order_id).first()
    return delivery.lines.count() if delivery else 0


@contextmanager
def delivering_by_hand() -> Iterator[None]:
    """Let the clerk hand over a line here and there meanwhile."""
    stop, clerk_id = threading.Event(), clerk().pk

    def work() -> None:
        try:
            while not stop.wait(HAND_EVERY):
                deliver(clerk_id)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
