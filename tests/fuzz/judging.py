"""What must be true of every answer, and of the books after it, whatever was asked (PROTOCOL 3.11, 4 and 12)."""

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from django.db import connection
from jsonschema_rs import Draft202012Validator

from panel.api.openapi import DOCUMENT
from tests.fuzz.calls import Call
from tests.fuzz.shop import BUYING, GOODS, WORDS, Booth
from tests.fuzz.wire import Answer

METHODS = frozenset({"POST", "GET", "HEAD"})
TRACES = (b"Traceback", b'File "', b"psycopg", b"django", b"DataError")
ANSWER = Draft202012Validator({"$ref": "#/components/schemas/Answer", "components": DOCUMENT["components"]})
CHANGED = """
SELECT
    (SELECT balance FROM accounts_ledgeraccount WHERE user_id = %(user)s AND kind = 'customer'),
    ARRAY(SELECT id FROM orders_order WHERE user_id = %(user)s AND id > %(order)s ORDER BY id),
    (SELECT coalesce(sum(charge), 0) FROM orders_order WHERE user_id = %(user)s AND id > %(order)s),
    ARRAY(SELECT id FROM orders_trialorder WHERE api_key_id = %(key)s AND id > %(trial)s ORDER BY id)
"""
OWNED = """
SELECT EXISTS (SELECT FROM orders_order WHERE id = %(id)s AND user_id = %(user)s)
    OR EXISTS (SELECT FROM orders_trialorder WHERE id = %(id)s AND api_key_id = %(key)s)
"""


class Changes(NamedTuple):
    """What is new of one customer: his balance, orders with what they cost, and trial orders."""

    balance: Decimal
    orders: list[int]
    charge: Decimal
    trials: list[int]


class Books:
    """What one customer has, looked at after each of his calls."""

    def __init__(self, booth: Booth) -> None:
        self.booth = booth
        self.values = {"user": booth.user_id, "key": booth.test_key_id, "order": 0, "trial": 0}
        self.balance = self.look().balance

    def look(self) -> Changes:
        """Return what has changed since the last look."""
        with connection.cursor() as cursor:
            cursor.execute(CHANGED, self.values)
            changes = Changes(*cursor.fetchone())
        self.values["order"] = max([self.values["order"], *changes.orders])
        self.values["trial"] = max([self.values["trial"], *changes.trials])
        return changes

    def owns(self, order_id: int) -> bool:
        """Tell whether an order, or a trial order, is this customer's."""
        with connection.cursor() as cursor:
            cursor.execute(OWNED, {**self.values, "id": order_id})
            return bool(cursor.fetchone()[0])

    def judge(self, call: Call, answer: Answer) -> list[str]:
        """Return what is wrong with what a call did."""
        changes, before = self.look(), self.balance
        self.balance = changes.balance
        told = read_told(answer)
        return list(self._judge(call, told, changes, changes.balance - before))

    def _judge(self, call: Call, told: Any, changes: Changes, moved: Decimal) -> Iterator[str]:
        order_id = told.get("order") if isinstance(told, dict) else None
        placed = [*changes.orders, *changes.trials]
        if len(placed) > 1:
            yield f"placed {placed}"
        if placed and placed != [order_id] and call.is_proper:
            yield f"placed {placed}, but did not say so"
        if order_id is not None and not placed and not self.owns(order_id):
            yield f"says it placed {order_id}, which is not there"
        if changes.orders and call.who not in BUYING:
            yield f"a key that is {call.who} placed {changes.orders}"
        if changes.trials and call.who != "test":
            yield f"a key that is {call.who} placed trial orders {changes.trials}"
        if placed and call.method not in {"POST", "GET"}:
            yield f"{call.method} placed {placed}"
        is_cancel = any(isinstance(row, dict) and row.get("cancel") == 1 for row in told) if told else False
        if moved != -changes.charge and not (is_cancel and moved > 0 and not changes.orders):
            yield f"the balance moved by {moved}, new orders cost {changes.charge}"


def judge_answer(call: Call, answer: Answer, secrets: Iterable[str]) -> Iterator[str]:
    """Tell what is wrong with an answer as such."""
    told = answer.head + answer.body
    if any(secret.encode() in told for secret in secrets):
        yield "a key or its digest is in the answer"
    if GOODS.encode() in told and not call.has_named("result_product"):
        yield "goods are in the answer"
    if any(trace in answer.body for trace in TRACES):
        yield "a traceback, or the name of a library, is in the answer"
    if answer.status >= 500:
        yield f"status {answer.status}"
        return
    if answer.status in {0, 400} and not call.is_proper:
        return
    wanted = 200 if call.method in METHODS else 405
    if answer.status != wanted:
        yield f"status {answer.status}, not {wanted}"
        return
    if answer.headers.get("content-type") != "application/json":
        yield f"Content-Type {answer.headers.get('content-type')}"
    if call.method == "HEAD":
        return
    yield from judge_body(call, answer)


def judge_body(call: Call, answer: Answer) -> Iterator[str]:
    """Tell what is wrong with a body: no JSON, not of the document's shapes, or in another key's words."""
    try:
        told = json.loads(answer.body, parse_constant=refuse)
    except ValueError as error:
        yield f"no JSON: {error}"
        return
    yield from judge_errors(told)
    is_error = isinstance(told, dict) and isinstance(told.get("error"), str)
    if not is_error and not ANSWER.is_valid(told):
        yield "fits no shape of the document"
    if call.method == "POST" and call.who in WORDS and not is_error:
        yield f"a key that is {call.who} got an answer"


def judge_errors(told: Any) -> Iterator[str]:
    """Tell where `error` is anything but one text that stands alone."""
    if isinstance(told, dict):
        if "error" in told and (list(told) != ["error"] or not isinstance(told["error"], str) or not told["error"]):
            yield f"an error beside something else, or without words: {str(told)[:200]}"
        told = list(told.values())
    for one in told if isinstance(told, list) else ():
        yield from judge_errors(one)


def read_told(answer: Answer) -> Any:
    """Read an answer's body; None where it is no JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def refuse(name: str) -> NoReturn:
    """Refuse the numbers that Python reads and JSON has not."""
    raise ValueError(name)
