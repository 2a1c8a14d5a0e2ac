"""What the New order page is given for orders that are spread over runs or posts."""

import datetime
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from orders import drafting, forms
from tests.conftest import Fund, MakeService, Place

NOW = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)


def test_runs_may_be_given_where_a_service_can_be_spread(customer: User, make_service: MakeService) -> None:
    plain, spread = make_service(), make_service(dripfeed=True)
    assert drafting.begin(customer.pk, {"service": str(plain.pk)}).fields == ("link", "quantity")
    assert drafting.begin(customer.pk, {"service": str(spread.pk)}).fields == ("link", "quantity", "runs", "interval")
    package = make_service(type="Package", min=1, max=1, dripfeed=True)
    assert drafting.begin(customer.pk, {"service": str(package.pk)}).fields == ("link",)


def test_a_drip_feed_is_priced_for_all_runs_and_says_when_it_ends(customer: User, make_service: MakeService) -> None:
    service = make_service(dripfeed=True, rate=Decimal("2.5"))
    wish = {"service": str(service.pk), "quantity": "100", "runs": "10", "interval": "30"}
    with time_machine.travel(NOW, tick=False):
        price = drafting.reprice(customer.pk, wish).price
    assert price is not None
    assert (price.units, price.parts, price.each, price.charge) == (1000, 10, 100, Decimal("2.5"))
    assert price.ends_at == NOW + datetime.timedelta(minutes=270)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"runs": "10", "interval": ""}, drafting.HALF_SPREAD),
        ({"runs": "", "interval": "30"}, drafting.HALF_SPREAD),
        ({"runs": "1001", "interval": "30"}, "Incorrect runs"),
        ({"runs": "10", "interval": "0"}, "Incorrect interval"),
    ],
)
def test_half_a_drip_feed_has_no_price_and_says_why(
    customer: User, make_service: MakeService, values: dict[str, str], hint: str
) -> None:
    service = make_service(dripfeed=True)
    draft = drafting.reprice(customer.pk, {"service": str(service.pk), "quantity": "100", **values})
    assert (draft.price, draft.hint) == (None, hint)


def test_a_subscription_has_a_price_as_soon_as_that_is_known(customer: User, make_service: MakeService) -> None:
    service = make_service(type="Subscriptions", rate=Decimal(2))
    draft = drafting.reprice(customer.pk, {"service": str(service.pk), "max": "50", "posts": "3"})
    assert "link" not in draft.fields
    assert draft.delays[:2] == ["0", "5"]
    assert draft.price is not None
    assert (draft.price.units, draft.price.parts, draft.price.charge) == (150, 3, Decimal("0.3"))
    wrong = drafting.reprice(customer.pk, {"service": str(service.pk), "max": "50", "posts": "3", "min": "60"})
    assert (wrong.price, wrong.hint) == (None, "Incorrect max")


def test_ordering_again_fills_in_everything(
    customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    spread = place(customer, make_service(dripfeed=True), link="x", quantity="100", runs="10", interval="30")
    values = drafting.begin(customer.pk, {"again": str(spread.pk)}).values
    assert [values[name] for name in ("link", "quantity", "runs", "interval")] == ["x", "100", "10", "30"]
    wish = {"username": "carla", "min": "10", "max": "50", "posts": "3", "old_posts": "2", "delay": "15"}
    day = timezone.localdate() + datetime.timedelta(days=3)
    service = make_service(type="Subscriptions")
    followed = place(customer, service, **wish, expiry=day.isoformat())
    values = drafting.begin(customer.pk, {"again": str(followed.pk)}).values
    assert {name: values[name] for name in wish} == wish
    assert values["expiry"] == day.isoformat()
    assert forms.parse_order(service, values).details == followed.details
    with time_machine.travel(timezone.now() + datetime.timedelta(days=5)):
        assert drafting.begin(customer.pk, {"again": str(followed.pk)}).values["expiry"] == ""
