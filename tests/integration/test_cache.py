"""The cache may be away: nothing of value is kept there."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from tests.processes import free_port


@pytest.fixture(params=["there", "away"])
def state(request: pytest.FixtureRequest, settings: LazySettings) -> str:
    if request.param == "away":
        settings.CACHES = {**settings.CACHES, "default": {**default(settings), "LOCATION": nowhere()}}
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/300s/key"}
    return str(request.param)


def default(settings: LazySettings) -> dict[str, Any]:
    values: dict[str, Any] = settings.CACHES["default"]
    return values


def nowhere() -> str:
    return f"redis://127.0.0.1:{free_port()}/0"


def test_what_is_kept_is_found_while_the_server_is_there_and_missed_while_it_is_away(state: str) -> None:
    cache.set("key", "value", 5)
    assert cache.get("key", "nothing") == ("value" if state == "there" else "nothing")
    assert cache.add("lock", 1, 5) is True
    cache.delete("key")
    cache.delete("lock")
    assert cache.get("key") is None


def test_signing_in_works_whether_the_server_is_there_or_not(state: str, customer: User, client: Client) -> None:
    customer.set_password("carla-password")
    customer.save()
    answer = client.post("/account/login/", {"login": "carla", "password": "carla-password"})
    assert answer["Location"] == "/orders/new/"
    assert client.get("/orders/new/").status_code == 200
