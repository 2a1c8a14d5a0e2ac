"""Subscriptions: paid in advance, followed post by post as a drip-feed is run by run, and ended by their last day."""

from decimal import Decimal

import pytest

from catalog.providers.sandbox import Sandbox

from .conftest import Clock
from .test_sandbox_spreading import LINK, ONE_RUN, ask, children, drip, still

ACCOUNT = {"service": "6", "username": "a.writer", "min": "10", "max": "100", "posts": "4", "delay": "0"}


def subscribe(world: Sandbox, **changes: str) -> str:
    return str(ask(world, "add", **{**ACCOUNT, **changes})["order"])


def test_only_a_parent_has_runs_and_only_a_subscription_posts(clock: Clock) -> None:
    world = still(clock)
    plain = str(ask(world, "add", service="1", link=LINK, quantity="100")["order"])
    parent, subscription = drip(world), subscribe(world)
    for number, name in [(plain, "runs"), (parent, "posts"), (subscription, "runs")]:
        with pytest.raises(ValueError, match=name):
            world.set_order(number, **{name: 1})
    with pytest.raises(ValueError, match="does not come in parts"):
        world.add_child(plain)
    with pytest.raises(KeyError):
        world.add_child("1")


def test_a_subscription_is_paid_in_advance_and_answers_in_posts(world: Sandbox, clock: Clock) -> None:
    number = subscribe(world, expiry="31/12/2030")
    assert world.balance == Decimal(10000) - Decimal("0.5")
    news = {"status": "Active", "expiry": "31/12/2030", "posts": 0, "orders": []}
    assert ask(world, "status", order=number) == news
    clock.pass_by(ONE_RUN * 2)
    assert ask(world, "status", order=number) == {**news, "posts": 2, "orders": [70002, 70003]}
    clock.pass_by(1000)
    assert ask(world, "status", order=number)["status"] == "Completed"
    posts = children(world, number)
    assert [post.link for post in posts] == [f"https://example.com/a.writer/{place}" for place in range(1, 5)]
    assert all(10 <= post.quantity <= 100 for post in posts)
    assert len({post.quantity for post in posts}) > 1
    assert world.accepted("a.writer") == 1


def test_a_subscription_expires_when_its_last_day_is_over(clock: Clock) -> None:
    # The clock stands at 12 January 1970, 13:46; a step takes a day.
    world = Sandbox(pace=86_400, clock=clock)
    number = subscribe(world, expiry="1970-01-19")
    clock.pass_by(86_400 * 7)
    assert (world.orders[number].status, world.orders[number].done) == ("Active", 1)
    clock.pass_by(86_400 * 20)
    order = world.orders[number]
    assert (order.status, order.done, order.charge) == ("Expired", 2, Decimal("0.25"))
    assert world.balance == Decimal("9999.75")


@pytest.mark.parametrize(
    ("status", "charge"),
    [("Paused", "0.5"), ("Active", "0.5"), ("Expired", "0.125"), ("Canceled", "0.125"), ("Completed", "0.125")],
)
def test_a_subscription_can_be_moved_by_hand(clock: Clock, status: str, charge: str) -> None:
    world = still(clock)
    number = subscribe(world)
    world.set_order(number, status=status, posts=1)
    assert ask(world, "status", order=number) == {"status": status, "expiry": "", "posts": 1, "orders": []}
    assert world.balance == Decimal(10000) - Decimal(charge)


@pytest.mark.parametrize("status", ["Active", "Paused"])
def test_a_subscription_under_way_or_paused_can_be_canceled(world: Sandbox, clock: Clock, status: str) -> None:
    number = subscribe(world)
    clock.pass_by(ONE_RUN)
    if status == "Paused":
        world.set_order(number, status=status)
    assert ask(world, "cancel", orders=number) == [{"order": 70001, "cancel": 1}]
    clock.pass_by(1)
    # A hand on it stops its own way, as on any order.
    assert world.orders[number].status == ("Canceled" if status == "Active" else "Paused")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"username": ""}, "Incorrect username"),
        ({"username": "@a.writer"}, "Incorrect username"),
        ({"min": "9"}, "Incorrect min"),
        ({"min": ""}, "Incorrect min"),
        ({"max": "9"}, "Incorrect max"),
        ({"max": "5001"}, "Incorrect max"),
        ({"posts": ""}, "Incorrect posts"),
        ({"posts": "0"}, "Incorrect posts"),
        ({"old_posts": "some"}, "Incorrect posts"),
        ({"delay": ""}, "Incorrect delay"),
        ({"delay": "7"}, "Incorrect delay"),
        ({"expiry": "11/01/1970"}, "Incorrect expiry"),
        ({"expiry": "soon"}, "Incorrect expiry"),
        ({"max": "5000", "posts": "9999999"}, "Not enough funds on balance"),
    ],
)
def test_a_subscription_is_refused_in_the_words_of_the_field(
    world: Sandbox, changes: dict[str, str], error: str
) -> None:
    assert ask(world, "add", **{**ACCOUNT, **changes}) == {"error": error}
    assert (world.orders, world.balance) == ({}, Decimal(10000))


def test_a_subscription_may_end_today_and_leave_old_posts_blank(world: Sandbox) -> None:
    assert subscribe(world, expiry="12/01/1970", old_posts="") == "70001"
