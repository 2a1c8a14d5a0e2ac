"""Whatever providers, runs, staff and customers do to an order: the table of changes holds, and so does the money."""

from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts import ledger
from accounts.errors import UserError
from accounts.models import User
from catalog.models import Category, Product, Provider, ProviderService, Route, Service
from catalog.providers.replies import StatusReport
from orders import attending, auditing, forms, lifecycle, parts, placing
from orders.lifecycle import ENDED, Report
from orders.models import Cancel, ChildOrder, Dispatch, Order

DEPOSIT, CHARGE = Decimal(10), Decimal("2.5")
WORDS = [*Order.Status.values, "Failed", "Paused", "Expired", None]
MOVE_NO_MONEY = {"Pending", "Processing", "In progress", "Paused", "Failed", None}

remains = st.none() | st.integers(-50, 1050) | st.sampled_from([1, 100, 500, 1000, 10**15])
reports = st.builds(
    Report,
    status=st.sampled_from(WORDS),
    word=st.sampled_from(["a", "b"]),
    start_count=st.none() | st.integers(0, 10**6),
    remains=remains,
    cost=st.none() | st.decimals(0, 5, places=5),
    parts_done=st.none() | st.integers(0, 10) | st.sampled_from([-1, 11, 10**12]),
)


class OrderMachine(RuleBasedStateMachine):
    """One order of 2.50, at once, spread or of a product, from placing to whatever becomes of it."""

    order_id = 0

    @initialize(
        runs=st.sampled_from([1, 4, 10, 10]),
        taken=st.sampled_from([True, True, True, False]),
        product=st.sampled_from([False, False, True]),
    )
    def place(self, *, runs: int, taken: bool, product: bool) -> None:
        self.before_all = transaction.savepoint()
        self.customer = User.objects.create_user("carla", "carla@example.org")
        self.staff = User.objects.create_user("petra", "petra@example.org")
        ledger.deposit(self.customer.pk, DEPOSIT, reference="in")
        service = Service.objects.create(
            category=Category.objects.create(name="C"),
            name="S",
            min=1,
            max=1000,
            dripfeed=not product,
            is_product=product,
        )
        provider = Provider.objects.create(name="P", api_url="http://127.0.0.1/", key_encrypted="")
        rate = CHARGE / 1000 if product else CHARGE
        remote = ProviderService.objects.create(
            provider=provider, remote_id="1", name="S", rate=rate, min=1, max=1000, is_product=product
        )
        Route.objects.create(service=service, provider_service=remote)
        wish = {"link": "x", "quantity": str(1000 // runs), "runs": str(runs), "interval": "30"}
        if product:
            Product.objects.create(service=service, source=Product.Source.PROVIDER)
            wish = {"quantity": "1000"}
        self.order_id = placing.place_order(self.customer.pk, forms.parse_order(service, wish))
        self.seen = self.read()
        self.taken = False
        if taken:
            self.accept()

    def teardown(self) -> None:
        if not self.order_id:
            return
        try:
            assert auditing.find_differences() == []
        finally:
            transaction.savepoint_rollback(self.before_all)
            transaction.set_rollback(False)

    def read(self) -> Order:
        return Order.objects.get(pk=self.order_id)

    @precondition(lambda self: not self.taken and self.seen.status == "Pending")
    @rule()
    def accept(self) -> None:
        Dispatch.objects.update(state=Dispatch.State.SENT, remote_id="7", due_at=None)
        lifecycle.accept(self.order_id)
        self.taken = True

    @precondition(lambda self: not self.taken and self.seen.status == "Pending")
    @rule()
    def refuse(self) -> None:
        Dispatch.objects.update(state=Dispatch.State.REJECTED, due_at=None)
        for _ in range(2):
            lifecycle.cancel(self.order_id, why="invalid_link")
        assert self.read().refunded == CHARGE

    @precondition(lambda self: self.taken)
    @rule(report=reports)
    def report(self, report: Report) -> None:
        before = self.read()
        after = lifecycle.advance(self.order_id, report)
        if report.status in MOVE_NO_MONEY:
            assert after.refunded == before.refunded
        if not lifecycle.moves(before, report):
            assert (after.status, after.refunded, after.attention) == (before.status, before.refunded, before.attention)
        events = after.events.count()
        again = lifecycle.advance(self.order_id, report)
        assert (again.status, again.refunded, again.attention) == (after.status, after.refunded, after.attention)
        assert after.events.count() == events

    @precondition(lambda self: self.taken)
    @rule(report=reports)
    def count(self, report: Report) -> None:
        before = self.read()
        lifecycle.take_counts({self.order_id: report})
        after = self.read()
        assert (after.status, after.refunded, after.attention) == (before.status, before.refunded, before.attention)

    @precondition(lambda self: self.taken and self.seen.parts > 1)
    @rule(upto=st.integers(1, 11))
    def list_parts(self, upto: int) -> None:
        dispatch = Dispatch.objects.get()
        for _ in range(2):
            parts.store_children(self.order_id, dispatch.pk, [f"7-{number}" for number in range(upto)])
        assert ChildOrder.objects.count() >= upto

    @precondition(lambda self: self.taken and ChildOrder.objects.exists())
    @rule(which=st.integers(0, 10), word=st.sampled_from(WORDS), remains=remains)
    def report_part(self, which: int, word: str | None, remains: int | None) -> None:
        children = list(ChildOrder.objects.all())
        child = children[which % len(children)]
        before, refunded = child.status, self.read().refunded
        answer = StatusReport(word, str(word), None, None, remains, "", (), None, None)
        for _ in range(2):
            lacks = parts._follow(child, answer, timezone.now())
            parts._write([parts.News(child, before)])
            if lacks:
                lifecycle.settle_parts(self.order_id)
            child.refresh_from_db()
            assert child.status == before or child.status in parts.FOLLOWING[before]
            before = child.status
        # An order that has not ended pays nothing for its parts, and one that has at most a part for one of them.
        order = self.read()
        assert order.refunded - refunded <= CHARGE / order.parts * (order.status in ENDED)

    @precondition(lambda self: self.seen.status not in ENDED and not Cancel.objects.exists())
    @rule()
    def ask_to_cancel(self) -> None:
        Cancel.objects.create(order_id=self.order_id)

    @rule(status=st.sampled_from(Order.Status.values), remains=remains)
    def end_by_hand(self, status: str, remains: int | None) -> None:
        before = self.read()
        try:
            after = lifecycle.end_by_hand(self.order_id, status, remains, actor_id=self.staff.pk, why="x")
        except UserError:
            assert self.read().refunded == before.refunded
        else:
            assert self.taken
            assert (after.status, after.attention) == (status, "")
            assert status != "Canceled" or after.refunded == CHARGE

    @precondition(lambda self: self.seen.attention)
    @rule()
    def clear_attention(self) -> None:
        attending.clear_attention(self.order_id, actor_id=self.staff.pk)

    @invariant()
    def the_table_and_the_money_hold(self) -> None:
        if not self.order_id:
            return
        before, after = self.seen, self.read()
        # Several changes may lie between two looks; each is one of the table's, and so no way leads back.
        assert after.status == before.status or after.status in lifecycle.ALLOWED[before.status]
        assert before.refunded <= after.refunded <= after.charge == CHARGE
        assert ledger.read_balance(self.customer.pk) == DEPOSIT - CHARGE + after.refunded
        assert (after.parts_done or 0) >= (before.parts_done or 0)
        assert (after.ended_at is not None) == (after.status in ENDED)
        assert after.status not in ENDED or not Cancel.objects.filter(status__in=Cancel.OPEN).exists()
        self.seen = after


@pytest.mark.django_db
def test_only_allowed_changes_happen_and_money_is_conserved() -> None:
    run_state_machine_as_test(
        OrderMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
