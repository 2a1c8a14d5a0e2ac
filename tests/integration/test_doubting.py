import datetime
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import connection, connections
from django.utils import timezone

from accounts.models import User
from catalog.models import BalanceReading, Provider, Service
from catalog.providers.sandbox import Sandbox
from orders import cancels, claiming, doubting, forwarding, resolving, restoring
from orders.models import Cancel, Dispatch, Order, OrderEvent
from tests.conftest import Fund, Place
from tests.processes import database_url, wait_for

State = Dispatch.State
MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]


@pytest.fixture
def lists(provider: Provider, sandbox: Sandbox) -> None:
    """A provider that lists our latest orders."""
    sandbox.configure(lists_orders=True)
    Provider.objects.update(dialect_overrides={"list_orders": "orders"})


@pytest.fixture
def keys(provider: Provider, sandbox: Sandbox) -> None:
    """A provider that drops an order whose key it has seen."""
    sandbox.configure(remembers_keys=True)
    Provider.objects.update(dialect_overrides={"idempotency_param": "request_id"})


Doubt = Callable[..., Dispatch]


@pytest.fixture
def doubt(customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place) -> Doubt:
    """Place an order that ends in doubt: taken by the sandbox all the same, unless the fault comes before."""
    fund(customer, "1000")

    def make(kind: str = "reset", *, body: str = "", **values: str) -> Dispatch:
        order = place(customer, service, **values)
        sandbox.misbehave("add", kind, body=body, match=order.link)
        forwarding.forward_all()
        dispatch = order.dispatches.get()
        assert (dispatch.state, dispatch.doubtful) == (State.UNCLEAR, True)
        return dispatch

    return make


def look(*dispatches: Dispatch) -> list[str]:
    """Look into all doubts as if they were due, and return the states after it."""
    Dispatch.objects.filter(state=State.UNCLEAR).update(look_at=timezone.now())
    doubting.look_into_doubts()
    for dispatch in dispatches:
        dispatch.refresh_from_db()
    return [dispatch.state for dispatch in dispatches]


def looked(dispatch: Dispatch) -> list[dict[str, Any]]:
    events = dispatch.order.events.filter(kind=OrderEvent.Kind.LOOKED).order_by("pk")
    return [event.data for event in events]


def asked(sandbox: Sandbox, action: str) -> int:
    return sum(call["action"] == action for call in sandbox.received)


def listed(dispatch: Dispatch, **other: Any) -> dict[str, Any]:
    """Return the row with which a provider would list the order of a dispatch."""
    assert dispatch.claimed_at is not None
    return {
        "order": 9001,
        "service": dispatch.provider_service.remote_id,
        "link": dispatch.order.link,
        "quantity": dispatch.order.quantity,
        "created_at": int(dispatch.claimed_at.timestamp()),
        **other,
    }


