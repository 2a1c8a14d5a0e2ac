import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts import api_keys, ledger
from accounts.api_keys import KeyTerms
from accounts.models import ApiKey, Transfer, User
from tests.conftest import Fund
from tests.integration.admin.conftest import allow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]
LIST = "/admin/accounts/user/"


def told(response: Any) -> str:
    return html.unescape(response.content.decode())


def credit(client: Client, user: User, **values: str) -> str:
    return told(client.post(f"{LIST}{user.pk}/credit/", values, follow=True))


def read_token(text: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', text)
    assert found
    return found[1]


def test_a_credit_is_previewed_and_then_booked_once(
    customer: User, staff: User, staff_client: Client, fund: Fund
) -> None:
    fund(customer, "10")
    token = read_token(told(staff_client.get(f"{LIST}{customer.pk}/credit/")))
    values = {"amount": "5.50", "reason": "Sorry for the wait", "token": token}
    preview = credit(staff_client, customer, **values)
    assert "$10.00" in preview
    assert "$15.50" in preview
    assert ledger.read_balance(customer.pk) == 10
    confirmed = re.search(r'name="previewed" value="([^"]+)"', preview)
    assert confirmed
    values["previewed"] = confirmed[1]
    assert "was $10.00 and is $15.50" in credit(staff_client, customer, **values)
    assert "booked already" in credit(staff_client, customer, **values)
    booked = Transfer.objects.get(reason="adjustment")
    assert (booked.amount, booked.note, booked.actor) == (Decimal("5.5"), "Sorry for the wait", staff)


def test_another_amount_than_was_shown_is_shown_first(customer: User, staff_client: Client, fund: Fund) -> None:
    fund(customer, "10")
    token = read_token(told(staff_client.get(f"{LIST}{customer.pk}/credit/")))
    text = credit(staff_client, customer, amount="500", previewed="5", reason="x", token=token)
    assert "$510.00" in text
    assert ledger.read_balance(customer.pk) == 10


@pytest.mark.parametrize(
    ("amount", "reason", "words"),
    [
        ("-10.00001", "x", "below zero"),
        ("0", "x", "moves nothing"),
        ("abc", "x", "Enter a number"),
        ("1", "", "required"),
        ("0.000001", "x", "decimal places"),
    ],
)
def test_a_credit_that_cannot_be_is_told_beside_its_field(
    customer: User, staff_client: Client, fund: Fund, amount: str, reason: str, words: str
) -> None:
    fund(customer, "10")
    token = read_token(told(staff_client.get(f"{LIST}{customer.pk}/credit/")))
    assert words in credit(staff_client, customer, amount=amount, reason=reason, token=token)
    assert ledger.read_balance(customer.pk) == 10


def test_a_balance_that_fell_meanwhile_books_nothing(customer: User, staff_client: Client, fund: Fund) -> None:
    fund(customer, "10")
    token = read_token(told(staff_client.get(f"{LIST}{customer.pk}/credit/")))
    ledger.adjust(customer.pk, -Decimal(9), reference="test:meanwhile", note="")
    text = credit(staff_client, customer, amount="-5", previewed="-5", reason="x", token=token)
    assert "below zero" in text or "fallen meanwhile" in text
    assert ledger.read_balance(customer.pk) == 1


def test_crediting_needs_the_right_to_book(customer: User, helper: User, helper_client: Client) -> None:
    allow(helper, "accounts.view_user", "accounts.change_user")
    assert "Credit or debit" not in told(helper_client.get(f"{LIST}{customer.pk}/change/"))
    assert helper_client.post(f"{LIST}{customer.pk}/credit/", {"amount": "1"}).status_code == 403
    allow(helper, "accounts.add_transfer")
    assert "Credit or debit" in told(helper_client.get(f"{LIST}{customer.pk}/change/"))


def test_keys_are_shown_by_their_beginning_and_can_be_revoked(
    customer: User, staff_client: Client, helper: User, helper_client: Client
) -> None:
    terms = KeyTerms(may_order=False, networks=("203.0.113.7",))
    row, key = api_keys.issue_key(customer.pk, name="shop", terms=terms, is_test=True)
    text = told(staff_client.get(f"{LIST}{customer.pk}/change/"))
    assert key[:8] in text
    assert "only read, test key, 203.0.113.7" in text
    assert key not in text
    assert row.digest not in text
    address = f"{LIST}{customer.pk}/keys/{row.pk}/revoke/"
    assert address in text
    assert staff_client.get(address).status_code == 405
    allow(helper, "accounts.view_user", "accounts.view_apikey")
    assert address not in told(helper_client.get(f"{LIST}{customer.pk}/change/"))
    assert helper_client.post(address).status_code == 403
    staff_client.post(address)
    assert ApiKey.objects.get().revoked_at is not None
    assert "revoked before" in told(staff_client.post(address, follow=True))


def test_staff_cannot_give_themselves_powers_or_touch_a_superuser(
    customer: User, staff: User, helper: User, helper_client: Client
) -> None:
    allow(helper, "accounts.view_user", "accounts.change_user")
    values = {"email": customer.email, "username": customer.username, "discount_percent": "5", "is_active": "on"}
    helper_client.post(f"{LIST}{customer.pk}/change/", values | {"is_superuser": "on", "is_staff": "on"})
    customer.refresh_from_db()
    assert (customer.discount_percent, customer.is_superuser, customer.is_staff) == (Decimal(5), False, False)
    for other in (staff, helper):
        changed = {"email": other.email, "username": "mine", "discount_percent": "0", "is_superuser": "on"}
        assert helper_client.post(f"{LIST}{other.pk}/change/", changed).status_code == 403
        passwords = {"password1": "a-new-Password-1", "password2": "a-new-Password-1"}
        assert helper_client.post(f"{LIST}{other.pk}/password/", passwords).status_code == 403
    helper.refresh_from_db()
    assert not helper.is_superuser


def test_a_user_is_made_with_an_address_that_nobody_else_has(customer: User, staff_client: Client) -> None:
    values = {
        "username": "new",
        "email": "CARLA@example.org",
        "password1": "Long-enough-1",
        "password2": "Long-enough-1",
    }
    values["usable_password"] = "true"
    staff_client.post(f"{LIST}add/", values)
    assert not User.objects.filter(username="new").exists()
    staff_client.post(f"{LIST}add/", values | {"email": "new@example.org"})
    assert User.objects.get(username="new").email == "new@example.org"


def test_nobody_is_deleted_and_no_transfer_is_touched(customer: User, staff_client: Client, fund: Fund) -> None:
    fund(customer, "10")
    transfer = Transfer.objects.get()
    assert staff_client.post(f"{LIST}{customer.pk}/delete/", {"post": "yes"}).status_code == 403
    assert staff_client.get("/admin/accounts/transfer/add/").status_code == 403
    assert staff_client.post(f"/admin/accounts/transfer/{transfer.pk}/delete/", {"post": "yes"}).status_code == 403
    staff_client.post(f"/admin/accounts/transfer/{transfer.pk}/change/", {"amount": "1000"})
    transfer.refresh_from_db()
    assert transfer.amount == 10
    text = told(staff_client.get("/admin/accounts/transfer/", {"q": "carla@example.org"}))
    assert transfer.reference in text
    assert "+$10.00000" in text
