import datetime
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from catalog import connecting
from catalog.models import Provider, ProviderService, Route, Service
from catalog.providers.errors import Reason, Rejected, Unavailable, Unclear
from catalog.providers.replies import Added, CancelAccepted, ItemError
from catalog.providers.sandbox import Sandbox
from orders import cancels, claiming, forwarding, lifecycle, offering, resolving, sending, settling, syncing, wording
from orders.models import Cancel, Dispatch, Order, OrderEvent
from orders.offering import Offer, Way
from tests.conftest import Fund, Place, make_provider
from tests.processes import database_url, wait_for

State = Dispatch.State
Status = Cancel.Status
HOUR = datetime.timedelta(hours=1)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]


@pytest.fixture
def cancelable(service: Service) -> Service:
    service.cancel = True
    service.save()
    return service


@pytest.fixture
def order(customer: User, cancelable: Service, fund: Fund, place: Place) -> Order:
    """An order that nobody has been sent yet."""
    fund(customer, "1000")
    return place(customer, cancelable)


@pytest.fixture
def sent(order: Order) -> Order:
    """An order that the sandbox has."""
    forwarding.forward_all()
    return order


def ask(order: Order) -> Cancel:
    return cancels.request_cancel(order.user_id, order.pk)


def lease(order: Order, command: str = "add") -> claiming.Claim:
    """Claim an order's dispatch, as a worker that is about to send it."""
    Dispatch.objects.filter(order=order, command=command, state=State.QUEUED).update(due_at=timezone.now())
    claims = claiming.claim_next(order.dispatches.get(command=command).provider_id, 1)
    assert claims
    assert (claims[0].order_id, claims[0].command) == (order.pk, command)
    return claims[0]


def look() -> None:
    Dispatch.objects.filter(poll_at__isnull=False).update(poll_at=timezone.now())
    syncing.sync_all()


def told(order: Order) -> list[dict[str, Any]]:
    """Return what the public events say about cancels, oldest first."""
    return [event.data for event in order.events.filter(kind=OrderEvent.Kind.CANCEL).order_by("pk")]


def stands(order: Order) -> tuple[str, bool, str]:
    """Return the order's status, whether all of its charge came back, and where its cancel is."""
    order.refresh_from_db()
    return order.status, order.refunded == order.charge, order.cancels.get().status


def test_an_order_that_nobody_has_is_canceled_and_paid_back_at_once(order: Order, sandbox: Sandbox) -> None:
    balance = ledger.read_balance(order.user_id)
    cancel = ask(order)
    assert cancel.status == Status.DONE
    assert cancel.ended_at is not None
    assert stands(order) == ("Canceled", True, Status.DONE)
    assert ledger.read_balance(order.user_id) == balance + order.charge
    assert order.dispatches.get().state == State.REJECTED
    forwarding.forward_all()
    assert sandbox.received == []
    assert [said["to"] for said in told(order)] == ["asked", "done"]
    assert order.events.get(kind="refunded").data["why"] == "customer"


def test_a_held_order_is_canceled_at_once(order: Order) -> None:
    order.dispatches.update(state=State.HELD, due_at=None, hold=Dispatch.Hold.LOSS)
    ask(order)
    assert stands(order) == ("Canceled", True, Status.DONE)
    assert order.dispatches.get().hold == ""


def test_an_order_that_a_provider_has_is_paid_back_only_when_it_says_so(sent: Order, sandbox: Sandbox) -> None:
    remote_id = sent.dispatches.get().remote_id
    cancel = ask(sent)
    assert stands(sent) == ("Processing", False, Status.ASKED)
    forwarding.forward_all()
    assert stands(sent) == ("Processing", False, Status.NOTED)
    assert sandbox.orders[remote_id].cancel_requested
    look()
    assert stands(sent) == ("Processing", False, Status.NOTED)
    sandbox.set_order(remote_id, status="Canceled")
    look()
    assert stands(sent) == ("Canceled", True, Status.DONE)
    cancel.refresh_from_db()
    assert cancel.ended_at is not None
    assert [said["to"] for said in told(sent)] == ["asked", "noted", "done"]


