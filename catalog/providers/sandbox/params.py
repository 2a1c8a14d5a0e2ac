"""Read the parameters of a call from the four forms in which clients send them (PROTOCOL 1.2); the body wins."""

import json
from decimal import Decimal
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl, urlsplit

BY_LINE = ("comments", "usernames")


def read_params(target: str, content_type: str, body: bytes) -> dict[str, str]:
    """Merge the query of the target and a form, multipart or JSON body; what cannot be read counts as not sent."""
    params = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    kind = content_type.partition(";")[0].strip().lower()
    # Some clients send JSON under a form header.
    if kind == "application/json" or body.lstrip()[:1] == b"{":
        return params | from_json(body)
    if kind == "multipart/form-data":
        return params | from_multipart(content_type, body)
    return params | dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def from_json(body: bytes) -> dict[str, str]:
    """Read a JSON object as parameters, in the text that a form would carry."""
    try:
        value = json.loads(body, parse_float=Decimal)
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: as_text(name, one) for name, one in value.items() if one is not None}


def as_text(name: str, value: Any) -> str:
    """Write one JSON value as a form would carry it: lists by comma, comments and usernames by line."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return ("\n" if name in BY_LINE else ",").join(as_text(name, one) for one in value)
    return str(value)


def from_multipart(content_type: str, body: bytes) -> dict[str, str]:
    """Read the text fields of a multipart form."""
    parser = BytesParser(EmailMessage, policy=policy.HTTP)
    message = parser.parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    params = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            params[name] = payload.decode("utf-8", "replace")
    return params
