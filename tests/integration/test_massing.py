"""Mass orders: how lines are read, what each costs, and that none is placed twice, whatever is sent again."""

from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import ledger
from accounts.models import User
from catalog.models import Markup, Service
from orders import massing
from orders.massing import Line, MassOrder
from orders.models import Order
from tests.conftest import Fund, MakeService

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]


def check(user: User, *lines: str, token: str = "") -> MassOrder:
    return massing.check(user.pk, {"lines": "\r\n".join(lines), "token": token})


def sent(page: MassOrder) -> dict[str, str]:
    """Return what the page sends when its lines are to be placed."""
    return {"lines": page.text, "token": page.token, "rates": page.rates}


def errors(page: MassOrder) -> list[str]:
    return [line.error.text if line.error else "" for line in page.lines]


def outcomes(page: MassOrder) -> list[int | None]:
    return [line.order_id for line in page.lines]


def only_line(user: User, text: str) -> Line:
    (line,) = check(user, text).lines
    return line


def test_every_line_is_priced_and_the_balance_after_all_of_them_is_told(
    customer: User, make_service: MakeService, fund: Fund
) -> None:
    cheap, dear = make_service(rate=Decimal("0.90")), make_service(rate=Decimal(3))
    fund(customer, "10")
    page = check(customer, f"{cheap.pk} | https://e.org/a | 1000", "", f"{dear.pk}|@b|100")
    assert [(line.number, line.charge) for line in page.lines] == [(1, Decimal("0.9")), (3, Decimal("0.3"))]
    assert (page.total, page.after, page.missing) == (Decimal("1.2"), Decimal("8.8"), Decimal(0))
    assert Order.objects.count() == 0


