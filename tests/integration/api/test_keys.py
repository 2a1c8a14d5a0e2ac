"""Who a key belongs to, and what one call with it costs the database."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts import api_keys
from accounts.models import ApiKey, User
from tests.conftest import Fund
from tests.integration.api.senders import FORM, post

Api = Callable[..., Any]
BAD_KEY = {"error": "Invalid API key"}


def test_the_balance_is_text_with_five_places(api: Api, customer: User, fund: Fund) -> None:
    fund(customer, "100.84292")
    assert api(action="balance") == {"balance": "100.84292", "currency": "USD"}
    fund(customer, "99999999899.15708")
    assert api(action="balance") == {"balance": "100000000000.00000", "currency": "USD"}


def test_a_customer_without_an_account_has_nothing(api: Api, customer: User) -> None:
    customer.ledger_accounts.all().delete()
    assert api(action="balance")["balance"] == "0.00000"


def test_blanks_around_a_key_do_not_count(api_key: str) -> None:
    assert "balance" in post("/api/v2", f"action=balance&key=%20{api_key}%0A")
    assert "balance" in post("/api/v2", "action=balance", FORM, Authorization=f"  bearer   {api_key} ")


def test_a_key_in_the_body_wins_over_the_headers(api_key: str) -> None:
    assert post("/api/v2", "action=balance&key=wrong", FORM, Authorization=f"Bearer {api_key}") == BAD_KEY
    assert "balance" in post("/api/v2", f"action=balance&key={api_key}", FORM, Authorization="Bearer wrong")
    assert "balance" in post("/api/v2", "action=balance&key=undefined", FORM, Authorization=f"Bearer {api_key}")


def test_another_scheme_is_no_key(api_key: str) -> None:
    assert post("/api/v2", "action=balance", FORM, Authorization=f"Basic {api_key}") == BAD_KEY


def test_a_revoked_key_and_a_closed_account_read_like_a_wrong_key(api_key: str, api: Api, customer: User) -> None:
    row = ApiKey.objects.get()
    second = api_keys.issue_key(customer.pk)[1]
    api_keys.revoke_key(customer.pk, row.pk)
    assert api(action="balance") == BAD_KEY
    assert "balance" in post("/api/v2", f"action=balance&key={second}")
    customer.is_active = False
    customer.save()
    assert post("/api/v2", f"action=balance&key={second}") == BAD_KEY


def test_the_use_of_a_key_is_noted_once_a_minute(api: Api, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        api(action="balance")
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    with django_assert_num_queries(1):
        api(action="balance")
    assert ApiKey.objects.get().last_used_at == first
    earlier = timezone.now() - datetime.timedelta(seconds=61)
    ApiKey.objects.update(last_used_at=earlier)
    api(action="balance")
    assert ApiKey.objects.filter(last_used_at__gt=earlier).exists()


def test_a_wrong_key_is_not_noted_and_costs_one_query(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert post("/api/v2", "key=wrong&action=balance") == BAD_KEY


@pytest.mark.parametrize("key", ["", "null", "undefined", "é", "x" * 100_000])
def test_what_cannot_be_a_key_is_a_wrong_key(db: None, key: str) -> None:
    assert post("/api/v2", f"key={key}&action=balance") == BAD_KEY