def test_an_order_is_sent_again_under_the_same_key_and_bought_once(keys: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt()
    assert look(dispatch) == [State.QUEUED]
    assert dispatch.resend_until is not None
    assert dispatch.first_claimed_at is not None
    assert dispatch.resend_until < dispatch.first_claimed_at + 12 * HOUR
    assert dispatch.order.events.filter(kind="resent").count() == 1
    Dispatch.objects.update(due_at=timezone.now())
    forwarding.forward_all()
    dispatch.refresh_from_db()
    assert (dispatch.state, dispatch.attempt) == (State.SENT, 2)
    assert dispatch.remote_id in sandbox.orders
    assert sandbox.accepted(dispatch.order.link) == 1
    first, second = (call for call in sandbox.received if call["action"] == "add")
    assert first["request_id"] == second["request_id"] == str(dispatch.key)


def test_each_time_it_is_sent_again_it_waits_twice_as_long(keys: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt()
    waits = []
    for _ in range(3):
        look(dispatch)
        assert dispatch.due_at is not None
        waits.append(round((dispatch.due_at - timezone.now()).total_seconds()))
        sandbox.misbehave("add", "reset")
        Dispatch.objects.update(due_at=timezone.now())
        forwarding.forward_all()
        dispatch.refresh_from_db()
        assert dispatch.state == State.UNCLEAR
    assert waits == [10, 20, 40]
    assert sandbox.accepted(dispatch.order.link) == 1


def test_an_order_that_went_out_without_a_key_is_not_sent_again_once_the_provider_has_a_parameter_for_it(
    doubt: Doubt, sandbox: Sandbox
) -> None:
    dispatch = doubt()
    sandbox.configure(remembers_keys=True)
    Provider.objects.update(dialect_overrides={"idempotency_param": "request_id"})
    assert look(dispatch) == [State.UNCLEAR]
    assert sandbox.accepted(dispatch.order.link) == 1


def test_one_attempt_without_its_key_is_enough_to_leave_the_doubt_to_staff(
    keys: None, doubt: Doubt, sandbox: Sandbox
) -> None:
    dispatch = doubt()
    resolving.send_again(dispatch.pk, actor_id=dispatch.order.user_id)
    Provider.objects.update(dialect_overrides={})
    sandbox.misbehave("add", "cut_before")
    forwarding.forward_all()
    Provider.objects.update(dialect_overrides={"idempotency_param": "request_id"})
    assert look(dispatch) == [State.UNCLEAR]


def test_what_waits_to_go_out_under_its_key_does_not_go_out_without_it(
    keys: None, doubt: Doubt, sandbox: Sandbox
) -> None:
    dispatch = doubt()
    assert look(dispatch) == [State.QUEUED]
    Provider.objects.update(dialect_overrides={})
    Dispatch.objects.update(due_at=timezone.now())
    forwarding.forward_all()
    dispatch.refresh_from_db()
    assert (dispatch.state, dispatch.attempt) == (State.UNCLEAR, 1)
    assert sandbox.accepted(dispatch.order.link) == 1


def without_a_parameter(_: Dispatch) -> None:
    Provider.objects.update(dialect_overrides={})


def with_a_broken_dialect(_: Dispatch) -> None:
    Provider.objects.update(dialect_overrides={"idempotency_param": 7})


def switched_off(_: Dispatch) -> None:
    Provider.objects.update(enabled=False)


def from_a_backup(dispatch: Dispatch) -> None:
    Dispatch.objects.update(reason=restoring.RESTORED)


def never_claimed(dispatch: Dispatch) -> None:
    Dispatch.objects.update(first_claimed_at=None)


def forgotten(dispatch: Dispatch) -> None:
    Dispatch.objects.update(first_claimed_at=timezone.now() - 12 * HOUR)


def nearly_forgotten(dispatch: Dispatch) -> None:
    """Less than the lease and the wait for the next attempt before the provider forgets."""
    Dispatch.objects.update(first_claimed_at=timezone.now() - 12 * HOUR + datetime.timedelta(seconds=19))


@pytest.mark.parametrize(
    "unsafe",
    [
        without_a_parameter,
        with_a_broken_dialect,
        switched_off,
        from_a_backup,
        never_claimed,
        forgotten,
        nearly_forgotten,
    ],
)
def test_without_a_key_that_is_surely_remembered_nothing_is_sent_again(
    keys: None, doubt: Doubt, sandbox: Sandbox, unsafe: Callable[[Dispatch], None]
) -> None:
    dispatch = doubt()
    unsafe(dispatch)
    assert look(dispatch) == [State.UNCLEAR]
    forwarding.forward_all()
    assert asked(sandbox, "add") == 1
    assert dispatch.look_at is not None
    assert dispatch.look_at > timezone.now()


def test_a_text_that_nobody_has_classed_is_not_asked_for_again(keys: None, doubt: Doubt) -> None:
    dispatch = doubt("error", body="The moon is in the wrong house")
    assert dispatch.unknown_text
    assert look(dispatch) == [State.UNCLEAR]


def test_a_wish_to_cancel_does_not_keep_a_key_from_deciding(keys: None, doubt: Doubt, service: Service) -> None:
    dispatch = doubt()
    cancels.request_cancel(dispatch.order.user_id, dispatch.order_id)
    assert look(dispatch) == [State.QUEUED]
    Dispatch.objects.update(due_at=timezone.now())
    forwarding.forward_all()
    dispatch.refresh_from_db()
    assert dispatch.state == State.SENT
    cancel = Cancel.objects.get()
    assert cancel.dispatch is not None or cancel.status == Cancel.Status.REFUSED


def test_the_one_order_of_the_list_that_can_only_be_ours_is_bound(
    lists: None, doubt: Doubt, customer: User, service: Service, place: Place, sandbox: Sandbox
) -> None:
    place(customer, service)
    dispatch = doubt()
    assert look(dispatch) == [State.SENT]
    assert sandbox.orders[dispatch.remote_id].link == dispatch.order.link
    assert Order.objects.get(pk=dispatch.order_id).status == "Processing"
    assert [said["matched"] for said in looked(dispatch)] == [dispatch.remote_id]
    assert sandbox.accepted(dispatch.order.link) == 1


def test_an_order_that_the_provider_did_not_take_stays_in_doubt(lists: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt("html")
    assert look(dispatch) == [State.UNCLEAR]
    assert [said["found"] for said in looked(dispatch)] == [[]]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://Example.org/a", "https://example.org/a"),
        ("https://example.org/a?x=1&y=2", "https://example.org/a?x=1&amp;y=2"),
        ("https://example.org/a/", "https://example.org/a"),
        ("https://example.org/caf%C3%A9", "https://example.org/café"),
        ("https://example.org/A", "HTTPS://EXAMPLE.ORG/A/"),
    ],
)
def test_a_link_is_known_again_however_the_provider_writes_it(
    lists: None, doubt: Doubt, sandbox: Sandbox, ours: str, theirs: str
) -> None:
    dispatch = doubt(link=ours)
    sandbox.misbehave("orders", "raw", body=json.dumps([listed(dispatch, link=theirs)]))
    assert look(dispatch) == [State.SENT]
    assert dispatch.remote_id == "9001"


def at(moment: datetime.timedelta) -> Callable[[Dispatch], dict[str, Any]]:
    """Return a row placed so long after the only attempt was claimed."""

    def row(dispatch: Dispatch) -> dict[str, Any]:
        assert dispatch.claimed_at is not None
        return listed(dispatch, created_at=int((dispatch.claimed_at + moment).timestamp()))

    return row


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (lambda dispatch: listed(dispatch, link="https://example.org/A"), None),
        (lambda dispatch: listed(dispatch, link="http://example.org/a"), None),
        (lambda dispatch: listed(dispatch, link=""), None),
        (lambda dispatch: listed(dispatch, service="999"), None),
        (lambda dispatch: listed(dispatch, quantity=dispatch.order.quantity + 1), "quantity"),
        (lambda dispatch: listed(dispatch, quantity=None), "quantity"),
        (lambda dispatch: listed(dispatch, created_at=None), "no time"),
        (lambda dispatch: listed(dispatch, created_at="2026-01-05 12:00:00"), "no time"),
        (at(-6 * MINUTE), "time"),
        (at(6 * MINUTE), "time"),
    ],
)
def test_an_order_of_the_list_that_differs_decides_nothing(
    lists: None,
    doubt: Doubt,
    sandbox: Sandbox,
    row: Callable[[Dispatch], dict[str, Any]],
    verdict: str | None,
) -> None:
    dispatch = doubt(link="https://example.org/a")
    sandbox.misbehave("orders", "raw", body=json.dumps([row(dispatch)]))
    assert look(dispatch) == [State.UNCLEAR]
    assert [seen["verdict"] for seen in looked(dispatch)[0]["found"]] == ([verdict] if verdict else [])


