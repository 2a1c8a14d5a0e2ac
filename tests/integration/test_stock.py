"""Own stock: lines are kept once, encrypted, and leave once."""

import datetime
import threading
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pytest
import time_machine
from django.conf import LazySettings
from django.db import connection, connections, transaction
from django.utils import timezone

from accounts.errors import UserError
from accounts.models import User
from catalog import selling, stock
from catalog.choosing import Price
from catalog.models import Category, Markup, Product, ProviderService, Service, StockBatch, StockItem
from catalog.stock import Fault
from tests.conftest import MakeService
from tests.processes import database_url, wait_for
from tests.stocking import keep, make_product, offer

pytestmark = pytest.mark.django_db


def texts(product: Product) -> list[str]:
    return stock.read_lines(list(product.stock.order_by("pk").values_list("pk", flat=True)))


def test_lines_are_kept_in_their_order_and_as_they_are(staff: User) -> None:
    product = make_product()
    done = stock.upload(product, "\ufeffz:1 \r\n\ta:2\rä:3\n", actor_id=staff.pk, name="From Ann")
    assert (done.kept, done.left_out) == (3, 0)
    assert texts(product) == ["z:1 ", "\ta:2", "ä:3"]
    assert StockBatch.objects.values_list("pk", "name", "actor").get() == (done.batch_id, "From Ann", staff.pk)


def test_a_dump_of_the_table_tells_nothing_of_a_line(settings: LazySettings) -> None:
    product = make_product()
    keep(product, "secret-line-1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(item::text) FROM catalog_stockitem item")
        dump = str(cursor.fetchall())
    assert "secret-line-1" not in dump
    settings.SECRET_KEY = "another"
    assert stock.fingerprint("secret-line-1") not in dump


def test_a_preview_marks_what_would_not_be_kept_by_number_alone() -> None:
    product = make_product()
    keep(product, "known")
    found = stock.preview("one\n\n  \none\nknown\ntwo\none\n")
    assert found.new == 2
    faults = [(2, Fault.BLANK), (3, Fault.BLANK), (4, Fault.TWICE), (5, Fault.KNOWN), (7, Fault.TWICE)]
    assert found.faults == faults
    assert [found.count(fault) for fault in Fault] == [2, 2, 1]
    assert StockItem.objects.count() == 1


def test_what_was_sold_or_taken_out_or_stands_with_another_product_is_not_kept_again() -> None:
    product, other = make_product(), make_product()
    keep(product, "sold\nout\nleft")
    stock.take(product.pk, 1)
    StockItem.objects.filter(pk=product.stock.order_by("pk")[1].pk).update(withdrawn_at=timezone.now())
    done = stock.upload(other, "left\nout\nsold", actor_id=None)
    assert (done.batch_id, done.kept, done.left_out) == (None, 0, 3)
    assert StockBatch.objects.count() == 1


