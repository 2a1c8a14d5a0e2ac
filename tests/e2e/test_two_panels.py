"""Two panels in a chain: what is ordered at the second is delivered through the first, and both books balance."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from accounts import api_keys, ledger
from accounts.models import User
from catalog import importing
from catalog.models import Provider
from catalog.providers.sandbox import Sandbox, serving
from orders.models import Order
from tests.conftest import make_provider
from tests.processes import database_url, free_port, manage, redis_url, serving_panel, wait_for, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker]


@pytest.fixture
def second_database() -> Iterator[dict[str, str]]:
    """Make an empty database and give the environment of a panel that lives in it."""
    name = "second_" + database_url().rsplit("/", 1)[1].split("?")[0]
    with psycopg.connect(database_url("postgres"), autocommit=True) as session:
        session.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        session.execute(f'CREATE DATABASE "{name}"')
        address, number = redis_url().rsplit("/", 1)
        yield {"DATABASE_URL": database_url(name), "REDIS_URL": f"{address}/{int(number) + 8}"}
        session.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def first_panel(tmp_path: Path, customer: User) -> Iterator[str]:
    """A panel with a provider, a worker and a reseller with funds; yields its address."""
    with serving(Sandbox(pace=0.2)) as sandbox_url:
        provider: Provider = make_provider(sandbox_url)
        importing.import_services(provider, markup_percent=Decimal(20))
        ledger.deposit(customer.pk, Decimal(100), reference="test:in")
        with serving_panel(free_port()) as url, worker(tmp_path):
            yield url


def call(url: str, **params: Any) -> Any:
    return requests.post(f"{url}/api/v2", data=params, timeout=20).json()


def test_an_order_at_the_second_panel_completes_through_the_first(
    first_panel: str, customer: User, second_database: dict[str, str], tmp_path: Path
) -> None:
    reseller_key = api_keys.issue_key(customer.pk)[1]
    second = tmp_path / "second"
    second.mkdir()

    def told(*command: str) -> str:
        result = manage(*command, **second_database)
        assert result.returncode == 0, result.stderr
        return result.stdout

    told("migrate", "-v", "0")
    told("add_provider", "First", f"{first_panel}/api/v2", "--key", reseller_key, "--markup", "50")
    assert "added" in told("import_services", "first")
    key = re.search(r"api_key: (\S+)", told("create_customer", "end@example.org", "--balance", "50"))
    assert key

    with serving_panel(free_port(), **second_database) as url, worker(second, **second_database):
        services = call(url, key=key[1], action="services")
        service = next(row for row in services if row["type"] == "Default")
        order = call(
            url,
            key=key[1],
            action="add",
            service=service["service"],
            link="https://example.org/#completed",
            quantity=service["min"],
        )["order"]
        status = {}

        def completed() -> bool:
            status.update(call(url, key=key[1], action="status", order=order))
            return bool(status["status"] == "Completed")

        wait_for(completed, what="the order to complete through both panels", seconds=60)

    at_first = Order.objects.get()
    at_first.refresh_from_db()
    assert at_first.status == "Completed"
    assert Decimal(status["charge"]) > at_first.charge
    assert "balance" in told("audit_ledger")
