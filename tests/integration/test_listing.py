"""The ready-made price list: what it saves, and that whoever asks after a change is answered with it."""

import datetime
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import orjson
import psycopg
import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import CustomerGroup, User
from catalog import health, listing
from catalog.models import Category, CustomRate, Markup, PriceListVersion, Provider, ProviderService, Route, Service
from tests.conftest import Fund, MakeService, Place
from tests.processes import database_url, free_port, wait_for

committed = pytest.mark.django_db(transaction=True)
Other = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def other() -> Iterator[Other]:
    """Somebody else's connection, in a transaction until it commits; it waits for nobody longer than two seconds."""
    with psycopg.connect(database_url()) as another:
        another.execute("SET lock_timeout = '2s'")
        another.commit()
        yield another


@pytest.fixture(autouse=True)
def nothing_kept(settings: LazySettings) -> Iterator[None]:
    """Begin with nothing in this process, and in a cache that the workers of a parallel run do not share."""
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": uuid.uuid4().hex}}
    listing._in_memory.clear()
    yield
    listing._in_memory.clear()


def forget(user: User) -> None:
    """Leave nothing in this process, as in a new one, nor in the cache."""
    listing._in_memory.clear()
    cache.delete(listing._find_place(user.pk)[0])


def read(user: User) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = orjson.loads(listing.read_list(user.pk))
    return rows


def read_rate(user: User) -> str:
    (row,) = read(user)
    return str(row["rate"])


def version() -> str:
    return "+".join(
        str(number) for number in PriceListVersion.objects.order_by("number").values_list("number", flat=True)
    )


