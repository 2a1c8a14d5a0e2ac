"""Asking about ids, one or many at a time, and finding each one's news in the answer (PROTOCOL 1.6, 3.3 to 3.9)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from catalog.providers import batches
from catalog.providers.answers import Answer, failed_command, failed_read, judge_command, refused_read
from catalog.providers.errors import ProviderError, Reason
from catalog.providers.fields import ID_NAMES
from catalog.providers.order_replies import Refuse
from catalog.providers.replies import ItemError

REFILL_NAMES = ("refill", "refill_id", "refillid", "id")
ORDER_OR_REFILL = (*ID_NAMES, "refill")

# Refusals that are news about one id; any other, on a call for one id, is about the call.
ABOUT_ONE_ID = frozenset({"order_unknown", "refill_unknown"})
ABOUT_ONE_COMMAND = ABOUT_ONE_ID | {
    "refill_not_supported",
    "refill_too_early",
    "refill_order_not_completed",
    "refill_open",
    "refill_expired",
    "refill_not_eligible",
    "cancel_refused",
}

T = TypeVar("T")


class OneForMany(Exception):  # noqa: N818 -- an outcome: each id has to be asked for by itself
    """A command for many ids was answered as if it had been for one."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """How an action asks about ids, and how the piece of an answer about one of them is read."""

    action: str
    reader: Callable[[str, Any, Refuse], T | ItemError | None]
    one: str = "order"
    many: str = "orders"
    names: tuple[str, ...] = ID_NAMES
    command: bool = False
    many_action: str = ""
    # What it says of one id may be long.
    long: bool = False

    def ask(self, ids: list[str]) -> tuple[str, dict[str, str]]:
        """Return the action to send and its parameters."""
        if len(ids) == 1:
            return self.action, {self.one: ids[0]}
        return self.many_action or self.action, {self.many: ",".join(ids)}


def read_news(answer: Answer, ids: list[str], question: Question[T]) -> dict[str, T | ItemError]:
    """Return what an answer says about the ids asked for; raises the errors of the call, and OneForMany.

    An error on top of an answer for many is about the call, never about the orders.
    """
    failure = failed_command(answer) if question.command else failed_read(answer)
    if failure is not None:
        raise failure
    # Two servers give a refill the id of its order and name only that.
    names = ORDER_OR_REFILL if question.action == "refill" else question.names
    items = batches.items_by_id(answer.value, ids, names)
    if not items and len(ids) == 1:
        return {ids[0]: _single(answer, ids[0], question)}
    if items is None or (not items and answer.error is not None):
        return _unmatched(answer, question)
    read = {found: question.reader(found, item, answer.item_error) for found, item in items.items()}
    return {found: news for found, news in read.items() if news is not None}


def _single(answer: Answer, asked: str, question: Question[T]) -> T | ItemError:
    if answer.error is not None:
        if _is_about_the_id(answer, question):
            return answer.item_error(answer.error)
        raise _call_failed(answer, question)
    news = question.reader(asked, batches.single_item(answer.value, asked, question.names), answer.item_error)
    if news is None:
        raise _call_failed(answer, question)
    return news


def _is_about_the_id(answer: Answer, question: Question[T]) -> bool:
    if answer.refusal is None:
        # A command's error that nobody has classed is still a refusal of this one order.
        return question.command and answer.whole
    return answer.refusal.condition in (ABOUT_ONE_COMMAND if question.command else ABOUT_ONE_ID)


def _unmatched(answer: Answer, question: Question[T]) -> dict[str, T | ItemError]:
    if answer.refusal is not None and answer.refusal.condition in ABOUT_ONE_ID:
        # One bad id spoils the whole call at some providers: nothing is known about any, each can be asked for singly.
        return {}
    if answer.error is None and question.command and answer.whole:
        news = question.reader("", answer.value, answer.item_error)
        if news is not None and not isinstance(news, ItemError):
            raise OneForMany
    raise _call_failed(answer, question)


def _call_failed(answer: Answer, question: Question[T]) -> ProviderError:
    if question.command:
        return judge_command(answer)
    if answer.error is not None:
        return refused_read(answer)
    return answer.unavailable(Reason.UNREADABLE, "The answer says nothing about what was asked for")
