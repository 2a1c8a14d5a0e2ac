"""Ids of others and of nobody: the same bytes by the same statements; tests/benchmarks/test_ids.py takes the time."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import api_keys
from accounts.api_keys import KeyTerms, UsedKey
from accounts.models import ApiKey, User
from catalog.models import ProviderService
from orders import forms, trying
from tests.conftest import Fund, MakeService, Place
from tests.contract import shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]

UNKNOWN = 987654
CALLS = [
    ("status", "order"),
    ("status", "orders"),
    ("refill", "order"),
    ("refill", "orders"),
    ("cancel", "order"),
    ("cancel", "orders"),
    ("refill_status", "refill"),
    ("refill_status", "refills"),
]
KEYS: Mapping[str, tuple[KeyTerms, bool]] = {
    "real": (KeyTerms(), False),
    "first": (KeyTerms(style=ApiKey.Style.FIRST), False),
    "test": (KeyTerms(), True),
}
Ask = Callable[[str, str, int], tuple[bytes, list[str]]]


@dataclass(frozen=True)
class Owned:
    """What a customer has, by id: orders completed, refilled and pending, the refill by the same id, a trial order."""

    orders: tuple[int, ...]
    trial: int


@pytest.fixture
def own(make_service: MakeService, fund: Fund, place: Place) -> Callable[[User, int], Owned]:
    """Let a customer have orders with the ids from a number on."""
    service = make_service(min=100, refill=True, cancel=True)
    ProviderService.objects.update(refill=True, cancel=True)

    def give(user: User, first: int) -> Owned:
        fund(user, "100")
        shop.order(user, service, place, first, shop.COMPLETED)
        shop.refill(user, service, place, first + 1, first + 1, "Completed")
        shop.begin("orders_order", first + 2)
        pending = place(user, service).pk
        shop.begin("orders_trialorder", first + 3)
        request = forms.parse_order(service, {"link": "https://example.org/", "quantity": "100"})
        row, _ = api_keys.issue_key(user.pk, is_test=True)
        used = UsedKey(row.pk, row.prefix, is_test=True)
        return Owned((first, first + 1, pending), trying.place_trial(used, user.pk, request))

    return give


@pytest.fixture(params=KEYS)
def ask(request: pytest.FixtureRequest, customer: User) -> Ask:
    """Ask about one id with a key of Carla's; return the answer and the statements, the id in both made one word."""
    terms, is_test = KEYS[request.param]
    key = api_keys.issue_key(customer.pk, terms=terms, is_test=is_test)[1]
    Client().post("/api/v2", {"key": key, "action": "balance"})  # the note of the first use

    def call(action: str, name: str, number: int) -> tuple[bytes, list[str]]:
        with CaptureQueriesContext(connection) as queries:
            answer = Client().post("/api/v2", {"key": key, "action": action, name: str(number)})
        told = [re.sub(r'"s\d+_x\d+"|\'\d{4}-\d\d-\d\dT?[^\']*\'', "?", query["sql"]) for query in queries]
        return answer.content.replace(b"%d" % number, b"ID"), [text.replace(str(number), "ID") for text in told]

    return call


def test_what_is_a_strangers_or_in_the_other_world_reads_like_what_is_nobodys(
    ask: Ask, own: Callable[[User, int], Owned], customer: User, stranger: User
) -> None:
    is_test = ApiKey.objects.get(user=customer).is_test
    carlas, sams = own(customer, 754320), own(stranger, 654320)
    hidden = [*sams.orders, sams.trial, *(carlas.orders if is_test else [carlas.trial])]
    for action, name in CALLS:
        unknown = ask(action, name, UNKNOWN)
        assert len(unknown[1]) >= 2
        for number in hidden:
            assert ask(action, name, number) == unknown, (action, name, number)
