"""Whatever is sent, the API reads it as text or refuses it, and answers in JSON without failing."""

import json
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.errors import UserError
from accounts.models import User
from catalog.models import Service
from panel.api import params

NAMES = ["key", "action", "service", "link", "quantity", "comments", "order", "orders", "idempotency_key", "request_id"]
TYPES = [
    "",
    "application/json",
    "application/x-www-form-urlencoded; charset=UTF-8",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "text/plain; charset=utf-16",
]
any_text = st.text(st.characters(exclude_categories=[]), max_size=40)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.sampled_from(["1", "0", "null", "1,2,3", "[1]", "[", "undefined", "１２", "1e5", "9" * 30])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4))
names = st.sampled_from([*NAMES, "orders[]", "orders[0]", "key[a][b]", "[", ""]) | any_text
calls = st.dictionaries(names, values, max_size=8)
parts = st.lists(
    st.binary(max_size=30)
    | st.sampled_from(
        [
            b"--b\r\n",
            b"--b--\r\n",
            b'Content-Disposition: form-data; name="orders[]"\r\n',
            b'Content-Disposition: form-data; name="key"; filename="x"\r\n',
            b"Content-Transfer-Encoding: base64\r\n",
            b"Content-Type: text/plain; charset=utf-16\r\n",
            b"\r\n",
        ]
    ),
    max_size=12,
).map(b"".join)
fixed = settings(derandomize=True, deadline=None, max_examples=300)


def request(body: bytes, content_type: str, query: str) -> WSGIRequest:
    return WSGIRequest(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/api/v2",
            "QUERY_STRING": query,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
        }
    )


def read(body: bytes, content_type: str, query: str) -> dict[str, str]:
    try:
        return params.read_params(request(body, content_type, query))
    except UserError:
        return {}


@fixed
@given(st.binary(max_size=200) | parts, st.sampled_from(TYPES), st.text(st.characters(max_codepoint=255), max_size=40))
@example(b"[" * 100_000, "", "")
@example(b'{"a":' * 100_000, "", "")
@example(b'{"orders": ' + b"[" * 100_000, "", "orders=" + "[" * 100_000)
def test_any_bytes_become_text_that_the_database_can_store(body: bytes, content_type: str, query: str) -> None:
    for text in read(body, content_type, query).values():
        assert "\x00" not in text
        text.encode()


@fixed
@given(calls)
def test_any_json_object_becomes_text_that_the_database_can_store(call: dict[str, Any]) -> None:
    for text in read(json.dumps(call).encode(), "application/json", "").values():
        assert "\x00" not in text
        text.encode()


@fixed
@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffd"), min_size=1),
    )
)
def test_a_form_a_query_and_a_json_object_of_texts_read_the_same(call: dict[str, str]) -> None:
    # A JSON list inside a form's field is read as one; that is a form's own liberty.
    call = {name: text for name, text in call.items() if not text.lstrip().startswith("[")}
    form = urlencode(call)
    assert read(form.encode(), "", "") == read(b"", "", form) == read(json.dumps(call).encode(), "", "") == call


@pytest.mark.usefixtures("db", "books")
@settings(fixed, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls, action=st.sampled_from(["services", "add", "status", "orders", "balance", "nonsense"]))
def test_no_call_ever_fails_on_our_side(
    api_key: str, customer: User, service: Service, call: dict[str, Any], action: str
) -> None:
    real: dict[str, Any] = {"key": api_key, "action": action, "service": service.pk, "link": "x", "quantity": "100"}
    for sent in ({**real, **call}, {**call, **real}):
        response = Client(raise_request_exception=True).post("/api/v2", json.dumps(sent), "application/json")
        assert response.status_code == 200
        assert isinstance(json.loads(response.content), dict | list)
