"""Asking a provider about many orders at a time: a few calls side by side, in threads that speak HTTP and nothing else.

One failed call is news about no order. Ids that a batch leaves out are asked for singly, some at each look; a provider
that answers single questions but no batches is asked singly from then on (PROTOCOL 1.6).
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from catalog.providers.client import Client
from catalog.providers.errors import ProviderError, Reason, Unavailable
from catalog.providers.replies import ItemError, ProductReport, StatusReport
from orders.routing import JITTER

logger = logging.getLogger(__name__)

LANES = 4
MOST_SINGLES = 10

News = dict[str, StatusReport | ProductReport | ItemError]
Asker = Callable[[Client, list[str]], News | ProviderError]


@dataclass
class Answers:
    """What is known by remote id, the failures of calls, and whether only single questions were answered."""

    news: News = field(default_factory=dict)
    failures: list[ProviderError] = field(default_factory=list)
    singles_only: bool = False


def ask(
    client: Client, remote_ids: Sequence[str], *, size: int, spare: Callable[[int], int], products: bool = False
) -> Answers:
    """Ask about orders in batches of `size`; `spare` tells how many of some single questions may be asked besides.

    Orders of products are asked for by an action of their own, and never together with others.
    """
    asker = _ask_about_products if products else _ask_once
    batches = [list(remote_ids[start : start + size]) for start in range(0, len(remote_ids), size)]
    answers = Answers()
    silent: list[str] = []
    for batch, answer in zip(batches, _call(client, batches, asker), strict=True):
        if isinstance(answer, dict):
            answers.news.update(answer)
            silent += [remote_id for remote_id in batch if remote_id not in answer]
        else:
            answers.failures.append(answer)
            # An answer that says nothing about any of them: perhaps the provider knows no batches.
            if len(batch) > 1 and isinstance(answer, Unavailable) and answer.reason == Reason.UNREADABLE:
                silent += batch
    if silent and size > 1:
        _ask_singly(client, silent, answers, spare, asker)
    return answers


def _ask_singly(client: Client, silent: list[str], answers: Answers, spare: Callable[[int], int], asker: Asker) -> None:
    nothing_yet = not answers.news
    wanted = min(MOST_SINGLES, len(silent))
    chosen = JITTER.sample(silent, min(spare(wanted), wanted))
    found: News = {}
    for answer in _call(client, [[remote_id] for remote_id in chosen], asker):
        if isinstance(answer, dict):
            found.update(answer)
        else:
            logger.warning("a single question was not answered: %s", answer)
    answers.singles_only = nothing_yet and bool(found)
    answers.news.update(found)
    if found:
        answers.failures.clear()


def _call(client: Client, batches: Sequence[list[str]], asker: Asker) -> list[News | ProviderError]:
    """Make the calls, at most LANES at a time, and return what each brought."""
    if len(batches) <= 1:
        return [asker(client, batch) for batch in batches]
    with ThreadPoolExecutor(min(LANES, len(batches)), "look") as pool:
        return list(pool.map(lambda batch: asker(client, batch), batches))


def _ask_once(client: Client, batch: list[str]) -> News | ProviderError:
    try:
        return {**client.status(batch, singly=len(batch) == 1)}
    except ProviderError as error:
        return error


def _ask_about_products(client: Client, batch: list[str]) -> News | ProviderError:
    try:
        return {**client.product_order_status(batch)}
    except ProviderError as error:
        return error
