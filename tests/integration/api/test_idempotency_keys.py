"""Which keys are the same one, where a key may be given, and how long it counts (PROTOCOL 12)."""

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db.models import F

from accounts import ledger
from accounts.models import User
from catalog.models import Service
from orders import placing
from orders.models import Order, PlacedOnce
from tests.conftest import Fund, MakeService
from tests.integration.api.senders import FORM, JSON, post

Api = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("db", "books")


@pytest.fixture
def offer(make_service: MakeService, customer: User, fund: Fund) -> dict[str, Any]:
    """Parameters that buy for 0.09 of a balance of 10."""
    fund(customer, "10")
    service = make_service(rate=Decimal("0.90"))
    return {"action": "add", "service": service.pk, "link": "https://e.org/", "quantity": 100}


def send(api_key: str, offer: dict[str, Any], header: str, **body: Any) -> Any:
    """Send a call with a key in its header, and perhaps another one in its body."""
    return post("/api/v2", json.dumps({"key": api_key, **offer, **body}), JSON, **{"Idempotency-Key": header})


@pytest.mark.parametrize("name", ["idempotency_key", "request_id"])
def test_a_key_in_the_body_counts_and_the_one_in_the_header_does_not(
    api: Api, api_key: str, offer: dict[str, Any], name: str
) -> None:
    first = api(**offer, idempotency_key="old")
    second = send(api_key, offer, "old", **{name: "new"})
    assert second != first
    assert api(**offer, idempotency_key="new") == second
    assert Order.objects.count() == 2


@pytest.mark.parametrize("absent", ["", "  ", "null", "undefined", None])
def test_a_body_that_says_no_key_leaves_the_header_its_say(api_key: str, offer: dict[str, Any], absent: Any) -> None:
    told = [send(api_key, offer, " k ", idempotency_key=absent, request_id=absent) for _ in range(3)]
    assert told == [{"order": Order.objects.get().pk}] * 3


def test_a_number_in_json_is_the_same_key_as_its_digits(api: Api, api_key: str, offer: dict[str, Any]) -> None:
    assert api(**offer, idempotency_key="42") == send(api_key, offer, "", request_id=42)


def test_keys_differ_by_case_by_their_last_character_and_by_spaces_within(api: Api, offer: dict[str, Any]) -> None:
    keys = ["key", "KEY", "k ey", "clé", "cle\u0301", "x" * 127 + "a", "x" * 127 + "b", "' OR 1=1 --", "%", "_"]
    placed = [api(**offer, idempotency_key=key)["order"] for key in keys]
    assert len(set(placed)) == len(keys)
    assert [api(**offer, idempotency_key=key)["order"] for key in keys] == placed


@pytest.mark.parametrize("form", [FORM, JSON])
def test_a_key_that_is_too_long_is_refused_wherever_it_stands(api_key: str, offer: dict[str, Any], form: str) -> None:
    long = "ü" * (placing.LONGEST_KEY + 1)
    params = {"key": api_key, **offer, "idempotency_key": long}
    body = json.dumps(params) if form == JSON else "&".join(f"{name}={value}" for name, value in params.items())
    assert post("/api/v2", body, form) == {"error": "Incorrect idempotency key"}
    assert send(api_key, offer, "x" * (placing.LONGEST_KEY + 1)) == {"error": "Incorrect idempotency key"}
    assert not Order.objects.exists()


def test_a_key_counts_for_a_week_and_then_places_anew(api: Api, offer: dict[str, Any], customer: User) -> None:
    first = api(**offer, idempotency_key="k")
    age(placing.KEY_KEPT - datetime.timedelta(minutes=1))
    placing.prune_placed_once()
    assert api(**offer, idempotency_key="k") == first
    age(datetime.timedelta(minutes=2))
    placing.prune_placed_once()
    assert api(**offer, idempotency_key="k") != first
    assert ledger.read_balance(customer.pk) == Decimal("9.82")


def age(passed: datetime.timedelta) -> None:
    """Make every key older."""
    PlacedOnce.objects.update(created_at=F("created_at") - passed)


@pytest.mark.parametrize("written", ["{pk}", "00{pk}", " {pk} "])
def test_a_repeated_call_finds_its_order_however_it_writes_a_service_that_is_gone(
    api: Api, offer: dict[str, Any], written: str
) -> None:
    call = {**offer, "service": written.format(pk=offer["service"]), "idempotency_key": "k"}
    first = api(**call)
    Service.objects.update(enabled=False)
    assert api(**call) == first


def test_a_repeated_call_finds_its_order_although_the_money_is_gone_and_the_price_has_moved(
    api: Api, offer: dict[str, Any], customer: User
) -> None:
    first = api(**offer, idempotency_key="k")
    ledger.adjust(customer.pk, -ledger.read_balance(customer.pk), reference="test:away", note="spent")
    Service.objects.update(own_rate=Decimal(5))
    assert api(**offer, idempotency_key="k") == first
    assert api(**offer, idempotency_key="new") == {"error": "Not enough funds on balance"}


def test_a_repeated_subscription_finds_its_order_on_the_day_after_its_last(
    api: Api, make_service: MakeService, customer: User, fund: Fund
) -> None:
    fund(customer, "10")
    service = make_service(type="Subscriptions")
    call = {"action": "add", "service": service.pk, "username": "carla", "min": 10, "max": 20, "posts": 2}
    call |= {"delay": 0, "expiry": "01/12/2026", "idempotency_key": "k"}
    with time_machine.travel("2026-12-01T12:00:00Z", tick=False):
        first = api(**call)
    with time_machine.travel("2026-12-02T12:00:00Z", tick=False):
        assert api(**call) == first
        assert api(**{**call, "idempotency_key": "new"}) == {"error": "Incorrect expiry"}