def test_a_line_is_known_after_the_secret_key_was_changed(settings: LazySettings) -> None:
    product = make_product()
    keep(product, "old")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "new"
    assert stock.preview("old\nfresh").faults == [(1, Fault.KNOWN)]
    assert stock.upload(product, "old\nfresh", actor_id=None).kept == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no line"),
        (" \n\n", "no line"),
        ("short\n" + "x" * 5001, "Line 2 is longer"),
        ("a\n" * 20_001, "more than 20,000 lines"),
        ("é" * 2_000_001, "larger than 4 MB"),
    ],
)
def test_what_is_empty_or_too_large_is_refused_without_its_text(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as refused:
        stock.preview(text)
    assert "xxx" not in refused.value.text
    with pytest.raises(UserError, match=told):
        stock.upload(make_product(), text, actor_id=None)


def test_lines_are_not_kept_for_what_is_not_sold_from_stock_nor_after_their_time() -> None:
    with pytest.raises(UserError, match="not sold from own stock"):
        stock.upload(make_product(source="hand"), "line", actor_id=None)
    with pytest.raises(UserError, match="time is over"):
        stock.upload(make_product(), "line", actor_id=None, expires_at=timezone.now())
    assert StockItem.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_uploads_at_once_never_keep_a_line_twice() -> None:
    product = make_product()
    lines = [f"line {number}" for number in range(3000)]
    done: list[stock.Uploaded] = []

    def upload(text: str) -> None:
        try:
            done.append(stock.upload(product, text, actor_id=None))
        finally:
            connections.close_all()

    texts_at_once = ("\n".join(lines[:2500]), "\n".join(reversed(lines[500:])), "\n".join(lines[200:2800]))
    threads = [threading.Thread(target=upload, args=(text,)) for text in texts_at_once]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 3
    assert sum(one.kept for one in done) == 3000
    assert sorted(texts(product)) == sorted(lines)


def test_the_oldest_lines_are_taken_and_told_in_the_order_asked_for() -> None:
    product = make_product()
    keep(product, "a\nb\nc")
    keep(make_product(), "foreign")
    taken = stock.take(product.pk, 2)
    assert taken == sorted(taken)
    assert stock.read_lines(taken) == ["a", "b"]
    assert stock.read_lines(taken[::-1]) == ["b", "a"]
    assert stock.count() == {product.pk: 1, StockItem.objects.latest("pk").product_id: 1}


def test_too_few_are_refused_and_none_of_them_is_marked() -> None:
    product = make_product()
    with pytest.raises(UserError, match="Out of stock") as refused:
        stock.take(product.pk, 1)
    assert refused.value.field == "quantity"
    keep(product, "a\nb")
    with pytest.raises(UserError, match="Not enough stock"):
        stock.take(product.pk, 3)
    assert stock.count([product.pk]) == {product.pk: 2}


def test_expired_lines_are_neither_counted_nor_sold() -> None:
    product = make_product(low_stock=1)
    now = timezone.now()
    stock.upload(product, "a", actor_id=None, expires_at=now + datetime.timedelta(hours=1))
    assert stock.count([product.pk]) == {product.pk: 1}
    assert not stock.find_low().exists()
    with time_machine.travel(now + datetime.timedelta(hours=2), tick=False):
        assert stock.count([product.pk]) == {product.pk: 0}
        assert stock.list_on_hand().count() == 1
        assert [low.pk for low in stock.find_low()] == [product.pk]
        with pytest.raises(UserError, match="Out of stock"):
            stock.take(product.pk, 1)


def test_the_last_day_on_sale_is_a_whole_day_here() -> None:
    end = timezone.localtime(stock.end_of_day(datetime.date(2027, 1, 31)))
    assert (end.date(), end.time()) == (datetime.date(2027, 2, 1), datetime.time())


def test_what_is_left_is_taken_out_once_all_of_it_or_one_upload_or_what_has_expired() -> None:
    product, now = make_product(), timezone.now()
    stock.upload(product, "old", actor_id=None, expires_at=now + datetime.timedelta(hours=1))
    batch = keep(product, "b1\nb2")
    keep(product, "c1\nc2")
    with time_machine.travel(now + datetime.timedelta(hours=2), tick=False):
        assert stock.take(product.pk, 1)
        assert stock.withdraw(product.pk, expired=True) == ["old"]
        assert stock.withdraw(product.pk, batch_id=batch) == ["b2"]
        assert stock.withdraw(product.pk) == ["c1", "c2"]
        assert stock.withdraw(product.pk) == []
    assert stock.count([product.pk]) == {product.pk: 0}


@pytest.mark.django_db(transaction=True)
def test_lines_that_another_buyer_holds_are_passed_over() -> None:
    product = make_product()
    keep(product, "a\nb")
    first, second = product.stock.order_by("pk").values_list("pk", flat=True)
    with psycopg.connect(database_url()) as session, connection.cursor() as cursor:
        session.execute("SELECT 1 FROM catalog_stockitem WHERE id = %s FOR UPDATE", [first])
        cursor.execute("SET lock_timeout = '2s'")
        assert stock.take(product.pk, 1) == [second]
        cursor.execute("RESET lock_timeout")


def waits(query: str) -> Callable[[], bool]:
    """Return whether a statement like this waits for a lock."""

    def look() -> bool:
        with psycopg.connect(database_url()) as session:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
            row = session.execute(sql, [f"%{query}%"]).fetchone()
        return bool(row and row[0])

    return look


@pytest.mark.django_db(transaction=True)
def test_nobody_is_refused_for_the_sake_of_a_buyer_who_cannot_pay() -> None:
    """One of the two lines is held by a purchase that is rolled back: whoever waits for it gets both."""
    product = make_product()
    keep(product, "first\nlast")
    last = product.stock.latest("pk").pk
    taken: list[int] = []

    def buy() -> None:
        try:
            with transaction.atomic():
                taken.extend(stock.take(product.pk, 2))
        finally:
            connections.close_all()

    thread = threading.Thread(target=buy)
    with psycopg.connect(database_url()) as session:
        session.execute("UPDATE catalog_stockitem SET taken_at = now() WHERE id = %s", [last])
        thread.start()
        wait_for(waits("catalog_stockitem"), what="the buyer who waits")
        session.rollback()
    thread.join(30)
    assert taken == list(product.stock.order_by("pk").values_list("pk", flat=True))


def test_what_is_low_is_on_sale_from_stock_and_warned_of() -> None:
    low, enough, silent = make_product(low_stock=3), make_product(low_stock=2), make_product()
    off = make_product(low_stock=3)
    Service.objects.filter(pk=off.pk).update(enabled=False)
    make_product(source="hand", low_stock=3)
    keep(low, "a\nb")
    keep(enough, "c\nd")
    assert not silent.low_stock
    assert [(product.pk, getattr(product, "on_hand", None)) for product in stock.find_low()] == [(low.pk, 2)]


def test_what_is_our_own_needs_a_rate_and_limits_that_fit() -> None:
    with pytest.raises(UserError, match="needs a rate") as refused:
        selling.add_product(offer(own_rate=None))
    assert refused.value.field == "own_rate"
    with pytest.raises(UserError) as refused:
        selling.add_product(offer(min=5, max=4))
    assert refused.value.field == "min"
    with pytest.raises(UserError) as refused:
        selling.add_product(offer(source="provider"))
    assert refused.value.field == "row"
    assert Service.objects.count() == 0


def test_a_providers_product_gets_a_route_and_a_rule_and_keeps_its_source(make_service: MakeService) -> None:
    make_service()
    rows = list(ProviderService.objects.all())
    ProviderService.objects.update(is_product=True)
    row = ProviderService.objects.get(pk=rows[0].pk)
    product = selling.add_product(
        offer(source="provider", own_rate=None, row=row, price=Price(percent=Decimal(50)), min=row.min, max=row.max)
    )
    service = product.service
    assert (service.is_product, service.follows_limits) == (True, True)
    assert service.routes.get().provider_service == row
    assert Markup.objects.get(service=service).percent == 50
    changed = offer(name="Renamed", source="provider", own_rate=None, row=row, min=1, max=7)
    selling.change_product(product.pk, changed)
    service.refresh_from_db()
    assert (service.name, service.max, service.follows_limits) == ("Renamed", 7, False)
    assert service.routes.count() == 1
    assert not Markup.objects.filter(service=service).exists()
    with pytest.raises(UserError) as refused:
        selling.change_product(product.pk, offer(category=Category.objects.get(pk=service.category_id)))
    assert refused.value.field == "source"
