"""Refills and cancels on the pages: offered only where the server would accept, asked once more, told afterwards."""

import re
from decimal import Decimal

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import ledger
from accounts.models import User
from catalog.models import Service
from orders import lifecycle, refills
from orders.lifecycle import Report
from orders.models import Cancel, ChildOrder, Dispatch, Order, Refill
from tests.conftest import Fund, MakeService, Place
from tests.integration.pages.reading import Reader, read, rows

HTMX = {"HX-Request": "true"}


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(refill=True, refill_after_hours=0, cancel=True, rate=Decimal(10))


@pytest.fixture
def order(customer: User, service: Service, fund: Fund, place: Place) -> Order:
    fund(customer, "100")
    return place(customer, service, quantity="1000")


def send(order: Order) -> Order:
    """Make an order one that a provider has accepted."""
    Dispatch.objects.filter(order=order).update(state="SENT", due_at=None, remote_id=f"up-{order.pk}")
    with transaction.atomic():
        lifecycle.accept(order.pk)
    order.refresh_from_db()
    return order


def complete(order: Order) -> Order:
    send(order)
    return lifecycle.advance(order.pk, Report("Completed", remains=0))


def buttons(page: Reader, order: Order) -> dict[str, str]:
    """Return the tags that stand in a row for refill and cancel: `button`, `a`, or `span` where it is not possible."""
    wanted = {f"order-{order.pk}-{wish}": wish for wish in ("refill", "cancel")}
    return {wanted[tag["id"]]: name for name, tag in page.tags if tag.get("id") in wanted}


def test_a_row_offers_only_what_would_be_accepted(customer_client: Client, order: Order) -> None:
    assert buttons(read(customer_client.get("/orders/")), order) == {"cancel": "a"}
    complete(order)
    assert buttons(read(customer_client.get("/orders/")), order) == {"refill": "button"}
    Service.objects.update(refill=False)
    assert buttons(read(customer_client.get("/orders/")), order) == {}


def test_a_refill_that_opens_later_says_when_in_words(customer_client: Client, order: Order) -> None:
    complete(order)
    Service.objects.update(refill_after_hours=14)
    row = read(customer_client.get("/orders/"))
    assert buttons(row, order) == {"refill": "span"}
    assert "Refill (Refill opens in 14 h)" in row.text
    page = read(customer_client.get(f"/orders/{order.pk}/"))
    assert "Refill opens in 14 h" in page.text
    assert not page.having(name="wish", value="refill")


def test_a_refill_is_asked_for_from_the_list_without_javascript(customer_client: Client, order: Order) -> None:
    complete(order)
    page = read(customer_client.get("/orders/?status=completed&q=example"))
    address = page.having(id="one")[0]["action"]
    answer = customer_client.post(address, {**page.forms["one"], "order": order.pk})
    assert (answer.status_code, answer["Location"]) == (303, "/orders/?status=completed&q=example")
    told = read(customer_client.get(answer["Location"]))
    assert f"Refill asked for: order {order.pk}." in told.text
    assert buttons(told, order) == {"refill": "span"}
    assert "A refill is under way" in told.text
    assert Refill.objects.get().order == order


def test_a_refill_from_the_list_updates_the_row_in_place_and_is_followed(customer_client: Client, order: Order) -> None:
    complete(order)
    sent = {"wish": "refill", "order": order.pk, "open": ""}
    news = customer_client.post("/orders/?status=&q=", sent, headers=HTMX)
    page = read(news)
    assert (news.status_code, rows(news)) == (200, [order.pk])
    assert "<html" not in news.content.decode()
    assert page.having(id="told", hx_swap_oob="true")
    assert f"Refill asked for: order {order.pk}." in page.text
    assert page.having(id="watch")[0]["hx-get"].endswith(f"open={order.pk}")
    quiet = read(customer_client.get(f"/orders/?open={order.pk}", headers=HTMX))
    assert not quiet.having(id="told")


def test_an_order_is_followed_until_its_refill_has_ended(customer_client: Client, order: Order) -> None:
    complete(order)
    refill = refills.request_refill(order.user_id, order.pk)
    address = f"/orders/{order.pk}/"
    assert read(customer_client.get(address)).having(id="watch")[0].get("hx-get") == address
    refills.move(refill.pk, "Rejected", "refill_refused")
    page = read(customer_client.get(address))
    assert "hx-get" not in page.having(id="watch")[0]
    assert f"Refill {refill.pk}" in page.text
    assert "It was looked at and not granted." in page.text


