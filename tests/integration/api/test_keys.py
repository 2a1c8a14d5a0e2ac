"""Who a key belongs to, what it may do and from where, and what one call with it costs the database."""

import datetime
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.api_keys import KeyTerms
from accounts.models import ApiKey, User
from catalog.models import Service
from orders.models import Order
from tests.conftest import Fund
from tests.integration.api.senders import FORM, post

Api = Callable[..., Any]
BAD_KEY = {"error": "Invalid API key"}
NOT_ALLOWED = {"error": "IP not allowed"}
READS_ONLY = {"error": "This API key may only read"}
ROOT = Path(__file__).resolve().parents[3]


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


def test_an_expired_key_reads_like_a_wrong_key_and_is_not_noted(api: Api, django_assert_num_queries: Any) -> None:
    now = timezone.now()
    ApiKey.objects.update(expires_at=now + datetime.timedelta(minutes=5))
    assert "balance" in api(action="balance")
    ApiKey.objects.update(expires_at=now, last_used_at=None)
    with django_assert_num_queries(1):
        assert api(action="balance") == BAD_KEY
    assert ApiKey.objects.get().last_used_at is None


def call_from(address: str, api_key: str, **headers: str) -> Any:
    answer = Client().post("/api/v2", {"key": api_key, "action": "balance"}, headers=headers, REMOTE_ADDR=address)
    return answer.json()


@pytest.mark.parametrize(
    ("networks", "address", "is_allowed"),
    [
        (["203.0.113.7"], "203.0.113.7", True),
        (["203.0.113.7"], "203.0.113.8", False),
        (["203.0.113.7"], "::ffff:203.0.113.7", True),
        (["203.0.113.0/24", "2001:db8::/32"], "203.0.113.255", True),
        (["203.0.113.0/24", "2001:db8::/32"], "2001:db8:ffff::1", True),
        (["203.0.113.0/24", "2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "203.0.113.7", False),
        (["0.0.0.0/0"], "", False),
        (["0.0.0.0/0"], "unknown", False),
        (["fe80::1"], "fe80::1%eth0", True),
        ([], "203.0.113.7", True),
        ([], "", True),
    ],
)
def test_a_key_is_used_from_its_addresses_alone(
    api_key: str, networks: list[str], address: str, *, is_allowed: bool
) -> None:
    ApiKey.objects.update(networks=networks)
    answer = call_from(address, api_key)
    assert answer == NOT_ALLOWED if not is_allowed else "balance" in answer


def test_only_behind_a_proxy_counts_the_address_that_it_saw(api_key: str, settings: LazySettings) -> None:
    ApiKey.objects.update(networks=["203.0.113.7"])
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    assert call_from("127.0.0.1", api_key, **forwarded) == NOT_ALLOWED
    settings.BEHIND_PROXY = True
    assert "balance" in call_from("127.0.0.1", api_key, **forwarded)
    assert call_from("127.0.0.1", api_key, **{"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}) == NOT_ALLOWED
    assert "balance" in call_from("203.0.113.7", api_key)


def test_a_refused_address_is_not_noted_as_a_use(api_key: str) -> None:
    ApiKey.objects.update(networks=["203.0.113.7"])
    call_from("198.51.100.1", api_key)
    assert ApiKey.objects.get().last_used_at is None


def test_the_last_address_is_noted_with_the_use(api_key: str) -> None:
    call_from("203.0.113.7", api_key)
    call_from("203.0.113.8", api_key)
    assert ApiKey.objects.get().last_address == "203.0.113.7"
    ApiKey.objects.update(last_used_at=timezone.now() - datetime.timedelta(seconds=61))
    call_from("2001:db8::1", api_key)
    assert ApiKey.objects.get().last_address == "2001:db8::1"
    ApiKey.objects.update(last_used_at=None)
    call_from("", api_key)
    assert ApiKey.objects.get().last_address is None


@pytest.mark.parametrize("action", ["add", "refill", "multiple_refill", "cancel"])
@pytest.mark.django_db
@pytest.mark.usefixtures("books")
def test_a_key_that_may_only_read_neither_orders_nor_refills_nor_cancels(
    api: Api, action: str, customer: User, service: Service, fund: Fund
) -> None:
    ApiKey.objects.update(may_order=False)
    fund(customer, "10")
    call = {"service": service.pk, "link": "https://e.org/", "quantity": service.min, "order": "1"}
    assert api(action=action, **call) == READS_ONLY
    assert not Order.objects.exists()


@pytest.mark.parametrize("action", ["services", "balance", "updates"])
def test_a_key_that_may_only_read_reads(api: Api, action: str) -> None:
    ApiKey.objects.update(may_order=False)
    assert "error" not in api(action=action)
    assert api(action="status", order="1") == {"error": "Incorrect order ID"}
    assert api(action="refill_status", refill="1") == {"error": "Refill not found"}


def test_what_a_key_may_do_counts_from_the_next_call_on(api: Api, customer: User) -> None:
    row = ApiKey.objects.get()
    api_keys.change_key(customer.pk, row.pk, name="", terms=KeyTerms(may_order=False))
    assert api(action="cancel", order="1") == READS_ONLY
    api_keys.change_key(customer.pk, row.pk, name="", terms=KeyTerms())
    assert api(action="cancel", order="1") != READS_ONLY


class Reporter(logging.Handler):
    """Takes down, at the moment of a record, all that a tool which reports failures would: frames and the request."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[str] = []
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(repr(vars(record)))
        trace = record.exc_info[2] if record.exc_info else None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.startswith(str(ROOT)):
                self.frames.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    handler = Reporter()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def in_query(key: str) -> Any:
    return Client(raise_request_exception=False).get(f"/api/v2?key={key}&action=status&order=1")


def in_body(key: str) -> Any:
    return Client(raise_request_exception=False).post("/api/v2", {"key": key, "action": "status", "order": "1"})


@pytest.mark.parametrize("send", [in_query, in_body])
def test_when_we_fail_no_report_of_frames_or_requests_has_the_key(
    api_key: str, reporter: Reporter, send: Callable[[str], Any]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order RENAME TO orders_order_elsewhere")
    assert send(api_key).status_code == 500
    assert len(reporter.frames) > 3
    assert api_key not in "".join(reporter.frames + reporter.told)


def test_a_method_that_is_refused_leaves_the_key_out_of_what_is_logged(api_key: str, reporter: Reporter) -> None:
    assert Client().put(f"/api/v2?key={api_key}").status_code == 405
    assert any("WSGIRequest: PUT" in told for told in reporter.told)
    assert api_key not in "".join(reporter.told)


def test_even_with_tracebacks_for_visitors_our_failure_is_told_in_json(api_key: str, settings: LazySettings) -> None:
    settings.DEBUG = True
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order RENAME TO orders_order_elsewhere")
    assert in_query(api_key).json() == {"error": "Internal server error"}


@pytest.mark.parametrize("name", ["Procfile", "Dockerfile", "docker-compose.yml", "panel/running.py", "Makefile"])
def test_the_web_server_writes_no_log_of_addresses(name: str) -> None:
    assert "access-log" not in (ROOT / name).read_text()
    assert "access_log" not in (ROOT / name).read_text()
