import datetime
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog import connecting
from catalog.models import Provider, ProviderService, Service
from catalog.providers.errors import Reason, Rejected, Unavailable, Unclear
from catalog.providers.replies import ItemError, RefillAccepted
from catalog.providers.sandbox import Sandbox
from orders import claiming, forwarding, lifecycle, refills, sending, settling, syncing, wording
from orders.models import Dispatch, Order, OrderEvent, Refill
from tests.conftest import Fund, MakeService, Place

State = Dispatch.State
Status = Refill.Status
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]


@pytest.fixture
def refillable(service: Service) -> Service:
    service.refill = True
    service.save()
    return service


@pytest.fixture
def order(customer: User, refillable: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Order:
    """An order that the sandbox completed 30 hours ago."""
    fund(customer, "1000")
    return complete(place(customer, refillable), sandbox)


def complete(order: Order, sandbox: Sandbox, status: str = "Completed", **fields: Any) -> Order:
    forwarding.forward_all()
    sandbox.set_order(order.dispatches.get().remote_id, status=status, **fields)
    syncing.sync_all(everything=True)
    Order.objects.filter(pk=order.pk).update(ended_at=timezone.now() - 30 * HOUR)
    order.refresh_from_db()
    assert order.status == status
    return order


def ask(order: Order) -> Refill:
    return refills.request_refill(order.user_id, order.pk)


def lease(refill: Refill) -> claiming.Claim:
    """Claim the dispatch of a refill, as a worker that is about to send it."""
    Dispatch.objects.filter(pk=refill.dispatch_id).update(due_at=timezone.now())
    claims = claiming.claim_next(refill.dispatch.provider_id, 1)
    assert claims
    assert claims[0].dispatch_id == refill.dispatch_id
    return claims[0]


def send_once(refill: Refill) -> Dispatch:
    """Make one attempt to forward a refill, and return what became of its dispatch."""
    claim = lease(refill)
    with connecting.connect(refill.dispatch.provider) as client:
        settling.settle(sending.send(client, [claim]))
    return Dispatch.objects.get(command="refill")


def look(refill: Refill) -> str:
    """Look at a refill as if it were due, and return its status then."""
    Refill.objects.filter(pk=refill.pk, poll_at__isnull=False).update(poll_at=timezone.now())
    syncing.sync_provider(refill.dispatch.provider_id)
    refill.refresh_from_db()
    return refill.status


def told(order: Order) -> list[dict[str, Any]]:
    """Return what the public events say about refills, oldest first."""
    return [event.data for event in order.events.filter(kind=OrderEvent.Kind.REFILL).order_by("pk")]


def test_a_refill_goes_to_the_provider_that_has_the_order(order: Order, sandbox: Sandbox) -> None:
    refill = ask(order)
    assert (refill.status, refill.dispatch.state) == (Status.PENDING, State.QUEUED)
    forwarding.forward_all()
    refill.refresh_from_db()
    assert [(there.order, there.id) for there in sandbox.refills.values()] == [
        (order.dispatches.get(command="add").remote_id, refill.remote_id)
    ]
    assert (refill.dispatch.state, refill.dispatch.remote_id) == (State.SENT, refill.remote_id)
    assert refill.poll_at is not None
    assert told(order) == [{"refill": refill.pk, "to": "Pending"}]


def test_refills_that_are_asked_for_together_go_out_in_one_call(
    order: Order, customer: User, refillable: Service, sandbox: Sandbox, place: Place
) -> None:
    other = complete(place(customer, refillable), sandbox)
    both = [ask(order), ask(other)]
    before = len(sandbox.received)
    forwarding.forward_all()
    assert [call["action"] for call in sandbox.received[before:]] == ["refill"]
    assert set(Refill.objects.values_list("remote_id", flat=True)) == set(sandbox.refills)
    assert {refill.pk for refill in both} == set(Refill.objects.values_list("pk", flat=True))


def test_a_refill_is_followed_to_its_end_and_moves_no_money(order: Order, sandbox: Sandbox) -> None:
    refill = ask(order)
    forwarding.forward_all()
    refill.refresh_from_db()
    for word in ("In progress", "Pending", "Completed", "Rejected", "In progress"):
        sandbox.set_refill(refill.remote_id, word)
        look(refill)
    assert [said["to"] for said in told(order)] == ["Pending", "In progress", "Completed"]
    order.refresh_from_db()
    assert (order.status, order.refunded) == ("Completed", Decimal(0))
    assert refill.poll_at is None
    assert refill.ended_at is not None


@pytest.mark.parametrize(("word", "why"), [("Rejected", "refill_refused"), ("Error", "refill_failed")])
def test_a_refill_that_comes_to_nothing_says_why_and_another_may_be_asked_for(
    order: Order, sandbox: Sandbox, word: str, why: str
) -> None:
    refill = ask(order)
    forwarding.forward_all()
    refill.refresh_from_db()
    sandbox.set_refill(refill.remote_id, word)
    assert look(refill) == word
    assert told(order)[-1] == {"refill": refill.pk, "to": word, "why": why}
    assert wording.say(why) not in {"", wording.say("nobody knows")}
    assert ask(order).pk != refill.pk


@pytest.mark.parametrize("kind", ["html", "http500", "empty", "cut", "garbage", "refuse_429", "error"])
def test_one_bad_answer_ends_no_refill(order: Order, sandbox: Sandbox, kind: str) -> None:
    refill = ask(order)
    forwarding.forward_all()
    sandbox.misbehave("refill_status", kind, body="Only on Sundays" if kind == "error" else "")
    assert look(refill) == Status.PENDING
    assert refill.poll_at is not None
    assert refill.poll_at > timezone.now()


def test_a_refill_that_the_provider_does_not_know_is_given_up_only_after_days(order: Order, sandbox: Sandbox) -> None:
    refill = ask(order)
    forwarding.forward_all()
    Refill.objects.update(remote_id="999")
    assert look(refill) == Status.PENDING
    Dispatch.objects.filter(command="refill").update(missing_since=timezone.now() - 2 * DAY - HOUR)
    sandbox.misbehave("refill_status", "raw", body='{"status": "In progress"}')
    assert look(refill) == Status.IN_PROGRESS
    assert look(refill) == Status.IN_PROGRESS
    Dispatch.objects.filter(command="refill").update(missing_since=timezone.now() - 2 * DAY - HOUR)
    sandbox.misbehave("refill_status", "raw", body='{"status": "Not found"}')
    assert look(refill) == Status.ERROR
    assert told(order)[-1]["why"] == "refill_unknown"


def test_what_a_batch_leaves_out_is_asked_for_singly(
    order: Order, customer: User, refillable: Service, sandbox: Sandbox, place: Place
) -> None:
    complete(place(customer, refillable), sandbox)
    first, second = (ask(one) for one in Order.objects.order_by("pk"))
    forwarding.forward_all()
    for refill in (first, second):
        refill.refresh_from_db()
        sandbox.set_refill(refill.remote_id, "Completed")
    partly = json.dumps([{"refill": int(first.remote_id), "status": "Completed"}])
    sandbox.misbehave("refill_status", "raw", body=partly)
    Refill.objects.update(poll_at=timezone.now())
    with connecting.connect(first.dispatch.provider) as client:
        assert refills.sync(first.dispatch.provider, client) == 2
    assert set(Refill.objects.values_list("status", flat=True)) == {Status.COMPLETED}


def test_a_refill_without_an_id_expires_and_frees_its_order(order: Order, sandbox: Sandbox) -> None:
    sandbox.misbehave("refill", "raw", body='{"success": "Refill requested"}')
    refill = ask(order)
    forwarding.forward_all()
    refill.refresh_from_db()
    assert (refill.dispatch.state, refill.poll_at) == (State.SENT, None)
    Dispatch.objects.filter(command="refill").update(settled_at=timezone.now() - 2 * DAY + HOUR)
    assert refills.expire_refills() == 0
    Dispatch.objects.filter(command="refill").update(settled_at=timezone.now() - 2 * DAY - HOUR)
    assert refills.expire_refills() == 1
    assert refills.expire_refills() == 0
    assert told(order)[-1] == {"refill": refill.pk, "to": "Error", "why": "no_news"}
    ask(order)


Change = Callable[[Order], object]


def set_order(**fields: Any) -> Change:
    return lambda order: Order.objects.filter(pk=order.pk).update(**fields)


def set_service(**fields: Any) -> Change:
    return lambda order: Service.objects.filter(pk=order.service_id).update(**fields)


def ended(**ago: float) -> Change:
    def end(order: Order) -> None:
        Order.objects.filter(pk=order.pk).update(ended_at=timezone.now() - datetime.timedelta(**ago))

    return end


DISABLED = "Refill is disabled for this service"
NOT_COMPLETED = "The order is not completed"
EARLY = "The order was completed or refill was requested less than 24 hours ago"
CANCELED = lifecycle.Report(status="Canceled", word="Canceled")
OBSTACLES: list[tuple[Change, str]] = [
    (set_service(refill=False), DISABLED),
    (lambda _: ProviderService.objects.update(refill=False), DISABLED),
    (set_order(parts=3, parts_done=0), DISABLED),
    (set_order(status="In progress", ended_at=None), NOT_COMPLETED),
    (lambda order: lifecycle.advance(order.pk, CANCELED), NOT_COMPLETED),
    (set_order(status="Partial", remains=10_000), NOT_COMPLETED),
    (lambda order: order.dispatches.update(state=State.UNCLEAR), NOT_COMPLETED),
    (ended(hours=23), EARLY),
    (set_service(refill_after_hours=31), EARLY),
    (set_service(refill_days=1), "Refill days are over"),
]


@pytest.mark.parametrize(("change", "text"), OBSTACLES)
def test_what_stands_in_the_way_is_said_in_the_words_of_the_wire(order: Order, change: Change, text: str) -> None:
    change(order)
    with pytest.raises(UserError) as refused:
        ask(order)
    assert refused.value.text == text
    assert not Refill.objects.exists()
    assert not Dispatch.objects.filter(command="refill").exists()
    assert not refills.offer(Order.objects.get()).possible


@pytest.mark.parametrize(
    "change", [set_service(refill_days=2), set_service(refill_after_hours=0), set_order(status="Partial", remains=1)]
)
def test_within_its_rules_an_order_can_be_refilled(order: Order, change: Change) -> None:
    change(order)
    assert refills.offer(Order.objects.get()).possible
    ask(order)


def test_an_order_of_somebody_else_is_unknown(order: Order, stranger: User) -> None:
    for order_id in (order.pk, 10**17):
        with pytest.raises(UserError, match="Incorrect order ID"):
            refills.request_refill(stranger.pk, order_id)


def finish(refill: Refill, status: str, **ago: float) -> None:
    Refill.objects.filter(pk=refill.pk).update(
        status=status, created_at=timezone.now() - datetime.timedelta(**ago), ended_at=timezone.now(), poll_at=None
    )


def test_a_granted_refill_counts_and_a_refused_one_does_not(order: Order) -> None:
    Service.objects.update(refill_limit=2)
    finish(ask(order), Status.REJECTED, minutes=1)
    finish(ask(order), Status.ERROR, minutes=1)
    finish(ask(order), Status.COMPLETED, hours=23)
    with pytest.raises(UserError, match="less than 24 hours ago"):
        ask(order)
    Refill.objects.filter(status=Status.COMPLETED).update(created_at=timezone.now() - 25 * HOUR)
    refill = ask(order)
    with pytest.raises(UserError, match="already requested"):
        ask(order)
    finish(refill, Status.COMPLETED, hours=25)
    with pytest.raises(UserError, match="not eligible"):
        ask(order)


REFUSED: list[tuple[str, tuple[str, str, str]]] = [
    ("Refill is disabled for this service", (State.REJECTED, Status.REJECTED, "refill_not_supported")),
    ("Refill days are over", (State.REJECTED, Status.REJECTED, "refill_expired")),
    ("Incorrect request", (State.REJECTED, Status.REJECTED, "bad_request")),
    ("Refill not allowed yet", (State.QUEUED, Status.PENDING, "")),
    ("The order is not completed", (State.QUEUED, Status.PENDING, "")),
    ("Refill already requested", (State.QUEUED, Status.PENDING, "")),
    ("Incorrect order ID", (State.QUEUED, Status.PENDING, "")),
    ("Too many requests", (State.QUEUED, Status.PENDING, "")),
    ("Internal server error", (State.QUEUED, Status.PENDING, "")),
    ("Invalid API key", (State.HELD, Status.PENDING, "")),
    ("Only on Sundays", (State.UNCLEAR, Status.PENDING, "")),
]


@pytest.mark.parametrize(("text", "outcome"), REFUSED)
def test_a_refusal_is_taken_by_its_class(
    order: Order, sandbox: Sandbox, text: str, outcome: tuple[str, str, str]
) -> None:
    sandbox.misbehave("refill", "error", body=text)
    send_once(ask(order))
    refill = Refill.objects.get()
    assert (refill.dispatch.state, refill.status, refill.why) == outcome
    assert not refill.dispatch.doubtful
    assert refill.dispatch.unknown_text == ("Only on Sundays" if outcome[0] == State.UNCLEAR else "")
    assert all(text not in json.dumps(event.data) for event in order.events.filter(kind__in=OrderEvent.PUBLIC))


@pytest.mark.parametrize("kind", ["html", "http500", "empty", "cut", "reset", "garbage", "refuse_429"])
def test_a_refill_without_a_clear_answer_is_simply_sent_again(order: Order, sandbox: Sandbox, kind: str) -> None:
    sandbox.misbehave("refill", kind)
    dispatch = send_once(ask(order))
    assert (dispatch.state, dispatch.doubtful, dispatch.retries) == (State.QUEUED, False, 1)


@pytest.mark.parametrize(
    ("outcome", "patience", "end"),
    [
        (ItemError("Not yet", "refill_too_early", "later"), 48, (Status.REJECTED, "refill_too_early")),
        (ItemError("There is one", "refill_open", "wait"), 48, (Status.REJECTED, "refill_open")),
        (ItemError("Which?", "order_unknown", "later"), 24, (Status.REJECTED, "order_unknown")),
        (ItemError("Broken", "server_error", "ambiguous"), settings.GIVE_UP_HOURS, (Status.ERROR, "unavailable")),
        (ItemError("Slowly", "rate_limited", "later"), settings.GIVE_UP_HOURS, (Status.ERROR, "unavailable")),
        (None, settings.GIVE_UP_HOURS, (Status.ERROR, "unavailable")),
        (Unclear("Cut short", reason="cut"), settings.GIVE_UP_HOURS, (Status.ERROR, "unavailable")),
        (Unavailable("Refused", reason=Reason.NETWORK), settings.GIVE_UP_HOURS, (Status.ERROR, "unavailable")),
        (ZeroDivisionError(), settings.GIVE_UP_HOURS, (Status.ERROR, "unavailable")),
    ],
)
def test_patience_ends(order: Order, outcome: Any, patience: float, end: tuple[str, str]) -> None:
    refill = ask(order)
    for hours, state in ((patience - 1, State.QUEUED), (patience + 1, State.REJECTED)):
        Dispatch.objects.filter(command="refill").update(created_at=timezone.now() - hours * HOUR)
        refills.settle(lease(refill), outcome)
        assert Dispatch.objects.get(command="refill").state == state
    refill.refresh_from_db()
    assert (refill.status, refill.why) == end
    assert told(order)[-1] == {"refill": refill.pk, "to": end[0], "why": end[1]}


def test_what_is_too_early_is_asked_for_again_in_an_hour(order: Order) -> None:
    refill = ask(order)
    refills.settle(lease(refill), ItemError("Not yet", "refill_too_early", "later"))
    due = Dispatch.objects.get(command="refill").due_at
    assert due is not None
    assert 50 * 60 < (due - timezone.now()).total_seconds() <= 60 * 60


@pytest.mark.parametrize("outcome", [RefillAccepted("1", "77"), Rejected("No", condition="refill_expired"), None])
def test_an_answer_after_the_lease_changes_nothing(order: Order, outcome: Any) -> None:
    refill = ask(order)
    claim = lease(refill)
    Dispatch.objects.filter(command="refill").update(due_at=order.created_at)
    assert claiming.sweep_ended_leases() == 1
    before = Dispatch.objects.filter(command="refill").values().get()
    refills.settle(claim, outcome)
    assert Dispatch.objects.filter(command="refill").values().get() == before
    refill.refresh_from_db()
    assert (refill.status, refill.remote_id) == (Status.PENDING, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_service(refill=False), ""),
        (set_order(status="In progress", ended_at=None), ""),
        (ended(hours=10.5), "Refill opens in 14 h"),
        (ended(hours=23.5), "Refill opens in 30 min"),
        (set_service(refill_after_hours=24 * 9), "Refill opens in 8 days"),
        (set_service(refill_after_hours=24 * 9, refill_days=5), "The refill days are over"),
        (set_service(refill_days=1), "The refill days are over"),
        (ask, "A refill is under way"),
    ],
)
def test_a_page_is_told_what_to_show_and_why_not(order: Order, change: Change, reason: str) -> None:
    change(order)
    offer = refills.offer(Order.objects.get())
    assert (offer.possible, offer.shown, offer.reason) == (False, bool(reason), reason)


