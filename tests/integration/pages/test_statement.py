"""The statement: every line of the customer's own money, and the proof that they sum to the balance."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import ledger, statements
from accounts.models import LedgerAccount, User
from catalog.models import Service
from orders import lifecycle
from orders.lifecycle import Report
from tests.conftest import Fund, Place
from tests.integration.pages.reading import read


def test_charge_and_refund_stand_there_with_the_balance_after_each(
    customer: User, customer_client: Client, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    order = place(customer, service)
    lifecycle.advance(order.pk, Report("Canceled"))
    after = Decimal(10) - order.charge
    text = read(customer_client.get("/statement/")).text
    assert f"Refund · order {order.pk} +${order.charge} $10.00000" in text
    assert f"Charge · order {order.pk} \u2212${order.charge} ${after}" in text
    assert "Deposit +$10.00000 $10.00000" in text
    assert "Sum of all 3 lines $10.00000 Balance $10.00000" in text
    assert "Your balance is the sum of every line below" in text


def test_a_correction_shows_its_reason(customer: User, customer_client: Client) -> None:
    ledger.adjust(customer.pk, Decimal("1.5"), reference="test", note="Sorry for the delay")
    assert "Adjustment Sorry for the delay +$1.50000 $1.50000" in read(customer_client.get("/statement/")).text


def test_only_own_lines_are_shown(customer: User, stranger: User, customer_client: Client, fund: Fund) -> None:
    fund(stranger, "77")
    fund(customer, "5")
    text = read(customer_client.get("/statement/")).text
    assert "77.00" not in text
    assert "Sum of 1 line $5.00000 Balance $5.00000" in text


def test_a_balance_that_is_not_its_sum_is_said_aloud(customer: User, customer_client: Client, fund: Fund) -> None:
    fund(customer, "5")
    LedgerAccount.objects.filter(user=customer).update(balance=Decimal(6))
    text = read(customer_client.get("/statement/")).text
    assert "Your balance is not the sum of the lines below" in text
    assert "is the sum of every line" not in text


def test_older_lines_stand_on_the_next_page(
    customer: User, customer_client: Client, fund: Fund, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "PAGE_SIZE", 2)
    for amount in range(1, 6):
        fund(customer, str(amount))
    seen: list[str] = []
    address = "/statement/"
    while address:
        page = read(customer_client.get(address))
        lines = page.text.split("Lines, newest first")[1]
        seen += [str(amount) for amount in range(5, 0, -1) if f"+${amount}.00000" in lines]
        older = page.having(rel="next")
        address = f"/statement/{older[0]['href']}" if older else ""
    assert seen == ["5", "4", "3", "2", "1"]


def test_somebody_without_an_account_sees_an_empty_statement(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("new"), backend="django.contrib.auth.backends.ModelBackend")
    text = read(client.get("/statement/")).text
    assert "No lines yet" in text
    assert "Balance $0.00000" in text


def test_lines_are_read_by_the_two_indexes(customer: User, fund: Fund) -> None:
    with connection.cursor() as cursor:
        # In a small table any way is as good; here only that counts which needs no sorting in a large one.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {statements.LINES}", {"user": customer.pk, "before": 2**62, "limit": 51})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "transfers_out_of_an_account" in plan
    assert "transfers_into_an_account" in plan


def test_the_statement_needs_few_queries(
    customer: User, customer_client: Client, fund: Fund, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        fund(customer, "1")
    with django_assert_num_queries(4):  # session, user, proof, lines
        customer_client.get("/statement/")


def test_wild_addresses_are_no_failure_of_ours(customer_client: Client) -> None:
    for text in ("9" * 30, "9" * 18, "\x00", "-1", "x"):
        assert customer_client.get("/statement/", {"before": text}).status_code == 200
