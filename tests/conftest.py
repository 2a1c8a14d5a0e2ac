"""Three people, a provider that is really there, and short ways to what most tests need."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client

from accounts import api_keys, ledger
from accounts.models import User
from catalog import secrets, stock
from catalog.models import Category, Product, Provider, ProviderService, Route, Service
from catalog.providers.sandbox import Sandbox, serving
from orders import auditing, forms, placing
from orders.models import Order, OrderEvent, WebhookEndpoint
from orders.webhooks import endpoints
from tests.receiving import Receiver, receiving

Fund = Callable[[User, str], None]
MakeService = Callable[..., Service]
MakeProduct = Callable[..., Service]
Place = Callable[..., Order]

numbers = itertools.count(1)


@pytest.fixture
def customer(db: None) -> User:
    """Carla, who buys; she cannot sign in by a form unless a test gives her a password, since hashing is slow."""
    user = User.objects.create_user("carla", "carla@example.org")
    ledger.open_account(user.pk)
    return user


@pytest.fixture
def stranger(db: None) -> User:
    user = User.objects.create_user("sam", "sam@example.org")
    ledger.open_account(user.pk)
    return user


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_superuser("petra", "petra@example.org")


@pytest.fixture
def customer_client(customer: User) -> Client:
    client = Client()
    client.force_login(customer, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def staff_client(staff: User) -> Client:
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def fund() -> Fund:
    def give(user: User, amount: str) -> None:
        ledger.deposit(user.pk, Decimal(amount), reference=f"test:{next(numbers)}")

    return give


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A real upstream on loopback whose orders move only when a test moves them."""
    world = Sandbox(pace=0)
    with serving(world) as url:
        world.url = url
        yield world


@pytest.fixture
def provider(db: None, sandbox: Sandbox) -> Provider:
    return make_provider(sandbox.url, key=sandbox.key)


def make_provider(url: str, *, key: str = "sandbox-key", name: str = "", **fields: Any) -> Provider:
    return Provider.objects.create(
        name=name or f"Provider {next(numbers)}",
        api_url=url,
        key_encrypted=secrets.encrypt(key),
        key_hint=key[-4:],
        **fields,
    )


@pytest.fixture
def seller(provider: Provider, sandbox: Sandbox) -> Provider:
    """The sandbox, which sells products, as a provider of the family whose documents have them."""
    sandbox.configure(has_products=True)
    Provider.objects.filter(pk=provider.pk).update(dialect="1dg")
    provider.refresh_from_db()
    return provider


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver of webhooks on loopback, which they may reach here."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    with receiving() as server:
        yield server


@pytest.fixture
def endpoint(customer: User, receiver: Receiver) -> WebhookEndpoint:
    """An endpoint of the customer that is told everything."""
    return endpoints.add_endpoint(customer.pk, receiver.url, list(OrderEvent.PUBLIC))[0]


@pytest.fixture
def make_service(provider: Provider) -> MakeService:
    """Make a service on sale; fields of the service, and `rate`, `remote_id`, `provider` of where it comes from."""

    def make(**fields: Any) -> Service:
        own: dict[str, Any] = {"rate": Decimal("0.90"), "remote_id": "", "provider": provider}
        own |= {name: fields.pop(name) for name in list(fields) if name in own}
        values: dict[str, Any] = {"name": "Website visits", "type": "Default", "min": 10, "max": 100_000, **fields}
        category = values.pop("category", None) or Category.objects.get_or_create(name="Web")[0]
        service = Service.objects.create(category=category, **values)
        remote = ProviderService.objects.create(
            provider=own["provider"],
            remote_id=own["remote_id"] or f"none-{next(numbers)}",
            name=values["name"],
            type=values["type"],
            rate=own["rate"],
            min=values["min"],
            max=values["max"],
        )
        Route.objects.create(service=service, provider_service=remote)
        return service

    return make


@pytest.fixture
def make_product(db: None) -> MakeProduct:
    """Make a product on sale: of our own stock with these `lines`, by hand, or of a provider with its id there.

    Fields are those of the service and of the product; `provider` and `remote_id` make it a provider's.
    """

    def make(**fields: Any) -> Service:
        own = {name: fields.pop(name) for name in ("kind", "require", "warranty_days", "unit_cost") if name in fields}
        source = fields.pop("source", Product.Source.STOCK)
        lines, provider, remote_id = fields.pop("lines", ()), fields.pop("provider", None), fields.pop("remote_id", "")
        values = {"name": "Licence key", "min": 1, "max": 100, "own_rate": Decimal("2.50"), **fields}
        category = values.pop("category", None) or Category.objects.get_or_create(name="Keys")[0]
        service = Service.objects.create(category=category, is_product=True, **values)
        product = Product.objects.create(service=service, source="provider" if provider else source, **own)
        if provider is not None:
            remote = ProviderService.objects.create(
                provider=provider,
                remote_id=remote_id,
                name=service.name,
                type=product.kind,
                rate=Decimal("0.50"),
                min=1,
                max=50,
                is_product=True,
            )
            Route.objects.create(service=service, provider_service=remote)
        if lines:
            stock.upload(product, "\n".join(lines), actor_id=None)
        return service

    return make


def remote_service(sandbox: Sandbox, kind: str) -> dict[str, Any]:
    """Return the sandbox's first ordinary service of a type."""
    return next(row for row in sandbox.services.values() if row["type"] == kind and Decimal(str(row["rate"])) > 0)


@pytest.fixture
def service(make_service: MakeService, sandbox: Sandbox) -> Service:
    """A Default service that the sandbox really has."""
    row = remote_service(sandbox, "Default")
    return make_service(
        remote_id=str(row["service"]), rate=Decimal(row["rate"]), min=int(row["min"]), max=int(row["max"])
    )


@pytest.fixture
def place() -> Place:
    """Place an order through the real verbs; `link`, `quantity`, `comments` as a customer would give them."""

    def order(user: User, service: Service, *, key: str = "", **values: str) -> Order:
        values = {"link": f"https://example.org/{next(numbers)}", "quantity": str(service.min), **values}
        request = forms.parse_order(service, values)
        return Order.objects.get(pk=placing.place_order(user.pk, request, idempotency_key=key))

    return order


@pytest.fixture
def api_key(customer: User) -> str:
    return api_keys.issue_key(customer.pk, name="test")[1]


@pytest.fixture
def api(api_key: str) -> Callable[..., Any]:
    """Call `/api/v2` as a reseller's script does, with a form, and return the parsed answer."""
    client = Client(enforce_csrf_checks=True)

    def call(**params: Any) -> Any:
        response = client.post("/api/v2", {"key": api_key, **params})
        assert response.status_code == 200, response.content
        return response.json()

    return call


@pytest.fixture
def books() -> Iterator[None]:
    """Prove at the end of a test that every balance, charge and refund adds up."""
    yield
    assert auditing.find_differences() == []


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the system's Chromium; skip, saying so, where there is none, and fail where one is required."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None and os.environ.get("REQUIRE_BROWSER"):
        pytest.fail("REQUIRE_BROWSER is set, but there is no Chromium on this system")
    if path is None:
        pytest.skip("no Chromium on this system: browser tests were not run")
    return path
