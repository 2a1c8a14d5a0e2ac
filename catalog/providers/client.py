"""The upstream client: one provider, eleven actions, three ways to fail (errors.py). Plain Python and `requests`.

Commands go out on connections of their own and are never sent twice; reads keep theirs. Several threads may use one
client.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo

from catalog.providers import batches, catalogue, order_replies, recent
from catalog.providers.answers import Answer, failed_read, judge_command, read_answer, refused_read
from catalog.providers.asking import ABOUT_ONE_ID, REFILL_NAMES, OneForMany, Question, read_news
from catalog.providers.connection import Connection
from catalog.providers.errors import ProviderError, Reason, Rejected
from catalog.providers.fields import Misshapen
from catalog.providers.order_replies import Refuse
from catalog.providers.redaction import redactor
from catalog.providers.replies import (
    Added,
    Balance,
    CancelAccepted,
    Catalogue,
    ItemError,
    ProductCatalogue,
    ProductReport,
    ProductResult,
    RecentOrder,
    RefillAccepted,
    RefillReport,
    StatusReport,
)
from catalog.providers.transport import Transport

__all__ = ["Client", "Connection"]

MEGABYTE = 1024 * 1024
# Their answers hold what somebody bought.
BRING_GOODS = frozenset({"add_product_order", "product_order_status", "result_product"})
T = TypeVar("T")


class Client:
    """Speaks to one provider; every method raises Unavailable, and commands also Rejected and Unclear."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._transport = Transport()
        self._redact = redactor(connection.key)
        self._redact_goods = redactor(connection.key, goods=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def services(self) -> Catalogue:
        """Read the service list, with twice the read time-out."""
        cap = self.connection.dialect.max_body_mb * MEGABYTE
        flags = self.connection.dialect.refill_flag_map
        return self._read("services", {}, lambda value: catalogue.services(value, flags), times=2, cap=cap)

    def balance(self) -> Balance:
        """Read what is left on our account there, with half the read time-out."""
        return self._read("balance", {}, order_replies.balance, times=0.5)

    def products(self) -> ProductCatalogue:
        """Read the product list, with twice the read time-out."""
        cap = self.connection.dialect.max_body_mb * MEGABYTE
        return self._read("products", {}, catalogue.products, times=2, cap=cap)

    def result_product(self, order_id: str) -> ProductResult | ItemError:
        """Read the delivered lines of a product order: secrets."""
        cap = self.connection.dialect.max_body_mb * MEGABYTE
        answer = self._send("result_product", {"order": order_id}, times=0.5, cap=cap)
        if answer.error is not None and answer.refusal is not None and answer.refusal.condition in ABOUT_ONE_ID:
            return answer.item_error(answer.error)
        return self._readable(answer, order_replies.result)

    def add(self, params: Mapping[str, str], *, idempotency_key: str = "") -> Added:
        """Place an order. The order of judgement is ARCHITECTURE 3's; no answer is ever taken for more than it proves.

        `params` are service, link, quantity and the like, as texts. The idempotency key is sent where the dialect has a
        parameter for it.
        """
        return self._place("add", params, idempotency_key)

    def add_product_order(self, params: Mapping[str, str], *, idempotency_key: str = "") -> Added:
        """Place a product order, as `add` does; `params` are product, quantity and require."""
        return self._place("add_product_order", params, idempotency_key)

    def recent_orders(self, limit: int = 100) -> tuple[RecentOrder, ...]:
        """Read the provider's list of our latest orders (PROTOCOL 1.4); it may be longer or shorter than `limit`.

        Raises Rejected where the provider has no such action.
        """
        dialect = self.connection.dialect
        if dialect.list_orders == "none":
            raise Rejected("This provider does not list orders", condition="list_not_supported")
        zone = ZoneInfo(dialect.time_zone) if dialect.time_zone else None
        cap = dialect.max_body_mb * MEGABYTE
        return self._read(
            dialect.list_orders, {"limit": str(limit)}, lambda value: recent.orders(value, zone), times=1, cap=cap
        )

    def status(self, order_ids: Sequence[str], *, singly: bool = False) -> dict[str, StatusReport | ItemError]:
        """Read the news about orders; an id that the answer leaves out is left out here as well.

        `singly` asks about each in a call of its own, whatever the dialect allows. When a later call of several fails,
        what the earlier ones said is returned. Half the read time-out for each.
        """
        dialect = self.connection.dialect
        numeric = dialect.numeric_status_map

        def reader(_: str, item: Any, refuse: Refuse) -> StatusReport | ItemError | None:
            return order_replies.status_item(numeric, item, refuse)

        question = Question("status", reader, dialect.status_id_param, many_action=dialect.batch_action)
        return self._ask(order_ids, question, size=1 if singly else 0)

    def product_order_status(self, order_ids: Sequence[str]) -> dict[str, ProductReport | ItemError]:
        """Read the news about product orders; as `status`."""
        return self._ask(order_ids, Question("product_order_status", order_replies.product_item, long=True))

    def refill(self, order_ids: Sequence[str]) -> dict[str, RefillAccepted | ItemError]:
        """Ask for refills; harmless twice. Of an id that is left out nobody knows whether it was asked for."""
        size = self.connection.dialect.batch_size if self.connection.dialect.refill_multi == "list" else 1
        return self._ask(order_ids, Question("refill", order_replies.refill_item, command=True), size=size)

    def refill_status(self, refill_ids: Sequence[str]) -> dict[str, RefillReport | ItemError]:
        """Read the news about refills; as `status`."""
        question = Question("refill_status", order_replies.refill_status_item, "refill", "refills", names=REFILL_NAMES)
        return self._ask(refill_ids, question)

    def cancel(self, order_ids: Sequence[str]) -> dict[str, CancelAccepted | ItemError]:
        """Ask for orders to be canceled; harmless twice. Raises Rejected where the provider has no such action."""
        form = self.connection.dialect.cancel
        if form == "none":
            raise Rejected("This provider has no cancel action", condition="cancel_not_supported")
        size = self.connection.dialect.batch_size if form == "orders" else 1
        return self._ask(order_ids, Question("cancel", order_replies.cancel_item, one=form, command=True), size=size)

    def _place(self, action: str, params: Mapping[str, str], idempotency_key: str) -> Added:
        name = self.connection.dialect.idempotency_param
        keyed = {**params, name: idempotency_key} if name and idempotency_key else params
        answer = self._send(action, keyed, command=True)
        placed = order_replies.added(answer)
        if placed is None:
            raise judge_command(answer)
        return placed

    def _read(
        self,
        action: str,
        params: Mapping[str, str],
        reader: Callable[[Any], T],
        *,
        times: float,
        cap: int = MEGABYTE,
    ) -> T:
        return self._readable(self._send(action, params, times=times, cap=cap), reader)

    def _readable(self, answer: Answer, reader: Callable[[Any], T]) -> T:
        failure = failed_read(answer)
        if failure is not None:
            raise failure
        if answer.error is not None:
            raise refused_read(answer)
        try:
            return reader(answer.value)
        except Misshapen as error:
            raise answer.unavailable(Reason.UNREADABLE, str(error)) from error

    def _ask(self, ids: Sequence[str], question: Question[T], *, size: int = 0) -> dict[str, T | ItemError]:
        asked = batches.unique(ids)
        size = size or self.connection.dialect.batch_size
        known: dict[str, T | ItemError] = {}
        for start in range(0, len(asked), size):
            try:
                some: dict[str, T | ItemError] = self._ask_some(asked[start : start + size], question)
            except ProviderError:
                # What is known already must not be lost with a later call.
                if not known:
                    raise
                break
            known.update(some)
        return known

    def _ask_some(self, ids: list[str], question: Question[T]) -> dict[str, T | ItemError]:
        action, params = question.ask(ids)
        # A command's kinds of refusal go by the action it means, whatever the provider calls a batch of it.
        cap = self.connection.dialect.max_body_mb * MEGABYTE if question.long else MEGABYTE
        answer = self._send(action, params, command=question.command, times=0.5, cap=cap, meaning=question.action)
        try:
            return read_news(answer, ids, question)
        except OneForMany:
            pass
        return self._ask(ids, question, size=1)

    def _send(  # noqa: PLR0913 -- named at each call, and only the few that differ
        self,
        action: str,
        params: Mapping[str, str],
        *,
        command: bool = False,
        times: float = 1,
        cap: int = MEGABYTE,
        meaning: str = "",
    ) -> Answer:
        connection = self.connection
        request = connection.request(action, params)
        exchange = self._transport.command if command else self._transport.read
        seconds = connection.read_timeout * (1 if command else times)
        reply = exchange(request, connect=connection.connect_timeout, read=seconds, cap=cap)
        if action not in BRING_GOODS:
            return read_answer(reply, meaning or action, self._redact, connection.refusals)
        answer = read_answer(reply, action, self._redact_goods, connection.refusals)
        # A bare text that is no known refusal may be goods: it must not become the text of an error.
        bare = answer.refusal is None and isinstance(answer.value, str)
        return replace(answer, error=None) if bare else answer