def test_a_list_is_told_in_a_fixed_number_of_queries(
    order: Order, customer: User, refillable: Service, sandbox: Sandbox, place: Place, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        complete(place(customer, refillable), sandbox)
    orders = list(Order.objects.all())
    with django_assert_num_queries(3):
        offers = refills.with_offers(orders)
    assert [offer.possible for offer in offers.values()] == [True] * 4
    with django_assert_num_queries(0):
        assert refills.with_offers([]) == {}


def at_once(action: Callable[[int], Any], times: int) -> list[Any]:
    """Run an action in as many threads, each with its own connection, all released at the same moment."""
    barrier = Barrier(times)

    def run(number: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return action(number)
        except UserError as error:
            return error.text
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_every_request_makes_a_refill() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE scratch_refill (n int)")
    have_read = Barrier(8)

    def ask_naively(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM scratch_refill")
            count = cursor.fetchone()[0]
            have_read.wait(30)
            if not count:
                cursor.execute("INSERT INTO scratch_refill VALUES (%s)", [number])

    at_once(ask_naively, 8)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM scratch_refill")
        assert cursor.fetchone()[0] == 8
        cursor.execute("DROP TABLE scratch_refill")


@pytest.mark.django_db(transaction=True)
def test_eight_requests_at_once_make_one_refill(order: Order) -> None:
    outcomes = at_once(lambda _: ask(order).pk, 8)
    assert sorted(map(str, outcomes))[1:] == ["Refill already requested"] * 7
    assert Refill.objects.count() == Dispatch.objects.filter(command="refill").count() == 1


def test_a_provider_that_was_disabled_keeps_the_wish(order: Order, make_service: MakeService) -> None:
    Provider.objects.update(enabled=False)
    refill = ask(order)
    forwarding.forward_all()
    refill.refresh_from_db()
    assert (refill.status, refill.dispatch.state) == (Status.PENDING, State.QUEUED)
