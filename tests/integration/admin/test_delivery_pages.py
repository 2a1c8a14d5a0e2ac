"""Staff pages of deliveries: what is handed over by hand, what did not come, reading for a reason, and replacements."""

import html
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import User
from catalog.models import Provider
from orders import delivering, lifecycle, placing, replacing
from orders.forms import parse_order
from orders.models import DeliveredLine, Delivery, Order, Replacement, Reveal
from tests.conftest import Fund, MakeProduct
from tests.integration.admin.conftest import allow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books")]

KEYS = ["AAAA-1111", "BBBB-2222", "CCCC-3333"]
QUEUE = "/admin/orders/delivery/hand/"


@pytest.fixture
def waiting(customer: User, fund: Fund, make_product: MakeProduct) -> Order:
    """Two pieces that staff deliver."""
    fund(customer, "100")
    product = make_product(name="Voucher", source="hand", require="Your account", warranty_days=3)
    return buy(customer, product.pk, quantity="2", require="me@example.org")


@pytest.fixture
def delivered(customer: User, fund: Fund, make_product: MakeProduct) -> Order:
    """Two of three lines of our own stock, with a warranty."""
    fund(customer, "100")
    return buy(customer, make_product(lines=KEYS, warranty_days=30).pk, quantity="2")


@pytest.fixture
def asked(delivered: Order, customer: User) -> Replacement:
    line = DeliveredLine.objects.get(position=1)
    return replacing.request_replacement(customer.pk, delivered.pk, [line.pk], "It does not open")


@pytest.fixture
def missing(customer: User, fund: Fund, make_product: MakeProduct, provider: Provider) -> Delivery:
    """What a provider ended and never handed over."""
    fund(customer, "100")
    order = buy(customer, make_product(provider=provider, remote_id="7").pk)
    lifecycle.advance(order.pk, lifecycle.Report("Completed"))
    delivering.expect({order.pk: "the-secret-result"})
    Delivery.objects.update(attempts=delivering.TELL_AFTER)
    Order.objects.filter(pk=order.pk).update(attention="goods")
    return Delivery.objects.get()