def test_an_order_that_is_delivered_all_the_same_was_canceled_too_late(sent: Order, sandbox: Sandbox) -> None:
    ask(sent)
    forwarding.forward_all()
    sandbox.set_order(sent.dispatches.get(command="add").remote_id, status="Completed", remains=0)
    look()
    assert stands(sent) == ("Completed", False, Status.LATE)


def test_after_its_cancel_was_noted_an_old_order_is_looked_at_soon(sent: Order) -> None:
    sent.dispatches.update(poll_at=timezone.now() + 6 * HOUR)
    ask(sent)
    forwarding.forward_all()
    poll_at = sent.dispatches.get(command="add").poll_at
    assert poll_at is not None
    assert poll_at <= timezone.now() + datetime.timedelta(seconds=settings.SYNC_EVERY_SECONDS)


def test_asking_twice_is_one_wish(sent: Order) -> None:
    assert ask(sent) == ask(sent)
    forwarding.forward_all()
    assert ask(sent).status == Status.NOTED
    assert Dispatch.objects.filter(command="cancel").count() == 1
    assert [said["to"] for said in told(sent)] == ["asked", "noted"]


def test_cancels_that_are_asked_for_together_go_out_in_one_call(
    sent: Order, customer: User, cancelable: Service, sandbox: Sandbox, place: Place
) -> None:
    other = place(customer, cancelable)
    forwarding.forward_all()
    ask(sent)
    ask(other)
    before = len(sandbox.received)
    forwarding.forward_all()
    assert [call["action"] for call in sandbox.received[before:]] == ["cancel"]
    assert set(Cancel.objects.values_list("status", flat=True)) == {Status.NOTED}


Outcome = Added | Exception
REFUSED = Rejected("Incorrect service ID", condition="service_unknown", failover=True)


@pytest.mark.parametrize(
    "outcome",
    [
        Unavailable("Refused", reason=Reason.NETWORK),
        Unavailable("Not enough funds", reason=Reason.FUNDS),
        Unavailable("Invalid API key", reason=Reason.KEY),
        Rejected("Bad link", condition="invalid_link"),
        REFUSED,
    ],
)
def test_a_wish_while_the_order_is_being_sent_is_granted_when_it_was_not_taken(
    order: Order, sandbox: Sandbox, outcome: Exception
) -> None:
    other = make_provider(sandbox.url, key=sandbox.key)
    remote = ProviderService.objects.create(
        provider=other, remote_id="1", name="Visits", type="Default", rate="0.1", min=1, max=9
    )
    Route.objects.create(service=order.service, provider_service=remote, position=2)
    claim = lease(order)
    assert ask(order).dispatch is None
    assert stands(order) == ("Pending", False, Status.ASKED)
    settling.settle({claim: outcome})
    assert stands(order) == ("Canceled", True, Status.DONE)
    assert order.dispatches.get().state == State.REJECTED


def test_a_wish_while_the_order_is_being_sent_is_forwarded_when_it_was_taken(order: Order, sandbox: Sandbox) -> None:
    claim = lease(order)
    cancel = ask(order)
    assert ask(order) == cancel
    settling.settle({claim: Added("70001", None, "")})
    assert stands(order) == ("Processing", False, Status.ASKED)
    forwarded = Dispatch.objects.get(command="cancel")
    cancel.refresh_from_db()
    assert (cancel.dispatch, forwarded.state) == (forwarded, State.QUEUED)
    assert lease(order, "cancel").remote_id == "70001"


@pytest.mark.parametrize(
    "change",
    [
        lambda: Service.objects.update(cancel=False),
        lambda: ProviderService.objects.update(cancel=False),
        lambda: Provider.objects.update(dialect="1dg"),
        lambda: Provider.objects.update(dialect="gone"),
    ],
)
def test_where_the_provider_takes_no_cancels_the_order_goes_on(order: Order, change: Callable[[], object]) -> None:
    claim = lease(order)
    ask(order)
    change()
    settling.settle({claim: Added("70001", None, "")})
    assert stands(order) == ("Processing", False, Status.REFUSED)
    assert told(order)[-1] == {"to": "refused", "why": "cancel_not_supported"}
    assert not Dispatch.objects.filter(command="cancel").exists()
    with pytest.raises(UserError, match="Cancel not allowed"):
        ask(order)
    assert not cancels.offer(order).shown


