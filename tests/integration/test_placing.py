from decimal import Decimal
from typing import Any

import pytest

from accounts import ledger
from accounts.errors import NotEnoughFundsError, UserError
from accounts.models import Transfer, User
from catalog import pricing
from catalog.models import Markup, Service
from orders import forms, placing
from orders.models import Dispatch, Order, PlacedOnce
from tests.conftest import Fund, MakeService, Place


def test_an_order_is_charged_queued_and_told_in_one_go(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    service = make_service(rate=Decimal("0.84"))
    fund(customer, "10")
    order = place(customer, service, quantity="2500", link=" https://example.org/launch ")
    assert (order.status, order.charge, order.rate) == ("Pending", Decimal("2.1"), Decimal("0.84"))
    assert (order.link, order.quantity, order.remains, order.expected_cost) == (
        "https://example.org/launch",
        2500,
        2500,
        Decimal("2.1"),
    )
    assert ledger.read_balance(customer.pk) == Decimal("7.9")
    assert Transfer.objects.get(reference=f"order:{order.pk}:charge").amount == order.charge
    dispatch = order.dispatches.get()
    assert (dispatch.state, dispatch.attempt, dispatch.doubtful) == (Dispatch.State.QUEUED, 0, False)
    assert order.events.get().data == {"rate": "0.84", "units": 2500, "charge": "2.1", "per": 1000}


def test_a_package_costs_its_rate_and_counts_as_one(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    service = make_service(type="Package", rate=Decimal("1.20"), min=1, max=1)
    fund(customer, "10")
    order = place(customer, service, quantity="500")
    assert (order.quantity, order.charge) == (1, Decimal("1.2"))


def test_comments_are_counted_by_line_and_never_split_at_commas(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    service = make_service(type="Custom Comments", rate=Decimal(8), min=2)
    fund(customer, "10")
    order = place(customer, service, comments="one, and\r\n\n  two \\nthree\rfour", quantity="99")
    assert order.quantity == 4
    assert order.details == {"comments": "one, and\ntwo\nthree\nfour"}
    assert order.charge == Decimal("0.032")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"link": ""}, "Invalid link"),
        ({"link": "null"}, "Invalid link"),
        ({"link": "https://example.org/a b"}, "Invalid link"),
        ({"link": "x" * 2049}, "Invalid link"),
        ({"quantity": "9"}, "Quantity less than minimal 10"),
        ({"quantity": "100001"}, "Quantity more than maximum 100000"),
        ({"quantity": ""}, "Incorrect quantity"),
        ({"quantity": "1,000"}, "Incorrect quantity"),
        ({"quantity": "12abc"}, "Incorrect quantity"),
        ({"quantity": "-20"}, "Incorrect quantity"),
        ({"quantity": "1e3"}, "Incorrect quantity"),
        ({"quantity": "２０"}, "Incorrect quantity"),
        ({"quantity": "9999999999999"}, "Incorrect quantity"),
    ],
)
def test_what_is_wrong_is_said_in_the_fields_own_words(
    service: Service, make_service: MakeService, values: dict[str, str], text: str
) -> None:
    wanted = make_service()
    with pytest.raises(UserError) as error:
        forms.parse_order(wanted, {"link": "https://example.org/", "quantity": "20", **values})
    assert error.value.text == text


def test_a_quantity_may_have_a_plus_and_zeros_and_blanks(make_service: MakeService) -> None:
    request = forms.parse_order(make_service(), {"link": "x", "quantity": " +0020 "})
    assert request.units == 20


