"""The ways in which the sandbox can be told to misbehave, and the bytes that each of them answers with.

What matters to a client is on which side of the acceptance a fault strikes, so the kinds are sorted by that: after a
fault of `BEFORE_ACCEPTANCE` nothing was taken, after any other the order stands although the answer may be unreadable.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

BEFORE_ACCEPTANCE = (
    "refuse_429",
    "maintenance_503",
    "error",
    "http500",
    "html",
    "empty",
    "raw",
    "cut_before",
    "redirect",
)
AFTER_ACCEPTANCE = ("hang", "reset", "accepted_500", "garbage", "cut", "no_id")
ANSWERED_ODDLY = (
    "notice",
    "slow",
    "dribble",
    "dribble_head",
    "wrong_types",
    "missing_commas",
    "double_braces",
    "two_objects",
)
KINDS = BEFORE_ACCEPTANCE + AFTER_ACCEPTANCE + ANSWERED_ODDLY

PHP_NOTICE = "\ufeff<br />\n<b>Notice</b>:  Undefined index: id in <b>/var/www/api.php</b> on line <b>12</b><br />\n"
ERROR_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"

JSON, HTML = "application/json", "text/html; charset=utf-8"

# kind: HTTP status, content type, the body where the misbehaviour brings none of its own
CANNED = {
    "refuse_429": (429, JSON, '{"error": "Too many requests"}'),
    "maintenance_503": (503, JSON, '{"error": "This panel is temporarily unavailable"}'),
    "http500": (500, HTML, ERROR_PAGE.format("500 Internal Server Error")),
    "html": (200, HTML, "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"),
    "empty": (200, JSON, ""),
    "raw": (200, JSON, ""),
    "accepted_500": (500, HTML, ERROR_PAGE.format("500 Internal Server Error")),
    "garbage": (200, JSON, '{"order":'),
    "no_id": (200, JSON, '{"status": "success"}'),
}


@dataclass
class Misbehaviour:
    """One scripted fault: the next `times` calls of `action` ("*" is any) end in `kind`.

    `seconds` is how long hang, slow and the dribbles take, and the Retry-After of refuse_429 and maintenance_503.
    `body` is the text of `error`, the Location of `redirect`, and for every kind with a fixed answer its replacement.
    `match` narrows it to calls whose link, ids or `require` contain that text. Raises ValueError for an unknown kind
    and for numbers that are none.
    """

    action: str
    kind: str
    times: int = 1
    seconds: float = 2.0
    body: str = ""
    match: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind of misbehaviour: {self.kind}; known: {', '.join(KINDS)}")
        self.times, self.seconds = int(self.times), float(self.seconds)

    @property
    def accepts(self) -> bool:
        """Say whether the call is carried out all the same."""
        return self.kind not in BEFORE_ACCEPTANCE

    def strikes(self, params: dict[str, str]) -> bool:
        """Say whether this call is meant; counting it is left to the caller, who holds the lock."""
        named = ("link", "order", "orders", "refill", "refills", "product", "require")
        return (
            self.times > 0
            and self.action in ("*", params.get("action", ""))
            and (not self.match or any(self.match in params.get(name, "") for name in named))
        )


def with_wrong_types(answer: Any) -> Any:
    """Swap the types of an answer, as panels in other languages do: "50" becomes 50, 7 becomes "7", true becomes 1."""
    if isinstance(answer, dict):
        return {name: with_wrong_types(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [with_wrong_types(value) for value in answer]
    if isinstance(answer, bool):
        return int(answer)
    if isinstance(answer, int | float):
        return str(answer)
    return number_or_text(answer)


def number_or_text(text: str) -> Any:
    """Read a text that holds a JSON number as that number; floats are the fault that this imitates."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def without_commas(answer: Any) -> str:
    """Write an answer over several lines and forget the comma behind each text at the end of one."""
    return re.sub(r'",$', '"', json.dumps(answer, indent=4), flags=re.MULTILINE)


def with_double_braces(answer: Any) -> str:
    """Write an answer with two braces around each of its innermost objects."""
    if isinstance(answer, list):
        return f"[{', '.join(with_double_braces(value) for value in answer)}]"
    if not isinstance(answer, dict):
        return json.dumps(answer)
    if not any(isinstance(value, dict | list) for value in answer.values()):
        return f"{{{json.dumps(answer)}}}"
    return f"{{{', '.join(f'{json.dumps(name)}: {with_double_braces(value)}' for name, value in answer.items())}}}"


def twice_in_a_row(answer: Any) -> str:
    """Write an answer two times, one behind the other."""
    return f"{json.dumps(answer)}\n{json.dumps(answer)}"


# The slips of 000_fa79b687568cfb1d.txt, as an answer instead of in its documentation.
MALFORMED: Mapping[str, Callable[[Any], str]] = {
    "missing_commas": without_commas,
    "double_braces": with_double_braces,
    "two_objects": twice_in_a_row,
}
