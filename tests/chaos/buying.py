"""The customers of a run, each in a thread: buying, asking twice, changing their minds and wanting refills."""

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from django.db import connections

from accounts.errors import UserError
from orders import cancels, forms, placing, refills
from orders.forms import OrderRequest
from orders.models import Order
from tests.chaos.plan import Plan, ProductPurchase, Purchase
from tests.chaos.shop import Shop

# How often a customer looks whether a refill may be asked for.
REFILL_EVERY = 1.0
SOLD_OUT = {"Out of stock", "Not enough stock"}


@dataclass
class Takings:
    """What customers did: order ids and times (seconds) by purchase, what they asked for, and what went wrong."""

    orders: dict[int, int] = field(default_factory=dict)
    placed_at: dict[int, float] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


class Customer:
    """One customer's purchases and wishes, done when their time has come."""

    def __init__(self, plan: Plan, shop: Shop, number: int, takings: Takings) -> None:
        self.shop, self.takings = shop, takings
        self.user_id = shop.customers[number].pk
        self.closing = plan.seconds
        self.start = 0.0
        self.ties = itertools.count()
        self.todo: list[tuple[float, int, Callable[[float], None]]] = []
        for purchase in plan.purchases:
            if purchase.customer == number:
                self.plan(purchase.at, partial(self.buy, purchase))
        for product in plan.products:
            if product.customer == number:
                self.plan(product.at, partial(self.buy_product, product))

    def plan(self, at: float, act: Callable[[float], None]) -> None:
        """Remember to do something; acts are given the time for which they were planned."""
        heapq.heappush(self.todo, (at, next(self.ties), act))

    def run(self, start: float, stop: threading.Event) -> None:
        """Do everything when its time has come (monotonic seconds after `start`), or nothing more once told to stop."""
        self.start = start
        try:
            while self.todo and not stop.is_set():
                at, _, act = heapq.heappop(self.todo)
                if not stop.wait(max(0.0, start + at - time.monotonic())):
                    act(at)
        except Exception as error:  # noqa: BLE001 - buying must not fail, whatever is being killed
            self.takings.errors.append(f"customer {self.user_id}: {error!r}")
        finally:
            connections.close_all()

    def buy(self, purchase: Purchase, at: float) -> None:
        """Place an order of a service, and remember the wish for a refill."""
        service = self.shop.services[purchase.service]
        values = {"link": purchase.link, "quantity": str(service.min * purchase.times)}
        if purchase.runs > 1 and service.dripfeed:
            values |= {"runs": str(purchase.runs), "interval": "1"}
        order_id = self.place(purchase, forms.parse_order(service, values), at)
        if purchase.refill and service.refill:
            self.plan(at + REFILL_EVERY, partial(self.refill, order_id))

    def buy_product(self, purchase: ProductPurchase, at: float) -> None:
        """Place an order of a product; that it has run out is no failure."""
        ware = self.shop.wares[purchase.ware]
        values = {"quantity": str(purchase.quantity), "require": purchase.require}
        try:
            self.place(purchase, forms.parse_order(ware, values), at)
        except UserError as error:
            if error.text not in SOLD_OUT:
                raise
            self.takings.said[error.text] += 1

    def place(self, purchase: Purchase | ProductPurchase, request: OrderRequest, at: float) -> int:
        """Send a request once, or twice under its key, and remember what it came to and the wish to cancel it."""
        ids = {
            placing.place_order(self.user_id, request, idempotency_key=f"chaos-{purchase.number}")
            for _ in range(1 + purchase.twice)
        }
        if len(ids) > 1:
            self.takings.errors.append(f"purchase {purchase.number} was placed as {sorted(ids)}")
        order_id = ids.pop()
        self.takings.orders[purchase.number] = order_id
        self.takings.placed_at[purchase.number] = time.monotonic() - self.start
        if purchase.cancel_after is not None:
            self.plan(at + purchase.cancel_after, partial(self.cancel, order_id))
        return order_id

    def cancel(self, order_id: int, _: float) -> None:
        """Ask to cancel an order, whatever it is doing at the moment."""
        try:
            cancels.request_cancel(self.user_id, order_id)
            self.takings.said["cancel asked for"] += 1
        except UserError as error:
            self.takings.said[f"cancel: {error.text}"] += 1

    def refill(self, order_id: int, at: float) -> None:
        """Ask for a refill of an order that has been delivered; look again while it is not."""
        if Order.objects.filter(pk=order_id, status=Order.Status.COMPLETED).exists():
            try:
                refills.request_refill(self.user_id, order_id)
                self.takings.said["refill asked for"] += 1
            except UserError as error:
                self.takings.said[f"refill: {error.text}"] += 1
        elif at + REFILL_EVERY < self.closing:
            self.plan(at + REFILL_EVERY, partial(self.refill, order_id))


@contextmanager
def shopping(plan: Plan, shop: Shop, start: float) -> Iterator[tuple[Takings, Sequence[threading.Thread]]]:
    """Let all customers in; yield what they do, and their threads, which end when everybody has done everything."""
    takings, stop = Takings(), threading.Event()
    customers = [Customer(plan, shop, number, takings) for number in range(len(shop.customers))]
    threads = [threading.Thread(target=customer.run, args=(start, stop)) for customer in customers]
    for thread in threads:
        thread.start()
    try:
        yield takings, threads
    finally:
        stop.set()
        for thread in threads:
            thread.join()