def test_what_cannot_be_had_is_told_and_changes_nothing(customer_client: Client, order: Order) -> None:
    send(order)
    page = read(customer_client.post("/orders/", {"wish": "refill", "order": order.pk}, follow=True))
    assert f"Order {order.pk}: The order is not completed." in page.text
    assert Refill.objects.count() == 0


def test_a_cancel_from_the_list_asks_first_and_says_what_comes_back(
    customer: User, customer_client: Client, order: Order, books: None
) -> None:
    link = read(customer_client.get("/orders/")).having(id=f"order-{order.pk}-cancel")[0]["href"]
    page = read(customer_client.get(link))
    assert "Cancel 1 order?" in page.text
    assert "It has not been sent yet: it ends at once, and $10.00000 comes back." in page.text
    assert Cancel.objects.count() == 0
    form = page.forms["/orders/?status=&q="]
    told = read(customer_client.post("/orders/", form, follow=True))
    assert f"Order {order.pk} is canceled, and $10.00000 came back." in told.text
    assert ledger.read_balance(customer.pk) == Decimal(100)


def test_a_cancel_of_an_order_that_was_sent_promises_nothing(customer_client: Client, order: Order) -> None:
    send(order)
    page = read(customer_client.get(f"/orders/{order.pk}/"))
    assert "it may come too late" in page.text
    answer = customer_client.post(f"/orders/{order.pk}/", {**page.forms["wish"], "wish": "cancel"})
    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.pk}/")
    told = read(customer_client.get(answer["Location"]))
    assert "The money comes back when the cancellation is confirmed." in told.text
    assert "We ask for the order to be stopped." in told.text
    assert "Cancellation asked for" in told.text
    assert not told.having(id="cancel-now")
    assert Order.objects.get().status == "Processing"


def test_a_cancel_on_the_orders_page_updates_it_in_place(customer_client: Client, order: Order, books: None) -> None:
    news = customer_client.post(f"/orders/{order.pk}/", {"wish": "cancel"}, headers=HTMX)
    page = read(news)
    assert "<html" not in news.content.decode()
    parts = {"state", "story", "facts", "actions", "wishes", "purse", "told"}
    assert {tag["id"] for tag in page.having(hx_swap_oob="true")} == parts
    assert "is canceled, and $10.00000 came back" in page.text


def test_several_orders_are_chosen_and_the_impossible_ones_are_named(
    customer: User, customer_client: Client, order: Order, service: Service, place: Place, books: None
) -> None:
    done, other = complete(place(customer, service)), place(customer, service)
    ids = [order.pk, done.pk, other.pk]
    page = read(customer_client.get(f"/orders/ask/?wish=cancel&order={order.pk}&order={done.pk}&order={other.pk}"))
    assert "Cancel 2 orders?" in page.text
    assert f"Not possible now {done.pk} · Website visits This order cannot be canceled." in page.text
    told = read(customer_client.post("/orders/", {"wish": "cancel", "order": ids}, follow=True))
    assert f"Order {order.pk} is canceled" in told.text
    assert f"Order {other.pk} is canceled" in told.text
    assert f"Order {done.pk}: Cancel not allowed." in told.text


def test_choosing_nothing_leads_back_and_says_so(customer_client: Client, order: Order) -> None:
    answer = customer_client.get("/orders/ask/", {"wish": "cancel", "status": "pending"}, follow=True)
    assert answer.redirect_chain == [("/orders/?status=pending&q=", 302)]
    assert "Choose some orders first." in read(answer).text


def test_nobody_asks_anything_of_the_orders_of_another(
    stranger: User, customer_client: Client, service: Service, fund: Fund, place: Place
) -> None:
    fund(stranger, "100")
    foreign = complete(place(stranger, service))
    for wish in ("refill", "cancel"):
        assert customer_client.post(f"/orders/{foreign.pk}/", {"wish": wish}).status_code == 404
        told = customer_client.post("/orders/", {"wish": wish, "order": foreign.pk}, follow=True)
        assert f"Order {foreign.pk}: Incorrect order ID." in read(told).text
        assert customer_client.get("/orders/ask/", {"wish": wish, "order": foreign.pk}).status_code == 302
    assert (Refill.objects.count(), Cancel.objects.count()) == (0, 0)


