"""A short run of the fuzzer (tests/fuzz) against a real server; `make fuzz` runs it long."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from orders.models import Order
from tests.conftest import Fund, MakeService
from tests.fuzz import running, telling
from tests.fuzz.shop import KEYS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

SEED = 7
REQUESTS = 1500


def test_whatever_is_sent_is_answered_in_json_and_charged_for_exactly_when_an_order_is_there(tmp_path: Path) -> None:
    outcome = running.run(SEED, REQUESTS, tmp_path)
    assert not outcome.findings, telling.table(outcome)
    # Otherwise the run has proved less than it says.
    assert outcome.requests >= REQUESTS
    assert outcome.orders > 50
    assert outcome.trials > 10
    assert outcome.sent["broken HTTP"] > 20
    assert {f"key {key}" for key in KEYS} <= set(outcome.sent)
    assert {"Invalid API key", "IP not allowed", "Incorrect request", "Invalid link"} <= set(outcome.met)


@pytest.mark.parametrize("quantity", [10**9, 10**12 - 1])
def test_what_no_balance_and_no_column_could_hold_is_refused_for_want_of_funds(
    quantity: int, api: Callable[..., Any], customer: User, make_service: MakeService, fund: Fund
) -> None:
    fund(customer, "100")
    dear = make_service(rate=Decimal(999_999_999), min=1, max=10**12)
    answer = api(action="add", service=dear.pk, link="https://example.org/", quantity=quantity)
    assert answer == {"error": "Not enough funds on balance"}
    assert not Order.objects.exists()