def test_a_wish_while_the_order_is_in_doubt_waits_until_it_is_decided(order: Order, staff: User) -> None:
    settling.settle({lease(order): Unclear("Cut off", reason="cut")})
    assert order.dispatches.get().state == State.UNCLEAR
    ask(order)
    assert stands(order) == ("Pending", False, Status.ASKED)
    resolving.mark_arrived(order.dispatches.get().pk, "70001", actor_id=staff.pk)
    assert stands(order) == ("Processing", False, Status.ASKED)
    assert Dispatch.objects.get(command="cancel").state == State.QUEUED


def test_an_order_in_doubt_is_not_paid_back_whatever_a_later_attempt_meets(order: Order) -> None:
    settling.settle({lease(order): Unclear("Cut off", reason="cut")})
    ask(order)
    resend = order.dispatches.get()
    resend.resend_until = timezone.now() + HOUR
    resend.state, resend.due_at = State.QUEUED, timezone.now()
    resend.save()
    assert offering.cancel_way(order, offering.read_takers([order])[order.pk]) == Way.NOTED
    assert ask(order).status == Status.ASKED
    settling.settle({lease(order): Rejected("Bad link", condition="invalid_link")})
    assert stands(order) == ("Pending", False, Status.ASKED)
    assert not cancels.honour(order.dispatches.get())


def test_the_staffs_refund_ends_the_wish(order: Order, staff: User) -> None:
    settling.settle({lease(order): Unclear("Cut off", reason="cut")})
    ask(order)
    resolving.cancel_and_refund(order.dispatches.get().pk, actor_id=staff.pk, why="not there")
    assert stands(order) == ("Canceled", True, Status.DONE)


@pytest.mark.parametrize("word", ["Completed", "Canceled", "Partial"])
def test_what_has_ended_cannot_be_canceled(sent: Order, word: str) -> None:
    lifecycle.advance(sent.pk, lifecycle.Report(status=word, word=word, remains=1))
    with pytest.raises(UserError, match="Cancel not allowed"):
        ask(sent)
    assert not Cancel.objects.exists()
    assert not cancels.offer(Order.objects.get()).shown


def test_an_order_of_somebody_else_is_unknown(order: Order, stranger: User) -> None:
    for order_id in (order.pk, 10**17):
        with pytest.raises(UserError, match="Incorrect order ID"):
            cancels.request_cancel(stranger.pk, order_id)
    order.refresh_from_db()
    assert order.status == "Pending"


CLASSES: list[tuple[str, tuple[str, str, str]]] = [
    ("Cancel not allowed", (State.REJECTED, Status.REFUSED, "cancel_refused")),
    ("Incorrect request", (State.REJECTED, Status.REFUSED, "bad_request")),
    ("Incorrect order ID", (State.QUEUED, Status.ASKED, "")),
    ("Too many requests", (State.QUEUED, Status.ASKED, "")),
    ("Internal server error", (State.QUEUED, Status.ASKED, "")),
    ("Invalid API key", (State.HELD, Status.ASKED, "")),
    ("Only on Sundays", (State.UNCLEAR, Status.ASKED, "")),
]


@pytest.mark.parametrize(("text", "outcome"), CLASSES)
def test_a_refusal_is_taken_by_its_class(
    sent: Order, sandbox: Sandbox, text: str, outcome: tuple[str, str, str]
) -> None:
    sandbox.misbehave("cancel", "error", body=text)
    ask(sent)
    claim = lease(sent, "cancel")
    with connecting.connect(sent.dispatches.get(command="add").provider) as client:
        settling.settle(sending.send(client, [claim]))
    cancel, dispatch = Cancel.objects.get(), Dispatch.objects.get(command="cancel")
    assert (dispatch.state, cancel.status, cancel.why) == outcome
    assert not dispatch.doubtful
    assert all(text not in json.dumps(event.data) for event in sent.events.filter(kind__in=OrderEvent.PUBLIC))
    if cancel.why:
        assert told(sent)[-1] == {"to": "refused", "why": cancel.why}
        assert wording.say(cancel.why)
        assert ask(sent) != cancel


