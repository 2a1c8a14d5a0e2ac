"""The API page: keys are shown once, belong to one customer, and can be revoked."""

from django.test import Client

from accounts import api_keys
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


def test_the_samples_name_the_address_that_programs_use(customer_client: Client) -> None:
    text = read(customer_client.get("/api/")).text
    for action in ("services", "add", "status", "balance"):
        assert f"curl http://testserver/api/v2 -d key=YOUR_KEY -d action={action}" in text
