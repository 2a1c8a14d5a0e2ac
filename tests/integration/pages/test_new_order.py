"""New order: what it costs before, what was charged after, and that nothing is charged unseen or twice."""

from decimal import Decimal

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import ledger
from accounts.models import User
from catalog.models import Category, CustomRate, Markup, Service
from orders import drafting
from orders.models import Order
from tests.conftest import Fund, MakeService, Place
from tests.integration.pages.reading import order_form, read

LINK = "https://example.org/page"


def test_a_placed_order_is_confirmed_with_its_charge_and_the_new_balance(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, books: None
) -> None:
    service = make_service(rate=Decimal("0.84"), min=100)
    fund(customer, "10")
    form = order_form(customer_client, f"?service={service.pk}")
    answer = customer_client.post("/orders/new/", {**form, "link": LINK, "quantity": "2500"})
    order = Order.objects.get()
    assert (answer.status_code, order.charge, order.link) == (303, Decimal("2.10000"), LINK)
    text = read(customer_client.get(answer["Location"])).text
    assert f"Order {order.pk} received" in text
    assert "Charged $2.10000 , balance now $7.90000 ." in text
    assert f"{service.pk} · Website visits · quantity 2,500" in text


def test_the_same_page_sent_twice_places_one_order(
    customer: User, customer_client: Client, service: Service, fund: Fund, books: None
) -> None:
    fund(customer, "100")
    sent = {**order_form(customer_client), "link": LINK, "quantity": str(service.min)}
    places = {customer_client.post("/orders/new/", sent)["Location"] for _ in range(3)}
    assert (len(places), Order.objects.count()) == (1, 1)
    assert ledger.read_balance(customer.pk) == Decimal(100) - Order.objects.get().charge


def test_the_same_page_sent_twice_finds_its_order_though_the_service_went_off_sale(
    customer: User, customer_client: Client, service: Service, fund: Fund
) -> None:
    fund(customer, "100")
    sent = {**order_form(customer_client), "link": LINK, "quantity": str(service.min)}
    first = customer_client.post("/orders/new/", sent)
    Service.objects.update(enabled=False)
    again = customer_client.post("/orders/new/", sent)
    assert (again.status_code, again["Location"]) == (303, first["Location"])
    assert customer_client.post("/orders/new/", {**sent, "link": "@other"}).status_code == 422


def test_two_pages_place_two_orders(customer: User, customer_client: Client, service: Service, fund: Fund) -> None:
    fund(customer, "100")
    for _ in range(2):
        form = order_form(customer_client)
        customer_client.post("/orders/new/", {**form, "link": LINK, "quantity": str(service.min)})
    assert Order.objects.count() == 2


def test_a_page_sent_again_with_another_quantity_places_nothing_until_it_is_confirmed(
    customer: User, customer_client: Client, service: Service, fund: Fund
) -> None:
    fund(customer, "100")
    sent = {**order_form(customer_client), "link": LINK, "quantity": str(service.min)}
    customer_client.post("/orders/new/", sent)
    answer = customer_client.post("/orders/new/", {**sent, "quantity": str(service.min + 1)})
    assert (answer.status_code, Order.objects.count()) == (422, 1)
    page = read(answer)
    assert "This page has placed an order already" in page.text
    again = {**page.forms["order"], "link": LINK, "quantity": str(service.min + 1)}
    assert customer_client.post("/orders/new/", again).status_code == 303
    assert Order.objects.count() == 2


