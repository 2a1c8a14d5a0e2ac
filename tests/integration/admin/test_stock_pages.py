"""Stock on the admin's pages: lines go in, are counted and leave, and no page but the export tells what they say."""

import datetime
import html
import io
import re
from typing import Any

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog import stock
from catalog.models import Product, StockBatch, StockItem
from tests.integration.admin.conftest import allow
from tests.stocking import keep, make_product

pytestmark = pytest.mark.django_db

SECRET = "user7:hunter2"
TEXT = f"{SECRET}\r\n\r\n{SECRET}\r\nsecond:line \r\n"


def told(response: Any) -> str:
    assert response.status_code == 200
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.unescape(response.content.decode())))
    assert SECRET not in response.content.decode()
    return text


@pytest.fixture
def product() -> Product:
    return make_product(name="Mailbox")


def address(product: Product, page: str) -> str:
    return f"/admin/catalog/product/{product.pk}/{page}/"


def test_lines_are_looked_at_before_they_are_kept(product: Product, staff: User, staff_client: Client) -> None:
    page = address(product, "upload")
    text = told(staff_client.post(page, {"text": TEXT, "name": "From Ann", "last_day": "2090-01-31"}, follow=True))
    assert "Keep these lines of" in text
    assert "Line 2: blank" in text
    assert "Line 3: stands above already" in text
    assert "Keep 2 lines" in text
    assert StockItem.objects.count() == 0
    text = told(staff_client.post(f"{page}?look", follow=True))
    assert "2 lines kept, 2 left out" in text
    batch = StockBatch.objects.get()
    assert (batch.name, batch.actor) == ("From Ann", staff)
    assert stock.read_lines(list(batch.items.order_by("pk").values_list("pk", flat=True))) == [SECRET, "second:line "]
    assert set(batch.items.values_list("expires_at", flat=True)) == {stock.end_of_day(datetime.date(2090, 1, 31))}
    assert LogEntry.objects.get().get_change_message() == "2 lines kept, 2 left out"
    assert "Paste" not in text
    assert f"upload:{product.pk}" not in staff_client.session


def test_what_waits_to_be_confirmed_is_encrypted(product: Product, staff_client: Client) -> None:
    staff_client.post(address(product, "upload"), {"text": TEXT})
    kept = staff_client.session[f"upload:{product.pk}"]
    assert SECRET not in str(kept)
    assert all(SECRET not in str(session.get_decoded()) for session in Session.objects.all())


def test_a_file_is_uploaded_as_well(product: Product, staff_client: Client) -> None:
    page = address(product, "upload")
    file = io.BytesIO(b"\xef\xbb\xbf" + TEXT.encode())
    file.name = "lines.txt"
    assert "Keep 2 lines" in told(staff_client.post(page, {"text": "", "file": file}, follow=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": ""}, "Paste the lines or choose a file"),
        ({"text": f"{SECRET}\n{'x' * 5001}"}, "Line 2 is longer"),
        ({"text": SECRET, "last_day": "2001-01-01"}, "That time is over"),
        ({"text": SECRET, "last_day": "soon"}, "Enter a valid date"),
    ],
)
def test_what_cannot_be_kept_says_why_and_never_what_it_was(
    product: Product, staff_client: Client, values: dict[str, str], message: str
) -> None:
    assert message in told(staff_client.post(address(product, "upload"), values))
    assert f"upload:{product.pk}" not in staff_client.session


def test_what_is_no_text_is_refused(product: Product, staff_client: Client) -> None:
    file = io.BytesIO(b"\xff\xfe" + SECRET.encode())
    file.name = "lines.bin"
    assert "It is no text in UTF-8" in told(staff_client.post(address(product, "upload"), {"file": file}))


def test_what_was_kept_meanwhile_is_left_out(product: Product, staff_client: Client) -> None:
    page = address(product, "upload")
    staff_client.post(page, {"text": TEXT})
    keep(product, SECRET)
    assert "1 line kept, 3 left out" in told(staff_client.post(f"{page}?look", follow=True))


def test_what_cannot_be_read_any_more_is_kept_in_no_part(
    product: Product, staff_client: Client, settings: LazySettings
) -> None:
    page = address(product, "upload")
    staff_client.post(page, {"text": TEXT})
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert "It cannot be read any more" in told(staff_client.post(f"{page}?look"))
    assert StockItem.objects.count() == 0


