"""The shop that a run is made in: customers with money, services with a route to each of two providers, products."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from accounts import ledger
from accounts.models import User
from catalog import secrets
from catalog.models import Category, Markup, Provider, ProviderService, Route, Service
from tests.chaos import warehouse
from tests.chaos.plan import CUSTOMERS, LOSS_POLICIES, SERVICES, SITE_MARKUP
from tests.chaos.upstreams import KEY, Upstream

PURSE = Decimal(100_000)
IN_FLIGHT = 4
# So many that nothing waits for its turn: what a 429 teaches about the pace would outlast the run.
CALLS_PER_MINUTE = 6000


@dataclass(frozen=True)
class Shop:
    """What stands in the database before the doors open; `rates` are the first ones, by provider and their service."""

    customers: list[User]
    services: list[Service]
    wares: list[Service]
    providers: list[Provider]
    rates: dict[tuple[int, int], Decimal]

    def set_rate(self, upstream: int, service: int, factor: float = 1) -> None:
        """Make our copy of a provider's rate so many times what it was at first."""
        rows = ProviderService.objects.filter(provider=self.providers[upstream], remote_id=str(service))
        rows = rows.filter(is_product=False)
        rows.update(rate=self.rates[upstream, service] * Decimal(str(factor)))

    def restore_rates(self) -> None:
        """Bring our copies of all rates back to what they were at first."""
        for upstream, service in self.rates:
            self.set_rate(upstream, service)


def stock(upstreams: Sequence[Upstream]) -> Shop:
    """Make providers, services and customers."""
    Markup.objects.create(percent=SITE_MARKUP)
    category = Category.objects.create(name="Chaos")
    providers = [_know(upstream) for upstream in upstreams]
    remotes = {
        (place, number): _list(provider, upstream.catalogue[number])
        for place, (provider, upstream) in enumerate(zip(providers, upstreams, strict=True))
        for number in SERVICES
    }
    services = []
    for place, number in enumerate(SERVICES):
        service = _sell(category, upstreams[0].catalogue[number], loss_policy=LOSS_POLICIES[place % 2])
        for position in (1, 2):
            remote = remotes[(place + position - 1) % len(providers), number]
            Route.objects.create(service=service, provider_service=remote, position=position)
        services.append(service)
    rates = {key: remote.rate for key, remote in remotes.items()}
    customers = [_welcome(number) for number in range(CUSTOMERS)]
    return Shop(customers, services, warehouse.offer(category, providers), providers, rates)


def _know(upstream: Upstream) -> Provider:
    return Provider.objects.create(
        name=upstream.plan.name,
        api_url=upstream.url,
        key_encrypted=secrets.encrypt(KEY),
        key_hint=KEY[-4:],
        dialect_overrides=upstream.plan.dialect_overrides,
        max_in_flight=IN_FLIGHT,
        calls_per_minute=CALLS_PER_MINUTE,
    )


def _list(provider: Provider, row: dict[str, Any]) -> ProviderService:
    return ProviderService.objects.create(
        provider=provider,
        remote_id=str(row["service"]),
        name=row["name"],
        type=row["type"],
        rate=Decimal(str(row["rate"])),
        min=int(row["min"]),
        max=int(row["max"]),
        refill=row["refill"],
        cancel=row["cancel"],
        dripfeed=row.get("dripfeed"),
    )


def _sell(category: Category, row: dict[str, Any], *, loss_policy: str) -> Service:
    return Service.objects.create(
        category=category,
        name=row["name"],
        type=row["type"],
        min=int(row["min"]),
        max=int(row["max"]),
        refill=row["refill"],
        refill_after_hours=0,
        cancel=row["cancel"],
        dripfeed=bool(row.get("dripfeed")),
        loss_policy=loss_policy,
    )


def _welcome(number: int) -> User:
    customer = User.objects.create_user(f"customer{number}", f"customer{number}@example.org")
    ledger.open_account(customer.pk)
    ledger.deposit(customer.pk, PURSE, reference=f"chaos:{number}")
    return customer
