"""Request forms × actions: however a call is written, it gets the same answer, in the same state of things."""

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction

from accounts.models import User
from panel.api.actions import ACTIONS
from tests.conftest import Fund, MakeProduct, MakeService, Place
from tests.contract import shop
from tests.integration.api.senders import FORM, JSON, SENDERS, post

PATHS = ["/api/v2", "/api/v2/"]
LINK = "https://example.org/ü?a=1&b=%20+"
SOME = f"{1},{100},{999}"

CALLS: dict[str, dict[str, str]] = {
    "services": {"action": "services"},
    "balance": {"action": "balance"},
    "updates": {"action": "updates", "since": "2026-01-31", "limit": "1"},
    "add": {"action": "add", "service": "1", "link": LINK, "quantity": "200"},
    "add in runs": {"action": "add", "service": "1", "link": LINK, "quantity": "200", "runs": "2", "interval": "5"},
    "add once": {"action": "add", "service": "1", "link": LINK, "quantity": "200", "idempotency_key": "7"},
    "add comments": {"action": "add", "service": "2", "link": LINK, "comments": "one, and\r\ntwo\n\nthree"},
    "add refused": {"action": "add", "service": "1", "link": LINK, "quantity": "1"},
    "status": {"action": "status", "order": "1"},
    "statuses": {"action": "status", "orders": SOME},
    "statuses by order": {"action": "status", "order": SOME},
    "refill": {"action": "refill", "order": "2"},
    "refills": {"action": "refill", "orders": "2, 100,999"},
    "refill status": {"action": "refill_status", "refill": "1"},
    "refill statuses": {"action": "refill_status", "refills": "1,2, 999"},
    "cancel": {"action": "cancel", "orders": "100,2,999"},
    "cancel one": {"action": "cancel", "order": "100"},
    "products": {"action": "products"},
    "buy": {"action": "add_product_order", "product": "4", "quantity": "2"},
    "buy once": {"action": "add_product_order", "product": "4", "quantity": "2", "request_id": "8"},
    "buy what asks": {"action": "add_product_order", "product": "6", "quantity": "1", "require": "Grüße, 1+1 & ü"},
    "buy in vain": {"action": "add_product_order", "product": "5", "quantity": "1", "require": "me@example.org"},
    "product status": {"action": "product_order_status", "order": "201"},
    "product statuses": {"action": "product_order_status", "orders": "201,202, 203,1,999"},
    "goods": {"action": "result_product", "order": "201"},
    "nonsense": {"action": "nonsense"},
    "nothing": {"action": ""},
}


@pytest.fixture
def trading(customer: User, make_service: MakeService, make_product: MakeProduct, fund: Fund, place: Place) -> User:
    shop.trade(customer, shop.stock(make_service)[0], fund, place)
    shop.trade_products(customer, shop.shelve(make_product), place)
    return customer


def afresh(send: Callable[..., Any], *given: Any) -> Any:
    """Call, and undo what the call did: the next one finds everything as this one did, down to the next ids."""
    shop.begin("orders_order", 23501)
    shop.begin("orders_refill", 3)
    before = transaction.savepoint()
    answer = send(*given)
    transaction.savepoint_rollback(before)
    return answer


def by_form(api_key: str, call: dict[str, str]) -> Any:
    return afresh(post, PATHS[0], urlencode({"key": api_key, **call}))


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_answered_alike_in_every_form_at_both_addresses(name: str, trading: User, api_key: str) -> None:
    call, expected = CALLS[name], by_form(api_key, CALLS[name])
    # Either address with half of the forms, and with a plain form both.
    for (form, send), path in zip(SENDERS.items(), itertools.cycle(PATHS), strict=False):
        assert afresh(send, path, {"key": api_key, **call}) == expected, (form, path)
    assert afresh(SENDERS["form"], PATHS[1], {"key": api_key, **call}) == expected


def test_the_calls_above_are_all_actions_and_do_what_they_say(trading: User, api_key: str) -> None:
    assert {call["action"] for call in CALLS.values()} - {"nonsense", ""} == set(ACTIONS) - set(ALIASES)
    answers = {name: by_form(api_key, call) for name, call in CALLS.items()}
    refused = {name for name, answer in answers.items() if isinstance(answer, dict) and "error" in answer}
    assert refused == {"add refused", "buy in vain", "nonsense", "nothing"}
    assert {name for name, answer in answers.items() if answer == {"order": 23501}} == {
        "add",
        "add in runs",
        "add once",
        "add comments",
        "buy",
        "buy once",
        "buy what asks",
    }
    assert answers["buy in vain"] == {"error": "Out of stock"}
    assert answers["goods"] == {"result": shop.LINES}
    assert (answers["refill"], answers["cancel one"]) == ({"refill": "3"}, [{"order": 100, "cancel": 1}])