def test_a_provider_that_turns_out_to_have_no_cancel_refuses_it(sent: Order) -> None:
    ask(sent)
    Provider.objects.update(dialect="1dg")
    forwarding.forward_all()
    assert stands(sent) == ("Processing", False, Status.REFUSED)
    assert told(sent)[-1] == {"to": "refused", "why": "cancel_not_supported"}


@pytest.mark.parametrize(
    ("outcome", "patience", "why"),
    [
        (ItemError("Which?", "order_unknown", "later"), 24, "order_unknown"),
        (Unavailable("Refused", reason=Reason.NETWORK), settings.GIVE_UP_HOURS, "unavailable"),
        (None, settings.GIVE_UP_HOURS, "unavailable"),
    ],
)
def test_patience_ends(sent: Order, outcome: Any, patience: float, why: str) -> None:
    ask(sent)
    for hours, state in ((patience - 1, State.QUEUED), (patience + 1, State.REJECTED)):
        Dispatch.objects.filter(command="cancel").update(created_at=timezone.now() - hours * HOUR)
        cancels.settle(lease(sent, "cancel"), outcome)
        assert Dispatch.objects.get(command="cancel").state == state
    cancel = Cancel.objects.get()
    assert (cancel.status, cancel.why) == (Status.REFUSED, why)
    assert stands(sent)[:2] == ("Processing", False)


@pytest.mark.parametrize("outcome", [CancelAccepted("1"), ItemError("No", "cancel_refused", "final"), None])
def test_an_answer_about_an_order_that_has_ended_changes_nothing_but_the_dispatch(sent: Order, outcome: Any) -> None:
    ask(sent)
    claim = lease(sent, "cancel")
    lifecycle.advance(sent.pk, lifecycle.Report(status="Completed", word="Completed", remains=0))
    cancels.settle(claim, outcome)
    assert stands(sent) == ("Completed", False, Status.LATE)
    assert [said["to"] for said in told(sent)] == ["asked", "late"]
    assert Dispatch.objects.get(command="cancel").state in {State.SENT, State.REJECTED}


def test_an_answer_after_the_lease_changes_nothing(sent: Order) -> None:
    ask(sent)
    claim = lease(sent, "cancel")
    Dispatch.objects.filter(command="cancel").update(due_at=sent.created_at)
    assert claiming.sweep_ended_leases() == 1
    cancels.settle(claim, ItemError("No", "cancel_refused", "final"))
    assert stands(sent) == ("Processing", False, Status.ASKED)
    assert Dispatch.objects.get(command="cancel").state == State.QUEUED


def test_a_page_is_told_what_to_show(order: Order) -> None:
    assert cancels.offer(order) == Offer(possible=True, shown=True)
    lease(order)
    assert cancels.offer(order).possible
    ask(order)
    assert cancels.offer(order) == Offer(possible=False, shown=True, reason="Cancellation asked for")


