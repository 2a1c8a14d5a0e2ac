import datetime
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from catalog import connecting
from catalog.models import BalanceReading, Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import evidence, forwarding, lifecycle, syncing
from orders.models import Dispatch, Order, OrderEvent
from tests.conftest import Fund, Place, make_provider

State = Dispatch.State
MINUTE = datetime.timedelta(minutes=1)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]


@pytest.fixture
def funded(customer: User, fund: Fund) -> User:
    fund(customer, "1000")
    return customer


def doubt(customer: User, service: Service, sandbox: Sandbox, place: Place, kind: str = "reset") -> Order:
    """Place an order that ends in doubt, taken all the same unless the fault comes before."""
    order = place(customer, service, quantity="1000")
    sandbox.misbehave("add", kind, match=order.link)
    forwarding.forward_all()
    assert order.dispatches.get().state == State.UNCLEAR
    return order


def read(provider: Provider, *, ago: int = 0) -> BalanceReading:
    """Read the balance, as if so many minutes ago."""
    connecting.read_balance(provider)
    reading = BalanceReading.objects.latest("pk")
    reading.read_at = timezone.now() - ago * MINUTE
    reading.save()
    return reading


def gather(order: Order) -> evidence.Evidence:
    rows = Dispatch.objects.select_related("order__service", "provider", "provider_service")
    return evidence.gather(rows.get(order=order, command="add"))


def test_a_fall_that_nothing_explains_is_told_with_its_figures(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    read(provider, ago=5)
    others = [place(funded, service, quantity="1000") for _ in range(2)]
    forwarding.forward_all()
    order = doubt(funded, service, sandbox, place)
    read(provider)
    found = gather(order)
    assert {other.dispatches.get().state for other in others} == {State.SENT}
    assert (found.fall, found.spent, found.unexplained, found.cost) == (
        Decimal("2.70"),
        Decimal("1.80"),
        Decimal("0.90"),
        Decimal("0.90"),
    )
    assert found.sentence.startswith("Balance fell by 2.70 between ")
    assert found.sentence.endswith(
        "; orders accepted in between explain 1.80; 0.90 is unexplained; this order would cost 0.90."
    )


def test_an_order_that_was_not_taken_leaves_nothing_unexplained(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    read(provider, ago=5)
    place(funded, service, quantity="1000")
    order = doubt(funded, service, sandbox, place, "html")
    read(provider)
    assert gather(order).unexplained == 0


def test_what_came_back_for_orders_that_ended_is_taken_into_account(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    early = place(funded, service, quantity="1000")
    forwarding.forward_all()
    Dispatch.objects.update(settled_at=timezone.now() - 10 * MINUTE)
    read(provider, ago=5)
    sandbox.set_order(early.dispatches.get().remote_id, status="Partial", remains=500)
    syncing.sync_all(everything=True)
    order = doubt(funded, service, sandbox, place)
    read(provider)
    found = gather(order)
    assert (found.fall, found.returned, found.unexplained) == (Decimal("0.45"), Decimal("0.45"), Decimal("0.90"))
    assert "0.45 came back for orders that ended" in found.sentence


def test_other_orders_in_doubt_are_named_because_the_fall_may_be_theirs(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    read(provider, ago=5)
    order, other = (doubt(funded, service, sandbox, place) for _ in range(2))
    read(provider)
    found = gather(order)
    assert (found.unexplained, found.doubts, found.doubtful) == (Decimal("1.80"), 1, Decimal("0.90"))
    assert "1 other order in doubt was sent in between and would cost 0.90" in found.sentence
    assert [row.order_id for row in evidence.list_affected(order.dispatches.get())] == [other.pk]


def test_money_that_was_paid_in_is_told_as_a_rise(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    read(provider, ago=5)
    order = doubt(funded, service, sandbox, place, "html")
    reading = read(provider)
    reading.amount += 50
    reading.save()
    assert "Balance rose by 50.00" in gather(order).sentence
    assert "so money was paid in" in gather(order).sentence


def test_without_a_reading_on_both_sides_the_balance_says_nothing(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    order = doubt(funded, service, sandbox, place)
    assert "not read before" in gather(order).sentence
    read(provider, ago=5)
    assert gather(order).sentence == "The balance has not been read since the order was last sent."
    assert gather(order).unexplained is None
    Dispatch.objects.update(first_claimed_at=None)
    assert gather(order).fall is None


def test_a_reading_while_the_answer_was_still_out_is_not_the_one_after(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    read(provider, ago=5)
    order = doubt(funded, service, sandbox, place)
    OrderEvent.objects.filter(kind="unclear").update(created_at=timezone.now() + MINUTE)
    read(provider)
    assert gather(order).after is None
    late = read(provider, ago=-2)
    assert gather(order).after == late


def test_the_readings_closest_to_the_attempts_count(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    read(provider, ago=30)
    before = read(provider, ago=5)
    order = doubt(funded, service, sandbox, place)
    after = read(provider)
    read(provider, ago=-5)
    found = gather(order)
    assert (found.before, found.after) == (before, after)


def test_what_happens_at_other_providers_or_at_other_times_explains_nothing(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    place(funded, service, quantity="1000")
    forwarding.forward_all()
    Dispatch.objects.update(settled_at=timezone.now() - 10 * MINUTE)
    read(provider, ago=5)
    elsewhere = place(funded, service, quantity="1000")
    forwarding.forward_all()
    elsewhere.dispatches.update(provider=make_provider(sandbox.url))
    order = doubt(funded, service, sandbox, place)
    read(provider)
    assert gather(order).spent == 0


def test_an_order_that_was_completed_gives_nothing_back(
    funded: User, service: Service, provider: Provider, sandbox: Sandbox, place: Place
) -> None:
    early = place(funded, service, quantity="1000")
    forwarding.forward_all()
    read(provider, ago=5)
    lifecycle.advance(early.pk, lifecycle.Report(status="Completed", word="Completed"))
    order = doubt(funded, service, sandbox, place)
    read(provider)
    assert gather(order).returned == 0


def test_the_times_are_as_short_as_tells_them_apart() -> None:
    noon = timezone.localtime().replace(hour=12, minute=0, second=0, microsecond=0)
    day, before = noon.strftime("%-d %b"), (noon - datetime.timedelta(days=1)).strftime("%-d %b")
    with time_machine.travel(noon, tick=False):
        assert "between 12:00 and 12:05;" in told(noon, noon + 5 * MINUTE)
        assert "between 12:00:00 and 12:00:30;" in told(noon, noon + MINUTE / 2)
        assert f"between {before} 12:00 and {day} 12:00;" in told(noon - datetime.timedelta(days=1), noon)


def told(*times: datetime.datetime) -> str:
    before, after = (BalanceReading(amount=Decimal(10), read_at=time) for time in times)
    return evidence.Evidence(Decimal(1), "USD", before, after).sentence
