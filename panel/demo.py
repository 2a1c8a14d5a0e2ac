"""The demo shop: a customer with money, a member of staff, and some believable orders at the sandbox provider.

Beside its services there are products from everywhere that they can come from (catalog.models.Product.Source).
Everything is made once and left alone after that, so that what visitors change stays. Orders go through the real verbs
and are sent by the running workers; the fragments of their links, and of what their products require, tell the sandbox
how to end them (its module says).
"""

import json
import secrets
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import customers
from accounts.errors import UserError
from accounts.models import User
from catalog import adding, connecting, importing, selling, stock
from catalog.models import Category, CustomRate, Markup, Product, Provider, Route, Service
from catalog.providers.errors import ProviderError
from catalog.selling import Offer
from orders import forms, placing
from orders.models import Order

PROVIDER = "Sandbox"
PROVIDER_KEY = "sandbox-key"
CUSTOMER, STAFF = "demo@example.org", "admin@example.org"
# The embedded panel listens on loopback; anywhere else passwords are made up.
FIXED_PASSWORDS = {CUSTOMER: "demo-customer", STAFF: "demo-staff"}
OPENING_BALANCE = Decimal(250)
PROVIDER_MARKUP, SITE_MARKUP = Decimal(20), Decimal(15)
CUSTOM_RATE = Decimal("0.95")

# Their service id at the sandbox, and what a customer would have asked for.
ORDERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("1", {"link": "https://shop.example.org/spring-sale#completed", "quantity": "2500"}),
    ("2", {"link": "https://blog.example.org/how-we-roast#partial", "quantity": "1000"}),
    ("41", {"link": "https://blog.example.org/guest-book", "comments": "Lovely place!\nCame back twice\nThank you"}),
    ("51", {"link": "https://shop.example.org/#completed"}),
    ("31", {"link": "https://docs.example.org/manual-en.pdf#canceled", "quantity": "400"}),
    ("21", {"link": "https://video.example.org/talk-17#stuck", "quantity": "1800"}),
    ("61", {"link": "https://lists.example.org/members.csv#fail", "quantity": "5000"}),
    ("71", {"link": "https://photos.example.org/autumn/#refuse-link", "quantity": "5"}),
    ("11", {"link": "https://sms.example.org/campaign-3#reset", "quantity": "50"}),
    ("3", {"link": "https://shop.example.org/new-arrivals", "quantity": "600"}),
    ("2", {"link": "https://news.example.org/#completed", "quantity": "150", "runs": "4", "interval": "1"}),
    ("6", {"username": "reading.room", "min": "20", "max": "40", "posts": "3", "delay": "5"}),
)

# What is to be known of the sandbox's dialect.
SELLS_PRODUCTS = {"products": True, "result_product": True}
LICENCE, SETTING_UP = "Invoice printer, licence for one computer", "Your online shop set up by hand"
# Of our own: the name, what else it is, and what a customer would have ordered.
OWN: tuple[tuple[str, dict[str, Any], dict[str, str]], ...] = (
    (
        LICENCE,
        {
            "source": Product.Source.STOCK,
            "max": 5,
            "own_rate": Decimal("7.90"),
            "extra": {"warranty_days": 14, "unit_cost": Decimal("4.10"), "low_stock": 10},
        },
        {"quantity": "2"},
    ),
    (
        SETTING_UP,
        {
            "source": Product.Source.HAND,
            "max": 1,
            "own_rate": Decimal(35),
            "extra": {"kind": Product.Kind.SERVICE, "require": "Address of your shop"},
        },
        {"quantity": "1", "require": "https://shop.example.org/"},
    ),
)
STOCK_LINES = 25
# Their product id at the sandbox, and what a customer would have asked for.
PRODUCT_ORDERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("7", {"quantity": "3"}),
    ("12", {"quantity": "2", "require": "demo@example.org#partial"}),
    ("8", {"quantity": "1", "require": "reading-room.example#canceled"}),
)


def seed(sandbox_url: str) -> dict[str, Any]:
    """Make whatever the demo shop lacks and return its logins, which are kept in VAR_DIR/demo.json.

    Raises UserError or ProviderError when the sandbox does not answer. Waits for the network: no transaction.
    """
    provider = _seed_provider(sandbox_url)
    importing.import_services(provider)
    _import_products(provider)
    _seed_products()
    file = Path(settings.VAR_DIR) / "demo.json"
    logins = json.loads(file.read_text()) if file.exists() else {}
    customer = _seed_customer(logins)
    _seed_staff(logins)
    _write(file, logins)
    _seed_prices(provider, customer)
    if not Order.objects.filter(user=customer).exists():
        _seed_rules(provider)
        _seed_orders(provider, customer)
    if not Order.objects.filter(user=customer, service__is_product=True).exists():
        _seed_product_orders(provider, customer)
    return logins


def _seed_provider(url: str) -> Provider:
    """Add the sandbox as a provider, or point the one that is there to where it answers now."""
    provider = Provider.objects.filter(name=PROVIDER).first()
    if provider is None:
        new = adding.NewProvider(PROVIDER, url, PROVIDER_KEY, markup_percent=PROVIDER_MARKUP)
        return adding.add_provider(new)[0]
    if provider.api_url != url:
        provider.api_url = url
        provider.save(update_fields=["api_url"])
    connecting.read_balance(provider)
    return provider