def changes(service: Service, customer: User) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name every kind of change that shows in a list, one after the other."""
    remote = ProviderService.objects.filter(routes__service=service)
    provider = Provider.objects.filter(services__routes__service=service)
    group = CustomerGroup.objects.create(name="Resellers", discount_percent=20)
    user = User.objects.filter(pk=customer.pk)
    services, routes = Service.objects.filter(pk=service.pk), Route.objects.filter(service=service)
    yield "a new markup", lambda: Markup.objects.create(percent=50)
    yield "a markup", lambda: Markup.objects.update(percent=60)
    yield "rounding", lambda: Markup.objects.update(round_to=Decimal("0.7"))
    yield "a provider's rate", lambda: remote.update(rate=3)
    yield "cancel at the provider", lambda: remote.update(cancel=True)
    yield "an exchange rate", lambda: provider.update(exchange_rate=2)
    yield "a dialect", lambda: provider.update(dialect="1dg")
    yield "what its dialect is not", lambda: provider.update(dialect_overrides={"cancel": "order"})
    yield "a discount", lambda: user.update(discount_percent=1)
    yield "joining a group", lambda: user.update(group=group)
    yield "a group's discount", lambda: CustomerGroup.objects.update(discount_percent=30)
    yield "the end of a group", group.delete
    yield "a first custom rate", lambda: CustomRate.objects.create(user=customer, service=service, rate=77)
    yield "a custom rate", lambda: CustomRate.objects.update(rate=78)
    yield "no custom rate", lambda: CustomRate.objects.all().delete()
    yield "an own rate", lambda: services.update(own_rate=99)
    yield "a name", lambda: services.update(name="Another")
    yield "limits", lambda: services.update(max=500)
    yield "a category's name", lambda: Category.objects.update(name="Elsewhere")
    yield "waiting for a person", lambda: remote.update(waiting="back")
    yield "waiting no more", lambda: remote.update(waiting="")
    yield "vanishing", lambda: remote.update(vanished_at=timezone.now())
    yield "coming back", lambda: remote.update(vanished_at=None)
    yield "a route off", lambda: routes.update(enabled=False)
    yield "a route on", lambda: routes.update(enabled=True)
    yield "a provider off", lambda: provider.update(enabled=False)
    yield "a provider on", lambda: provider.update(enabled=True)
    yield (
        "an exchange rate that is too old",
        lambda: provider.update(exchange_rate_days=1, exchange_rate_at=timezone.now() - datetime.timedelta(days=2)),
    )
    yield "an exchange rate set again", lambda: provider.update(exchange_rate_at=timezone.now())
    yield "off sale", lambda: services.update(enabled=False)
    yield "on sale", lambda: services.update(enabled=True)
    yield "a route less", lambda: routes.all().delete()


@committed
def test_the_very_next_answer_has_every_change(customer: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal(1), cancel=True)
    seen = read(customer)
    for name, change in changes(service, customer):
        change()
        now = read(customer)
        assert now != seen, name
        listing._in_memory.clear()
        assert read(customer) == now, name
        forget(customer)
        assert read(customer) == now, name
        seen = now


def test_changes_within_one_transaction_are_told_apart_as_well(
    db: None, customer: User, make_service: MakeService
) -> None:
    make_service(rate=Decimal(1))
    markup = Markup.objects.create(percent=0)
    for percent in (10, 20, 30):
        Markup.objects.filter(pk=markup.pk).update(percent=percent)
        assert read_rate(customer) == f"1.{percent // 10}"
    before = transaction.savepoint()
    Markup.objects.update(percent=50)
    assert read_rate(customer) == "1.5"
    transaction.savepoint_rollback(before)
    assert read_rate(customer) == "1.3"


@committed
def test_nothing_that_happens_all_the_time_makes_lists_anew(
    customer: User, make_service: MakeService, fund: Fund, place: Place, django_assert_num_queries: Any, books: None
) -> None:
    service = make_service(rate=Decimal(1))
    kept, before = listing.read_list(customer.pk), version()
    now = timezone.now()
    Provider.objects.update(balance=5, balance_at=now, failures=3, doubts=2, last_error="x", last_success_at=now)
    Provider.objects.update(command_turn_at=now, read_turn_at=now, paused_until=now, synced_at=now, name="Renamed")
    Provider.objects.get().save()
    health.count(Provider.objects.get().pk, [(object(), 0.1)])
    ProviderService.objects.update(read_at=now)
    User.objects.update(last_login=now)
    customer.save()
    User.objects.create_user("new", "new@example.org")
    fund(customer, "10")
    place(customer, service)
    assert version() == before
    with django_assert_num_queries(1):
        assert listing.read_list(customer.pk) is kept


@committed
def test_a_change_shows_as_soon_as_it_is_committed_and_not_before(
    customer: User, make_service: MakeService, other: Other
) -> None:
    make_service(rate=Decimal(1))
    Markup.objects.create(percent=10)
    assert read_rate(customer) == "1.1"
    other.execute("UPDATE catalog_markup SET percent = 20")
    forget(customer)
    assert read_rate(customer) == "1.1"
    other.commit()
    assert read_rate(customer) == "1.2"
    other.execute("UPDATE catalog_markup SET percent = 30")
    other.rollback()
    assert read_rate(customer) == "1.2"


@committed
def test_what_is_written_in_bulk_shows_as_well(customer: User, make_service: MakeService, other: Other) -> None:
    first, second = make_service(rate=Decimal(1)), make_service(rate=Decimal(2))
    Markup.objects.create(percent=0)
    assert [row["rate"] for row in read(customer)] == ["1", "2"]
    with (
        other.cursor() as cursor,
        cursor.copy("COPY catalog_customrate (user_id, service_id, rate) FROM STDIN") as rows,
    ):
        rows.write_row((customer.pk, first.pk, 7))
        rows.write_row((customer.pk, second.pk, 8))
    other.commit()
    assert [row["rate"] for row in read(customer)] == ["7", "8"]
    CustomRate.objects.bulk_create(
        [CustomRate(user=customer, service=one, rate=9) for one in (first, second)],
        update_conflicts=True,
        unique_fields=["user", "service"],
        update_fields=["rate"],
    )
    assert [row["rate"] for row in read(customer)] == ["9", "9"]
    other.execute("TRUNCATE catalog_customrate")
    other.commit()
    assert [row["rate"] for row in read(customer)] == ["1", "2"]
    remote = list(ProviderService.objects.order_by("rate"))
    for row in remote:
        row.rate *= 10
    ProviderService.objects.bulk_update(remote, ["rate"])
    assert [row["rate"] for row in read(customer)] == ["10", "20"]
    other.execute("TRUNCATE catalog_route, catalog_markup")
    other.commit()
    assert read(customer) == []


@committed
def test_what_a_reader_reads_while_a_change_is_not_committed_is_forgotten_with_the_commit(
    customer: User, stranger: User, make_service: MakeService, other: Other
) -> None:
    make_service(rate=Decimal(1))
    group = CustomerGroup.objects.create(name="Resellers", discount_percent=0)
    User.objects.filter(pk=customer.pk).update(group=group)
    statements = {
        "UPDATE catalog_providerservice SET rate = 3": "3",
        "UPDATE catalog_provider SET exchange_rate = 2": "6",
        "UPDATE catalog_service SET own_rate = 50": "50",
        "UPDATE accounts_customergroup SET discount_percent = 10": "45",
        "INSERT INTO catalog_customrate (user_id, service_id, rate) SELECT %(user)s, id, 9 FROM catalog_service": "9",
        "DELETE FROM catalog_customrate": "45",
    }
    before = "1"
    for statement, after in statements.items():
        other.execute(statement, {"user": customer.pk})
        forget(customer)
        forget(stranger)
        assert read_rate(customer) == before, statement
        other.commit()
        assert read_rate(customer) == after, statement
        listing._in_memory.clear()
        assert read_rate(customer) == after, statement
        before = after


@committed
def test_with_a_number_counted_in_another_transaction_old_rows_are_kept_under_a_new_number(other: Other) -> None:
    other.execute("CREATE TABLE scratch (number int, rate int); INSERT INTO scratch VALUES (0, 1)")
    other.commit()
    kept: dict[int, int] = {}

    def read_naively() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT number, rate FROM scratch")
            number, rate = cursor.fetchone()
        return kept.setdefault(number, rate)

    try:
        other.execute("UPDATE scratch SET number = number + 1")
        other.commit()
        assert read_naively() == 1
        other.execute("UPDATE scratch SET rate = 2")
        other.commit()
        assert read_naively() == 1
    finally:
        other.execute("DROP TABLE scratch")
        other.commit()


@committed
def test_what_a_reader_keeps_while_a_change_is_committed_is_not_served_afterwards(
    customer: User, stranger: User, make_service: MakeService, other: Other
) -> None:
    make_service(rate=Decimal(1))
    Markup.objects.create(percent=100)
    place, seen = listing._find_place(customer.pk)
    other.execute("UPDATE accounts_user SET discount_percent = 50 WHERE id = %s", [customer.pk])
    other.commit()
    # He asked before the change and reads his rows after it: the half price is not for those who pay as he did.
    cache.set(place, (seen, listing._write_list(customer.pk)))
    assert read_rate(stranger) == "2"
    assert read_rate(customer) == "1"


@committed
def test_writers_do_not_wait_for_each_other_and_every_commit_makes_a_version(
    customer: User, make_service: MakeService, other: Other
) -> None:
    first, second = make_service(rate=Decimal(1)), make_service(rate=Decimal(2))
    seen = [version()]
    with psycopg.connect(database_url()) as another:
        other.execute("UPDATE catalog_service SET name = 'First' WHERE id = %s", [first.pk])
        another.execute("SET lock_timeout = '2s'")
        another.execute("UPDATE catalog_service SET name = 'Second' WHERE id = %s", [second.pk])
        seen.append(version())
        another.commit()
        seen.append(version())
        other.commit()
        seen.append(version())
    Service.objects.update(position=1)
    seen.append(version())
    assert seen[0] == seen[1]
    assert len(set(seen[1:])) == 4
    assert PriceListVersion.objects.count() == 1


@committed
def test_at_one_counter_the_second_writer_waits_for_the_first(other: Other) -> None:
    other.execute("CREATE TABLE scratch (number int); INSERT INTO scratch VALUES (0)")
    other.commit()
    try:
        with psycopg.connect(database_url()) as another:
            another.execute("UPDATE scratch SET number = number + 1")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE scratch SET number = number + 1")
    finally:
        other.rollback()
        other.execute("DROP TABLE scratch")
        other.commit()


@committed
def test_an_exchange_rate_that_grows_too_old_takes_its_services_off_by_itself(
    customer: User, make_service: MakeService
) -> None:
    make_service()
    soon = timezone.now() + datetime.timedelta(seconds=2)
    Provider.objects.update(exchange_rate_days=1, exchange_rate_at=soon - datetime.timedelta(days=1))
    assert len(read(customer)) == 1
    wait_for(lambda: read(customer) == [], what="the service to leave the list")


def test_a_list_is_made_once_for_all_who_pay_the_same(
    customer: User, stranger: User, staff: User, make_service: MakeService, django_assert_num_queries: Any
) -> None:
    service = make_service(rate=Decimal(1))
    CustomRate.objects.create(user=staff, service=service, rate=5)
    shared = listing.read_list(customer.pk)
    with django_assert_num_queries(1):
        assert listing.read_list(stranger.pk) is shared
    assert read_rate(staff) == "5"
    listing._in_memory.clear()
    with django_assert_num_queries(2):
        assert listing.read_list(customer.pk) == shared
        assert read_rate(staff) == "5"


def test_without_the_cache_a_process_still_makes_a_list_once(
    customer: User, make_service: MakeService, settings: LazySettings, django_assert_num_queries: Any
) -> None:
    make_service(rate=Decimal(1))
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": nowhere}}
    assert read_rate(customer) == "1"
    with django_assert_num_queries(1):
        assert read_rate(customer) == "1"


def test_a_process_remembers_few_lists(customer: User, make_service: MakeService) -> None:
    make_service(rate=Decimal(1))
    for discount in range(20):
        User.objects.filter(pk=customer.pk).update(discount_percent=discount)
        assert read_rate(customer) == "1"
    assert len(listing._in_memory) == listing.MOST_IN_MEMORY
