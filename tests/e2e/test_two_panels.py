"""Two panels in a chain: what is ordered at the second is delivered through the first, and both books balance."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from django.urls import reverse

from accounts import api_keys, ledger
from accounts.models import User
from catalog import importing, stock
from catalog.models import Provider, Service
from catalog.providers.sandbox import Sandbox, serving
from orders import auditing
from orders.models import Order
from tests.conftest import MakeProduct, make_provider
from tests.processes import database_url, free_port, manage, redis_url, serving_panel, wait_for, worker

PASSWORD = "two-panels-in-a-chain"
KEYS = ["AAAA-1111 | <1>", "BBBB-2222", "CCCC-3333"]

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
def upstream() -> Iterator[Sandbox]:
    """A provider of the first panel whose orders move by themselves, and which sells products as well."""
    world = Sandbox(pace=0.2, has_products=True)
    with serving(world) as world.url:
        yield world


@pytest.fixture
def own(make_product: MakeProduct) -> Service:
    """A product of the first panel's own stock."""
    return make_product(name="Licence key", lines=KEYS)


@pytest.fixture
def first_panel(tmp_path: Path, customer: User, own: Service, upstream: Sandbox) -> Iterator[str]:
    """A panel with a provider, a worker and a reseller with funds; yields its address."""
    provider: Provider = make_provider(upstream.url, key=upstream.key, dialect="1dg")
    importing.import_services(provider, markup_percent=Decimal(20))
    importing.import_services(provider, markup_percent=Decimal(20), is_product=True)
    ledger.deposit(customer.pk, Decimal(100), reference="test:in")
    with serving_panel(free_port()) as url, worker(tmp_path):
        yield url


@dataclass
class Second:
    """The second panel: its address, the key of a customer there, and a way to its manage.py."""

    url: str
    key: str
    told: Callable[..., str]

    def call(self, **params: Any) -> Any:
        return requests.post(f"{self.url}/api/v2", data={"key": self.key, **params}, timeout=20).json()


@pytest.fixture
def second_panel(first_panel: str, customer: User, second_database: dict[str, str], tmp_path: Path) -> Iterator[Second]:
    """A panel that orders from the first one all that is on sale there, with a customer who has 50."""
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
    assert "added" in told("import_services", "first", "--products")
    who = ("end@example.org", "--username", "end", "--password", PASSWORD, "--balance", "50")
    key = re.search(r"api_key: (\S+)", told("create_customer", *who))
    assert key
    with serving_panel(free_port(), **second_database) as url, worker(second, **second_database):
        yield Second(url, key[1], told)


def test_an_order_at_the_second_panel_completes_through_the_first(second_panel: Second) -> None:
    services = second_panel.call(action="services")
    service = next(row for row in services if row["type"] == "Default")
    order = second_panel.call(
        action="add",
        service=service["service"],
        link="https://example.org/#completed",
        quantity=service["min"],
    )["order"]
    status = {}

    def completed() -> bool:
        status.update(second_panel.call(action="status", order=order))
        return bool(status["status"] == "Completed")

    wait_for(completed, what="the order to complete through both panels", seconds=60)
    at_first = Order.objects.get()
    assert at_first.status == "Completed"
    assert Decimal(status["charge"]) > at_first.charge
    assert auditing.find_differences() == []
    assert "balance" in second_panel.told("audit_ledger")


def test_products_bought_at_the_second_panel_come_from_the_first_and_from_behind_it(
    own: Service, second_panel: Second, upstream: Sandbox
) -> None:
    """One of the first panel's own stock over the API, and one of its provider's by the page."""
    url, shelf = second_panel.url, {row["name"]: row for row in second_panel.call(action="products")}
    assert (shelf["Licence key"]["rate"], shelf["Licence key"]["inventory"]) == (3.75, 3)
    wanted = {"product": shelf["Licence key"]["product"], "quantity": 2}
    bought = second_panel.call(action="add_product_order", **wanted)["order"]
    with signed_in(url) as person:
        ordered = buy_on_page(person, url, shelf["Mailbox, 5 GB, ready to use"]["product"], "3")

        def delivered() -> bool:
            told = second_panel.call(action="product_order_status", orders=f"{bought},{ordered}")
            return {row["status"] for row in told.values()} == {"Completed"}

        wait_for(delivered, what="both deliveries to come through both panels", seconds=90)
        page = post(person, f"{url}/orders/{ordered}/lines/", f"{url}/orders/{ordered}/").text
    assert second_panel.call(action="result_product", order=bought) == {"result": KEYS[:2]}
    (behind,) = upstream.warehouse.orders.values()
    assert len(behind.goods) == 3
    assert all(escape(line) in page for line in behind.goods)
    assert stock.count([own.pk]) == {own.pk: 1}
    assert set(Order.objects.values_list("status", flat=True)) == {"Completed"}
    assert auditing.find_differences() == []
    assert "balance" in second_panel.told("audit_ledger")
    second_panel.told("check_stock")


@contextmanager
def signed_in(url: str) -> Iterator[requests.Session]:
    """Open a session of the customer at a panel."""
    with requests.Session() as person:
        page = url + reverse("account_login")
        answer = post(person, page, page, login="end", password=PASSWORD)
        assert answer.ok
        yield person


def post(person: requests.Session, url: str, page: str, **values: str) -> requests.Response:
    """Send the form of a page, with whatever the page hides in it."""
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', person.get(page, timeout=20).text))
    return person.post(url, data={**hidden, **values}, headers={"Referer": page}, timeout=20)


def buy_on_page(person: requests.Session, url: str, product: int, quantity: str) -> int:
    """Buy a product on its page and return the order that the page leads to."""
    page = f"{url}/products/{product}/"
    answer = post(person, page, page, quantity=quantity)
    found = re.search(r"/orders/(\d+)/", answer.url)
    assert found, answer.text
    return int(found[1])