ALIASES = {
    "statuses": "statuses",
    "multi_status": "statuses",
    "multi-status": "statuses",
    "orders": "statuses",
    "multiple_refill": "refills",
    "multiple_refill_status": "refill statuses",
}


@pytest.mark.parametrize("alias", ALIASES)
def test_an_action_answers_alike_under_its_other_names(alias: str, trading: User, api_key: str) -> None:
    call = CALLS[ALIASES[alias]]
    for send in SENDERS.values():
        answer = afresh(send, PATHS[0], {"key": api_key, **call, "action": alias})
        assert answer == by_form(api_key, call)


def ways(name: str, ids: list[int]) -> dict[str, tuple[str, str]]:
    """Return each way to send many ids: a body, with its content type."""
    texts = [str(number) for number in ids]
    singular = name.removesuffix("s")
    return {
        "comma list": (urlencode({name: ",".join(texts)}), FORM),
        "comma list with blanks": (urlencode({name: f" {' , '.join(texts)} ,,"}), FORM),
        "repeated": (urlencode([(name, text) for text in texts]), FORM),
        "name[]": (urlencode([(f"{name}[]", text) for text in texts]), FORM),
        "name[0]": (urlencode([(f"{name}[{place}]", text) for place, text in enumerate(texts)]), FORM),
        "comma list in the singular": (urlencode({singular: ",".join(texts)}), FORM),
        "repeated singular": (urlencode([(singular, text) for text in texts]), FORM),
        "JSON list in a form": (urlencode({name: json.dumps(texts)}), FORM),
        "JSON list of numbers": (json.dumps({name: ids}), JSON),
        "JSON list of texts": (json.dumps({name: texts}), JSON),
        "JSON comma list": (json.dumps({name: ",".join(texts)}), JSON),
        "JSON comma list in the singular": (json.dumps({singular: ",".join(texts)}), JSON),
        "JSON object": (json.dumps({name: dict(enumerate(ids))}), JSON),
    }


LISTS = {
    "status": ("orders", [1, 100, 999]),
    "refill": ("orders", [2, 100, 999]),
    "refill_status": ("refills", [1, 2, 999]),
    "cancel": ("orders", [100, 2, 999]),
    "product_order_status": ("orders", [201, 203, 999]),
}


@pytest.mark.parametrize("action", LISTS)
def test_many_ids_are_understood_in_every_way(action: str, trading: User, api_key: str) -> None:
    name, ids = LISTS[action]
    address = f"{PATHS[0]}?{urlencode({'key': api_key, 'action': action})}"
    expected = by_form(api_key, {"action": action, name: ",".join(map(str, ids))})
    assert len(expected) == len(ids)
    for way, (body, content_type) in ways(name, ids).items():
        assert afresh(post, address, body, content_type) == expected, way


OPTIONAL = {
    "add": ("runs", "interval", "idempotency_key", "request_id", "comments", "list"),
    "status": ("orders",),
    "statuses": ("order",),
    "refill": ("orders",),
    "refill status": ("refills",),
    "cancel one": ("orders",),
    "updates": ("nothing", "order"),
    "balance": ("order", "service"),
    "products": ("order", "product"),
    "buy": ("require", "idempotency_key", "request_id"),
    "product status": ("orders",),
}


@pytest.mark.parametrize("nothing", ["", " ", "undefined", "null", "Undefined", None])
def test_what_stands_for_nothing_changes_nothing(nothing: str | None, trading: User, api_key: str) -> None:
    for name, optional in OPTIONAL.items():
        call = {"key": api_key, **CALLS[name]}
        body = json.dumps(call | dict.fromkeys(optional, nothing))
        assert afresh(post, PATHS[0], body, JSON) == by_form(api_key, CALLS[name]), name


@pytest.mark.parametrize(
    ("ours", "theirs"), [("comments", "customComments"), ("comments", "comments[]"), ("comments", "comments[0]")]
)
def test_a_parameter_is_known_under_its_other_names(ours: str, theirs: str, trading: User, api_key: str) -> None:
    call = dict(CALLS["add comments"])
    expected = by_form(api_key, call)
    call[theirs] = call.pop(ours)
    assert by_form(api_key, call) == expected == {"order": 23501}
