import datetime
import time
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Provider, ProviderService, Service
from catalog.providers.client import Client
from catalog.providers.errors import Unclear
from catalog.providers.replies import RefillAccepted
from catalog.providers.sandbox import Sandbox
from orders import auditing, claiming, forwarding, restoring, routing, sending
from orders.models import Dispatch, Order, OrderEvent, Refill
from tests.conftest import Fund, MakeService, Place

State = Dispatch.State
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def order(customer: User, service: Service, fund: Fund, place: Place, books: None) -> Order:
    fund(customer, "1000")
    return place(customer, service)


def dispatch_of(order: Order, command: str = "add") -> Dispatch:
    return order.dispatches.get(command=command)


def test_a_dispatch_in_doubt_is_claimed_only_while_it_may_be_sent_again(order: Order) -> None:
    dispatch = dispatch_of(order)
    Dispatch.objects.filter(pk=dispatch.pk).update(doubtful=True, resend_until=timezone.now() - HOUR)
    assert claiming.claim_next(dispatch.provider_id, 5) == []
    dispatch.refresh_from_db()
    assert (dispatch.state, dispatch.resend_until) == (State.UNCLEAR, None)
    assert order.events.filter(kind=OrderEvent.Kind.UNCLEAR).count() == 1


def test_a_dispatch_in_doubt_with_leave_is_claimed(order: Order) -> None:
    dispatch = dispatch_of(order)
    Dispatch.objects.filter(pk=dispatch.pk).update(doubtful=True, resend_until=timezone.now() + HOUR)
    assert len(claiming.claim_next(dispatch.provider_id, 5) or []) == 1


def test_the_database_queues_nothing_in_doubt_without_leave(order: Order) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Dispatch.objects.filter(order=order).update(doubtful=True)


def test_the_first_claim_is_remembered_through_later_ones(order: Order) -> None:
    dispatch = dispatch_of(order)
    claiming.claim_next(dispatch.provider_id, 1)
    dispatch.refresh_from_db()
    first = dispatch.first_claimed_at
    routing.queue_again(dispatch, datetime.timedelta(0), "again")
    claiming.claim_next(dispatch.provider_id, 1)
    dispatch.refresh_from_db()
    assert first is not None
    assert dispatch.first_claimed_at == first
    assert dispatch.claimed_at is not None
    assert dispatch.claimed_at > first


def test_a_claim_writes_down_the_cost_that_it_knew(order: Order, service: Service) -> None:
    ProviderService.objects.update(rate=Decimal("0.1"))
    claiming.claim_next(dispatch_of(order).provider_id, 1)
    assert dispatch_of(order).cost == claiming.expected_cost(dispatch_of(order), Decimal(1))
    assert not dispatch_of(order).loss_allowed


def test_the_audit_names_an_order_that_was_sent_at_a_known_loss(order: Order) -> None:
    claiming.claim_next(dispatch_of(order).provider_id, 1)
    Dispatch.objects.update(cost=order.charge + 1)
    assert any("above its charge" in line for line in auditing.find_differences())
    Dispatch.objects.update(loss_allowed=True)
    assert auditing.find_differences() == []


def test_nothing_is_claimed_at_a_provider_that_has_not_been_probed_since_it_was_away(order: Order) -> None:
    dispatch = dispatch_of(order)
    ended = timezone.now() - datetime.timedelta(seconds=1)
    Provider.objects.update(failures=5, pause_reason=Provider.Pause.NETWORK, paused_until=ended)
    assert claiming.claim_next(dispatch.provider_id, 1) is None
    assert dispatch_of(order).state == State.QUEUED


def test_a_probe_by_a_read_comes_before_the_first_order(order: Order, sandbox: Sandbox) -> None:
    ended = timezone.now() - datetime.timedelta(seconds=1)
    Provider.objects.update(failures=5, pause_reason=Provider.Pause.NETWORK, paused_until=ended)
    forwarding.forward_all()
    assert [call["action"] for call in sandbox.received] == ["balance", "add"]
    assert dispatch_of(order).state == State.SENT


def test_while_its_answers_are_unclear_a_provider_gets_one_order_at_a_time(
    order: Order, customer: User, service: Service, place: Place
) -> None:
    place(customer, service)
    provider_id = dispatch_of(order).provider_id
    Provider.objects.update(doubts=5, pause_reason="", paused_until=None)
    assert len(claiming.claim_next(provider_id, 8) or []) == 1
    assert claiming.claim_next(provider_id, 8) is None


def test_a_rate_limit_leaves_the_rest_queued(order: Order, customer: User, service: Service, place: Place) -> None:
    for _ in range(3):
        place(customer, service)
    Provider.objects.update(calls_per_minute=60)
    assert len(claiming.claim_next(dispatch_of(order).provider_id, 8) or []) == 1
    assert claiming.claim_next(dispatch_of(order).provider_id, 8) is None
    assert Dispatch.objects.filter(state=State.QUEUED).count() == 3