def buy(user: User, product_id: int, **values: str) -> Order:
    request = parse_order(placing.find_product(str(product_id)), {"quantity": "1", **values})
    return Order.objects.get(pk=placing.place_order(user.pk, request))


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def get(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return text(answer)


def goods(order: Order) -> list[str]:
    return delivering.reveal(order, actor_id=order.user_id, way=Reveal.Way.PAGE)


def test_the_queue_shows_the_longest_waiting_first_with_what_was_entered(
    waiting: Order, customer: User, staff_client: Client
) -> None:
    second = buy(customer, waiting.service_id, quantity="1", require="other@example.org")
    page = get(staff_client, QUEUE)
    assert page.index(f"/hand/{waiting.pk}/") < page.index(f"/hand/{second.pk}/")
    for words in ("Voucher", "me@example.org", "0 of 2 handed over", "Your account"):
        assert words in page
    front = get(staff_client, "/admin/")
    assert QUEUE in front


def test_staff_deliver_part_by_part_until_it_is_done(waiting: Order, staff: User, staff_client: Client) -> None:
    address = f"{QUEUE}{waiting.pk}/"
    assert "me@example.org" in get(staff_client, address)
    told = text(staff_client.post(address, {"lines": "one"}, follow=True))
    assert f"order {waiting.pk} waits for the rest" in told
    assert "1 of 2 handed over" in told
    told = text(staff_client.post(address, {"lines": "two"}, follow=True))
    assert f"Order {waiting.pk} is delivered." in told
    assert "Nothing waits." in told
    waiting.refresh_from_db()
    assert waiting.status == "Completed"
    assert goods(waiting) == ["one", "two"]
    assert waiting.events.filter(kind="delivered", actor=staff).count() == 2
    assert staff_client.get(address).status_code == 404


def test_staff_say_that_it_is_done(waiting: Order, staff_client: Client) -> None:
    staff_client.post(f"{QUEUE}{waiting.pk}/", {"lines": "", "done": "on"})
    waiting.refresh_from_db()
    assert waiting.status == "Completed"


def test_too_many_lines_are_told_and_never_shown_again(waiting: Order, staff_client: Client) -> None:
    answer = staff_client.post(f"{QUEUE}{waiting.pk}/", {"lines": "one-secret\ntwo-secret\nthree-secret"})
    assert "2 were bought, and 0 handed over before" in text(answer)
    assert "-secret" not in text(answer)
    assert not DeliveredLine.objects.exists()


def test_goods_that_never_came_are_listed_and_entered(missing: Delivery, staff: User, staff_client: Client) -> None:
    listed = get(staff_client, "/admin/orders/delivery/?queue=missing")
    assert "Has not come: 4 tries" in listed
    page = get(staff_client, f"/admin/orders/delivery/{missing.pk}/change/")
    assert "the-secret-result" not in listed + page
    assert "('missing'" not in page
    address = f"/admin/orders/delivery/{missing.pk}/enter/"
    assert address in page
    assert "Enter what is handed over" in text(staff_client.post(address, {"lines": " "}))
    assert "Handed over." in text(staff_client.post(address, {"lines": "from-a-ticket"}, follow=True))
    order = Order.objects.get()
    assert (goods(order), order.attention) == (["from-a-ticket"], "")
    assert order.events.filter(kind="delivered", actor=staff).exists()
    assert "It has come meanwhile" in text(staff_client.post(address, {"lines": "again"}))


def test_no_line_is_in_any_staff_page(delivered: Order, asked: Replacement, staff_client: Client) -> None:
    replacing.grant(asked.pk, actor_id=delivered.user_id, lines=["NEWW-4444"])
    delivery = Delivery.objects.get()
    for address in (
        "/admin/",
        "/admin/orders/delivery/",
        f"/admin/orders/delivery/{delivery.pk}/change/",
        f"/admin/orders/delivery/{delivery.pk}/read/",
        f"/admin/orders/delivery/{delivery.pk}/history/",
        f"/admin/orders/order/{delivered.pk}/change/",
        "/admin/orders/replacement/",
        f"/admin/orders/replacement/{asked.pk}/change/",
        f"/admin/orders/replacement/{asked.pk}/grant/",
    ):
        page = get(staff_client, address)
        assert not any(key in page for key in (*KEYS, "NEWW-4444")), address
    assert not Reveal.objects.exists()


def test_staff_read_a_delivery_for_a_reason_which_is_noted(delivered: Order, staff: User, staff_client: Client) -> None:
    address = f"/admin/orders/delivery/{Delivery.objects.get().pk}/read/"
    assert not any(key in text(staff_client.post(address, {"reason": " "})) for key in KEYS)
    answer = staff_client.post(address, {"reason": "ticket 12"}, REMOTE_ADDR="192.0.2.9")
    assert all(key in text(answer) for key in KEYS[:2])
    assert "no-store" in answer["Cache-Control"]
    reveal = Reveal.objects.get()
    assert (reveal.actor, reveal.way, reveal.address) == (staff, "page", "192.0.2.9")
    entry = LogEntry.objects.get()
    assert "ticket 12" in entry.get_change_message()
    assert not any(key in entry.get_change_message() for key in KEYS)


def test_who_may_not_read_or_deliver_cannot(
    delivered: Order, waiting: Order, helper: User, helper_client: Client
) -> None:
    delivery = Delivery.objects.get(order=delivered)
    read, deliver = f"/admin/orders/delivery/{delivery.pk}/read/", f"{QUEUE}{waiting.pk}/"
    for address in (QUEUE, read, deliver):
        assert helper_client.get(address).status_code == 403, address
    allow(helper, "orders.view_order")
    page = get(helper_client, QUEUE)
    assert deliver not in page
    assert helper_client.post(deliver, {"lines": "x"}).status_code == 403
    assert helper_client.post(read, {"reason": "x"}).status_code == 403
    allow(helper, "orders.add_delivery")
    assert helper_client.get(deliver).status_code == 200
    assert helper_client.get(read).status_code == 403
    assert not Reveal.objects.exists()


def test_a_replacement_is_granted_from_own_stock(
    asked: Replacement, delivered: Order, staff: User, staff_client: Client
) -> None:
    assert "Replacements to answer" in get(staff_client, "/admin/")
    address = f"/admin/orders/replacement/{asked.pk}/grant/"
    assert address in get(staff_client, f"/admin/orders/replacement/{asked.pk}/change/")
    page = get(staff_client, address)
    for words in ("It does not open", "Leave the field empty", "On hand"):
        assert words in page
    assert "the customer has the other lines" in text(staff_client.post(address, {"lines": ""}, follow=True))
    asked.refresh_from_db()
    assert (asked.status, asked.actor) == ("granted", staff)
    assert goods(delivered) == KEYS[1:]
    assert "answered already" in text(staff_client.post(address, {"lines": ""}))


def test_another_number_of_lines_is_told(asked: Replacement, staff_client: Client) -> None:
    answer = staff_client.post(f"/admin/orders/replacement/{asked.pk}/grant/", {"lines": "one\ntwo"})
    assert "as were asked for: 1" in text(answer)
    asked.refresh_from_db()
    assert asked.status == "open"


def test_a_replacement_is_refused_with_an_answer(asked: Replacement, staff: User, staff_client: Client) -> None:
    address = f"/admin/orders/replacement/{asked.pk}/refuse/"
    assert "required" in text(staff_client.post(address, {"answer": ""}))
    staff_client.post(address, {"answer": "It opens here"})
    asked.refresh_from_db()
    assert (asked.status, asked.answer, asked.actor) == ("refused", "It opens here", staff)


def test_who_may_only_look_answers_no_replacement(asked: Replacement, helper: User, helper_client: Client) -> None:
    allow(helper, "orders.view_replacement")
    assert "/grant/" not in get(helper_client, f"/admin/orders/replacement/{asked.pk}/change/")
    for way in ("grant", "refuse"):
        assert helper_client.post(f"/admin/orders/replacement/{asked.pk}/{way}/", {"answer": "x"}).status_code == 403
    asked.refresh_from_db()
    assert asked.status == "open"
