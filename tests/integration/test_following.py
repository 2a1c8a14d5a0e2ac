from decimal import Decimal

import pytest

from accounts.errors import UserError
from accounts.models import User
from catalog import following
from catalog.models import Provider, ProviderService, Published, Route, Service, ServiceChange, Sync, SyncChange
from catalog.providers.sandbox import Sandbox
from tests.conftest import MakeService
from tests.integration.lists import ALL, found, on_sale, rate, sync

pytestmark = pytest.mark.django_db
State, Kind, Waiting = Sync.State, SyncChange.Kind, ProviderService.Waiting


def test_a_list_that_says_the_same_changes_nothing(shop: Provider) -> None:
    one = sync(shop)
    assert (one.state, one.rows, one.done, one.why) == (State.UNCHANGED, 10, 10, "")
    assert one.changes.count() == 0
    shop.refresh_from_db()
    assert shop.synced_at is not None


def test_a_first_list_makes_rows_without_services_and_has_no_brake(provider: Provider, sandbox: Sandbox) -> None:
    one = sync(provider)
    assert one.state == State.APPLIED
    assert one.counts["new"] == ProviderService.objects.count() == len(sandbox.services)
    assert Service.objects.count() == 0


def test_rates_and_limits_follow_and_the_counts_say_what_did(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.set_service(1, rate="1.2", max="5000")
    sandbox.set_service(2, rate="0.9")
    sandbox.set_service(11, name="New", type="Default", category="Web", rate="3", min="1", max="5")
    one = sync(shop)
    assert one.state == State.APPLIED
    assert {name: one.counts[name] for name in ("new", "changed", "gone", "back", "reused", "up", "down")} == {
        "new": 1,
        "changed": 2,
        "gone": 0,
        "back": 0,
        "reused": 0,
        "up": 1,
        "down": 1,
    }
    assert (rate(1), rate(2), rate(11)) == (Decimal("1.2"), Decimal("0.9"), Decimal(3))
    assert Service.objects.get(routes__provider_service__remote_id=1).max == 5000
    assert not Route.objects.filter(provider_service__remote_id=11).exists()
    change = found(one)[Kind.CHANGED, "1"]
    assert (change.before, change.after) == ({"rate": "1", "max": 1000}, {"rate": "1.2", "max": 5000})
    assert change.applied


def test_what_comes_back_waits_for_a_person_to_confirm_it(shop: Provider, sandbox: Sandbox, staff: User) -> None:
    row = sandbox.services[4]
    sandbox.remove_service(4)
    sync(shop)
    sandbox.services[4] = row
    one = sync(shop)
    assert one.state == State.APPLIED
    assert [kind for kind, _ in found(one)] == [Kind.BACK]
    back = ProviderService.objects.get(remote_id=4)
    assert (back.vanished_at, back.waiting) == (None, Waiting.BACK)
    assert on_sale() == ALL - {4}
    following.confirm(back.pk, actor_id=staff.pk)
    assert on_sale() == ALL
    with pytest.raises(UserError, match="does not wait"):
        following.confirm(back.pk, actor_id=staff.pk)


def test_what_nobody_sells_comes_back_without_a_person(provider: Provider, sandbox: Sandbox) -> None:
    sync(provider)
    row = sandbox.services[1]
    sandbox.remove_service(1)
    sync(provider)
    sandbox.services[1] = row
    sync(provider)
    back = ProviderService.objects.get(remote_id=1)
    assert (back.vanished_at, back.waiting) == (None, Waiting.NONE)


def test_an_id_that_stands_for_another_service_is_not_sold_until_confirmed(shop: Provider, sandbox: Sandbox) -> None:
    Service.objects.update(follows_name=True)
    sandbox.set_service(5, name="Photo retouching", category="Pictures", max="7000")
    one = sync(shop)
    assert (one.state, one.counts["reused"]) == (State.APPLIED, 1)
    row = ProviderService.objects.get(remote_id=5)
    assert (row.waiting, row.name) == (Waiting.REUSED, "Photo retouching")
    service = Service.objects.get(routes__provider_service=row)
    assert (service.name, service.max) == ("Visits, plan 5", 1000)
    assert on_sale() == ALL - {5}
    following.confirm(row.pk)
    service.refresh_from_db()
    assert (service.name, service.max) == ("Photo retouching", 7000)
    assert on_sale() == ALL


def test_an_id_of_another_kind_of_order_cannot_be_confirmed(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.set_service(5, type="Package", min="1", max="1")
    sync(shop)
    row = ProviderService.objects.get(remote_id=5)
    assert row.waiting == Waiting.REUSED
    with pytest.raises(UserError, match="type Package now"):
        following.confirm(row.pk)


def test_staff_who_want_to_look_first_always_get_to(shop: Provider, sandbox: Sandbox, staff: User) -> None:
    sandbox.set_service(1, rate="0.95")
    one = sync(shop, actor_id=staff.pk, review=True)
    assert (one.state, one.actor) == (State.WAITING, staff)
    assert rate(1) == 1
    sandbox.set_service(2, rate="0.95")
    later = sync(shop)
    assert later.state == State.WAITING
    one.refresh_from_db()
    assert (one.state, one.why, one.changes.count()) == (State.DISMISSED, "A newer list took its place.", 0)
    following.apply(later.pk)
    assert (rate(1), rate(2)) == (Decimal("0.95"), Decimal("0.95"))
    sandbox.set_service(2, rate="0.9")
    assert sync(shop).state == State.APPLIED


def test_only_what_was_ticked_is_applied_and_the_rest_goes_on_waiting(shop: Provider, sandbox: Sandbox) -> None:
    for number in range(1, 6):
        sandbox.remove_service(number)
    one = sync(shop)
    following.apply(one.pk, only=[found(one)[Kind.VANISHED, "1"].pk])
    one.refresh_from_db()
    assert (one.state, on_sale()) == (State.WAITING, ALL - {1})
    assert sync(shop).state == State.UNCHANGED
    sandbox.remove_service(6)
    later = sync(shop)
    one.refresh_from_db()
    assert (later.state, one.state) == (State.WAITING, State.APPLIED)
    following.dismiss(later.pk)
    assert on_sale() == ALL - {1}


def test_undo_puts_back_what_nothing_else_has_changed(shop: Provider, sandbox: Sandbox, staff: User) -> None:
    good = {number: dict(row) for number, row in sandbox.services.items()}
    sandbox.set_service(1, rate="1.1", max="5000")
    sandbox.set_service(2, rate="0.9")
    sandbox.set_service(11, name="New", type="Default", category="Web", rate="3", min="1", max="5")
    sandbox.set_service(4, name="Photo retouching", category="Pictures")
    sandbox.remove_service(3)
    one = sync(shop)
    ProviderService.objects.filter(remote_id=2).update(rate=Decimal("0.8"))
    following.undo(one.pk, actor_id=staff.pk)
    one.refresh_from_db()
    assert (one.state, one.actor, one.counts["missed"]) == (State.UNDONE, staff, 1)
    assert (rate(1), rate(2)) == (Decimal(1), Decimal("0.8"))
    assert Service.objects.get(routes__provider_service__remote_id=1).max == 1000
    assert not ProviderService.objects.filter(remote_id=11).exists()
    assert on_sale() == ALL
    with pytest.raises(UserError, match="can be undone"):
        following.undo(one.pk)
    ProviderService.objects.filter(remote_id=2).update(rate=Decimal("0.9"))
    assert sync(shop).state == State.UNCHANGED
    assert (rate(1), on_sale()) == (Decimal("1.1"), ALL)
    sandbox.services.clear()
    sandbox.services.update(good)
    assert sync(shop).state == State.WAITING


def test_only_the_last_list_that_was_applied_can_be_undone(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.set_service(1, rate="1.1")
    one = sync(shop)
    sandbox.set_service(1, rate="1.2")
    two = sync(shop)
    with pytest.raises(UserError, match="can be undone"):
        following.undo(one.pk)
    following.undo(two.pk)
    assert rate(1) == Decimal("1.1")
    following.undo(one.pk)
    assert rate(1) == 1


def test_what_changed_since_the_list_was_compared_is_left_as_it_is(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.set_service(1, rate="0.5", max="2000")
    sandbox.set_service(2, rate="0.5")
    one = sync(shop, review=True)
    ProviderService.objects.filter(remote_id=1).update(rate=Decimal("0.7"))
    following.apply(one.pk)
    one.refresh_from_db()
    assert (one.state, one.counts["missed"]) == (State.APPLIED, 1)
    assert (rate(1), rate(2)) == (Decimal("0.7"), Decimal("0.5"))
    assert not found(one)[Kind.CHANGED, "1"].applied
    assert sync(shop).state == State.APPLIED
    assert rate(1) == Decimal("0.5")


def test_services_follow_by_their_switches(shop: Provider, sandbox: Sandbox) -> None:
    Service.objects.filter(routes__provider_service__remote_id__in=[1, 2]).update(
        follows_name=True, follows_description=True, follows_flags=True
    )
    Service.objects.filter(routes__provider_service__remote_id=4).update(follows_limits=False)
    second = ProviderService.objects.get(remote_id=10)
    Route.objects.create(
        service=Service.objects.get(routes__provider_service__remote_id=2), provider_service=second, position=2
    )
    for number in range(1, 5):
        sandbox.set_service(
            number, name=f"Visits, new plan {number}", desc="Slow", refill=True, cancel=True, max="2000"
        )
    sync(shop)
    services = {
        int(route.provider_service.remote_id): route.service
        for route in Route.objects.filter(position=1).select_related("service", "provider_service")
    }
    told = [
        (one.name, one.description, one.refill, one.cancel, one.max) for one in map(services.get, range(1, 5)) if one
    ]
    assert told == [
        ("Visits, new plan 1", "Slow", True, True, 2000),
        ("Visits, new plan 2", "Slow", True, True, 1000),
        ("Visits, plan 3", "", False, False, 2000),
        ("Visits, plan 4", "", False, False, 1000),
    ]


def test_a_provider_that_does_not_answer_makes_a_failed_sync_that_says_why(shop: Provider, sandbox: Sandbox) -> None:
    sandbox.misbehave("services", "html")
    one = sync(shop)
    assert one.state == State.FAILED
    assert one.why
    assert on_sale() == ALL


def test_what_a_sync_changes_is_published_at_once(shop: Provider, sandbox: Sandbox) -> None:
    sync(shop)
    assert Published.objects.count() == 10
    sandbox.set_service(1, rate="1.1")
    sync(shop)
    change = ServiceChange.objects.get()
    assert (change.kind, change.before, change.after) == ("up", "1", "1.1")


def test_a_sync_and_a_service_of_two_providers_do_not_meet(
    shop: Provider, sandbox: Sandbox, make_service: MakeService
) -> None:
    other = Provider.objects.create(name="Other", api_url="http://127.0.0.1:9/", key_encrypted="")
    make_service(provider=other, remote_id="1", rate=Decimal(7))
    sandbox.remove_service(1)
    sync(shop)
    theirs = ProviderService.objects.get(provider=other)
    assert (theirs.vanished_at, theirs.rate) == (None, Decimal(7))