@pytest.mark.parametrize(
    ("line", "link", "quantity"),
    [
        ("{pk}|https://e.org/|50", "https://e.org/", 50),
        ("  {pk} |  https://e.org/  |  +50  ", "https://e.org/", 50),
        ("00{pk}\thttps://e.org/\t50", "https://e.org/", 50),
        ("{pk},https://e.org/?a=1,2,50", "https://e.org/?a=1,2", 50),
        ("{pk} | https://e.org/?a=1|2,3 | 50", "https://e.org/?a=1|2,3", 50),
        ("{pk}|12345|50", "12345", 50),
    ],
)
def test_a_line_is_parted_at_its_outermost_separators(
    customer: User, service: Service, line: str, link: str, quantity: int
) -> None:
    request = only_line(customer, line.format(pk=service.pk)).request
    assert request is not None
    assert (request.service, request.link, request.units) == (service, link, quantity)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hello", "Incorrect service ID"),
        ("999999|https://e.org/|50", "Incorrect service ID"),
        ("-1|https://e.org/|50", "Incorrect service ID"),
        ("9999999999999999999|https://e.org/|50", "Incorrect service ID"),
        ("\x00|\x00|\x00", "Incorrect service ID"),
        ("{pk}", "Invalid link"),
        ("{pk}||50", "Invalid link"),
        ("{pk}|two words|50", "Invalid link"),
        ("{pk}|a\x00b|50", "Invalid link"),
        ("{pk}|https://e.org/", "Incorrect quantity"),
        ("{pk}|https://e.org/|1.5", "Incorrect quantity"),
        ("{pk}|https://e.org/|-50", "Incorrect quantity"),
        ("{pk}|https://e.org/|9", "Quantity less than minimal 10"),
        ("{pk}|https://e.org/|100001", "Quantity more than maximum 100000"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_in_the_words_of_the_order_form(
    customer: User, make_service: MakeService, line: str, words: str
) -> None:
    error = only_line(customer, line.format(pk=make_service().pk)).error
    assert error is not None
    assert error.text == words


def test_a_service_that_wants_a_list_is_sent_to_new_order(customer: User, make_service: MakeService) -> None:
    for kind in ("Custom Comments", "Poll", "Subscriptions", "Mentions Custom List"):
        error = only_line(customer, f"{make_service(type=kind).pk}|https://e.org/|50").error
        assert error is not None
        assert error.text == massing.NEEDS_MORE


def test_a_package_is_one_whole_and_takes_no_other_quantity(customer: User, make_service: MakeService) -> None:
    package = make_service(type="Package", rate=Decimal(2), min=1, max=1)
    lines = [f"{package.pk}|https://e.org/", f"{package.pk}|https://e.org/|", f"{package.pk}|https://e.org/|1"]
    page = check(customer, *lines, f"{package.pk}|https://e.org/|5")
    assert [line.charge for line in page.lines] == [Decimal(2)] * 3 + [None]
    assert errors(page)[3] == massing.ONE_WHOLE


def test_a_service_that_cannot_be_sold_now_is_told_at_its_line(customer: User, service: Service) -> None:
    service.routes.update(enabled=False)
    assert errors(check(customer, f"{service.pk}|https://e.org/|50")) == ["Service is not available"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", massing.NO_LINES), (" \r\n\n ", massing.NO_LINES), ("x\n" * 501, massing.TOO_LONG)],
)
def test_no_lines_and_too_many_are_refused_as_a_whole(customer: User, text: str, words: str) -> None:
    page = massing.check(customer.pk, {"lines": text})
    assert page.error is not None
    assert (page.error.text, page.lines, page.text) == (words, [], text)
    assert massing.place(customer.pk, sent(page)).error is not None


def test_a_text_may_have_256_kilobytes_and_not_one_more(customer: User) -> None:
    longest = "ü" * (massing.MOST_BYTES // 2)
    assert massing.check(customer.pk, {"lines": longest}).error is None
    assert massing.check(customer.pk, {"lines": longest + "x"}).error is not None


def test_five_hundred_lines_are_taken_and_blank_ones_do_not_count(customer: User) -> None:
    assert len(check(customer, *["x", ""] * 500).lines) == 500


def test_checking_costs_four_queries_whatever_the_number_of_lines(
    customer: User, make_service: MakeService, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    services = [make_service() for _ in range(5)]
    for many in (1, 40):
        lines = [f"{service.pk}|https://e.org/{n}|50" for service in services for n in range(many)]
        with django_assert_num_queries(4):
            assert errors(check(customer, *lines)) == [""] * len(lines)


def test_lines_for_the_same_link_are_pointed_out_and_are_an_order_each(
    customer: User, service: Service, fund: Fund
) -> None:
    fund(customer, "100")
    line = f"{service.pk}|https://e.org/|{service.min}"
    page = check(customer, line, f"{service.pk}|https://e.org/other|{service.min}", line)
    assert [line.twin for line in page.lines] == [None, None, 1]
    assert len(set(outcomes(massing.place(customer.pk, sent(page))))) == Order.objects.count() == 3


def test_lines_that_are_sent_again_find_their_orders(customer: User, make_service: MakeService, fund: Fund) -> None:
    service = make_service(rate=Decimal("0.90"))
    fund(customer, "10")
    page = check(customer, *(f"{service.pk}|https://e.org/{n % 2}|1000" for n in range(4)))
    first = massing.place(customer.pk, sent(page))
    again = massing.place(customer.pk, sent(page))
    assert outcomes(first) == outcomes(again)
    assert (Order.objects.count(), first.charged, again.charged) == (4, Decimal("3.6"), Decimal("3.6"))
    assert ledger.read_balance(customer.pk) == Decimal("6.4")


@pytest.mark.parametrize("change", [{"enabled": False}, {"min": 5000}, {"max": 11}, {"type": "Poll"}])
def test_lines_that_are_sent_again_find_their_orders_although_the_service_has_changed(
    customer: User, make_service: MakeService, fund: Fund, change: dict[str, object]
) -> None:
    service = make_service()
    fund(customer, "10")
    page = check(customer, f"{service.pk}|https://e.org/|100")
    first = massing.place(customer.pk, sent(page))
    Service.objects.update(**change)
    Markup.objects.create(percent=Decimal(50))
    again = massing.place(customer.pk, sent(page))
    assert outcomes(again) == outcomes(first) == [Order.objects.get().pk]
    assert again.failed == []


def test_lines_that_moved_on_a_page_whose_answer_was_lost_are_not_placed_again(
    customer: User, service: Service, fund: Fund
) -> None:
    fund(customer, "100")
    lines = [f"{service.pk}|https://e.org/{n}|{service.min}" for n in range(3)]
    first = massing.place(customer.pk, sent(page := check(customer, *lines)))
    back = check(customer, f"{service.pk}|https://e.org/new|{service.min}", *reversed(lines), token=page.token)
    assert outcomes(back) == [None, *reversed(outcomes(first))]
    assert (back.total, len(back.ready)) == (back.lines[0].charge, 1)
    massing.place(customer.pk, sent(back))
    assert Order.objects.count() == 4


def test_a_line_that_fails_harms_no_other_and_stays_in_the_box_under_a_new_token(
    customer: User, make_service: MakeService, fund: Fund
) -> None:
    service = make_service(rate=Decimal("0.90"))
    fund(customer, "2")
    good, bad = f"{service.pk} | https://e.org/a | 1000", f"{service.pk} | two words | 1000"
    page = check(customer, good, bad, good.replace("/a", "/b"), good.replace("/a", "/c"))
    assert page.missing == Decimal("0.7")
    result = massing.place(customer.pk, sent(page))
    assert errors(result) == ["", "Invalid link", "", "Not enough funds on balance"]
    assert result.text.split("\n") == [bad, good.replace("/a", "/c")]
    assert result.token != page.token
    assert (result.charged, result.balance) == (Decimal("1.8"), Decimal("0.2"))
    fund(customer, "10")
    retried = massing.place(customer.pk, sent(massing.check(customer.pk, sent(result))))
    assert errors(retried) == ["Invalid link", ""]
    assert Order.objects.count() == 3


def test_a_price_that_moved_since_the_check_places_nothing_for_its_lines(
    customer: User, make_service: MakeService, fund: Fund
) -> None:
    moved, same = make_service(rate=Decimal(1)), make_service(rate=Decimal(1))
    fund(customer, "10")
    page = check(customer, f"{moved.pk}|https://e.org/|1000", f"{same.pk}|https://e.org/|1000")
    Markup.objects.create(service=moved, percent=Decimal(50))
    result = massing.place(customer.pk, sent(page))
    assert errors(result) == ["The price has changed", ""]
    assert result.lines[0].moved_from == Decimal(1)
    assert (Order.objects.get().service, ledger.read_balance(customer.pk)) == (same, Decimal(9))
    again = massing.check(customer.pk, sent(result))
    assert [line.charge for line in again.lines] == [Decimal("1.5")]


@pytest.mark.parametrize("rates", ["", "x", "{pk}", "{pk}=", "{pk}=NaN", "{pk}=Infinity", "=1", "999=1"])
def test_a_line_without_a_price_on_the_page_is_not_placed(
    customer: User, make_service: MakeService, fund: Fund, rates: str
) -> None:
    service = make_service(rate=Decimal(1))
    fund(customer, "10")
    page = check(customer, f"{service.pk}|https://e.org/|1000")
    result = massing.place(customer.pk, {**sent(page), "rates": rates.format(pk=service.pk)})
    assert (errors(result), Order.objects.count()) == ([massing.NOT_CHECKED], 0)


def test_a_page_without_its_token_places_nothing_and_is_checked_again(
    customer: User, service: Service, fund: Fund
) -> None:
    fund(customer, "100")
    page = check(customer, f"{service.pk}|https://e.org/|{service.min}")
    result = massing.place(customer.pk, {**sent(page), "token": "\x00"})
    assert result.error is not None
    assert (len(result.ready), Order.objects.count()) == (1, 0)


def test_what_one_customer_has_placed_is_nothing_to_another_with_the_same_token(
    customer: User, stranger: User, service: Service, fund: Fund
) -> None:
    for user in (customer, stranger):
        fund(user, "100")
    page = check(customer, f"{service.pk}|https://e.org/|{service.min}")
    own = massing.place(customer.pk, sent(page))
    other = massing.place(stranger.pk, sent(page))
    assert outcomes(own) != outcomes(other)
    assert Order.objects.filter(user=stranger).count() == 1
