"""Whatever a provider reports, in whatever order: only allowed changes, and money is conserved."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts import ledger
from accounts.models import User
from accounts.money import share
from catalog.models import Category, Provider, ProviderService, Service
from orders import auditing, lifecycle
from orders.models import Dispatch, Order

QUANTITY = 1000

words = st.sampled_from([*Order.Status.values, "Failed", "Paused", None])
reports = st.builds(
    lifecycle.Report,
    status=words,
    word=st.sampled_from(["a", "b"]),
    start_count=st.none() | st.integers(0, 10**6),
    remains=st.none() | st.integers(-50, QUANTITY + 50),
    cost=st.none() | st.decimals(0, 5, places=5),
)


class AnyReports(TestCase):
    def setUp(self) -> None:
        self.customer = User.objects.create_user("carla", "carla@example.org")
        ledger.deposit(self.customer.pk, Decimal(10), reference="in")
        provider = Provider.objects.create(name="P", api_url="http://127.0.0.1/", key_encrypted="")
        remote = ProviderService.objects.create(provider=provider, remote_id="1", name="S", rate=1, min=1, max=10)
        service = Service.objects.create(category=Category.objects.create(name="C"), name="S", min=1, max=QUANTITY)
        self.order = Order.objects.create(
            user=self.customer,
            service=service,
            link="x",
            quantity=QUANTITY,
            rate=Decimal("2.5"),
            charge=Decimal("2.5"),
            provider_rate=1,
            exchange_rate=1,
            expected_cost=1,
        )
        ledger.charge(self.customer.pk, self.order.charge, reference=f"order:{self.order.pk}:charge")
        Dispatch.objects.create(order=self.order, provider=provider, provider_service=remote)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(reports, max_size=12))
    def test_only_allowed_changes_happen_and_money_is_conserved(self, news: list[lifecycle.Report]) -> None:
        before = Order.objects.get(pk=self.order.pk)
        for report in news:
            after = lifecycle.advance(self.order.pk, report)
            assert after.status == before.status or after.status in lifecycle.ALLOWED[before.status]
            assert before.refunded <= after.refunded <= after.charge
            assert ledger.read_balance(self.customer.pk) == Decimal("7.5") + after.refunded
            self.assert_refund_is_right(after, report, before)
            events = after.events.count()
            again = lifecycle.advance(self.order.pk, report)
            assert (again.status, again.refunded, again.events.count()) == (after.status, after.refunded, events)
            before = again
        assert auditing.find_differences() == []

    def assert_refund_is_right(self, after: Order, report: lifecycle.Report, before: Order) -> None:
        if after.refunded == before.refunded:
            return
        if report.status == Order.Status.CANCELED:
            assert after.refunded == after.charge
        else:
            assert report.status == Order.Status.PARTIAL
            assert report.remains is not None
            assert after.refunded == share(after.charge, report.remains, QUANTITY)


@pytest.mark.parametrize("status", [*Order.Status.values])
def test_the_table_names_every_status(status: str) -> None:
    assert status in lifecycle.ALLOWED