def test_a_refill_whose_lease_ran_out_is_sent_again(order: Order, sandbox: Sandbox) -> None:
    forwarding.forward_all()
    add = dispatch_of(order)
    wish = Dispatch.objects.create(
        order=order, command="refill", provider=add.provider, provider_service=add.provider_service
    )
    Refill.objects.create(order=order, dispatch=wish)
    claims = claiming.claim_next(add.provider_id, 5)
    assert claims is not None
    assert [(claim.command, claim.remote_id, claim.params) for claim in claims] == [("refill", add.remote_id, {})]
    Dispatch.objects.filter(pk=wish.pk).update(due_at=timezone.now() - HOUR)
    assert claiming.sweep_ended_leases() == 1
    wish.refresh_from_db()
    assert (wish.state, wish.doubtful) == (State.QUEUED, False)


def test_orders_go_out_one_by_one_and_wishes_of_a_kind_together() -> None:
    def claim(number: int, command: str) -> claiming.Claim:
        return claiming.Claim(number, number, 1, "", {}, command, str(number))

    claims = [claim(1, "add"), claim(2, "refill"), claim(3, "cancel"), claim(4, "refill"), claim(5, "add")]
    packed = [[one.dispatch_id for one in load] for load in sending.pack(claims)]
    assert packed == [[1], [5], [2, 4], [3]]


def test_a_lane_never_raises_and_tells_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = [claiming.Claim(n, n, 1, "", {}, "refill", str(n)) for n in (1, 2)]
    accepted = RefillAccepted("1", "77")
    monkeypatch.setattr(Client, "refill", lambda _self, _ids: {"1": accepted})
    assert list(sending.send(Client.__new__(Client), claims).values()) == [accepted, None]


def test_an_unexpected_error_in_a_lane_is_an_outcome_of_all_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = [claiming.Claim(n, n, 1, "", {}, "cancel", str(n)) for n in (1, 2)]
    error = Unclear("cut off", reason="cut")
    monkeypatch.setattr(Client, "cancel", lambda _self, _ids: (_ for _ in ()).throw(error))
    assert list(sending.send(Client.__new__(Client), claims).values()) == [error, error]


def test_after_a_restored_backup_nothing_unsent_is_sent_by_itself(
    order: Order, customer: User, service: Service, place: Place, sandbox: Sandbox
) -> None:
    leased, held, sent = (place(customer, service) for _ in range(3))
    Dispatch.objects.exclude(order=sent).update(due_at=timezone.now() + HOUR)
    forwarding.forward_all()
    Dispatch.objects.exclude(order=sent).update(due_at=timezone.now())
    Dispatch.objects.filter(order=leased).update(state=State.LEASED, attempt=1, due_at=timezone.now() + HOUR)
    with transaction.atomic():
        routing.hold(dispatch_of(held), Dispatch.Hold.LOSS, "dear")
    assert restoring.distrust_backup() == 3
    assert restoring.distrust_backup() == 0
    forwarding.forward_all()
    claiming.sweep_ended_leases()
    assert sandbox.accepted(sent.link) == 1
    assert [sandbox.accepted(one.link) for one in (order, leased, held)] == [0, 0, 0]
    assert {dispatch_of(one).state for one in (order, leased, held)} == {State.UNCLEAR}
    assert all(dispatch_of(one).doubtful for one in (order, leased, held))


def test_a_drip_feed_goes_out_with_the_quantity_of_one_run(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "1000")
    service = make_service(dripfeed=True)
    order = place(customer, service, quantity="100", runs="5", interval="30")
    params = claiming.describe(dispatch_of(order), dispatch_of(order).provider)
    sent = {name: params[name] for name in ("quantity", "runs", "interval")}
    assert sent == {"quantity": "100", "runs": "5", "interval": "30"}
    assert order.quantity == 500


def test_a_subscription_goes_out_without_link_or_quantity_and_with_the_providers_form_of_a_date(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "1000")
    service = make_service(type="Subscriptions")
    wish = {"username": "carla", "min": "10", "max": "20", "posts": "3", "delay": "5", "expiry": "31/12/2099"}
    order = place(customer, service, **wish)
    provider = dispatch_of(order).provider
    params = claiming.describe(dispatch_of(order), provider)
    assert not {"link", "quantity"} & params.keys()
    assert {name: params[name] for name in wish} == wish
    provider.dialect_overrides = {"expiry_format": "Y-m-d"}
    assert claiming.describe(dispatch_of(order), provider)["expiry"] == "2099-12-31"


def test_a_rate_limit_is_used_up_to_the_last_call(
    order: Order, customer: User, service: Service, place: Place, sandbox: Sandbox
) -> None:
    for _ in range(9):
        place(customer, service)
    Provider.objects.update(calls_per_minute=150)
    began = time.monotonic()
    assert forwarding.forward_provider(dispatch_of(order).provider_id) == 10
    # The bucket holds two and a half calls; the other eight leave at 0.4 s each, whatever a tick is.
    assert 2.8 <= time.monotonic() - began <= 6