def test_too_few_funds_leave_nothing_behind(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    service = make_service(rate=Decimal(1000))
    fund(customer, "9.99999")
    with pytest.raises(NotEnoughFundsError):
        place(customer, service, key="again")
    assert Order.objects.count() == Dispatch.objects.count() == PlacedOnce.objects.count() == 0
    fund(customer, "0.00001")
    place(customer, service, key="again")
    assert ledger.read_balance(customer.pk) == 0


def test_the_same_key_places_once_and_another_request_under_it_is_refused(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    service = make_service()
    fund(customer, "10")
    first = place(customer, service, key="k", link="a")
    assert place(customer, service, key="k", link="a") == first
    with pytest.raises(UserError, match="another request"):
        place(customer, service, key="k", link="b")
    assert Order.objects.count() == 1


def test_the_key_of_one_customer_is_nothing_to_another(
    customer: User, stranger: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    service = make_service()
    fund(customer, "10")
    fund(stranger, "10")
    assert place(customer, service, key="k", link="a") != place(stranger, service, key="k", link="a")


def test_a_key_answers_with_its_order_even_when_the_price_has_moved_since(
    customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    service = make_service()
    fund(customer, "10")
    first = place(customer, service, key="k", link="a")
    service.routes.get().provider_service.__class__.objects.update(rate=5)
    assert place(customer, service, key="k", link="a") == first


@pytest.mark.parametrize("extra", [{"interval": "30"}, {"runs": "0"}, {"runs": "1", "interval": "5"}, {}])
def test_a_key_finds_its_order_after_its_service_was_switched_off_whatever_is_said_of_runs(
    customer: User, make_service: MakeService, fund: Fund, place: Place, extra: dict[str, str]
) -> None:
    service = make_service()
    fund(customer, "10")
    values = {"link": "a", "quantity": "20", **extra}
    first = place(customer, service, key="k", **values)
    assert placing.find_placed(customer.pk, "k", str(service.pk), values) == first.pk
    assert placing.find_placed(customer.pk, "k", str(service.pk), {**values, "runs": "2", "interval": "5"}) is None


def test_a_price_that_moved_since_it_was_shown_is_refused(
    customer: User, make_service: MakeService, fund: Fund, books: None
) -> None:
    service = make_service(rate=Decimal("0.90"))
    fund(customer, "10")
    request = forms.parse_order(service, {"link": "x", "quantity": "20"})
    with pytest.raises(placing.PriceMovedError) as moved:
        placing.place_order(customer.pk, request, quoted_rate=Decimal("0.8"))
    assert (moved.value.old, moved.value.new) == (Decimal("0.8"), Decimal("0.9"))
    assert placing.place_order(customer.pk, request, quoted_rate=Decimal("0.900000"))


def test_the_most_specific_markup_wins(customer: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal(1))
    provider = service.routes.get().provider_service.provider

    def rate() -> Decimal:
        return pricing.sell_rate(pricing.load_terms(customer.pk)[service.pk])

    rates: list[Decimal] = []
    for scope in ({}, {"provider": provider}, {"category": service.category}, {"service": service}):
        pricing_markup(len(rates) * 10 + 10, **scope)
        rates.append(rate())
    assert rates == [Decimal("1.1"), Decimal("1.2"), Decimal("1.3"), Decimal("1.4")]


def pricing_markup(percent: int, **scope: Any) -> None:
    Markup.objects.create(percent=percent, **scope)


def test_a_custom_rate_and_a_discount_never_go_below_cost(customer: User, make_service: MakeService) -> None:
    service = make_service(rate=Decimal(2))
    customer.discount_percent = Decimal(50)
    customer.save()
    assert pricing.sell_rate(pricing.load_terms(customer.pk)[service.pk]) == 2
    service.loss_policy = Service.LossPolicy.ALLOW
    service.save()
    assert pricing.sell_rate(pricing.load_terms(customer.pk)[service.pk]) == 1


def test_a_service_without_a_route_cannot_be_bought(
    customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    service = make_service()
    service.routes.update(enabled=False)
    fund(customer, "10")
    with pytest.raises(UserError, match="Service is not available"):
        place(customer, service)


@pytest.mark.parametrize("text", ["", "abc", "-1", "0", "999999", "1e3", "９", "9" * 30])
def test_a_service_that_is_not_there_is_said_so(db: None, text: str) -> None:
    with pytest.raises(UserError, match="Incorrect service ID"):
        placing.find_service(text)


def test_old_keys_are_forgotten_after_a_week(
    customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    order = place(customer, make_service(), key="k")
    assert placing.prune_placed_once() == 0
    PlacedOnce.objects.update(created_at=order.created_at - placing.KEY_KEPT)
    assert placing.prune_placed_once() == 1


@pytest.mark.parametrize("runs", ["2", "10", "many"])
def test_an_order_to_be_spread_is_refused_rather_than_delivered_in_part(make_service: MakeService, runs: str) -> None:
    with pytest.raises(UserError, match="Dripfeed is not supported"):
        forms.parse_order(make_service(), {"link": "x", "quantity": "20", "runs": runs, "interval": "30"})


@pytest.mark.parametrize("runs", ["", "0", "1", "null"])
def test_a_single_run_is_an_ordinary_order(make_service: MakeService, runs: str) -> None:
    assert forms.parse_order(make_service(), {"link": "x", "quantity": "20", "runs": runs}).units == 20