def test_a_list_is_told_in_a_fixed_number_of_queries(
    sent: Order, customer: User, cancelable: Service, place: Place, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        place(customer, cancelable)
    orders = list(Order.objects.all())
    with django_assert_num_queries(3):
        offers = cancels.with_offers(orders)
    assert [offer.possible for offer in offers.values()] == [True] * 4
    with django_assert_num_queries(0):
        assert cancels.with_offers([]) == {}


def test_without_a_wish_an_accepted_order_costs_one_query_more(order: Order, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        cancels.after_accept([order.pk])


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Run actions in threads, each with its own connection, all released at the same moment."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return action()
        except UserError as error:
            return error.text
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_an_order_is_both_sent_and_paid_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_order (state text); INSERT INTO scratch_order VALUES ('QUEUED')")
        cursor.execute("CREATE TABLE scratch_deed (deed text)")
    have_read = threading.Barrier(2)

    def act(deed: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT state FROM scratch_order")
            state = cursor.fetchone()[0]
            have_read.wait(30)
            if state == "QUEUED":
                cursor.execute("UPDATE scratch_order SET state = %s", [deed])
                cursor.execute("INSERT INTO scratch_deed VALUES (%s)", [deed])

    at_once(lambda: act("sent"), lambda: act("paid back"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM scratch_deed")
        assert cursor.fetchone()[0] == 2
        cursor.execute("DROP TABLE scratch_order; DROP TABLE scratch_deed")


@pytest.mark.django_db(transaction=True)
def test_a_cancel_that_meets_the_claim_ends_in_a_refund_or_in_a_forwarded_wish_never_in_both(
    customer: User, cancelable: Service, provider: Provider, sandbox: Sandbox, fund: Fund, place: Place
) -> None:
    fund(customer, "1000")
    orders = [place(customer, cancelable) for _ in range(24)]

    def cancel_some(start: int) -> None:
        for order in orders[start::3]:
            ask(order)

    at_once(
        lambda: cancel_some(0),
        lambda: cancel_some(1),
        lambda: cancel_some(2),
        lambda: forwarding.forward_provider(provider.pk),
        lambda: forwarding.forward_provider(provider.pk),
    )
    forwarding.forward_all()

    for order in orders:
        cancel = order.cancels.get()
        if sandbox.accepted(order.link):
            assert stands(order) == ("Processing", False, Status.NOTED)
            assert cancel.dispatch is not None
        else:
            assert stands(order) == ("Canceled", True, Status.DONE)
            assert cancel.dispatch is None


@pytest.mark.django_db(transaction=True)
def test_eight_wishes_at_once_are_one(sent: Order) -> None:
    outcomes = at_once(*[lambda: ask(sent).pk] * 8)
    assert len(set(outcomes)) == 1
    assert Cancel.objects.count() == Dispatch.objects.filter(command="cancel").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_wish_locks_the_dispatch_before_the_order_as_settling_does(order: Order) -> None:
    """The other way round the two would wait for each other, and one of them would be thrown out."""
    with psycopg.connect(database_url()) as settler, ThreadPoolExecutor(1) as pool:
        settler.execute("SET lock_timeout = '5s'")
        settler.execute("UPDATE orders_dispatch SET state = 'LEASED' WHERE order_id = %s", [order.pk])
        asked = pool.submit(at_once, lambda: ask(order).status)
        wait_for(is_somebody_waiting, what="the customer to wait for the dispatch")
        settler.execute("SELECT FROM orders_order WHERE id = %s FOR UPDATE", [order.pk])
        settler.commit()
        assert asked.result() == [Status.ASKED]


def is_somebody_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_wish_that_meets_a_change_of_route_follows_it(order: Order, sandbox: Sandbox) -> None:
    """While the customer waits the first dispatch is refused and the next route's is made."""
    first = order.dispatches.get()
    with psycopg.connect(database_url()) as router, ThreadPoolExecutor(1) as pool:
        router.execute(
            "UPDATE orders_dispatch SET state = 'REJECTED', due_at = NULL WHERE id = %s RETURNING id", [first.pk]
        )
        asked = pool.submit(at_once, lambda: ask(order).status)
        wait_for(is_somebody_waiting, what="the customer to wait for the dispatch")
        router.execute(
            "INSERT INTO orders_dispatch (order_id, command, provider_id, provider_service_id, route_position, state,"
            " due_at, key) SELECT order_id, command, provider_id, provider_service_id, 2, 'QUEUED', now(),"
            " gen_random_uuid() FROM orders_dispatch WHERE id = %s",
            [first.pk],
        )
        router.commit()
        assert asked.result() == [Status.DONE]
    assert stands(order) == ("Canceled", True, Status.DONE)
    assert set(order.dispatches.values_list("state", flat=True)) == {State.REJECTED}
