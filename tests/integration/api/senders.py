"""Senders: every form in which clients of the field put a call on the wire (PROTOCOL 12)."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.test import Client

Send = Callable[[str, dict[str, Any]], Any]

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def post(path: str, body: bytes | str, content_type: str = FORM, **headers: str) -> Any:
    """POST a body as it is, with CSRF checks on and without an Accept header, and parse the answer."""
    client = Client(enforce_csrf_checks=True)
    response = client.generic("POST", path, body, content_type=content_type, headers=headers or None)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == JSON
    return json.loads(response.content)


def get(path: str, params: dict[str, Any]) -> Any:
    response = Client().get(f"{path}?{urlencode(params)}")
    assert response.status_code == 200, response.content
    return json.loads(response.content)


def multipart(path: str, params: dict[str, Any]) -> Any:
    response = Client(enforce_csrf_checks=True).post(path, params)
    assert response.status_code == 200, response.content
    return json.loads(response.content)


def as_numbers(params: dict[str, Any]) -> dict[str, Any]:
    """Write what looks like a number as a JSON number, as axios and fetch do."""
    return {name: int(value) if str(value).isdecimal() else value for name, value in params.items()}


def split(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put key and action into the query and leave the rest for the body."""
    front = {name: params[name] for name in ("key", "action")}
    return front, {name: value for name, value in params.items() if name not in front}


def without_key(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "key"}


def query_and_form(path: str, params: dict[str, Any]) -> Any:
    front, rest = split(params)
    return post(f"{path}?{urlencode(front)}", urlencode(rest))


def body_over_query(path: str, params: dict[str, Any]) -> Any:
    wrong = dict.fromkeys(params, "wrong")
    return post(f"{path}?{urlencode(wrong)}", urlencode(params))


SENDERS: dict[str, Send] = {
    "form": lambda path, params: post(path, urlencode(params)),
    "form with a charset": lambda path, params: post(path, urlencode(params), f"{FORM}; charset=UTF-8"),
    "form without a header": lambda path, params: post(path, urlencode(params), ""),
    "multipart": multipart,
    "JSON of texts": lambda path, params: post(path, json.dumps(params), JSON),
    "JSON of numbers": lambda path, params: post(path, json.dumps(as_numbers(params)), f"{JSON}; charset=utf-8"),
    "JSON under the header of a form": lambda path, params: post(path, f"\n {json.dumps(params)}", FORM),
    "JSON behind a byte order mark": lambda path, params: post(path, b"\xef\xbb\xbf" + json.dumps(params).encode()),
    "GET": get,
    "POST with everything in the query": lambda path, params: post(f"{path}?{urlencode(params)}", ""),
    "POST with the key in the query": query_and_form,
    "POST with a wrong query": body_over_query,
    "bearer": lambda path, params: post(
        path, urlencode(without_key(params)), FORM, Authorization=f"Bearer {params['key']}"
    ),
    "X-Api-Key": lambda path, params: post(path, urlencode(without_key(params)), FORM, **{"X-Api-Key": params["key"]}),
}
