"""The five documents of the field: what each shows as a request is accepted, what it shows as an answer comes back.

Requests stand here in each document's own writing, answers as its examples, of which kind and shape count, not figures.
Where an example is no valid JSON its evident meaning stands here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from accounts.models import ApiKey, User
from catalog.models import Category, ProviderService
from orders.models import Order, Refill
from tests.conftest import Fund, MakeProduct, MakeService, Place
from tests.contract import shop
from tests.integration.api.senders import FORM, post

S0, S1 = "000_fa79b687568cfb1d.txt", "001_0d7708dbe0f379e6.txt"
S2, S3, S4 = "002_f802ba56adcaf7c9.txt", "003_31070e689288a311.txt", "004_72bf84db900f01bc.txt"
FIRST, LIST = [S0, S1, S2], [S3, S4]

LINK = "https://example.org/page"
# Ids of the shop below under which the examples are asked for: three orders, and one that is nobody's.
PARTIAL, UNDER_WAY, COMPLETED, NOBODYS = 123, 789, 2, 456

OLD_STATUS = {"charge": "2.5", "start_count": "168", "status": "Completed", "remains": "-2"}
STATUS = {"charge": "0.27819", "start_count": "3572", "status": "Partial", "remains": "157"}
CURRENCY = {"currency": "USD"}
WRONG = {"error": "Incorrect order ID"}
OLD_SERVICE = {
    "service": 1,
    "name": "Youtube views",
    "type": "Default",
    "category": "Youtube",
    "rate": "2.5",
    "min": "200",
    "max": "10000",
    "refill": True,
}


@dataclass(frozen=True)
class Case:
    """A request of some documents, and its example answer there."""

    of: list[str]
    call: dict[str, Any]
    answer: Any
    what: str
    type: str = "Default"
    service: dict[str, Any] = field(default_factory=dict)


def statuses(one: dict[str, str], more: dict[str, str]) -> dict[str, Any]:
    return {str(PARTIAL): one | more, str(NOBODYS): WRONG, str(UNDER_WAY): one | more}


MANY = f"{PARTIAL},{NOBODYS},{UNDER_WAY}"
TRAFFIC = {"country": "US", "device": "5"}
KEYWORD, REFERRER = {"google_keyword": "garden chairs"}, {"referring_url": LINK}
LISTS = {"list": "https://example.org/1", "suggest": "https://example.org/1", "search": "garden chairs"}
ALL_REFILLS = [{"refill": 1, "status": "Completed"}, {"refill": 2, "status": "Rejected"}]

CASES = [
    Case(FIRST, {"action": "services"}, [OLD_SERVICE, OLD_SERVICE], "services"),
    Case(LIST, {"action": "services"}, [OLD_SERVICE | {"cancel": True}] * 2, "services"),
    Case([S0, S2, S3], {"action": "add", "link": LINK, "quantity": "200"}, {"order": 99999}, "add"),
    Case([S1], {"action": "add", "link": LINK, "quantity": "200", **LISTS}, {"order": 99999}, "add"),
    *(
        Case([S1], {"action": "add", "link": LINK, "quantity": "200", **LISTS}, {"order": 99999}, f"add {kind}", kind)
        for kind in ("Special (1DG)", "Special 1 (1DG)")
    ),
    # 004 shows only the answer of `add`.
    Case([S4], {"action": "add", "link": LINK, "quantity": "200"}, {"order": 23501}, "add"),
    Case(
        [S3],
        {"action": "add", "link": LINK, "quantity": "200", "runs": "2", "interval": "5"},
        {"order": 23501},
        "add in runs",
        service={"dripfeed": True},
    ),
    Case([S3], {"action": "add", "link": LINK}, {"order": 23501}, "add a package", "Package"),
    *(
        Case([S3], {"action": "add", "link": LINK, "comments": comments}, {"order": 23501}, f"add {name}", kind)
        for kind in ("Custom Comments", "Custom Comments Package")
        for name, comments in ((f"{kind}, CRLF", "good\r\nbetter"), (f"{kind}, LF", "good\nbetter"))
    ),
    *(
        Case(
            [S3],
            {"action": "add", "link": LINK, "quantity": "200", **TRAFFIC, "type_of_traffic": number, **more},
            {"order": 23501},
            f"add traffic {number} {' '.join(more)}",
            "Web Traffic",
            {"dripfeed": True},
        )
        for number, more in (
            ("1", KEYWORD),
            ("2", REFERRER),
            ("3", {"runs": "2", "interval": "5"}),
            ("3", {"country": "United States"}),
        )
    ),
    Case(FIRST, {"action": "status", "order": str(PARTIAL)}, OLD_STATUS, "status"),
    Case(LIST, {"action": "status", "order": str(PARTIAL)}, STATUS | CURRENCY, "status"),
    Case(FIRST, {"action": "status", "orders": MANY}, statuses(STATUS, {}), "many statuses"),
    Case(LIST, {"action": "status", "orders": MANY}, statuses(STATUS, CURRENCY), "many statuses"),
    Case(FIRST + LIST, {"action": "balance"}, {"balance": "68.6868", "currency": "USD"}, "balance"),
    Case(FIRST + LIST, {"action": "refill", "order": str(COMPLETED)}, {"refill": "1"}, "refill"),
    Case(FIRST, {"action": "refill", "orders": f"{COMPLETED},{NOBODYS}"}, {"refill": "1"}, "many refills"),
    Case(
        LIST,
        {"action": "refill", "orders": f"{COMPLETED},{NOBODYS}"},
        [{"order": COMPLETED, "refill": 1}, {"order": NOBODYS, "refill": WRONG}],
        "many refills",
    ),
    Case(FIRST + LIST, {"action": "refill_status", "refill": "1"}, {"status": "Completed"}, "refill status"),
    *(
        Case(
            of,
            {"action": "refill_status", "refills": "1,2,3"},
            [*ALL_REFILLS, {"refill": 3, "status": {"error": error}}],
            "many refill statuses",
        )
        for of, error in ((FIRST, "Incorrect refill ID"), (LIST, "Refill not found"))
    ),
    Case(
        [S3],
        {"action": "cancel", "orders": f"{NOBODYS},{UNDER_WAY}"},
        [{"order": NOBODYS, "cancel": WRONG}, {"order": UNDER_WAY, "cancel": 1}],
        "cancel",
    ),
]
# Orders of products, under the ids that the shop gives them.
DELIVERED = {"charge": 7.5, "status": "Completed", "result": "c85c1d1a-9ef3-4d01-8c58-3dfaf3bbc78e"}
IN_PART = {"charge": 6, "status": "Partial", "remains": 3, "result": "c85c1d1a-9ef3-4d01-8c58-3dfaf3bbc457"}
NOT_DELIVERED = {"charge": 0, "status": "Canceled", "note": "Out of stock"}
THREE = {"201": DELIVERED, str(NOBODYS): WRONG, "203": NOT_DELIVERED}
CASES += [
    Case(
        FIRST,
        {"action": "add_product_order", "quantity": "3", "require": "me@example.org"},
        {"order": 99999},
        "add a product",
    ),
    Case(FIRST, {"action": "product_order_status", "order": "201"}, DELIVERED, "status of a product"),
    Case([S0, S1], {"action": "product_order_status", "order": "202"}, IN_PART, "status of a product in part"),
    Case(
        [S0, S1],
        {"action": "product_order_status", "orders": f"201,{NOBODYS},203,202"},
        THREE | {"202": IN_PART},
        "statuses of products",
    ),
    Case([S2], {"action": "product_order_status", "orders": f"201,{NOBODYS},203"}, THREE, "statuses of products"),
    Case(
        [S0, S1],
        {"action": "result_product", "order": "201"},
        {"result": ["abc@gmail | 2 | 3", "abc1@gmail | 2 | 3", "abc2@gmail | 2 | 3"]},
        "goods",
    ),
]
PRODUCTS: list[dict[str, Any]] = [
    {
        "name": "Netflix premium 1 month",
        "require": "Input your account",
        "rate": 2.5,
        "min": 1,
        "max": 10,
        "category": "Netflix",
        "status": "In stock",
        "inventory": 40,
        "type": "Auto",
    },
    {
        "name": "Youtube premium 1 month",
        "require": "Input your account",
        "rate": 5,
        "min": 1,
        "max": 1,
        "category": "Youtube",
        "status": "Out of stock",
        "inventory": 0,
        "type": "Auto",
    },
    {
        "name": "Facebook account 5000 friends",
        "rate": 0.5,
        "min": 1,
        "max": 2,
        "category": "Facebook",
        "status": "In stock",
        "type": "Service",
    },
]
# Keys of ours beyond a document's: PROTOCOL 12 names them.
BEYOND = {"cancel", "dripfeed", "desc", "currency"}


@pytest.fixture
def trading(customer: User, make_service: MakeService, make_product: MakeProduct, fund: Fund, place: Place) -> User:
    """Carla, whose orders and refills have the ids that the cases ask for."""
    service = make_service(min=10, refill=True, cancel=True, rate=Decimal("0.90"))
    make_service(min=10, type="Custom Comments")
    ProviderService.objects.update(cancel=True)
    fund(customer, "100")
    shop.order(customer, service, place, PARTIAL, shop.PARTIAL)
    shop.order(customer, service, place, UNDER_WAY, shop.UNDER_WAY)
    shop.order(customer, service, place, COMPLETED, shop.COMPLETED)
    shop.refill(customer, service, place, 11, 1, Refill.Status.COMPLETED)
    shop.refill(customer, service, place, 12, 2, Refill.Status.REJECTED)
    products = make_product(lines=shop.LINES), make_product(source="hand", require="Your account", own_rate=Decimal(2))
    shop.trade_products(customer, products, place)
    shop.begin("orders_order", 23501)
    shop.begin("orders_refill", 4)
    return customer


def same_shape(ours: Any, theirs: Any) -> None:
    """Hold an answer to an example: containers, keys, and what is text, number or flag; words where words count."""
    assert kind_of(ours) is kind_of(theirs), (ours, theirs)
    if isinstance(theirs, dict):
        assert set(ours) - BEYOND == set(theirs) - BEYOND
        assert set(theirs) <= set(ours)
        for name, value in theirs.items():
            same_shape(ours[name], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same_shape(one, other)


def kind_of(value: Any) -> type:
    """Return what a value is in JSON, which knows one kind of numbers."""
    return float if type(value) is int else type(value)


def same_words(ours: Any, theirs: Any) -> None:
    """Hold what an answer says about ids to the example's own words."""
    if isinstance(theirs, dict):
        for name, value in theirs.items():
            if name in {"error", "note"}:
                assert ours[name] == value
            else:
                same_words(ours[name], value)
    elif isinstance(theirs, list):
        for one, other in zip(ours, theirs, strict=True):
            same_words(one, other)