def test_wild_wishes_are_no_failure_of_ours(customer_client: Client, order: Order) -> None:
    for text in ("", "9" * 30, "\x00", "steal", "١٢"):
        assert customer_client.get("/orders/ask/", {"wish": text, "order": [text, str(order.pk)]}).status_code == 200
        assert customer_client.post("/orders/", {"wish": text, "order": text, "open": text}).status_code == 303
        assert customer_client.post("/orders/", {"wish": text, "order": text}, headers=HTMX).status_code == 200
        assert customer_client.post(f"/orders/{order.pk}/", {"wish": text}).status_code == 303


def test_a_wish_from_elsewhere_is_refused(customer: User, order: Order) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(customer, backend="django.contrib.auth.backends.ModelBackend")
    for address in ("/orders/", f"/orders/{order.pk}/"):
        assert client.post(address, {"wish": "cancel", "order": order.pk}).status_code == 403
    assert Cancel.objects.count() == 0


def test_a_spread_order_lists_its_runs_and_how_many_were_delivered(customer_client: Client, order: Order) -> None:
    send(order)
    details = {"quantity": "100", "runs": "10", "interval": "30"}
    Order.objects.update(parts=10, parts_done=3, details=details)
    dispatch = Dispatch.objects.get()
    for number, (status, remains) in enumerate([("Completed", 0), ("Partial", 40), ("Pending", None)]):
        ChildOrder.objects.create(order=order, dispatch=dispatch, remote_id=str(number), status=status, remains=remains)
    page = read(customer_client.get(f"/orders/{order.pk}/"))
    assert "Runs 3 of 10 delivered" in page.text
    assert "10 runs of 100, every 30 minutes" in page.text
    listed = page.text.split("No. Status Start Delivered ")[1]
    words = [word for word in listed.split() if word in {"1", "2", "3", "Pending", "Partial", "Completed", "60", "100"}]
    assert words[:8] == ["3", "Pending", "2", "Partial", "60", "1", "Completed", "100"]
    assert "parts" in {
        tag["id"] for tag in read(customer_client.get(f"/orders/{order.pk}/", headers=HTMX)).having(hx_swap_oob="true")
    }


def test_the_order_page_needs_a_fixed_number_of_queries(
    customer_client: Client, order: Order, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    # session, user, order, events, balance, dispatch and refills, cancels, children
    with django_assert_max_num_queries(11):
        customer_client.get(f"/orders/{order.pk}/")
    complete(order)
    for _ in range(4):
        refills.move(refills.request_refill(order.user_id, order.pk).pk, "Completed")
    with django_assert_max_num_queries(11):
        customer_client.get(f"/orders/{order.pk}/")


def test_the_new_pages_are_sound_html_with_nothing_inline(
    customer_client: Client, order: Order, make_service: MakeService
) -> None:
    Order.objects.update(parts=10, parts_done=0, details={"quantity": "100", "runs": "10", "interval": "30"})
    drip, posts = make_service(dripfeed=True), make_service(type="Subscriptions")
    addresses = [f"/orders/new/?service={service.pk}" for service in (drip, posts)]
    for address in [*addresses, "/orders/", f"/orders/{order.pk}/", f"/orders/ask/?wish=cancel&order={order.pk}"]:
        answer = customer_client.get(address)
        page = read(answer)
        assert (page.misplaced, page.open) == ([], []), address
        ids = [tag["id"] for _, tag in page.tags if "id" in tag]
        assert len(ids) == len(set(ids)), address
        named = {tag.get("for") for name, tag in page.tags if name == "label"}
        fields = [tag for name, tag in page.tags if name in {"input", "select"} and tag.get("type") != "hidden"]
        bare = [tag for tag in fields if tag.get("id") not in named and "aria-label" not in tag]
        assert [tag for tag in bare if tag.get("type") != "radio"] == [], address
        described = {tag["aria-describedby"] for _, tag in page.tags if "aria-describedby" in tag}
        assert described <= set(ids), address
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style", answer.content.decode()), address
