from decimal import Decimal
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Transfer, User
from catalog.models import Product, StockBatch, StockItem
from orders import auditing, forms, placing
from orders.models import DeliveredLine, Order
from tests.conftest import Fund
from tests.stocking import keep, make_product

pytestmark = pytest.mark.django_db(transaction=True)


def run(name: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "licences.txt"
    path.write_bytes(b"\xef\xbb\xbfsecret-1\r\n\r\nsecret-2\r\nsecret-1\r\n")
    return path


def test_a_file_is_uploaded_and_what_is_left_out_told_by_number(file: Path) -> None:
    product = make_product(name="Licence of a year")
    out = run("upload_stock", "licence of a YEAR", str(file))
    assert out == ("  line 2: blank\n  line 4: stands above already\nkept 2, left out 2; can be sold now: 2\n")
    assert StockBatch.objects.get().name == "licences.txt"
    out = run("upload_stock", str(product.pk), str(file))
    assert "line 1: is or was in stock already" in out
    assert "kept 0, left out 4; can be sold now: 2" in out
    assert "secret" not in out
    assert StockBatch.objects.count() == 1


def test_a_dry_run_keeps_nothing(file: Path) -> None:
    product = make_product()
    assert "new 2, left out 2; nothing was kept" in run("upload_stock", str(product.pk), str(file), dry_run=True)
    assert StockItem.objects.count() == 0


def test_lines_come_from_standard_input_with_a_last_day(monkeypatch: pytest.MonkeyPatch) -> None:
    product = make_product()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO("ключ\n".encode())))
    assert "kept 1" in run("upload_stock", str(product.pk), "-", "--last-day", "2090-12-31", "--name", "Mine")
    item = StockItem.objects.select_related("batch").get()
    assert item.batch.name == "Mine"
    assert item.expires_at is not None
    assert timezone.localtime(item.expires_at).date().isoformat() == "2091-01-01"


def test_what_cannot_be_uploaded_is_one_clear_line(file: Path, tmp_path: Path) -> None:
    product, other = make_product(name="Twin"), make_product(name="twin")
    odd = tmp_path / "odd.bin"
    odd.write_bytes(b"\xff\xfesecret")
    for told, arguments in {
        f"give an id ({product.pk}, {other.pk})": ("TWIN", str(file)),
        "There is no product 'Nothing'": ("Nothing", str(file)),
        "There is no product '99999'": ("99999", str(file)),
        "cannot be read: No such file": (str(product.pk), str(tmp_path / "none.txt")),
        "is no text in UTF-8": (str(product.pk), str(odd)),
        "is not a day": (str(product.pk), str(file), "--last-day", "soon"),
        "That time is over": (str(product.pk), str(file), "--last-day", "2001-01-01"),
    }.items():
        with pytest.raises(CommandError) as refused:
            run("upload_stock", *arguments)
        assert told in str(refused.value)
        assert "secret" not in str(refused.value)
    assert StockItem.objects.count() == 0


@pytest.fixture
def sold(customer: User, fund: Fund) -> Product:
    """A product with four lines, of which one order got two and another one."""
    product = make_product()
    keep(product, "a\nb\nc\nd")
    fund(customer, "10")
    for quantity in ("2", "1"):
        placing.place_order(customer.pk, forms.parse_order(product.service, {"quantity": quantity}))
    return product


def test_stock_that_adds_up_is_told_in_one_line(sold: Product, books: None) -> None:
    assert run("check_stock") == "the stock adds up: 3 sold, 1 can be sold, 0 expired\n"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("vanished delivery", "sold, but in no delivery"),
        ("on hand", "still on hand"),
        ("taken out", "taken out by staff"),
        ("uncharged", "which was never charged"),
        ("foreign", "of another product"),
        ("too few", "2 bought, but 1 delivered from stock"),
    ],
)
def test_each_way_in_which_stock_does_not_add_up_is_found_and_exits_1(sold: Product, damage: str, told: str) -> None:
    order = Order.objects.order_by("pk")[0]
    lines = DeliveredLine.objects.filter(delivery__order=order)
    items = StockItem.objects.filter(delivered__in=lines)
    if damage == "vanished delivery":
        lines.delete()
    elif damage == "on hand":
        items.update(taken_at=None)
    elif damage == "taken out":
        items.update(taken_at=None, withdrawn_at=timezone.now())
    elif damage == "uncharged":
        lines.update(delivery=make_uncharged(order))
    elif damage == "foreign":
        items.update(product=make_product())
    else:
        lines.filter(position=1).update(replaced_at=timezone.now())
    out = StringIO()
    with pytest.raises(CommandError, match="does not add up"):
        call_command("check_stock", stdout=out)
    assert told in out.getvalue()
    assert any(told in difference for difference in auditing.find_differences())


def make_uncharged(order: Order) -> Any:
    """Return the delivery of a copy of an order that no transfer knows."""
    copy = Order.objects.get(pk=order.pk)
    copy.pk = None
    copy.charge = Decimal(1)
    copy.save()
    assert not Transfer.objects.filter(reference=f"order:{copy.pk}:charge").exists()
    delivery = order.delivery
    delivery.pk, delivery.order = None, copy
    delivery.token = "00000000-0000-0000-0000-000000000001"
    delivery.save()
    return delivery
