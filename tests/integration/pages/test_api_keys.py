"""The API page: keys are shown once, belong to one customer, and can be revoked."""

import datetime
from decimal import Decimal

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.api_keys import KeyTerms, UsedKey
from accounts.models import ApiKey, User
from tests.integration.pages.reading import read


def test_a_new_key_is_shown_this_once(customer: User, customer_client: Client) -> None:
    answer = customer_client.post("/api/keys/", {"name": "Shop"})
    row = ApiKey.objects.get()
    shown = [word for word in read(answer).text.split() if api_keys.digest(word) == row.digest]
    assert (answer.status_code, len(shown), row.user_id, row.name) == (200, 1, customer.pk, "Shop")
    assert "no-store" in answer["Cache-Control"]
    later = customer_client.get("/api/").content.decode()
    assert shown[0] not in later
    assert row.prefix in later


def test_a_revoked_key_is_listed_no_more(customer: User, customer_client: Client) -> None:
    row, _ = api_keys.issue_key(customer.pk, name="Old one")
    page = read(customer_client.post(f"/api/keys/{row.pk}/revoke/", follow=True))
    assert "The key was revoked" in page.text
    assert "Old one" not in page.text
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_nobody_revokes_the_key_of_another(stranger: User, customer_client: Client) -> None:
    row, _ = api_keys.issue_key(stranger.pk, name="Not yours")
    page = read(customer_client.post(f"/api/keys/{row.pk}/revoke/", follow=True))
    row.refresh_from_db()
    assert row.revoked_at is None
    assert "revoked" not in page.text


def test_a_key_is_made_and_revoked_by_post_alone(customer: User, customer_client: Client) -> None:
    row, _ = api_keys.issue_key(customer.pk)
    assert customer_client.get("/api/keys/").status_code == 405
    assert customer_client.get(f"/api/keys/{row.pk}/revoke/").status_code == 405
    assert ApiKey.objects.get().revoked_at is None


def test_a_name_that_is_too_long_makes_no_key(customer_client: Client) -> None:
    answer = customer_client.post("/api/keys/", {"name": "x" * 61})
    assert "at most 60 characters" in read(answer).text
    assert not ApiKey.objects.exists()


FULL = {
    "name": "Shop",
    "reads_only": "on",
    "networks": "203.0.113.7\r\n2001:db8::/32",
    "daily_cap": "12.5",
    "last_day": "2031-05-31",
    "style": "first",
}


def test_a_key_is_made_with_all_that_it_may_do(customer: User, customer_client: Client) -> None:
    customer_client.post("/api/keys/", FULL | {"is_test": "on"})
    row = ApiKey.objects.get()
    assert (row.may_order, row.is_test, row.style, row.daily_cap) == (False, True, "first", Decimal("12.5"))
    assert row.networks == ["203.0.113.7", "2001:db8::/32"]
    assert row.expires_at == datetime.datetime(2031, 6, 1, tzinfo=datetime.UTC)
    text = read(customer_client.get("/api/")).text
    for told in ("Test", "Only reads", "2 addresses", "$0.00 of $12.50 spent today", "Until 31 May 2031"):
        assert told in text


