"""The forms of `add` that the seed documents show, as their readers would write them, and lists in every form."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from catalog.models import Service
from orders.models import Order
from tests.conftest import Fund, MakeService
from tests.integration.api.senders import FORM, JSON, SENDERS, post

Api = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("db", "books")
LINK = "https://example.org/page"
TRAFFIC = {"country": "United States", "device": 2}


@pytest.fixture
def buy(api: Api, make_service: MakeService, customer: User, fund: Fund) -> Callable[..., Order]:
    """Buy by `add` from a new service of a type at 2 per thousand, or per package, and return the order."""
    fund(customer, "100")

    def bought(kind: str, **values: Any) -> Order:
        service = make_service(type=kind, min=1, rate=Decimal(2), dripfeed=values.pop("dripfeed", False))
        answer = api(action="add", service=service.pk, **values)
        assert set(answer) == {"order"}, answer
        return Order.objects.get(pk=answer["order"])

    return bought


@pytest.mark.parametrize(
    ("kind", "values", "units", "charge"),
    [
        ("Default", {"quantity": 100, "runs": 2, "interval": 5, "dripfeed": True}, 200, "0.4"),
        ("Package", {}, 1, "2"),
        ("Custom Comments", {"comments": "one\r\ntwo\nthree"}, 3, "0.006"),
        (
            "Web Traffic",
            {
                "quantity": 100,
                "runs": 2,
                "interval": 5,
                **TRAFFIC,
                "type_of_traffic": 1,
                "google_keyword": "garden chairs",
                "referring_url": "",
                "dripfeed": True,
            },
            200,
            "0.4",
        ),
        ("Custom Comments Package", {"comments": "one\r\ntwo\nthree"}, 1, "2"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_five_forms_of_seed_003_are_accepted(
    buy: Callable[..., Order], kind: str, values: dict[str, Any], units: int, charge: str
) -> None:
    """003_31070e689288a311.txt, `add`."""
    order = buy(kind, link=LINK, **values)
    assert (order.quantity, order.charge) == (units, Decimal(charge))


@pytest.mark.parametrize("traffic", [{"type_of_traffic": 2, "referring_url": LINK}, {"type_of_traffic": 3}])
def test_the_other_kinds_of_web_traffic_are_accepted(buy: Callable[..., Order], traffic: dict[str, Any]) -> None:
    order = buy("Web Traffic", link=LINK, quantity=100, country="US", device=1, **traffic)
    assert (order.quantity, order.details["country"]) == (100, "US")


@pytest.mark.parametrize(
    ("kind", "read"),
    [("Special (1DG)", {"list"}), ("Special 1 (1DG)", {"suggest", "search"}), ("Default", set())],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_form_of_seed_001_is_accepted_with_all_that_its_table_names(
    buy: Callable[..., Order], kind: str, read: set[str]
) -> None:
    """001_0d7708dbe0f379e6.txt, `add`: one table for three types, each of which takes its own."""
    lists = {"list": "a\nb", "suggest": "c\r\nd", "search": "e, f"}
    order = buy(kind, link=LINK, quantity=100, **lists)
    assert order.details == {name: lists[name].replace("\r", "") for name in read}
    assert order.charge == Decimal("0.2")


def test_an_order_for_which_something_is_missing_is_refused_by_its_name(
    api: Api, make_service: MakeService, customer: User, fund: Fund
) -> None:
    fund(customer, "10")
    traffic, poll = make_service(type="Web Traffic"), make_service(type="Poll")
    wish = {"action": "add", "link": LINK, "quantity": 100}
    told = [
        api(**wish, service=traffic.pk),
        api(**wish, service=traffic.pk, **TRAFFIC, type_of_traffic=1),
        api(**wish, service=traffic.pk, **TRAFFIC, type_of_traffic=2, referring_url="null"),
        api(**wish, service=poll.pk, answer_number=0),
    ]
    names = ["country", "google_keyword", "referring_url", "answer_number"]
    assert told == [{"error": f"Incorrect {name}"} for name in names]
    assert not Order.objects.exists()


@pytest.mark.parametrize("sender", SENDERS)
def test_a_list_is_the_same_in_whatever_form_it_is_sent(
    api_key: str, make_service: MakeService, customer: User, fund: Fund, sender: str
) -> None:
    fund(customer, "10")
    service = make_service(type="Mentions Custom List", min=1)
    call = {"key": api_key, "action": "add", "service": str(service.pk), "link": LINK, "usernames": "@a\r\n\r\nb, c"}
    SENDERS[sender]("/api/v2", call)
    assert Order.objects.get().details == {"usernames": "@a\nb, c"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("usernames[]=a&usernames[]=b", FORM),
        ("usernames=a&usernames=b", FORM),
        ("usernames=a%5Cnb", FORM),
        ({"usernames": ["a", "b"]}, JSON),
        ({"usernames": "a\nb"}, JSON),
    ],
)
def test_a_list_may_also_come_as_a_list(
    api_key: str, make_service: MakeService, customer: User, fund: Fund, body: Any, content_type: str
) -> None:
    fund(customer, "10")
    service = make_service(type="Mentions Custom List", min=1)
    call = {"key": api_key, "action": "add", "service": service.pk, "link": LINK}
    if isinstance(body, dict):
        answer = post("/api/v2", json.dumps(call | body), content_type)
    else:
        front = "&".join(f"{name}={value}" for name, value in call.items())
        answer = post("/api/v2", f"{front}&{body}", content_type)
    assert Order.objects.get(pk=answer["order"]).details == {"usernames": "a\nb"}


@pytest.mark.parametrize("name", ["comments", "customComments"])
def test_a_character_that_was_broken_on_its_way_is_replaced_in_comments(
    api_key: str, make_service: MakeService, customer: User, fund: Fund, name: str
) -> None:
    fund(customer, "10")
    service = make_service(type="Custom Comments", min=1)
    body = f"key={api_key}&action=add&service={service.pk}&link=x&{name}=a%FF%0Ab"
    assert set(post("/api/v2", body)) == {"order"}
    assert Order.objects.get().details == {"comments": "a\ufffd\nb"}


def test_a_name_that_was_broken_on_its_way_is_refused(api_key: str, make_service: MakeService) -> None:
    service = make_service(type="Mentions Custom List", min=1)
    body = f"key={api_key}&action=add&service={service.pk}&link=x&usernames=a%FF%0Ab"
    assert post("/api/v2", body) == {"error": "Incorrect usernames"}


def test_services_name_their_types_as_the_field_does(api: Api, make_service: MakeService) -> None:
    for kind in Service.Type:
        make_service(type=kind, enabled=kind != Service.Type.UNKNOWN)
    assert {row["type"] for row in api(action="services")} == set(Service.Type) - {"Unknown"}
