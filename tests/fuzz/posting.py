"""How calls are sent: the same parameters with several keys, in several forms, under headers and framings of all kinds.

One number decides all of it. Drawing each of these by itself would take longer than the server needs to answer.
"""

import random
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.calls import Call, Pairs
from tests.fuzz.shop import KEYS

VOLLEY = 5
Volley = tuple[Call, ...]
FORMS = ["form"] * 4 + ["json"] * 4 + ["query", "multipart", "multipart"]
PLACES = ["body"] * 14 + ["query", "query", "bearer", "bearer", "header", "header", "nowhere"]
METHODS = ["POST"] * 8 + ["GET", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "NONSENSE"]
FRAMINGS = ["length"] * 9 + ["chunked"]
BAD_FRAMINGS = ["short", "long", "both", "twice", "words", "below zero", "huge", "none", "half a chunk"]
CONTENT_TYPES = [
    *(
        b"",
        b"application/json",
        b"application/x-www-form-urlencoded; charset=UTF-8",
        b"multipart/form-data",
        b"text/xml",
    ),
    *(b"multipart/form-data; boundary=", b"multipart/form-data; boundary=\xe9", b"multipart/form-data; boundary=other"),
    *(b"text/plain; charset=utf-16", b"application/json; charset=utf-7", b"/", b";", b"x" * 3000),
    *(b"multipart/form-data; boundary=" + b"b" * 300, b"multipart/mixed; boundary=fuzz", b"form; charset=nonsense"),
]
HEADERS = [
    *((b"Accept", b"text/html"), (b"Accept", b""), (b"Cookie", b"sessionid=x; csrftoken=\xff"), (b"User-Agent", b"")),
    *((b"X-Forwarded-For", b"203.0.113.7, \xff"), (b"Content-Encoding", b"gzip"), (b"Expect", b"100-continue")),
    *((b"Authorization", b"Bearer"), (b"Authorization", b"Basic \xe9:\xe9"), (b"X-Api-Key", b"\xff" * 50)),
    *((b"Idempotency-Key", b"first"), (b"Idempotency-Key", b"\xff\xfe"), (b"Idempotency-Key", b"x" * 200)),
    *((b"X-Http-Method-Override", b"DELETE"), (b"Referer", b"http://[::1"), (b"X-Request-Id", b"x" * 5000)),
    *((b"Accept-Language", b"de-\xff"), (b"Range", b"bytes=0-1"), (b"If-None-Match", b"*"), (b"Origin", b"null")),
]

seeds = st.integers(0, 2**32)


def post(pairs: Pairs, seed: int, *, raw: bytes | None = None) -> Volley:
    """Return the volley that a number makes of some parameters, or of a body that has none."""
    draw = random.Random(seed)
    return tuple(_post(pairs, draw, raw) for _ in range(VOLLEY))


def _post(pairs: Pairs, draw: random.Random, raw: bytes | None) -> Call:
    said: dict[str, Any] = {
        "who": draw.choice(KEYS),
        "place": draw.choice(PLACES if raw is None else PLACES[14:]),
        "pairs": tuple(pairs),
        "form": draw.choice(FORMS) if raw is None else "raw",
        "path": draw.choice(["/api/v2", "/api/v2/"]),
        "framing": draw.choice(FRAMINGS),
        "raw": raw or b"",
    }
    if draw.random() < 0.12:
        said |= {
            "method": draw.choice(METHODS),
            "headers": tuple(draw.sample(HEADERS, draw.randint(0, 3))),
            "content_type": draw.choice([None, *CONTENT_TYPES]),
            "cut": draw.choice([0, 0, 0, 1, 2, 9]),
            "framing": draw.choice([*FRAMINGS, *BAD_FRAMINGS]),
        }
    elif raw is not None:
        said["content_type"] = draw.choice(CONTENT_TYPES)
    return Call(**said)