def test_a_second_click_keeps_nothing_more_and_what_is_known_already_is_not_asked_about(
    product: Product, staff_client: Client
) -> None:
    page = address(product, "upload")
    staff_client.post(page, {"text": TEXT})
    staff_client.post(f"{page}?look")
    assert staff_client.post(f"{page}?look").status_code == 302
    assert StockItem.objects.count() == 2
    assert "There is nothing new in it" in told(staff_client.post(page, {"text": TEXT}, follow=True))


def test_lines_leave_in_a_file_once_with_a_reason(product: Product, staff_client: Client) -> None:
    keep(product, f"{SECRET}\nsecond")
    page = address(product, "withdraw")
    assert "cannot be uploaded again" in told(staff_client.get(page))
    assert "required" in told(staff_client.post(page, {"what": "all", "why": ""}))
    response = staff_client.post(page, {"what": "all", "why": "Moved elsewhere"})
    assert response.content.decode() == f"{SECRET}\nsecond\n"
    assert "no-store" in response["Cache-Control"]
    assert response["Content-Disposition"] == f'attachment; filename="product-{product.pk}.txt"'
    assert LogEntry.objects.get().get_change_message() == "Took 2 lines out: Moved elsewhere"
    assert "There is nothing of it any more" in told(staff_client.post(page, {"what": "all", "why": "Again"}))
    assert stock.count([product.pk]) == {product.pk: 0}


def test_one_upload_alone_can_leave(product: Product, staff_client: Client) -> None:
    batch_id = keep(product, "first")
    keep(product, "second")
    response = staff_client.post(address(product, "withdraw"), {"what": str(batch_id), "why": "Wrong file"})
    assert response.content == b"first\n"
    text = told(staff_client.post(address(product, "withdraw"), {"what": str(batch_id), "why": "Wrong file"}))
    assert "Select a valid choice" in text


def test_uploads_and_lines_are_listed_by_number_and_fate(product: Product, staff_client: Client) -> None:
    now = timezone.now()
    stock.upload(product, "short", actor_id=None, name="Short", expires_at=now + datetime.timedelta(hours=1))
    keep(product, f"{SECRET}\nleft\nout")
    stock.take(product.pk, 2)
    StockItem.objects.filter(pk=product.stock.latest("pk").pk).update(withdrawn_at=now)
    StockItem.objects.filter(batch__name="Short").update(taken_at=None)
    with time_machine.travel(now + datetime.timedelta(hours=2), tick=False):
        staff_client.force_login(User.objects.get(username="petra"), "django.contrib.auth.backends.ModelBackend")
        batches = {
            batch.name: batch for batch in staff_client.get("/admin/catalog/stockbatch/").context["cl"].result_list
        }
        numbers = [getattr(batches[""], f"{name}_lines") for name in ("ready", "expired", "sold", "out")]
        assert numbers == [1, 0, 1, 1]
        assert batches["Short"].expired_lines == 1
        for page in ("", f"{batches[''].pk}/change/"):
            assert "Mailbox" in told(staff_client.get(f"/admin/catalog/stockbatch/{page}"))
        text = told(staff_client.get("/admin/catalog/stockitem/"))
        for word in ("Can be sold", "Expired", "Sold", "Taken out"):
            assert word in text
        for state in ("ready", "expired", "sold", "out"):
            listed = staff_client.get(f"/admin/catalog/stockitem/?state={state}").context["cl"].result_list
            assert len(listed) == 1
        item = product.stock.earliest("pk")
        assert "short" not in told(staff_client.get(f"/admin/catalog/stockitem/{item.pk}/change/")).split("Mailbox")[1]


def test_each_thing_needs_its_own_permission(product: Product, helper: User, helper_client: Client) -> None:
    keep(product, SECRET)
    upload, withdraw = address(product, "upload"), address(product, "withdraw")
    allow(helper, "catalog.view_product", "catalog.view_stockitem")
    assert helper_client.get(upload).status_code == 403
    assert helper_client.post(withdraw, {"what": "all", "why": "x"}).status_code == 403
    allow(helper, "catalog.add_stockitem")
    assert "Upload lines" in told(helper_client.get(f"/admin/catalog/product/{product.pk}/change/"))
    assert helper_client.get(upload).status_code == 200
    assert helper_client.get(withdraw).status_code == 403
    allow(helper, "catalog.change_stockitem")
    assert helper_client.post(withdraw, {"what": "all", "why": "x"}).content.decode() == f"{SECRET}\n"


def test_what_is_not_sold_from_stock_has_no_stock_pages(staff_client: Client) -> None:
    product = make_product(source="hand")
    assert staff_client.get(address(product, "upload")).status_code == 404
    assert staff_client.get(address(product, "withdraw")).status_code == 404
