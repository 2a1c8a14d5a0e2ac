"""From a request in any form that clients send to one flat mapping of texts (PROTOCOL 1.2, 1.5 and 12).

Guarantee: what comes out is text that PostgreSQL can store, numbers stand as they were written, and whatever cannot be
read ends in a UserError or in a value that no field takes; nothing that is sent can raise anything else.
"""

import json
import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters

from accounts.errors import UserError
from orders.reading import ALIASES, LISTS

BODY_LIMIT = 2 * 1024 * 1024  # bytes; long comment lists are legitimate
MOST_FIELDS = 10_000
INCORRECT_REQUEST = "Incorrect request"

# Where several values are one: ids stand in a comma list, texts in lines. Elsewhere the last one counts, as in PHP.
ID_LISTS = frozenset({"order", "orders", "refill", "refills"})
COMMENTS = frozenset({"comments", ALIASES["comments"]})
TEXT_LISTS = LISTS | COMMENTS

# A half character, an undecodable byte and NUL. In a comment it is replaced, as browsers do; no other field may be
# guessed at, and the control character SUBSTITUTE is refused by every link, number, id and key.
BROKEN = re.compile("[\x00\ud800-\udfff\ufffd]")
REPLACEMENT, UNREADABLE = "\ufffd", "\x1a"

Pairs = Iterable[tuple[str, Any]]


def read_params(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of a request, the body's over the query's; unknown ones are kept, the actions ignore them.

    Raises UserError when the body is too large, was cut short, or is no form and no JSON object.
    """
    query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
    return flatten(parse_form(query)) | flatten(parse_body(request.META))


def parse_body(meta: Mapping[str, Any]) -> Pairs:
    """Parse a body by what it looks like, since many clients send JSON under the header of a form.

    One without a length (chunked) may have been cut without anybody noticing, and half a number is a number too: it
    must show its own end, as JSON and multipart do and a form does not.
    """
    body, content_type = read_body(meta), meta.get("CONTENT_TYPE", "")
    is_measured = bool(meta.get("CONTENT_LENGTH"))
    if content_type.lower().startswith("multipart/form-data"):
        if not is_measured and not body.rstrip().endswith(_last_line(content_type)):
            raise UserError(INCORRECT_REQUEST)
        return parse_multipart(content_type, body)
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return parse_json(body)
    if body and not is_measured:
        raise UserError("Invalid parameters: Content-Length is required")
    return parse_form(body)


def read_body(meta: Mapping[str, Any]) -> bytes:
    """Read the whole body; of one without a length only where the server marks its end.

    Raises UserError beyond BODY_LIMIT, and when less arrives than was announced.
    """
    announced = str(meta.get("CONTENT_LENGTH") or "")
    if announced.isdecimal():
        size = min(int(announced[:20]), BODY_LIMIT + 1)
    else:
        size = BODY_LIMIT + 1 if meta.get("wsgi.input_terminated") else 0
    try:
        body: bytes = meta["wsgi.input"].read(size) if size else b""
    except OSError as error:
        raise UserError(INCORRECT_REQUEST) from error
    if len(body) > BODY_LIMIT:
        raise UserError("Invalid parameters: the request is larger than 2 MB")
    if announced.isdecimal() and len(body) < size:
        raise UserError(INCORRECT_REQUEST)
    return body


def parse_form(text: bytes) -> Pairs:
    """Parse a form or a query string, always as UTF-8; raise UserError beyond MOST_FIELDS."""
    try:
        pairs = parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise UserError(INCORRECT_REQUEST) from error
    return [(name, _as_list(value) if name in ID_LISTS else value) for name, value in pairs]


def parse_multipart(content_type: str, body: bytes) -> Pairs:
    """Parse the text fields of a multipart form; files are passed over."""
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": len(body)}
    try:
        fields, _ = MultiPartParser(meta, BytesIO(body), [], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation) as error:
        raise UserError(INCORRECT_REQUEST) from error
    return [(name, value) for name, values in fields.lists() for value in values]


def parse_json(body: bytes) -> Pairs:
    """Parse a JSON object; its numbers stay the text that they were written in."""
    try:
        value = _load(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise UserError(INCORRECT_REQUEST) from error
    if not isinstance(value, dict):
        raise UserError(INCORRECT_REQUEST)
    return value.items()


def flatten(pairs: Pairs) -> dict[str, str]:
    """Gather `name`, `name[]` and `name[0]`, repeated keys and JSON lists into one text per name; null is absent."""
    found: dict[str, list[Any]] = {}
    lists: set[str] = set()
    for written, value in pairs:
        name, bracket, _ = written.partition("[")
        items = list(value.values()) if isinstance(value, dict) else value
        if bracket or isinstance(items, list):
            lists.add(name)
        if items is not None:
            found.setdefault(name, []).extend(items if isinstance(items, list) else [items])
    return {name: _join(name, items, is_list=name in lists) for name, items in found.items()}


def _join(name: str, items: list[Any], *, is_list: bool) -> str:
    texts = [_text(name, item) for item in items if item is not None]
    if name in ID_LISTS:
        return ",".join(texts)
    if name in TEXT_LISTS:
        return "\n".join(texts)
    return UNREADABLE if is_list else texts[-1]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str):
        return UNREADABLE
    return BROKEN.sub(REPLACEMENT if name in COMMENTS else UNREADABLE, value)


def _last_line(content_type: str) -> bytes:
    boundary = parse_header_parameters(content_type)[1].get("boundary", "")
    return f"--{boundary}--".encode("utf-8", "replace")


def _as_list(text: str) -> Any:
    """Read a JSON list that stands in a form's field; leave any other text as it is."""
    if not text.lstrip().startswith("["):
        return text
    try:
        return _load(text)
    except (ValueError, RecursionError):
        return text


def _load(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
