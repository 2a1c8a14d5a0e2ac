"""The API's hot paths, in one process and without sockets, against the same work in bare statements."""

import io
import itertools
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.db.models import F
from django.http import HttpResponse

from accounts import api_keys
from accounts.models import User
from catalog.models import Category, Markup, Provider, ProviderService, Route, Service
from orders.models import Order
from tests.benchmarks.measuring import compare
from tests.conftest import Fund, Place

pytestmark = pytest.mark.django_db(transaction=True)
numbers = itertools.count()
MANY = 10_000
WORDS = "Starts within the hour, at most 10 000 a day, refilled for 30 days. " * 2

# What one order must write, whoever writes it: the balance, the transfer, the order, its event and its outbox row.
WRITE_ORDER = """
WITH paid AS (
    UPDATE accounts_ledgeraccount SET balance = balance - 0.01
    WHERE user_id = %(user)s AND kind = 'customer' AND balance >= 0.01 RETURNING id, balance
), placed AS (
    INSERT INTO orders_order (user_id, service_id, link, quantity, details, status, attention, remains, rate, charge,
        provider_rate, exchange_rate, expected_cost)
    SELECT %(user)s, %(service)s, 'https://example.org/', 100, '{}', 'Pending', '', 100, 0.1, 0.01, 0.1, 1, 0.01
    FROM paid
    RETURNING id
), told AS (
    INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, 'placed', '{}' FROM placed
), queued AS (
    INSERT INTO orders_dispatch (order_id, command, provider_id, provider_service_id, route_position, state, key)
    SELECT id, 'add', %(provider)s, %(provider_service)s, 1, 'QUEUED', %(key)s FROM placed
)
INSERT INTO accounts_transfer (debit_id, credit_id, amount, reason, reference, customer_balance_after)
SELECT paid.id, house.id, 0.01, 'charge', 'bench:' || %(key)s::text, paid.balance
FROM paid, accounts_ledgeraccount house WHERE house.kind = 'sales' AND house.user_id IS NULL
"""
WHO = "SELECT user_id FROM accounts_apikey WHERE digest = %s"


@pytest.fixture
def send(api_key: str) -> Callable[..., bytes]:
    """Call the API as the server does, with a form, and return the answer's bytes."""
    handler = WSGIHandler()

    def start(*_: Any) -> Callable[[bytes], object]:
        return lambda _: None

    def post(**params: Any) -> bytes:
        body = urlencode({"key": api_key, **params}).encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/api/v2",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
        }
        response: Any = handler(environ, start)
        return b"".join(response)

    return post


@pytest.fixture
def call(send: Callable[..., bytes]) -> Callable[..., Any]:
    """Call the API and return the parsed answer."""
    return lambda **params: orjson.loads(send(**params))


def run(statement: str, values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else None


def test_add(call: Callable[..., Any], api_key: str, customer: User, service: Service, fund: Fund) -> None:
    fund(customer, "1000000")
    remote = service.routes.get().provider_service
    digest = api_keys.digest(api_key)
    values = {
        "user": customer.pk,
        "service": service.pk,
        "provider": remote.provider_id,
        "provider_service": remote.pk,
    }

    def ours() -> None:
        link = f"https://example.org/{next(numbers)}"
        assert "order" in call(action="add", service=service.pk, link=link, quantity=service.min)

    def floor() -> None:
        run(WHO, [digest])
        run(WRITE_ORDER, {**values, "key": uuid.uuid4()})

    compare("add", ours, floor, times=200)


def test_balance(call: Callable[..., Any], api_key: str, customer: User, fund: Fund) -> None:
    fund(customer, "10")
    digest = api_keys.digest(api_key)
    balance = "SELECT balance FROM accounts_apikey k JOIN accounts_ledgeraccount a USING (user_id) WHERE digest = %s"
    assert call(action="balance")["balance"] == "10.00000"
    compare("balance", lambda: call(action="balance"), lambda: run(balance, [digest]), times=500)


def test_status_of_a_hundred(
    call: Callable[..., Any], api_key: str, customer: User, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "100000")
    ids = [place(customer, service).pk for _ in range(100)]
    text = ",".join(map(str, ids))
    digest = api_keys.digest(api_key)
    columns = "id, charge, refunded, start_count, status, remains"
    assert len(call(action="status", orders=text)) == 100

    def bare() -> None:
        user = run(WHO, [digest])[0][0]
        run(f"SELECT {columns} FROM orders_order WHERE user_id = %s AND id = ANY(%s)", [user, ids])  # noqa: S608 - a constant

    compare("status of 100", lambda: call(action="status", orders=text), bare, times=200)


def test_services(send: Callable[..., bytes], api_key: str, provider: Provider) -> None:
    category = Category.objects.create(name="Many")
    for start in range(0, MANY, 1000):
        services = Service.objects.bulk_create(
            Service(category=category, name=f"Service {start + n}", description=WORDS, min=10, max=1000)
            for n in range(1000)
        )
        remote = ProviderService.objects.bulk_create(
            ProviderService(
                provider=provider, remote_id=f"many-{start + n}", name="x", type="Default", rate=n + 1, min=1, max=2
            )
            for n in range(1000)
        )
        Route.objects.bulk_create(
            Route(service=one, provider_service=other) for one, other in zip(services, remote, strict=True)
        )
    markup = Markup.objects.create(percent=20, round_to=Decimal("0.01"))
    run("ANALYZE", None)
    digest, body = api_keys.digest(api_key), send(action="services")
    assert len(orjson.loads(body)) == MANY

    def change() -> None:
        Markup.objects.filter(pk=markup.pk).update(percent=F("percent") + 1)

    def cold() -> None:
        change()
        assert send(action="services") != body

    def floor() -> bytes:
        run(WHO, [digest])
        return b"".join(HttpResponse(body))

    print(f"services, {MANY} of them: {len(body) / 1e6:.1f} MB")  # noqa: T201 - its purpose
    compare("services, after a change", cold, floor, times=1)
    compare("services, unchanged", lambda: send(action="services"), floor, times=20)
    compare("a change alone", change, lambda: run("SELECT 1", None), times=20)
    assert Order.objects.count() == 0
