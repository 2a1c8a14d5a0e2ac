"""The same call in every form that clients send gets the same answer, at both spellings of the address."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Service
from orders.models import Order
from tests.conftest import Fund, MakeService, Place
from tests.integration.api.senders import FORM, JSON, SENDERS, post

Api = Callable[..., Any]
PATHS = ["/api/v2", "/api/v2/"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", SENDERS)
def test_every_form_of_a_call_has_the_same_answer(
    form: str, path: str, customer: User, api: Api, api_key: str, make_service: MakeService, fund: Fund, place: Place
) -> None:
    service = make_service(name="Übersetzung 🚀")
    fund(customer, "10")
    order = place(customer, service)
    for call in (
        {"action": "services"},
        {"action": "balance"},
        {"action": "status", "order": str(order.pk)},
        {"action": "status", "orders": f"{order.pk}, 999"},
        {"action": "add", "service": str(service.pk), "link": "https://e.org/ü?a=1&b=%20+", "quantity": "20"},
        {"action": "add", "service": "nonsense"},
        {"action": "nonsense"},
    ):
        # The key makes the second placing harmless, so that its answer can be compared as well.
        call["idempotency_key"] = f"{form} {path} {call['action']}"
        expected = api(**call)
        assert SENDERS[form](path, {"key": api_key, **call}) == expected
    assert Order.objects.latest("id").link == "https://e.org/ü?a=1&b=%20+"
    assert Order.objects.count() == 2


def lists(ids: list[int]) -> dict[str, tuple[str, str]]:
    """Return each way to send many ids, as the body after key and action, with its content type."""
    texts = [str(number) for number in ids]
    rest = {"orders": ids}
    return {
        "comma list": (urlencode({"orders": ",".join(texts)}), FORM),
        "comma list with spaces": (urlencode({"orders": f" {' , '.join(texts)} ,,"}), FORM),
        "repeated key": (urlencode([("orders", text) for text in texts]), FORM),
        "orders[]": (urlencode([("orders[]", text) for text in texts]), FORM),
        "orders[0]": (urlencode([(f"orders[{place}]", text) for place, text in enumerate(texts)]), FORM),
        "comma list in order": (urlencode({"order": ",".join(texts)}), FORM),
        "JSON list in a form": (urlencode({"orders": json.dumps(texts)}), FORM),
        "JSON list of numbers": (json.dumps(rest), JSON),
        "JSON list of texts": (json.dumps({"orders": texts}), JSON),
        "JSON comma list": (json.dumps({"orders": ",".join(texts)}), JSON),
        "JSON object": (json.dumps({"orders": dict(enumerate(ids))}), JSON),
    }


@pytest.mark.parametrize("way", lists([1, 2]))
def test_many_ids_come_in_many_ways(
    way: str, customer: User, api_key: str, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    ids = [place(customer, service).pk, place(customer, service).pk, 999_999]
    body, content_type = lists(ids)[way]
    answer = post(f"/api/v2?key={api_key}&action=status", body, content_type)
    assert list(answer) == [str(number) for number in ids]
    assert [part.get("status") for part in answer.values()] == ["Pending", "Pending", None]


@pytest.mark.parametrize("action", ["status", "orders", "statuses", "multi_status", "multi-status"])
def test_the_other_names_of_a_batch_status_are_known(
    action: str, api: Api, customer: User, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    order = place(customer, service)
    assert api(action=action, orders=str(order.pk))[str(order.pk)]["status"] == "Pending"


def test_orders_without_ids_is_no_action_of_ours(api: Api) -> None:
    assert api(action="orders", limit="10") == {"error": "Incorrect request"}


@pytest.mark.parametrize("nothing", ["", " ", "undefined", "null"])
def test_what_clients_send_for_nothing_counts_as_absent(
    nothing: str, api: Api, customer: User, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "10")
    order = place(customer, service)
    assert api(action="status", order=order.pk, orders=nothing)["status"] == "Pending"
    assert api(action=nothing) == {"error": "Incorrect request"}


def test_comments_may_be_a_json_list_and_keep_their_commas(
    api_key: str, customer: User, make_service: MakeService, fund: Fund
) -> None:
    service = make_service(type="Custom Comments", min=1)
    fund(customer, "10")
    call = {"key": api_key, "action": "add", "service": service.pk, "link": "x", "comments": ["one, and", "two\ud83d"]}
    answer = post("/api/v2", json.dumps(call), JSON)
    order = Order.objects.get(pk=answer["order"])
    assert (order.quantity, order.details) == (2, {"comments": "one, and\ntwo\ufffd"})


def test_unknown_fields_old_agents_and_any_accept_header_are_welcome(api_key: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["panel.example"]
    headers = {
        "User-Agent": "Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)",
        "Accept": "text/html",
        "Host": "elsewhere.example",
        "Origin": "https://elsewhere.example",
        "Connection": "close",
        "X-Forwarded-Proto": "http",
    }
    body = urlencode({"key": api_key, "action": "balance", "custom_id": "7", "is_test": "1"})
    assert post("/api/v2", body, FORM, **headers) == {"balance": "0.00000", "currency": "USD"}


def test_a_long_list_of_comments_fits(api_key: str, customer: User, make_service: MakeService, fund: Fund) -> None:
    service = make_service(type="Custom Comments", min=1)
    fund(customer, "1000")
    comments = "\n".join(f"comment number {number:06}" for number in range(40_000))
    body = urlencode({"key": api_key, "action": "add", "service": service.pk, "link": "x", "comments": comments})
    assert 1_000_000 > len(body) > 900_000
    assert Order.objects.get(pk=post("/api/v2", body)["order"]).quantity == 40_000


def test_no_cookie_and_no_redirect_ever_comes_back(api_key: str) -> None:
    for path in PATHS:
        response = Client().post(path, {"key": api_key, "action": "balance"})
        assert response.status_code == 200
        assert not response.cookies
        assert response["Cache-Control"] == "no-store"
        assert "Vary" not in response