def test_a_key_with_nothing_said_may_do_everything(customer: User, customer_client: Client) -> None:
    customer_client.post("/api/keys/", {"name": ""})
    row = ApiKey.objects.get()
    assert (row.may_order, row.is_test, row.style, row.networks) == (True, False, "list", [])
    assert (row.daily_cap, row.expires_at) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"networks": "example.org"}, "is no address"),
        ({"networks": "<b>"}, "&lt;b&gt;"),
        ({"daily_cap": "0"}, "one that only reads"),
        ({"daily_cap": "-1"}, "greater than or equal to 0"),
        ({"daily_cap": "0.000001"}, "5 decimal places"),
        ({"daily_cap": "NaN"}, "Enter a number"),
        ({"last_day": "2020-01-01"}, "This day is over"),
        ({"last_day": "9999-12-31"}, "This day is over"),
        ({"last_day": "tomorrow"}, "Enter a valid date"),
        ({"style": "own"}, "not one of the available choices"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_makes_no_key(
    customer: User, customer_client: Client, wrong: dict[str, str], words: str
) -> None:
    answer = customer_client.post("/api/keys/", FULL | wrong)
    assert words in answer.content.decode()
    assert '<details class="spread" open>' in answer.content.decode()
    assert not ApiKey.objects.exists()
    row, _ = api_keys.issue_key(customer.pk, name="Old")
    assert words in customer_client.post(f"/api/keys/{row.pk}/", FULL | wrong).content.decode()
    assert ApiKey.objects.get().name == "Old"


def test_a_key_is_changed_and_shown_as_it_was_saved(customer: User, customer_client: Client) -> None:
    row, key = api_keys.issue_key(customer.pk, is_test=True)
    page = read(customer_client.post(f"/api/keys/{row.pk}/", FULL | {"is_test": ""}, follow=True))
    assert "it counts from the next request on" in page.text
    row.refresh_from_db()
    assert (row.name, row.may_order, row.is_test, row.digest) == ("Shop", False, True, api_keys.digest(key))
    shown = customer_client.get(f"/api/keys/{row.pk}/").content.decode()
    for told in ("203.0.113.7\n2001:db8::/32", 'value="12.5"', 'value="2031-05-31"', "checked"):
        assert told in shown
    assert key not in shown
    assert row.digest not in shown
    customer_client.post(f"/api/keys/{row.pk}/", {"name": ""})
    row.refresh_from_db()
    assert (row.may_order, row.networks, row.daily_cap, row.expires_at) == (True, [], None, None)


def test_nobody_sees_or_changes_the_key_of_another_or_one_that_was_revoked(
    customer: User, stranger: User, customer_client: Client
) -> None:
    foreign, own = api_keys.issue_key(stranger.pk)[0], api_keys.issue_key(customer.pk)[0]
    api_keys.revoke_key(customer.pk, own.pk)
    for row in (foreign, own):
        assert customer_client.get(f"/api/keys/{row.pk}/").status_code == 404
        assert customer_client.post(f"/api/keys/{row.pk}/", FULL).status_code == 404
        row.refresh_from_db()
        assert row.may_order


def test_whoever_is_not_signed_in_is_led_to_sign_in(db: None) -> None:
    for path in ("/api/", "/api/keys/1/"):
        assert "login" in Client().get(path)["Location"]
    for path in ("/api/keys/", "/api/keys/1/", "/api/keys/1/revoke/"):
        assert "login" in Client().post(path)["Location"]


def test_the_last_day_is_the_panels_and_the_key_works_to_its_end(customer: User, customer_client: Client) -> None:
    with timezone.override("Asia/Tokyo"):
        customer_client.post("/api/keys/", {"last_day": "2031-05-31"})
        row = ApiKey.objects.get()
        assert api_keys.last_day(row) == datetime.date(2031, 5, 31)
    with time_machine.travel(datetime.datetime(2031, 6, 1, 0, 0, 1, tzinfo=datetime.UTC)):
        assert api_keys.list_keys(customer.pk)[0].is_expired


def test_the_list_tells_where_a_key_was_used_and_what_it_spent(customer: User, customer_client: Client) -> None:
    row, _ = api_keys.issue_key(customer.pk, terms=KeyTerms(daily_cap=Decimal(5)))
    api_keys.spend(UsedKey(row.pk, row.prefix, daily_cap=Decimal(5)), Decimal("1.2"))
    ApiKey.objects.update(last_used_at=timezone.now(), last_address="203.0.113.7")
    text = read(customer_client.get("/api/")).text
    assert "$1.20 of $5.00 spent today" in text
    assert "from 203.0.113.7" in text
    ApiKey.objects.update(expires_at=timezone.now())
    assert "Expired" in read(customer_client.get("/api/")).text
