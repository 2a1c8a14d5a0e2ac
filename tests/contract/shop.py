"""A shop in which the ids of the documentation's examples exist: services, products, orders of both, refills."""

import datetime
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from accounts.models import User
from catalog.models import Category, ProviderService, Service, ServiceChange
from orders import delivering, lifecycle
from orders.models import Delivery, Dispatch, Order, Refill
from tests.conftest import Fund, MakeProduct, MakeService, Place

DEPOSIT = "122.70162"  # what the orders below leave of it is the balance in the documents
NOON = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
PARTIAL = lifecycle.Report(status="Partial", word="Partial", start_count=3572, remains=157)
COMPLETED = lifecycle.Report(status="Completed", word="Completed", start_count=168, remains=0)
UNDER_WAY = lifecycle.Report(status="In progress", word="In progress", start_count=234, remains=10)


def stock(make_service: MakeService) -> list[Service]:
    """Put on sale what the examples buy: services 1, 2 and 3."""
    first, second = (Category.objects.create(name=f"{word} Category") for word in ("First", "Second"))
    services = [
        make_service(
            id=1,
            name="Followers",
            category=first,
            min=50,
            max=10_000,
            rate=Decimal("0.90"),
            refill=True,
            cancel=True,
            dripfeed=True,
            description="Starts within an hour.",
        ),
        make_service(
            id=2,
            name="Comments",
            category=second,
            type="Custom Comments",
            min=2,
            max=1500,
            rate=Decimal(8),
            cancel=True,
        ),
        make_service(
            id=3,
            name="Likes for new posts",
            category=second,
            type="Subscriptions",
            min=50,
            max=5000,
            rate=Decimal("1.25"),
        ),
    ]
    ProviderService.objects.update(cancel=True)
    ServiceChange.objects.all().delete()
    note(services[0], "up", "0.84", "0.90", NOON - datetime.timedelta(seconds=100))
    note(services[1], "limits", "10-1000", "2-1500", NOON)
    return services


def note(service: Service, kind: str, before: str, after: str, at: datetime.datetime) -> None:
    ServiceChange.objects.create(service=service, kind=kind, before=before, after=after, created_at=at)


def trade(customer: User, service: Service, fund: Fund, place: Place) -> None:
    """Let a customer have the orders and refills that the examples ask for, and the balance of the documents."""
    fund(customer, DEPOSIT)
    order(customer, service, place, 1, PARTIAL)
    refill(customer, service, place, 11, 1, Refill.Status.COMPLETED)
    refill(customer, service, place, 12, 2, Refill.Status.REJECTED)
    order(customer, service, place, 2, COMPLETED)
    order(customer, service, place, 100, UNDER_WAY)
    begin("orders_refill", 3)


def order(customer: User, service: Service, place: Place, number: int, report: lifecycle.Report) -> Order:
    """Let a customer have an order with an id, which came so far and, where it has ended, did so two days ago."""
    begin("orders_order", number)
    placed = place(customer, service, quantity="1000")
    placed.dispatches.update(state=Dispatch.State.SENT, remote_id=f"7{number}", due_at=None)
    lifecycle.accept(placed.pk)
    lifecycle.advance(placed.pk, report)
    Order.objects.filter(pk=number, ended_at__isnull=False).update(ended_at=timezone.now() - datetime.timedelta(days=2))
    return placed


LINES = ["AAAA-1111-2222", "BBBB-3333-4444", "CCCC-5555-6666"]
TOKENS = {
    201: "c85c1d1a-9ef3-4d01-8c58-3dfaf3bbc78e",
    202: "c85c1d1a-9ef3-4d01-8c58-3dfaf3bbc457",
}


def shelve(make_product: MakeProduct) -> tuple[Service, Service]:
    """Put on sale the products of the examples: 4 of our own stock, 5 out of stock, 6 by hand; return 4 and 6."""
    keys, work = (Category.objects.create(name=word) for word in ("Licences", "Drawings"))
    lines = [*LINES, *(f"DDDD-{number}" for number in range(40))]
    first = make_product(id=4, name="Licence for one year", category=keys, max=10, lines=lines)
    make_product(id=5, name="Gift card", category=keys, max=5, require="Your account", own_rate=Decimal("0.51025"))
    drawn = make_product(
        id=6,
        name="Letterhead drawn by hand",
        category=work,
        max=10,
        source="hand",
        kind="Service",
        require="Your wishes",
    )
    return first, drawn


def trade_products(customer: User, products: tuple[Service, Service], place: Place) -> None:
    """Let a customer have the orders of products that the examples ask for: 201 to 204, one for each end, one open."""
    stocked, drawn = products
    begin("orders_order", 201)
    place(customer, stocked, quantity="3")
    partial, canceled, _open = (
        place(customer, drawn, quantity=quantity, require="An owl") for quantity in ("6", "1", "1")
    )
    delivering.deliver_by_hand(partial.pk, ["one", "two", "three"], actor_id=customer.pk)
    lifecycle.end_by_hand(partial.pk, "Partial", 3, actor_id=customer.pk, why="no more ink")
    lifecycle.end_by_hand(canceled.pk, "Canceled", None, actor_id=customer.pk, why="no more ink")
    Order.objects.filter(pk=canceled.pk).update(note="Out of stock")
    for number, token in TOKENS.items():
        Delivery.objects.filter(order=number).update(token=token)


def refill(customer: User, service: Service, place: Place, order_number: int, number: int, word: str) -> None:
    """Let a customer have a refill with an id, of a completed order, and what became of it."""
    ended = order(customer, service, place, order_number, COMPLETED)
    taken = ended.dispatches.get()
    dispatch = Dispatch.objects.create(
        order=ended,
        command=Dispatch.Command.REFILL,
        provider=taken.provider,
        provider_service=taken.provider_service,
        state=Dispatch.State.SENT,
        remote_id=f"5{order_number}",
        due_at=None,
    )
    Refill.objects.create(id=number, order=ended, dispatch=dispatch, status=word, ended_at=timezone.now())


def begin(table: str, number: int) -> None:
    """Let the next row of a table have an id."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [table, number])
