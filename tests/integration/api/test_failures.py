"""What goes wrong is JSON with one text, and only our own failures are 5xx."""

import json
import logging
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import User
from catalog.models import Service
from orders.models import Order
from panel.api.params import BODY_LIMIT
from panel.api.views import ApiView
from tests.conftest import Fund
from tests.integration.api.senders import FORM, JSON, post

BAD_KEY = {"error": "Invalid API key"}
INCORRECT = {"error": "Incorrect request"}
MULTIPART = 'multipart/form-data; boundary="b"'
PARTS = "".join(
    f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in {"key": "KEY", "action": "balance"}.items()
)
PARTS += "--b--\r\n"


@pytest.mark.parametrize(
    ("body", "content_type", "answer"),
    [
        ("", FORM, BAD_KEY),
        ("nonsense", FORM, BAD_KEY),
        ("<xml/>", "text/xml", BAD_KEY),
        ("null", JSON, BAD_KEY),
        ('"text"', JSON, BAD_KEY),
        ("{", JSON, INCORRECT),
        ('{"key": "x",}', JSON, INCORRECT),
        ("[]", JSON, INCORRECT),
        ('[{"key": "x"}]', FORM, INCORRECT),
        ("{}", JSON, BAD_KEY),
        ("[" * 100_000, JSON, INCORRECT),
        ('{"a":' * 100_000, JSON, INCORRECT),
        ('{"key": ' + "9" * 10_000 + "}", JSON, BAD_KEY),
        ('{"key": ["x"]}', JSON, BAD_KEY),
        ('{"key": {"a": "x"}}', JSON, BAD_KEY),
        ('{"key": "\\u0000"}', JSON, BAD_KEY),
        ('{"key": "\\ud800"}', JSON, BAD_KEY),
        (b'{"key": "\xff\xfe"}', JSON, BAD_KEY),
        (b"key=\xff\xfe&action=balance", FORM, BAD_KEY),
        ("key=%00%ff&action=%ed%a0%80", FORM, BAD_KEY),
        ("key[]=x", FORM, BAD_KEY),
        ("&".join(["a=1"] * 10_001), FORM, INCORRECT),
        ("x", "multipart/form-data", INCORRECT),
        ("x", "multipart/form-data; boundary=é", INCORRECT),
        ("--b\r\n\r\n", "multipart/form-data; boundary=b", BAD_KEY),
    ],
)
def test_what_cannot_be_read_is_refused_in_json(db: None, body: Any, content_type: str, answer: Any) -> None:
    assert post("/api/v2", body, content_type) == answer


def test_a_key_in_a_list_is_no_key(api_key: str) -> None:
    assert post("/api/v2", json.dumps({"key": [api_key], "action": "balance"}), JSON) == BAD_KEY
    assert post("/api/v2", f"key[]={api_key}&action=balance") == BAD_KEY


def test_the_key_is_judged_before_the_action(api_key: str) -> None:
    assert post("/api/v2", "key=wrong&action=nonsense") == BAD_KEY
    assert post("/api/v2", f"key={api_key}&action=nonsense") == INCORRECT
    assert post("/api/v2", f"key={api_key}&action[]=balance") == INCORRECT
    assert post("/api/v2", f"key={api_key}") == INCORRECT


def test_a_body_beyond_the_limit_is_refused_and_one_at_it_is_read(api_key: str) -> None:
    fits = f"key={api_key}&action=balance&padding=".ljust(BODY_LIMIT, "x")
    assert post("/api/v2", fits)["balance"] == "0.00000"
    assert post("/api/v2", f"{fits}x") == {"error": "Invalid parameters: the request is larger than 2 MB"}


def test_a_body_that_breaks_off_places_nothing(api_key: str, customer: User, service: Service, fund: Fund) -> None:
    fund(customer, "10")
    body = f"key={api_key}&action=add&service={service.pk}&link=x&quantity={service.min}"
    meta = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/v2", "CONTENT_TYPE": FORM, "CONTENT_LENGTH": len(body) + 1}
    cut = WSGIRequest({**meta, "wsgi.input": BytesIO(body.encode())})
    assert json.loads(ApiView.as_view()(cut).content) == INCORRECT
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("content_type", "body", "is_whole"),
    [
        (JSON, '{"key": "KEY", "action": "balance"}', True),
        (JSON, '{"key": "KEY", "action": "balance"', False),
        (MULTIPART, PARTS, True),
        (MULTIPART, PARTS.strip(), True),
        (MULTIPART, PARTS.strip()[:-1], False),
        (MULTIPART, PARTS.partition("--b--")[0], False),
        (FORM, "key=KEY&action=balance", False),
    ],
)
def test_a_body_without_a_length_must_show_its_own_end(
    api_key: str, content_type: str, body: str, *, is_whole: bool
) -> None:
    meta = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/v2", "CONTENT_TYPE": content_type, "wsgi.input_terminated": 1}
    chunked = WSGIRequest({**meta, "wsgi.input": BytesIO(body.replace("KEY", api_key).encode())})
    assert ("balance" in json.loads(ApiView.as_view()(chunked).content)) is is_whole


@pytest.mark.parametrize("value", ["https://e.org/\x00", "https://e.org/\ud83d", ["https://e.org/"], {"a": "b"}, []])
def test_a_link_that_cannot_be_read_is_never_bought(
    value: Any, api_key: str, customer: User, service: Service, fund: Fund
) -> None:
    fund(customer, "10")
    call = {"key": api_key, "action": "add", "service": service.pk, "link": value, "quantity": service.min}
    assert post("/api/v2", json.dumps(call), JSON) == {"error": "Invalid link"}


def test_a_link_in_another_encoding_is_never_bought(api_key: str, customer: User, service: Service, fund: Fund) -> None:
    fund(customer, "10")
    body = f"key={api_key}&action=add&service={service.pk}&quantity={service.min}&link=https://e.org/caf%E9"
    assert post("/api/v2", body) == {"error": "Invalid link"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_refused_in_json(db: None, method: str) -> None:
    response = Client().generic(method, "/api/v2")
    assert response.status_code == 405
    assert json.loads(response.content) == {"error": "Method Not Allowed"}
    assert response["Allow"] == "GET, POST, HEAD"


def test_a_probe_buys_nothing(api_key: str, customer: User, service: Service, fund: Fund) -> None:
    fund(customer, "10")
    call = {"key": api_key, "action": "add", "service": service.pk, "link": "x", "quantity": service.min}
    response = Client().head("/api/v2", query_params=call)
    assert (response.status_code, response.content) == (200, b"")
    assert not Order.objects.exists()


def test_the_address_has_a_name_for_pages() -> None:
    assert reverse("api") == "/api/v2"


def test_our_own_failure_is_a_500_in_json_with_the_traceback_in_the_log_but_not_the_key(
    api_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order RENAME TO orders_order_elsewhere")
    with caplog.at_level(logging.DEBUG):
        response = Client(raise_request_exception=False).get(f"/api/v2?key={api_key}&action=status&order=1")
    assert response.status_code == 500
    assert json.loads(response.content) == {"error": "Internal server error"}
    assert "ProgrammingError" in caplog.text
    assert api_key not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_a_503_that_says_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    with monkeypatch.context() as elsewhere:
        elsewhere.setitem(connection.settings_dict, "PORT", "1")
        response = Client().post("/api/v2", {"key": "x", "action": "balance"})
    assert response.status_code == 503
    assert json.loads(response.content) == {"error": "This panel is temporarily unavailable"}
    assert post("/api/v2", "key=x") == BAD_KEY
