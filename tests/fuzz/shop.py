"""What is there before the first call: services of every type, and customers with keys of every sort and orders."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts import api_keys, ledger
from accounts.api_keys import KeyTerms
from accounts.models import ApiKey, User
from catalog import secrets, stock
from catalog.models import Category, Markup, Product, Provider, ProviderService, Route, Service
from orders import forms, lifecycle, placing, refills, trying
from orders.forms import FORMS
from orders.models import Dispatch

PURSE = Decimal(500_000_000)
CAP = Decimal(1000)
GOODS = "GOODS-"
# Whose calls do what; the other keys are refused, each by its own words.
WORDS = {
    "wrong": "Invalid API key",
    "revoked": "Invalid API key",
    "expired": "Invalid API key",
    "elsewhere": "IP not allowed",
}
BUYING, READING = ("real", "first", "capped"), "reading"
KEYS = (*["real"] * 9, *["test"] * 3, "first", "capped", READING, *WORDS)
COMPLETED = lifecycle.Report(status="Completed", word="Completed", start_count=168, remains=0)
UNDER_WAY = lifecycle.Report(status="In progress", word="In progress", start_count=234, remains=10)


@dataclass(frozen=True)
class Booth:
    """One customer, who calls alone, so that whatever changes is the work of his last call."""

    user_id: int
    test_key_id: int
    keys: Mapping[str, str]
    services: Sequence[Service]
    products: Sequence[Service]
    ids: Sequence[object]

    @property
    def secrets(self) -> list[str]:
        """What no answer and no line of a log may hold: keys, and under what they are kept."""
        return [text for key in self.keys.values() for text in (key, api_keys.digest(key))]


def open_booths(number: int) -> list[Booth]:
    """Put services on sale and let some customers in; the ids that each may ask for include the others' ones."""
    services, products = stock_services(), stock_products()
    customers = [_welcome(place) for place in range(number + 1)]
    orders = [_trade(customer, services[0]) for customer in customers]
    unknown = [0, 999_999, 10**17, "nonsense"]
    booths = []
    for place in range(number):
        keys = _cut_keys(customers[place])
        test = ApiKey.objects.get(digest=api_keys.digest(keys["test"]))
        request = forms.parse_order(services[0], {"link": "https://example.org/trial", "quantity": "100"})
        used = api_keys.UsedKey(test.pk, test.prefix, is_test=True)
        trials = [trying.place_trial(used, customers[place].pk, request) for _ in range(2)]
        ids = [*orders[place], *orders[place], *trials, *orders[place + 1], *unknown]
        booths.append(Booth(customers[place].pk, test.pk, keys, services, products, ids))
    return booths


def stock_services() -> list[Service]:
    """Put a service of every type on sale, one that takes any quantity at any price, and two that cannot be bought."""
    Markup.objects.create(percent=20)
    category = Category.objects.create(name="Fuzz")
    provider = Provider.objects.create(
        name="Nobody", api_url="http://127.0.0.1:9/api/v2", key_encrypted=secrets.encrypt("none"), key_hint="none"
    )
    plain = _sell(category, provider, Service.Type.DEFAULT, refill=True, cancel=True, dripfeed=True)
    services = [_sell(category, provider, Service.Type(kind)) for kind in FORMS]
    dear = _sell(category, provider, Service.Type.DEFAULT, rate="999999999", max=10**12, dripfeed=True)
    many = _sell(category, provider, Service.Type.SUBSCRIPTIONS, rate="999999999", max=10**12)
    off = _sell(category, provider, Service.Type.DEFAULT, enabled=False)
    nowhere = _sell(category, provider, Service.Type.DEFAULT)
    nowhere.routes.all().delete()
    return [*[plain] * 6, *services, *[dear] * 3, many, off, nowhere]


def stock_products() -> list[Service]:
    """Put products on sale: lines of our own stock, too few for all, and dear work by hand, which wants words."""
    category = Category.objects.create(name="Fuzzed goods")
    values: dict[str, Any] = {"category": category, "is_product": True, "min": 1}
    keys = Service.objects.create(name="Keys", max=100, own_rate=Decimal("2.5"), **values)
    lines = "\n".join(f"{GOODS}{number}" for number in range(500))
    stock.upload(Product.objects.create(service=keys), lines, actor_id=None)
    work = Service.objects.create(name="Work", max=10**12, own_rate=Decimal(999_999), **values)
    Product.objects.create(service=work, source=Product.Source.HAND, require="Your account")
    return [keys, keys, work]


def _sell(category: Category, provider: Provider, kind: Service.Type, *, rate: str = "0.9", **fields: Any) -> Service:
    values: dict[str, Any] = {"min": 1, "max": 100_000, "refill_after_hours": 0, **fields}
    service = Service.objects.create(category=category, name=f"Fuzzed {kind}", type=kind, **values)
    remote = ProviderService.objects.create(
        provider=provider,
        remote_id=f"none-{service.pk}",
        name=service.name,
        type=kind,
        rate=Decimal(rate),
        min=service.min,
        max=service.max,
        refill=True,
        cancel=True,
    )
    Route.objects.create(service=service, provider_service=remote)
    return service


def _welcome(number: int) -> User:
    customer = User.objects.create_user(f"fuzzer{number}", f"fuzzer{number}@example.org")
    ledger.open_account(customer.pk)
    ledger.deposit(customer.pk, PURSE, reference=f"fuzz:{number}")
    return customer


def _cut_keys(customer: User) -> dict[str, str]:
    """Issue a key of every sort; the wrong one was never issued."""
    soon = timezone.now() + datetime.timedelta(days=1)
    terms = {
        "real": KeyTerms(),
        "first": KeyTerms(style=ApiKey.Style.FIRST, networks=("127.0.0.0/8",), expires_at=soon),
        "capped": KeyTerms(daily_cap=CAP),
        READING: KeyTerms(may_order=False),
        "expired": KeyTerms(expires_at=timezone.now()),
        "elsewhere": KeyTerms(networks=("203.0.113.7",)),
        "revoked": KeyTerms(),
    }
    keys = {sort: api_keys.issue_key(customer.pk, name=sort, terms=one)[1] for sort, one in terms.items()}
    revoked = ApiKey.objects.get(digest=api_keys.digest(keys["revoked"]))
    api_keys.revoke_key(customer.pk, revoked.pk)
    keys["test"] = api_keys.issue_key(customer.pk, is_test=True)[1]
    return {**keys, "wrong": f"{customer.pk:064x}"}


def _trade(customer: User, service: Service) -> list[int]:
    """Let a customer have orders at every stage, with refills; return their ids."""
    reports = [None, None, UNDER_WAY, COMPLETED, COMPLETED, COMPLETED]
    return [_order(customer, service, report) for report in reports]


def _order(customer: User, service: Service, report: lifecycle.Report | None) -> int:
    request = forms.parse_order(service, {"link": "https://example.org/fuzz", "quantity": "100"})
    order_id = placing.place_order(customer.pk, request)
    if report is not None:
        Dispatch.objects.filter(order=order_id).update(state=Dispatch.State.SENT, remote_id=f"7{order_id}", due_at=None)
        lifecycle.accept(order_id)
        lifecycle.advance(order_id, report)
    if report is COMPLETED and order_id % 2:
        refills.request_refill(customer.pk, order_id)
    return order_id