@pytest.mark.parametrize(
    ("document", "case"),
    [(document, case) for case in CASES for document in case.of],
    ids=lambda value: value.what if isinstance(value, Case) else value[:3],
)
def test_a_request_of_a_document_is_answered_in_its_shape(
    document: str,
    case: Case,
    trading: User,
    make_service: MakeService,
    make_product: MakeProduct,
    api_key: str,
    books: None,
) -> None:
    style = ApiKey.Style.FIRST if document in FIRST else ApiKey.Style.LIST
    ApiKey.objects.update(style=style)
    call = dict(case.call)
    if call["action"] == "add":
        call["service"] = str(make_service(type=case.type, min=1, max=100_000, **case.service).pk)
    elif call["action"] == "add_product_order":
        call["product"] = str(make_product(lines=["one", "two", "three"], require="Your account").pk)
    answer = post("/api/v2", urlencode({"key": api_key, **call}), FORM)
    same_shape(answer, case.answer)
    same_words(answer, case.answer)
    if call["action"] == "add":
        order = Order.objects.get(pk=answer["order"])
        assert (order.link, str(order.service_id)) == (LINK, call["service"])


def test_only_the_words_of_the_documents_stand_for_a_status(trading: User, api: Callable[..., Any]) -> None:
    """`Success` in an example of 002 is none of the words that the same document lists below it."""
    assert api(action="status", order=PARTIAL)["status"] == "Partial"
    assert api(action="status", order=COMPLETED)["status"] == "Completed"
    assert set(Order.Status.values) == {"Pending", "Processing", "In progress", "Completed", "Partial", "Canceled"}


def test_products_are_listed_just_as_the_documents_have_them(
    api: Callable[..., Any], make_product: MakeProduct
) -> None:
    """All three documents show the same list; where a key is absent there, it is absent here."""
    lines = [f"{number} | 2 | 3" for number in range(40)]
    kept: list[dict[str, Any]] = [{"lines": lines}, {}, {"source": "hand"}]
    for row, how in zip(PRODUCTS, kept, strict=True):
        make_product(
            name=row["name"],
            require=row.get("require", ""),
            own_rate=Decimal(str(row["rate"])),
            max=row["max"],
            category=Category.objects.create(name=row["category"]),
            kind=row["type"],
            **how,
        )
    listed = api(action="products")
    assert [{name: value for name, value in row.items() if name != "product"} for row in listed] == PRODUCTS
    assert all(type(row["product"]) is int for row in listed)
