"""What an order of each service type must say, what it is charged for, and what goes upstream of it (PROTOCOL 2)."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.errors import UserError
from accounts.models import User
from catalog.models import ProviderService, Service
from orders import claiming, forms, placing
from orders.models import Dispatch
from orders.reading import LONGEST_LIST
from tests.conftest import Fund, MakeService, Place

LINK = "https://example.org/page"
TRAFFIC = {"country": "US", "device": "5", "type_of_traffic": "3"}
# type, what is given beside the link, units, what goes upstream beside the link
TYPES: tuple[tuple[str, dict[str, str], int, dict[str, str]], ...] = (
    ("Default", {"quantity": "100"}, 100, {"quantity": "100"}),
    ("Package", {"quantity": "100"}, 1, {}),
    (
        "SEO",
        {"quantity": "100", "keywords": "one, two\nthree"},
        100,
        {"quantity": "100", "keywords": "one, two\nthree"},
    ),
    ("Custom Comments", {"quantity": "7", "comments": "a\r\nb\rc"}, 3, {"comments": "a\nb\nc"}),
    ("Custom Comments Package", {"quantity": "7", "comments": "a\\nb"}, 1, {"comments": "a\nb"}),
    ("Mentions", {"quantity": "50", "usernames": "@a\n\n b "}, 50, {"quantity": "50", "usernames": "@a\nb"}),
    (
        "Mentions with Hashtags",
        {"quantity": "50", "usernames": "a", "hashtags": "#x\n#y"},
        50,
        {"quantity": "50", "usernames": "a", "hashtags": "#x\n#y"},
    ),
    ("Mentions Custom List", {"usernames": "a\nb\nc"}, 3, {"usernames": "a\nb\nc"}),
    ("Mentions Hashtag", {"quantity": "50", "hashtag": " #x "}, 50, {"quantity": "50", "hashtag": "#x"}),
    (
        "Mentions User Followers",
        {"quantity": "50", "username": "https://example.org/carla"},
        50,
        {"quantity": "50", "username": "https://example.org/carla"},
    ),
    ("Mentions Media Likers", {"quantity": "50", "media": LINK}, 50, {"quantity": "50", "media": LINK}),
    ("Comment Likes", {"quantity": "50", "username": "carla"}, 50, {"quantity": "50", "username": "carla"}),
    ("Comment Replies", {"username": "carla", "comments": "a\nb"}, 2, {"username": "carla", "comments": "a\nb"}),
    ("Poll", {"quantity": "50", "answer_number": " 02 "}, 50, {"quantity": "50", "answer_number": "2"}),
    ("Invites from Groups", {"quantity": "50", "groups": "a\nb"}, 50, {"quantity": "50", "groups": "a\nb"}),
    ("Web Traffic", {"quantity": "50", **TRAFFIC}, 50, {"quantity": "50", **TRAFFIC}),
    ("Special (1DG)", {"quantity": "50", "list": "a\nb"}, 50, {"quantity": "50", "list": "a\nb"}),
    (
        "Special 1 (1DG)",
        {"quantity": "50", "suggest": "a\nb", "search": "c d"},
        50,
        {"quantity": "50", "suggest": "a\nb", "search": "c d"},
    ),
)
FLAT = {"Package", "Custom Comments Package"}


def refusal(service: Service, **values: str) -> tuple[str, str]:
    with pytest.raises(UserError) as error:
        forms.parse_order(service, {"link": LINK, "quantity": "50", **values})
    return error.value.text, error.value.field


def test_every_type_but_the_unknown_one_and_the_one_without_a_link_is_told_here() -> None:
    told = {kind for kind, *_ in TYPES}
    assert told | {"Subscriptions"} == set(forms.FORMS) == set(Service.Type) - {"Unknown"}


@pytest.mark.parametrize(("kind", "given", "units", "sent"), TYPES, ids=[kind for kind, *_ in TYPES])
def test_each_type_is_charged_by_its_own_units_and_sent_with_its_own_parameters(
    customer: User,
    make_service: MakeService,
    fund: Fund,
    books: None,
    kind: str,
    given: dict[str, str],
    units: int,
    sent: dict[str, str],
) -> None:
    fund(customer, "10")
    service = make_service(type=kind, min=1, rate=Decimal(2))
    request = forms.parse_order(service, {"link": LINK, "nonsense": "x", **given})
    assert request.units == units
    placing.place_order(customer.pk, request)
    dispatch = Dispatch.objects.select_related("order__service", "provider_service", "provider").get()
    assert dispatch.order.charge == (2 if kind in FLAT else Decimal(2) * units / 1000)
    remote = ProviderService.objects.get().remote_id
    assert claiming.describe(dispatch, dispatch.provider) == {"service": remote, "link": LINK, **sent}


@pytest.mark.parametrize(("kind", "given", "_units", "sent"), TYPES, ids=[kind for kind, *_ in TYPES])
def test_each_parameter_of_a_type_is_wanted_and_its_absence_has_its_name(
    make_service: MakeService, kind: str, given: dict[str, str], _units: int, sent: dict[str, str]
) -> None:
    service = make_service(type=kind, min=1)
    for name in sent:
        for nothing in ("", " ", "null", "undefined"):
            assert refusal(service, **{**given, name: nothing}) == (f"Incorrect {name}", name)
    assert refusal(service, **{**given, "link": "two words"}) == ("Invalid link", "link")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Mentions Hashtag", "hashtag", "two words"),
        ("Mentions User Followers", "username", "two words"),
        ("Mentions Media Likers", "media", "x" * 2049),
        ("Comment Likes", "username", "a\x1ab"),
        ("Mentions", "usernames", "a\nb\x1ac"),
        ("SEO", "keywords", "x" * (LONGEST_LIST + 1)),
        ("Custom Comments", "comments", "x" * (LONGEST_LIST + 1)),
        ("Custom Comments", "comments", "\x00\n\x00"),
        ("Poll", "answer_number", "0"),
        ("Poll", "answer_number", "first"),
        ("Poll", "answer_number", "1.5"),
        ("Web Traffic", "device", "6"),
        ("Web Traffic", "device", "0"),
        ("Web Traffic", "type_of_traffic", "4"),
        ("Web Traffic", "type_of_traffic", "-1"),
        ("Web Traffic", "country", "United\nStates"),
        ("Web Traffic", "country", "x" * 201),
    ],
    ids=lambda value: value[:20],
)
def test_a_parameter_that_cannot_be_is_refused_by_its_name(
    make_service: MakeService, kind: str, name: str, value: str
) -> None:
    given = next(given for told, given, *_ in TYPES if told == kind)
    assert refusal(make_service(type=kind, min=1), **{**given, name: value}) == (f"Incorrect {name}", name)


@pytest.mark.parametrize(
    ("traffic", "name", "value"),
    [
        ("1", "google_keyword", ""),
        ("1", "google_keyword", "a\tb\rc"),
        ("2", "referring_url", "null"),
        ("2", "referring_url", "not one"),
    ],
)
def test_web_traffic_wants_what_goes_with_its_kind(
    make_service: MakeService, traffic: str, name: str, value: str
) -> None:
    wish = {**TRAFFIC, "type_of_traffic": traffic, name: value}
    assert refusal(make_service(type="Web Traffic"), **wish) == (f"Incorrect {name}", name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Custom Comments", "comments"), ("Mentions Custom List", "usernames"), ("Comment Replies", "comments")],
)
def test_where_lines_are_counted_they_are_held_to_the_limits(make_service: MakeService, kind: str, name: str) -> None:
    service = make_service(type=kind, min=2, max=3)
    wish = {"username": "carla"} if kind == "Comment Replies" else {}
    assert refusal(service, **wish, **{name: "a, b, c"}) == ("Quantity less than minimal 2", name)
    assert refusal(service, **wish, **{name: "a\nb\nc\nd"}) == ("Quantity more than maximum 3", name)
    assert forms.parse_order(service, {"link": LINK, **wish, name: "a\n \nb\\r\\nc\n"}).units == 3


@pytest.mark.parametrize("kind", ["SEO", "Mentions", "Poll", "Web Traffic", "Special (1DG)"])
def test_where_a_quantity_is_given_it_is_held_to_the_limits(make_service: MakeService, kind: str) -> None:
    given = next(given for name, given, *_ in TYPES if name == kind)
    service = make_service(type=kind, min=10, max=100)
    assert refusal(service, **{**given, "quantity": "9"}) == ("Quantity less than minimal 10", "quantity")
    assert refusal(service, **{**given, "quantity": "101"}) == ("Quantity more than maximum 100", "quantity")


def test_packages_are_one_whole_whatever_the_limits_say(make_service: MakeService) -> None:
    service = make_service(type="Custom Comments Package", min=5, max=5)
    assert forms.parse_order(service, {"link": LINK, "comments": "one"}).units == 1


@pytest.mark.parametrize(
    ("traffic", "kept"),
    [("1", {"google_keyword": "a b"}), ("2", {"referring_url": LINK}), ("3", {})],
)
def test_web_traffic_keeps_only_what_goes_with_its_kind(
    make_service: MakeService, traffic: str, kept: dict[str, str]
) -> None:
    both = {"google_keyword": "a b", "referring_url": LINK}
    wish = {"link": LINK, "quantity": "50", **TRAFFIC, **both, "type_of_traffic": traffic}
    request = forms.parse_order(make_service(type="Web Traffic"), wish)
    assert request.details == {"country": "US", "device": "5", "type_of_traffic": traffic, **kept}


def test_web_traffic_can_be_spread_like_the_usual_type(
    customer: User, make_service: MakeService, fund: Fund, place: Place, books: None
) -> None:
    fund(customer, "10")
    wish = {**TRAFFIC, "quantity": "100", "runs": "5", "interval": "60"}
    order = place(customer, make_service(type="Web Traffic", dripfeed=True, rate=Decimal(2)), **wish)
    assert (order.quantity, order.parts, order.charge, order.details) == (500, 5, Decimal(1), wish)
    sent = claiming.describe(order.dispatches.get(), order.dispatches.get().provider)
    assert (sent["quantity"], sent["runs"]) == ("100", "5")
    assert refusal(make_service(type="Web Traffic"), **wish)[0] == "Dripfeed is not supported by this service"


def test_a_type_that_cannot_be_spread_refuses_runs_whatever_its_flag_says(make_service: MakeService) -> None:
    wish = {"answer_number": "1", "runs": "5", "interval": "60"}
    service = make_service(type="Poll", dripfeed=True)
    assert refusal(service, **wish) == ("Dripfeed is not supported by this service", "runs")


@pytest.mark.parametrize(
    ("kind", "alias", "name"),
    [
        ("Custom Comments", "customComments", "comments"),
        ("Poll", "answers_number", "answer_number"),
        ("Mentions Media Likers", "media_url", "media"),
    ],
)
def test_a_parameter_may_have_the_name_that_other_panels_give_it(
    make_service: MakeService, kind: str, alias: str, name: str
) -> None:
    service = make_service(type=kind, min=1)
    wish = {"link": LINK, "quantity": "50", alias: "7"}
    assert forms.parse_order(service, wish).details == {name: "7"}
    assert forms.parse_order(service, {**wish, name: "8"}).details == {name: "8"}
    assert forms.parse_order(service, {**wish, name: "null"}).details == {name: "7"}


def test_a_control_character_in_a_comment_is_no_line_and_no_error(make_service: MakeService) -> None:
    service = make_service(type="Custom Comments", min=1)
    request = forms.parse_order(service, {"link": LINK, "comments": "a\x00b\n\x00\nc\td"})
    assert (request.units, request.details) == (2, {"comments": "ab\nc\td"})


def test_an_unknown_type_is_never_guessed_at(make_service: MakeService) -> None:
    assert refusal(make_service(type="Unknown", enabled=False)) == ("Incorrect service ID", "service")


def test_an_order_whose_service_lost_its_type_is_still_sent_with_all_it_said(
    customer: User, make_service: MakeService, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    order = place(customer, make_service(type="Poll"), link=LINK, quantity="50", answer_number="2")
    Service.objects.update(type="Unknown", enabled=False)
    dispatch: Any = Dispatch.objects.select_related("order__service", "provider_service").get(order=order)
    sent = claiming.describe(dispatch, dispatch.provider)
    assert {name: sent[name] for name in ("link", "quantity", "answer_number")} == {
        "link": LINK,
        "quantity": "50",
        "answer_number": "2",
    }


@pytest.mark.parametrize(("kind", "given", "_units", "sent"), TYPES, ids=[kind for kind, *_ in TYPES])
def test_a_key_stands_for_every_parameter_of_the_type(
    customer: User,
    make_service: MakeService,
    fund: Fund,
    place: Place,
    kind: str,
    given: dict[str, str],
    _units: int,
    sent: dict[str, str],
) -> None:
    fund(customer, "100")
    service = make_service(type=kind, min=1)
    first = place(customer, service, key="k", **{"link": LINK, **given})
    assert place(customer, service, key="k", **{"link": LINK, **given}) == first
    for name in sent.keys() - {"type_of_traffic"}:
        other = "4" if name in {"answer_number", "device"} else "60"
        with pytest.raises(UserError, match="another request"):
            place(customer, service, key="k", **{"link": LINK, **given, name: other})