def _import_products(provider: Provider) -> None:
    """Put the sandbox's products on sale, and remember that it has some; one that was started without has none."""
    provider.dialect_overrides = {**SELLS_PRODUCTS, **provider.dialect_overrides}
    with suppress(ProviderError):
        importing.import_services(provider, is_product=True)
        provider.save(update_fields=["dialect_overrides"])


def _seed_customer(logins: dict[str, Any]) -> User:
    found = User.objects.filter(email__iexact=CUSTOMER).first()
    if found is not None:
        logins.setdefault("customer", {"email": CUSTOMER, "password": ""})
        return found
    password = _choose_password(CUSTOMER)
    new = customers.NewCustomer(CUSTOMER, username="demo", password=password, balance=OPENING_BALANCE)
    user, logins["api_key"] = customers.create_customer(new)
    logins["customer"] = {"email": CUSTOMER, "password": password}
    return user


def _seed_staff(logins: dict[str, Any]) -> None:
    if User.objects.filter(email__iexact=STAFF).exists():
        logins.setdefault("staff", {"email": STAFF, "password": ""})
        return
    password = _choose_password(STAFF)
    with transaction.atomic():
        user = User.objects.create_superuser("admin", STAFF, password)
        EmailAddress.objects.create(user=user, email=STAFF, verified=True, primary=True)
    logins["staff"] = {"email": STAFF, "password": password}


def _choose_password(email: str) -> str:
    return FIXED_PASSWORDS[email] if settings.EMBEDDED else secrets.token_urlsafe(12)


def _write(file: Path, logins: dict[str, Any]) -> None:
    """Write the logins for nobody but ourselves to read."""
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(json.dumps(logins, indent=2) + "\n")


def _seed_prices(provider: Provider, customer: User) -> None:
    """Give the shop a rule for the site, a customer's own rate, and a service that two routes can deliver."""
    Markup.objects.get_or_create(provider=None, category=None, service=None, defaults={"percent": SITE_MARKUP})
    visits = _find_service(provider, "1")
    if visits is None:
        return
    CustomRate.objects.get_or_create(user=customer, service=visits, defaults={"rate": CUSTOM_RATE})
    second = provider.services.filter(remote_id="3", is_product=False, vanished_at=None).first()
    if second is not None and visits.routes.count() == 1:
        Route.objects.create(service=visits, provider_service=second, position=2)


def _seed_rules(provider: Provider) -> None:
    """Let visitors see a refill: elsewhere it opens a day after the end."""
    Service.objects.filter(refill=True, routes__provider_service__provider=provider).update(refill_after_hours=0)


def _seed_orders(provider: Provider, customer: User) -> None:
    for number, (remote_id, values) in enumerate(ORDERS):
        service = _find_service(provider, remote_id)
        if service is None:
            continue
        try:
            placing.place_order(customer.pk, forms.parse_order(service, values), idempotency_key=f"demo:{number}")
        except UserError:
            # Staff may have taken a service off sale, or changed it, before the demo was seeded.
            continue


def _seed_products() -> None:
    """Make the products of our own, and lines for the one that is sold from stock."""
    for name, own, _order in OWN:
        if Service.objects.filter(name=name, is_product=True).exists():
            continue
        category = Category.objects.get_or_create(name="Our own")[0]
        product = selling.add_product(Offer(name=name, category=category, min=1, **own))
        if product.source == Product.Source.STOCK:
            lines = "\n".join(f"{secrets.token_hex(4)}-{secrets.token_hex(4)}".upper() for _ in range(STOCK_LINES))
            stock.upload(product, lines, actor_id=None)


def _seed_product_orders(provider: Provider, customer: User) -> None:
    """Order products from everywhere: one is handed over at once, one waits for staff, the others are forwarded."""
    remote = {route.provider_service.remote_id: route.service for route in _find_product_routes(provider)}
    own = {service.name: service for service in Service.objects.filter(is_product=True, routes=None, enabled=True)}
    wanted = [(own.get(name), values) for name, _own, values in OWN]
    wanted += [(remote.get(remote_id), values) for remote_id, values in PRODUCT_ORDERS]
    for number, (service, values) in enumerate(wanted):
        if service is None:
            continue
        try:
            request = forms.parse_order(service, values)
            placing.place_order(customer.pk, request, idempotency_key=f"demo-product:{number}")
        except UserError:
            # As above; or the customer, who is anybody, has spent it all.
            continue


def _find_product_routes(provider: Provider) -> QuerySet[Route]:
    """Return the routes of the products on sale that come from the provider first."""
    routes = Route.objects.filter(provider_service__provider=provider, provider_service__is_product=True, position=1)
    return routes.filter(service__enabled=True).select_related("service__product", "provider_service")


def _find_service(provider: Provider, remote_id: str) -> Service | None:
    """Return the service on sale whose first route is a service of the provider."""
    routes = Route.objects.filter(
        provider_service__provider=provider, provider_service__remote_id=remote_id, position=1
    )
    route = routes.select_related("service").filter(service__enabled=True, service__is_product=False).first()
    return route.service if route else None
