"""One call before it is on the wire, and the bytes that it becomes: in every form, whole and broken."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

FORM, JSON = b"application/x-www-form-urlencoded", b"application/json"
BOUNDARY = b"fuzz"
TYPES = {
    "form": FORM,
    "query": b"",
    "multipart": b"multipart/form-data; boundary=" + BOUNDARY,
    "json": JSON,
    "raw": b"",
}
# Framings in which the server is told the truth about the body.
WHOLE = frozenset({"length", "chunked"})
# Framings in which the server waits for more than will come, until the client hangs up.
HANGING = frozenset({"long", "huge", "half a chunk"})

Pairs = Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Call:
    """One call: whose key it has and where, its parameters in order, its form, and what is wrong with it."""

    who: str
    place: str
    pairs: tuple[tuple[str, Any], ...]
    form: str = "form"
    method: str = "POST"
    path: str = "/api/v2"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes | None = None
    raw: bytes = b""
    cut: int = 0
    framing: str = "length"

    @property
    def is_proper(self) -> bool:
        """Whether it is good HTTP, so that it must be answered, and in JSON."""
        return self.framing in WHOLE

    def has_named(self, action: str) -> bool:
        """Tell whether an action is named anywhere in it."""
        return any(name == "action" and value == action for name, value in self.pairs)


def write(call: Call, keys: Mapping[str, str]) -> bytes:
    """Return a call as it goes over the wire, with its key from `keys`."""
    key = keys[call.who]
    pairs: list[tuple[str, Any]] = list(call.pairs)
    headers = [(b"Host", b"127.0.0.1"), *call.headers]
    query: list[tuple[str, Any]] = []
    if call.place == "body":
        pairs.insert(0, ("key", key))
    elif call.place == "query":
        query.append(("key", key))
    elif call.place == "bearer":
        headers.append((b"Authorization", f"Bearer {key}".encode()))
    elif call.place == "header":
        headers.append((b"X-Api-Key", key.encode()))
    body = write_body(call, pairs)
    if call.form == "query" or call.method != "POST":
        query, body = query + pairs, b""
    target = call.path.encode() + (b"?" + write_form(query) if query else b"")
    content_type = TYPES[call.form] if call.content_type is None else call.content_type
    if content_type:
        headers.append((b"Content-Type", content_type))
    lengths, body = frame(call.framing, body[: len(body) - call.cut] if call.cut else body)
    lines = [call.method.encode() + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in (*headers, *lengths)]
    return b"\r\n".join([*lines, b"", body])


def write_body(call: Call, pairs: Pairs) -> bytes:
    """Write parameters in a call's form."""
    if call.form == "raw":
        return call.raw
    writers = {"json": write_json, "multipart": write_multipart}
    return writers.get(call.form, write_form)(pairs)


def write_form(pairs: Pairs) -> bytes:
    """Write a form as PHP's http_build_query would."""
    flat: list[tuple[str, Any]] = []
    for name, value in pairs:
        if isinstance(value, list):
            flat += [(f"{name}[]", item) for item in value]
        elif isinstance(value, dict):
            flat += [(f"{name}[{key}]", item) for key, item in value.items()]
        else:
            flat.append((name, value))
    return "&".join(f"{quote_plus(as_bytes(name))}={quote_plus(as_bytes(value))}" for name, value in flat).encode()


def write_json(pairs: Pairs) -> bytes:
    """Write a JSON object, with a name twice where it was given twice."""
    members = (f"{json.dumps(name)}: {json.dumps(value, default=as_latin)}" for name, value in pairs)
    return ("{" + ", ".join(members) + "}").encode()


def write_multipart(pairs: Pairs) -> bytes:
    """Write a multipart form."""
    parts = [
        b"--"
        + BOUNDARY
        + b'\r\nContent-Disposition: form-data; name="'
        + as_bytes(name)
        + b'"\r\n\r\n'
        + as_bytes(value)
        for name, value in pairs
    ]
    return b"\r\n".join([*parts, b"--" + BOUNDARY + b"--", b""])


def as_bytes(value: Any) -> bytes:
    """Write one value of a form; half characters and bytes that are no text stay what they are."""
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=as_latin)
    return text.encode("utf-8", "surrogatepass")


def as_latin(value: bytes) -> str:
    """Write bytes as text, for JSON has none."""
    return value.decode("latin-1")


def frame(framing: str, body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers that announce a body, truly or not, and the body as it is sent."""
    size, chunked = (b"Content-Length", b"%d" % len(body)), (b"Transfer-Encoding", b"chunked")
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    close = (b"Connection", b"close")
    return {
        "length": ([size], body),
        "chunked": ([chunked], chunks),
        "short": ([(b"Content-Length", b"%d" % (len(body) // 2)), close], body),
        "long": ([(b"Content-Length", b"%d" % (len(body) + 7)), close], body),
        "both": ([size, chunked, close], chunks),
        "twice": ([size, (b"Content-Length", b"1"), close], body),
        "words": ([(b"Content-Length", b"ten"), close], body),
        "below zero": ([(b"Content-Length", b"-1"), close], body),
        "huge": ([(b"Content-Length", b"9" * 30), close], body),
        "none": ([close], body),
        "half a chunk": ([chunked, close], chunks[:-7]),
    }[framing]
