"""A hundred thousand open orders at one provider: everyone is looked at in turn, and a run's work is bounded."""

import time
from collections import Counter
from collections.abc import Sequence

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from catalog.models import Provider, Service
from catalog.providers.client import Client
from catalog.providers.replies import StatusReport
from orders import syncing
from orders.models import Dispatch

OPEN = 100_000
# Rounds × (due, turn, take, orders, counts, next look), and a few for the provider's own row.
MOST_QUERIES = syncing.MOST_ROUNDS * 12 + 20
CALLS_PER_SECOND = 20

FILL = """
WITH placed AS (
    INSERT INTO orders_order (user_id, service_id, link, quantity, details, status, attention, remains, rate, charge,
        provider_rate, exchange_rate, expected_cost, created_at)
    SELECT %(user)s, %(service)s, 'https://example.org/' || n, 100, '{}', 'In progress', '', 100, 1, 0.1, 0.9, 1, 0.09,
        %(now)s::timestamptz - interval '1 day'
    FROM generate_series(1, %(count)s) n RETURNING id
)
INSERT INTO orders_dispatch (order_id, command, provider_id, provider_service_id, route_position, state, key, due_at,
    remote_id, poll_at)
SELECT id, 'add', %(provider)s, %(remote)s, 1, 'SENT', gen_random_uuid(), NULL, 'r' || id,
    %(now)s::timestamptz - interval '1 hour' + id %% 1000 * interval '1 millisecond'
FROM placed
"""


class Upstream:
    """Answers that every order is still in progress, and remembers who was asked about."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.calls = 0

    def status(self, ids: Sequence[str], *, singly: bool = False) -> dict[str, StatusReport]:
        assert not singly
        assert 0 < len(ids) <= 100
        self.calls += 1
        self.asked.update(ids)
        return {one: StatusReport("In progress", "In progress", None, None, 100, "", (), None, None) for one in ids}


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Upstream:
    known = Upstream()
    monkeypatch.setattr(Client, "status", known.status)
    return known


def fill(provider: Provider, service: Service, customer: User, count: int) -> None:
    remote = service.routes.get().provider_service_id
    values = {"user": customer.pk, "service": service.pk, "provider": provider.pk, "remote": remote}
    with connection.cursor() as cursor:
        cursor.execute(FILL, {**values, "count": count, "now": timezone.now()})
        cursor.execute("ANALYZE orders_dispatch, orders_order")


def test_of_a_hundred_thousand_open_orders_each_is_looked_at_once_before_any_is_looked_at_again(
    provider: Provider, service: Service, customer: User, upstream: Upstream
) -> None:
    fill(provider, service, customer, OPEN)
    runs = 0
    while Dispatch.objects.filter(poll_at__lte=timezone.now()).exists():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            syncing.sync_provider(provider.pk)
        assert len(queries) <= MOST_QUERIES
        runs += 1
    assert len(upstream.asked) == OPEN
    assert set(upstream.asked.values()) == {1}
    assert upstream.calls == OPEN // 100
    assert runs <= -(-OPEN // (syncing.MOST_ROUNDS * syncing.MOST_CALLS * 100)) + 6


def test_under_a_rate_limit_each_is_looked_at_within_the_time_that_the_limit_allows(
    provider: Provider, service: Service, customer: User, upstream: Upstream
) -> None:
    fill(provider, service, customer, OPEN // 10)
    Provider.objects.filter(pk=provider.pk).update(calls_per_minute=60 * CALLS_PER_SECOND)
    began = time.monotonic()
    while Dispatch.objects.filter(poll_at__lte=timezone.now()).exists():
        before, since = upstream.calls, time.monotonic()
        with CaptureQueriesContext(connection) as queries:
            syncing.sync_provider(provider.pk)
        assert upstream.calls - before <= CALLS_PER_SECOND * (time.monotonic() - since + 1)
        assert len(queries) <= MOST_QUERIES
    took = time.monotonic() - began
    assert upstream.calls == OPEN // 10 // 100
    assert set(upstream.asked.values()) == {1}
    # The first second's worth is in the bucket; at worst half of the limit is left unused.
    least = upstream.calls / CALLS_PER_SECOND - 1
    assert least - 0.1 <= took <= 2 * least + 5