def test_a_moved_price_charges_nothing_and_one_click_accepts_it(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    make_service(rate=Decimal("0.80"))
    fund(customer, "10")
    sent = {**order_form(customer_client), "link": LINK, "quantity": "1000"}
    Markup.objects.create(percent=Decimal(50))
    refused = read(customer_client.post("/orders/new/", sent))
    assert "The price moved from $0.80 to $1.20 before you ordered. Nothing was charged" in refused.text
    assert (Order.objects.count(), ledger.read_balance(customer.pk)) == (0, Decimal(10))
    accepted = customer_client.post("/orders/new/", {**refused.forms["order"]})
    assert (accepted.status_code, Order.objects.get().charge) == (303, Decimal("1.20000"))


@pytest.mark.parametrize("lost", ["rate", "token"])
def test_a_form_without_its_rate_or_token_places_nothing(
    customer: User, customer_client: Client, service: Service, fund: Fund, lost: str
) -> None:
    fund(customer, "100")
    sent = {**order_form(customer_client), "link": LINK, "quantity": str(service.min), lost: "\x00"}
    answer = customer_client.post("/orders/new/", sent)
    assert (answer.status_code, Order.objects.count()) == (422, 0)


@pytest.mark.parametrize(
    ("field", "given", "words"),
    [
        ("link", "", "Invalid link"),
        ("link", "two words", "Invalid link"),
        ("quantity", "", "Incorrect quantity"),
        ("quantity", "9", "Quantity less than minimal 10"),
        ("quantity", "100001", "Quantity more than maximum 100000"),
    ],
)
def test_an_error_stands_below_its_field_which_has_the_focus_and_the_form_is_intact(
    customer_client: Client, make_service: MakeService, field: str, given: str, words: str
) -> None:
    make_service()
    sent = {**order_form(customer_client), "link": LINK, "quantity": "50", field: given}
    answer = customer_client.post("/orders/new/", sent)
    page = read(answer)
    assert answer.status_code == 422
    assert words in page.text
    wrong = page.having(aria_invalid="true")
    assert [(tag["name"], tag["aria-describedby"], "autofocus" in tag) for tag in wrong] == [
        (field, f"{field}-error", True)
    ]
    assert page.having(id=f"{field}-error")
    kept = page.forms["order"]
    assert {name: kept[name] for name in ("link", "quantity", "token")} == {
        name: sent[name] for name in ("link", "quantity", "token")
    }


def test_too_small_a_balance_says_how_much_is_missing(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    make_service(rate=Decimal(1))
    fund(customer, "1.80")
    form = order_form(customer_client)
    asked = customer_client.post("/orders/new/", {**form, "ask": "price", "quantity": "5000"})
    assert "You need $3.20 more." in read(asked).text
    refused = customer_client.post("/orders/new/", {**form, "link": LINK, "quantity": "5000"})
    assert (refused.status_code, Order.objects.count()) == (422, 0)
    assert "Not enough funds on balance" in read(refused).text


def test_the_price_fragment_shows_the_sum_as_a_sum_and_places_nothing(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    make_service(rate=Decimal("0.84"))
    fund(customer, "10")
    sent = {**order_form(customer_client), "ask": "price", "quantity": "2500"}
    answer = customer_client.post("/orders/new/", sent, headers={"HX-Request": "true"})
    text = read(answer).text
    assert "<html" not in answer.content.decode()
    assert "Rate per 1000 $0.84 × quantity 2,500 ÷ 1000 Total $2.10000 Balance after $7.90000" in text
    assert read(answer).having(id="order-total", hx_swap_oob="true")
    assert Order.objects.count() == 0


def test_comments_are_counted_by_line_and_need_no_quantity(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    make_service(type="Custom Comments", min=2, max=10, rate=Decimal(1000))
    fund(customer, "10")
    form = order_form(customer_client)
    assert "quantity" not in form
    answer = customer_client.post("/orders/new/", {**form, "link": LINK, "comments": "one\r\n\r\ntwo\\nthree"})
    order = Order.objects.get()
    assert (answer.status_code, order.quantity, order.charge) == (303, 3, Decimal("3.00000"))


def test_wrong_comments_come_back_with_their_error(customer_client: Client, make_service: MakeService) -> None:
    make_service(type="Custom Comments", min=2, max=10)
    sent = {**order_form(customer_client), "link": LINK, "comments": "just <b>one</b>"}
    answer = customer_client.post("/orders/new/", sent)
    page = read(answer)
    assert "Quantity less than minimal 2" in page.text
    assert "just <b>one</b>" in page.text
    assert [tag["id"] for tag in page.having(aria_invalid="true")] == ["comments"]


def test_a_package_asks_for_a_link_alone_and_has_its_price_at_once(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund
) -> None:
    make_service(type="Package", min=1, max=1, rate=Decimal("2.5"))
    fund(customer, "10")
    page = read(customer_client.get("/orders/new/"))
    assert {"quantity", "comments"}.isdisjoint(page.forms["order"])
    assert "Package price $2.50 Total $2.50000 Balance after $7.50000" in page.text
    customer_client.post("/orders/new/", {**page.forms["order"], "link": LINK})
    assert Order.objects.get().charge == Decimal("2.50000")


def test_only_a_service_with_drip_feed_can_be_spread(customer_client: Client, make_service: MakeService) -> None:
    plain, spread = make_service(), make_service(dripfeed=True)
    assert {"runs", "interval"}.isdisjoint(order_form(customer_client, f"?service={plain.pk}"))
    page = read(customer_client.get(f"/orders/new/?service={spread.pk}"))
    assert {"runs", "interval"} <= set(page.forms["order"])
    assert "open" not in page.having(id="spread")[0]


def test_a_spread_order_shows_its_total_and_its_end_and_is_placed(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, books: None
) -> None:
    make_service(dripfeed=True, rate=Decimal(2))
    fund(customer, "10")
    form = order_form(customer_client)
    given = {**form, "link": LINK, "quantity": "100", "runs": "10", "interval": "30"}
    with time_machine.travel("2026-11-21T12:00:00Z", tick=False):
        text = read(customer_client.post("/orders/new/", {**given, "ask": "price"})).text
    assert "Total quantity 10 × 100 = 1,000 Ends about 21 Nov, 16:30" in text
    assert "× quantity 1,000 ÷ 1000 Total $2.00000" in text
    half = read(customer_client.post("/orders/new/", {**given, "interval": ""}))
    assert "Incorrect interval" in half.text
    assert "open" in half.having(id="spread")[0]
    assert customer_client.post("/orders/new/", given).status_code == 303
    order = Order.objects.get()
    assert (order.parts, order.quantity, order.charge) == (10, 1000, Decimal("2.00000"))
    again = order_form(customer_client, f"?again={order.pk}")
    assert {name: again[name] for name in ("quantity", "runs", "interval")} == {
        "quantity": "100",
        "runs": "10",
        "interval": "30",
    }


def test_a_subscription_asks_whose_posts_and_how_many_instead_of_a_link(
    customer: User, customer_client: Client, make_service: MakeService, fund: Fund, books: None
) -> None:
    make_service(type="Subscriptions", min=10, max=500, rate=Decimal(2))
    fund(customer, "10")
    page = read(customer_client.get("/orders/new/"))
    form = page.forms["order"]
    assert {"link", "quantity"}.isdisjoint(form)
    assert {"username", "min", "max", "posts", "old_posts", "expiry"} <= set(form)
    assert page.having(id="delay")
    given = {**form, "username": "reader", "min": "20", "max": "40", "posts": "5", "delay": "5"}
    text = read(customer_client.post("/orders/new/", {**given, "ask": "price"})).text
    assert "At most 5 × 40 = 200" in text
    wrong = customer_client.post("/orders/new/", {**given, "max": "4"})
    assert [tag["id"] for tag in read(wrong).having(aria_invalid="true")] == ["max"]
    placed = customer_client.post("/orders/new/", given)
    assert (placed.status_code, Order.objects.get().charge) == (303, Decimal("0.40000"))
    shown = read(customer_client.get(f"/orders/{Order.objects.get().pk}/")).text
    assert "Posts 0 of 5 delivered" in shown
    assert "Username reader" in shown


def test_a_discount_is_shown_against_the_list_price(
    customer: User, customer_client: Client, make_service: MakeService
) -> None:
    service = make_service(rate=Decimal("0.50"))
    Markup.objects.create(percent=Decimal(80))
    CustomRate.objects.create(user=customer, service=service, rate=Decimal("0.84"))
    assert "Your price per 1000 $0.84 instead of $0.90" in read(customer_client.get("/orders/new/")).text


def test_only_the_chosen_category_is_listed(customer_client: Client, make_service: MakeService) -> None:
    first = make_service(name="Visits")
    other = make_service(name="Captions", category=Category.objects.create(name="Text", position=1))
    assert f"{first.pk} · Visits · $0.90 per 1000" in read(customer_client.get("/orders/new/")).text
    page = read(customer_client.get(f"/orders/new/?category={other.category_id}&service={first.pk}"))
    assert f"{other.pk} · Captions" in page.text
    assert f"{first.pk} · Visits" not in page.text
    assert page.forms["order"]["service"] == str(other.pk)


def test_choosing_a_service_answers_a_fragment_and_keeps_what_was_typed(
    customer_client: Client, make_service: MakeService
) -> None:
    service = make_service()
    query = f"?category={service.category_id}&service={service.pk}&link={LINK}&quantity=40"
    answer = customer_client.get(f"/orders/new/{query}", headers={"HX-Request": "true"})
    assert answer["HX-Replace-Url"] == f"/orders/new/?service={service.pk}"
    form = read(answer).forms["order"]
    assert (form["link"], form["quantity"]) == (LINK, "40")
    assert "<html" not in answer.content.decode()


def test_order_again_fills_the_form_from_an_own_order_only(
    customer: User,
    stranger: User,
    customer_client: Client,
    make_service: MakeService,
    fund: Fund,
    place: Place,
) -> None:
    service = make_service(type="Custom Comments", min=1, max=10)
    fund(customer, "10")
    fund(stranger, "10")
    own = place(customer, service, link="@own", comments="hello there")
    foreign = place(stranger, service, link="@foreign", comments="secret words")
    again = read(customer_client.get(f"/orders/new/?again={own.pk}"))
    assert (again.forms["order"]["link"], "hello there" in again.text) == ("@own", True)
    stolen = customer_client.get(f"/orders/new/?again={foreign.pk}&placed={foreign.pk}").content.decode()
    assert "@foreign" not in stolen
    assert "secret words" not in stolen


def test_a_service_that_is_gone_is_said_to_be(customer_client: Client, make_service: MakeService) -> None:
    make_service()
    gone = make_service(enabled=False)
    page = read(customer_client.get(f"/orders/new/?service={gone.pk}"))
    assert "Service is not available" in page.text


def test_a_long_category_is_cut_but_the_service_asked_for_is_there(
    customer_client: Client, make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "LONGEST_LIST", 2)
    services = [make_service(name=f"Service {number}") for number in range(4)]
    page = read(customer_client.get(f"/orders/new/?service={services[3].pk}"))
    listed = [service.pk for service in services if f"{service.pk} · {service.name} ·" in page.text]
    assert listed == [services[0].pk, services[1].pk, services[3].pk]
    assert page.forms["order"]["service"] == str(services[3].pk)
    assert page.having(href=f"/services/?category={services[0].category_id}")


def test_an_empty_shop_says_so(customer_client: Client) -> None:
    assert "Nothing is on sale yet" in read(customer_client.get("/orders/new/")).text


def test_the_number_of_queries_does_not_grow_with_the_services(
    customer_client: Client, make_service: MakeService, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        make_service(name=f"Service {number}")
    with django_assert_max_num_queries(7):  # session, user, categories, services, terms, balance, star
        form = order_form(customer_client)
    with django_assert_max_num_queries(5):
        customer_client.post("/orders/new/", {**form, "ask": "price"}, headers={"HX-Request": "true"})


def test_wild_input_is_no_failure_of_ours(customer: User, customer_client: Client, service: Service) -> None:
    wild = ["9" * 30, "١٢", "-1", "\x00", "1e5", "NaN", "sNaN", "ä" * 3000]
    for text in wild:
        values = dict.fromkeys(["service", "category", "quantity", "link", "comments", "rate", "token", "again"], text)
        assert customer_client.get("/orders/new/", {**values, "placed": text}).status_code == 200
        assert customer_client.post("/orders/new/", values).status_code == 422
        assert customer_client.post("/orders/new/", {**values, "service": str(service.pk)}).status_code == 422
        assert customer_client.post("/orders/new/", {**values, "ask": text}).status_code == 200
    assert Order.objects.count() == 0


def test_a_form_from_elsewhere_is_refused(customer: User, service: Service) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(customer, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post("/orders/new/", {"service": str(service.pk), "link": LINK, "quantity": "100"})
    assert (answer.status_code, Order.objects.count()) == (403, 0)
    assert "This form was too old" in read(answer).text
