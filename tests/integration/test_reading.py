import datetime
from threading import Thread

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog import following, reading, tasks
from catalog.models import Provider, Sync, SyncChange
from catalog.providers.sandbox import Sandbox
from tests.integration.lists import sync

pytestmark = pytest.mark.django_db
State = Sync.State


def test_one_list_is_read_at_a_time_and_a_dead_reader_is_followed_by_another(shop: Provider) -> None:
    asked = reading.request_sync(shop.pk)
    assert reading.request_sync(shop.pk) == asked
    dead = reading.begin(shop.pk)
    assert dead == asked
    with pytest.raises(UserError, match="at this moment"):
        sync(shop)
    with time_machine.travel(timezone.now() + reading.LEASE, tick=True):
        assert sync(shop) == asked
    with pytest.raises(reading.Overtaken):
        reading.go_on(dead, done=1)


def test_a_tick_reads_what_is_due_or_asked_for_and_nothing_else(shop: Provider, sandbox: Sandbox, staff: User) -> None:
    sandbox.received.clear()
    assert reading.due_providers() == [shop.pk]
    tasks.sync_services(shop.pk)
    assert Sync.objects.get().state == State.UNCHANGED
    assert reading.due_providers() == []
    tasks.sync_services(shop.pk)
    assert len(sandbox.received) == 1
    one = reading.request_sync(shop.pk, actor_id=staff.pk, review=True)
    assert reading.due_providers() == [shop.pk]
    sandbox.set_service(1, rate="0.9")
    tasks.sync_services(shop.pk)
    one.refresh_from_db()
    assert (one.state, one.actor) == (State.WAITING, staff)
    with time_machine.travel(timezone.now() + datetime.timedelta(minutes=61), tick=True):
        assert reading.due_providers() == [shop.pk]
        assert Sync.objects.get(state=State.READING).actor is None


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled": False},
        {"sync_minutes": 0},
        {"paused_until": timezone.now() + datetime.timedelta(days=1), "pause_reason": "key"},
    ],
)
def test_nobody_is_asked_by_schedule_who_is_not_to_be(shop: Provider, fields: dict[str, object]) -> None:
    Provider.objects.update(**fields)
    assert reading.due_providers() == []


def test_a_list_that_could_not_be_read_is_asked_for_again_after_ten_minutes(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.misbehave("services", "html")
    sync(shop)
    assert reading.due_providers() == []
    with time_machine.travel(timezone.now() + datetime.timedelta(minutes=11), tick=True):
        assert reading.due_providers() == [shop.pk]


def test_details_are_forgotten_but_not_what_can_be_undone(shop: Provider, sandbox: Sandbox) -> None:
    for number in (1, 2, 3):
        sandbox.set_service(number, rate="1.1")
        sync(shop)
    with time_machine.travel(timezone.now() + datetime.timedelta(days=8), tick=True):
        reading.prune()
        assert SyncChange.objects.count() == 1
        assert Sync.objects.count() == 3
    with time_machine.travel(timezone.now() + datetime.timedelta(days=91), tick=True):
        reading.prune()
        assert Sync.objects.count() == 1
        following.undo(Sync.objects.get().pk)


@pytest.mark.django_db(transaction=True)
def test_whoever_asks_while_a_list_is_being_applied_does_not_wait_for_that(shop: Provider, staff: User) -> None:
    reading.request_sync(shop.pk)
    begun = reading.begin(shop.pk)
    assert begun is not None
    asked: list[Sync] = []

    def ask() -> None:
        asked.append(reading.request_sync(shop.pk, actor_id=staff.pk, review=True))
        connection.close()

    with transaction.atomic():
        reading.go_on(begun, done=0)
        other = Thread(target=ask)
        other.start()
        other.join(10)
        assert asked == [begun]
