import re
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command

from accounts import api_keys, ledger
from accounts.models import ApiKey, Transfer, User
from catalog.models import Service
from orders.models import Order
from tests.conftest import Fund, Place
from tests.processes import manage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]


def run(name: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def test_a_customer_is_made_with_a_key_that_opens_the_api() -> None:
    out = run("create_customer", "New.One@example.org", "--balance", "12.5", "--password", "a-password")
    user = User.objects.get()
    assert (user.username, user.check_password("a-password")) == ("New.One", True)
    key = re.search(r"^api_key: (\S+)$", out, re.MULTILINE)
    assert key
    assert ApiKey.objects.get().digest == api_keys.digest(key[1])
    assert ledger.read_balance(user.pk) == Decimal("12.5")
    opening = Transfer.objects.get()
    assert (opening.reference, opening.note, opening.reason) == (f"opening:{user.pk}", "Opening balance", "adjustment")
    assert EmailAddress.objects.get(user=user).verified


def test_a_customer_without_a_password_cannot_sign_in_and_without_a_balance_nothing_is_booked() -> None:
    run("create_customer", "new@example.org")
    assert not User.objects.get().has_usable_password()
    assert Transfer.objects.count() == 0


def test_user_names_are_made_unique_in_any_case() -> None:
    for host in ("a", "b", "c"):
        run("create_customer", f"Kim@{host}.example.org")
    run("create_customer", "kim@d.example.org")
    run("create_customer", '"!"@d.example.org')
    assert sorted(User.objects.values_list("username", flat=True)) == ["Kim", "Kim2", "Kim3", "customer", "kim4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["CARLA@example.org"], "exists already"),
        (["new@example.org", "--username", "CARLA"], "exists already"),
        (["new@example.org", "--username", "a b"], "valid username"),
        (["no-address"], "valid email"),
        (["new@example.org", "--balance", "abc"], "not an amount"),
        (["new@example.org", "--balance", "-1"], "below zero"),
        (["new@example.org", "--balance", "0.000001"], "decimal places"),
        (["new@example.org", "--password", ""], "password is empty"),
    ],
)
def test_a_customer_who_cannot_be_is_an_error_and_leaves_nothing(
    customer: User, arguments: list[str], words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        run("create_customer", *arguments)
    assert list(User.objects.all()) == [customer]
    assert ApiKey.objects.count() == Transfer.objects.count() == 0


def test_credit_books_its_reason_and_prints_the_balance(customer: User) -> None:
    assert "balance: 5.5 USD" in run("credit", "Carla@EXAMPLE.org", "5.5", "--reason", "Welcome")
    assert "balance: 3.25 USD" in run("credit", "carla@example.org", "-2.25", "--reason", "Too much")
    assert "balance: 1 USD" in run("credit", "carla@example.org", "-2.25", "--reason", "Too much")
    notes = Transfer.objects.order_by("pk").values_list("note", flat=True)
    assert list(notes) == ["Welcome", "Too much", "Too much"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["carla@example.org", "-10.00001", "--reason", "x"], "has 10 USD, less than 10.00001"),
        (["carla@example.org", "-1,5", "--reason", "x"], "not an amount"),
        (["carla@example.org", "NaN", "--reason", "x"], "not an amount"),
        (["carla@example.org", "0", "--reason", "x"], "moves nothing"),
        (["carla@example.org", "999999999999999", "--reason", "x"], "range"),
        (["carla@example.org", "1", "--reason", " "], "reason"),
        (["carla@example.org", "1", "--reason", "x" * 201], "reason"),
        (["nobody@example.org", "1", "--reason", "x"], "No user has"),
    ],
)
def test_a_credit_that_cannot_be_changes_nothing(customer: User, fund: Fund, arguments: list[str], words: str) -> None:
    fund(customer, "10")
    with pytest.raises(CommandError, match=words):
        run("credit", *arguments)
    assert ledger.read_balance(customer.pk) == 10
    assert Transfer.objects.count() == 1


def test_the_audit_counts_what_it_proved(customer: User, service: Service, fund: Fund, place: Place) -> None:
    fund(customer, "10")
    place(customer, service)
    assert run("audit_ledger") == "the books balance: 1 customers, 2 transfers, 1 orders\n"


@pytest.mark.django_db(transaction=True)
def test_a_shell_sees_one_clear_line_and_an_exit_code(customer: User) -> None:
    debited = manage("credit", customer.email, "-5", "--reason", "x")
    assert (debited.returncode, debited.stdout) == (1, "")
    assert debited.stderr == "CommandError: carla@example.org has 0 USD, less than 5.\n"
    made = manage("create_customer", "new@example.org", "--balance", "3")
    assert (made.returncode, made.stderr) == (0, "")
    again = manage("create_customer", "new@example.org")
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (1, "", 1)


class TestBrokenBooks:
    """Without the fixture that proves the books at the end: these tests break them."""

    @pytest.fixture
    def books(self) -> None:
        return None

    def test_the_audit_prints_the_rows_that_do_not_add_up_and_exits_with_1(
        self, customer: User, service: Service, fund: Fund, place: Place
    ) -> None:
        fund(customer, "10")
        order = place(customer, service)
        Order.objects.filter(pk=order.pk).update(charge=order.charge + 1)
        out = StringIO()
        with pytest.raises(CommandError, match="do not balance") as caught:
            call_command("audit_ledger", stdout=out)
        assert caught.value.returncode == 1
        assert f"order {order.pk}: charge" in out.getvalue()