@pytest.mark.parametrize("moment", [-4 * MINUTE, 4 * MINUTE])
def test_the_clocks_may_be_some_minutes_apart(
    lists: None, doubt: Doubt, sandbox: Sandbox, moment: datetime.timedelta
) -> None:
    dispatch = doubt()
    sandbox.misbehave("orders", "raw", body=json.dumps([at(moment)(dispatch)]))
    assert look(dispatch) == [State.SENT]


def test_two_that_match_decide_nothing_and_are_told_once(lists: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt()
    rows = json.dumps([listed(dispatch), listed(dispatch, order=9002)])
    sandbox.misbehave("orders", "raw", body=rows, times=2)
    assert look(dispatch) == look(dispatch) == [State.UNCLEAR]
    (told,) = looked(dispatch)
    assert [(seen["id"], seen["verdict"]) for seen in told["found"]] == [("9001", "match"), ("9002", "match")]
    sandbox.misbehave("orders", "raw", body="[]")
    look(dispatch)
    assert looked(dispatch)[1]["found"] == []


def test_an_order_that_another_dispatch_has_is_not_taken_from_it(
    lists: None, doubt: Doubt, customer: User, service: Service, place: Place
) -> None:
    other = place(customer, service, link="https://example.org/a")
    forwarding.forward_all()
    dispatch = doubt("html", link="https://example.org/a")
    assert look(dispatch) == [State.UNCLEAR]
    assert [(seen["id"], seen["verdict"]) for seen in looked(dispatch)[0]["found"]] == [
        (other.dispatches.get().remote_id, "bound")
    ]


def test_two_in_doubt_do_not_share_the_one_order_that_arrived(lists: None, doubt: Doubt) -> None:
    taken, lost = doubt(link="https://example.org/a"), doubt("html", link="https://example.org/a")
    assert look(taken, lost) == [State.UNCLEAR, State.UNCLEAR]
    assert looked(taken)[0]["rivals"] == [lost.pk]
    assert looked(lost)[0]["rivals"] == [taken.pk]


def test_what_staff_gave_up_may_still_be_the_one_that_arrived(lists: None, doubt: Doubt, staff: User) -> None:
    taken, lost = doubt(link="https://example.org/a"), doubt("html", link="https://example.org/a")
    resolving.cancel_and_refund(taken.pk, actor_id=staff.pk, why="not seen there")
    assert look(lost) == [State.UNCLEAR]
    assert looked(lost)[0]["rivals"] == [taken.pk]


def test_an_answer_still_on_its_way_may_be_about_the_order_in_the_list(
    lists: None, doubt: Doubt, customer: User, service: Service, place: Place, sandbox: Sandbox
) -> None:
    dispatch = doubt("html", link="https://example.org/a")
    other = place(customer, service, link="https://example.org/a").dispatches.get()
    assert claiming.claim_next(other.provider_id, 1)
    sandbox.misbehave("orders", "raw", body=json.dumps([listed(dispatch)]))
    assert look(dispatch) == [State.UNCLEAR]
    assert looked(dispatch)[0]["rivals"] == [other.pk]


def test_another_order_of_the_same_link_but_of_another_time_is_no_rival(
    lists: None, doubt: Doubt, sandbox: Sandbox
) -> None:
    old = doubt("html", link="https://example.org/a")
    Dispatch.objects.update(first_claimed_at=timezone.now() - HOUR, claimed_at=timezone.now() - HOUR)
    dispatch = doubt(link="https://example.org/a")
    assert look(dispatch, old) == [State.SENT, State.UNCLEAR]


def test_an_id_that_is_bound_while_it_is_looked_at_decides_nothing(
    lists: None, doubt: Doubt, customer: User, service: Service, place: Place, sandbox: Sandbox
) -> None:
    other = place(customer, service)
    forwarding.forward_all()
    dispatch = doubt()
    sandbox.misbehave("orders", "raw", body=json.dumps([listed(dispatch)]))
    with psycopg.connect(database_url()) as session, ThreadPoolExecutor(1) as pool:
        session.execute("UPDATE orders_dispatch SET remote_id = '9001' WHERE order_id = %s", [other.pk])
        looking = pool.submit(in_a_thread, lambda: look(dispatch))
        wait_for(lambda: blocked() or looking.done(), what="the look to wait for the other transaction")
        assert not looking.done()
        session.commit()
        assert looking.result() == [State.UNCLEAR]
    assert dispatch.remote_id == ""


def blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


def in_a_thread(action: Callable[[], Any]) -> Any:
    try:
        return action()
    finally:
        connections.close_all()


def test_two_ticks_at_once_ask_and_decide_once(lists: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatches = [doubt("html") for _ in range(3)]
    Dispatch.objects.update(look_at=timezone.now())
    barrier = Barrier(2)

    def tick() -> int:
        barrier.wait(30)
        return doubting.look_into_doubts()

    with ThreadPoolExecutor(2) as pool:
        counts = [future.result() for future in [pool.submit(in_a_thread, tick) for _ in range(2)]]
    assert sum(counts) == len(dispatches)
    assert all(len(looked(dispatch)) == 1 for dispatch in dispatches)


def test_a_look_that_was_cut_short_is_taken_up_again_later(lists: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt()
    doubting._take_due()  # and the worker dies
    assert doubting.look_into_doubts() == 0
    with time_machine.travel(timezone.now() + 6 * MINUTE, tick=False):
        assert doubting.look_into_doubts() == 1
    dispatch.refresh_from_db()
    assert dispatch.state == State.SENT


def test_one_provider_is_asked_once_for_all_its_doubts(lists: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatches = [doubt(), doubt(), doubt("html")]
    assert look(*dispatches) == [State.SENT, State.SENT, State.UNCLEAR]
    assert asked(sandbox, "orders") == asked(sandbox, "balance") == 1


def test_the_balance_is_read_once_after_each_doubt(doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt()
    before = BalanceReading.objects.count()
    for _ in range(3):
        look(dispatch)
    assert BalanceReading.objects.count() == before + 1
    second = doubt()
    look(dispatch, second)
    assert BalanceReading.objects.count() == before + 2
    assert asked(sandbox, "orders") == 0


def test_the_looks_become_rarer_and_end_after_a_week(doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt("html")
    start = dispatch.claimed_at
    assert start is not None
    waits: list[datetime.timedelta | None] = []
    for age in (0 * MINUTE, MINUTE, 10 * MINUTE, 5 * HOUR, 3 * DAY, 7 * DAY + MINUTE):
        with time_machine.travel(start + age, tick=False):
            look(dispatch)
            waits.append(dispatch.look_at - timezone.now() if dispatch.look_at else None)
    assert waits == [MINUTE, MINUTE, 10 * MINUTE, 5 * HOUR, 6 * HOUR, None]


def test_within_its_rate_limit_a_provider_is_asked_for_one_thing_after_the_other(
    lists: None, doubt: Doubt, sandbox: Sandbox
) -> None:
    dispatch = doubt()
    Provider.objects.update(calls_per_minute=6)
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        assert look(dispatch) == [State.UNCLEAR]
        assert (asked(sandbox, "balance"), asked(sandbox, "orders")) == (1, 0)
        assert doubting.look_into_doubts() == 1
    with time_machine.travel(now + datetime.timedelta(seconds=15), tick=False):
        assert doubting.look_into_doubts() == 1
    dispatch.refresh_from_db()
    assert dispatch.state == State.SENT
    assert (asked(sandbox, "balance"), asked(sandbox, "orders")) == (1, 1)


@pytest.mark.parametrize("action", ["balance", "orders"])
def test_a_provider_that_does_not_answer_is_asked_again_later(
    lists: None, doubt: Doubt, sandbox: Sandbox, action: str
) -> None:
    dispatch = doubt()
    sandbox.misbehave(action, "cut_before")
    assert look(dispatch) == [State.UNCLEAR]
    assert dispatch.look_at is not None
    assert dispatch.look_at > timezone.now()
    assert look(dispatch) == [State.SENT]


def test_a_provider_that_is_away_is_left_alone(lists: None, doubt: Doubt, sandbox: Sandbox) -> None:
    dispatch = doubt()
    Provider.objects.update(pause_reason=Provider.Pause.NETWORK, paused_until=timezone.now() + HOUR)
    assert look(dispatch) == [State.UNCLEAR]
    assert asked(sandbox, "balance") == asked(sandbox, "orders") == 0


def test_what_is_decided_meanwhile_is_left_alone(lists: None, doubt: Doubt, staff: User) -> None:
    dispatch = doubt()
    taken = doubting._take_due()
    resolving.cancel_and_refund(dispatch.pk, actor_id=staff.pk, why="no time to wait")
    for pk in taken[dispatch.provider_id]:
        doubting._look(pk, [], soon=False)
    dispatch.refresh_from_db()
    assert (dispatch.state, dispatch.look_at) == (State.REJECTED, None)


def test_refills_and_orders_that_are_no_longer_in_doubt_are_not_looked_into(
    lists: None, doubt: Doubt, staff: User
) -> None:
    dispatch = doubt()
    resolving.mark_arrived(dispatch.pk, "70001", actor_id=staff.pk)
    Dispatch.objects.update(look_at=timezone.now())
    assert doubting.look_into_doubts() == 0


@pytest.mark.parametrize("runs", [1, 5])
def test_a_drip_feed_is_known_by_the_quantity_of_a_run_or_of_all(
    lists: None, doubt: Doubt, service: Service, sandbox: Sandbox, runs: int
) -> None:
    service.dripfeed = True
    service.save()
    dispatch = doubt(runs="5", interval="60")
    row = listed(dispatch, quantity=service.min * runs)
    sandbox.misbehave("orders", "raw", body=json.dumps([row]))
    assert look(dispatch) == [State.SENT]


def test_what_was_sent_twice_may_have_been_taken_twice(
    lists: None, doubt: Doubt, staff: User, sandbox: Sandbox
) -> None:
    twice = doubt(link="https://example.org/a")
    resolving.send_again(twice.pk, actor_id=staff.pk)
    forwarding.forward_all()
    assert sandbox.accepted("https://example.org/a") == 2
    lost = doubt("html", link="https://example.org/a")
    assert look(lost) == [State.UNCLEAR]
    assert looked(lost)[0]["rivals"] == [twice.pk]
