"""Looking into doubt: the two things that may decide about an unclear order without a person (ARCHITECTURE 3).

A resend under the same key, while the provider surely remembers it; and exactly one order in the provider's own list
that can be nobody else's. None or several decide nothing: what was seen is left for staff (evidence.py). The balance is
read as well, because the first reading after the doubt is evidence. No transaction is open while the network is.
"""

import datetime
import html
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Max, Q
from django.utils import timezone

from catalog import connecting, pacing
from catalog.models import Provider
from catalog.providers.dialects import dialect
from catalog.providers.errors import ProviderError
from catalog.providers.replies import RecentOrder
from orders import claiming, lifecycle, settling
from orders.models import Dispatch, OrderEvent
from orders.restoring import RESTORED
from orders.routing import said

logger = logging.getLogger(__name__)

Kind = OrderEvent.Kind
State = Dispatch.State

# Longer than a look takes; a look that a crash cut short is taken up again after it.
TAKEN_FOR = datetime.timedelta(minutes=5)
MOST_AT_ONCE = 200
FIRST_RESEND = 10
LONGEST_RESEND = 1800
SHORTEST_INTERVAL = datetime.timedelta(minutes=1)
LONGEST_INTERVAL = datetime.timedelta(hours=6)
LOOK_FOR = datetime.timedelta(days=7)
# How far apart the provider's clock and ours may be.
CLOCKS = datetime.timedelta(minutes=5)
MOST_TOLD = 10

TAKE_DUE = """
UPDATE orders_dispatch SET look_at = %(again)s WHERE id IN (
    SELECT id FROM orders_dispatch
    WHERE state = 'UNCLEAR' AND command = 'add' AND look_at <= %(now)s
    ORDER BY look_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING id, provider_id
"""


def look_into_doubts() -> int:
    """Look into the doubts that are due, each provider asked once; return how many dispatches were looked at.

    Taken by moving `look_at`, so that no two ticks work on one. No transaction may be open.
    """
    taken = _take_due()
    for provider in Provider.objects.filter(pk__in=taken).order_by("pk"):
        recent, all_asked = _ask(provider, taken[provider.pk])
        for dispatch_id in taken[provider.pk]:
            _look(dispatch_id, recent, soon=not all_asked)
    return sum(map(len, taken.values()))


def remembered_until(dispatch: Dispatch) -> datetime.datetime | None:
    """Return until when a dispatch may be sent again under its key; None where not every attempt told it one.

    A lease earlier than the provider forgets: the last attempt must have arrived by then.
    """
    provider = dispatch.provider
    if dispatch.first_claimed_at is None or not (dispatch.keyed and _knows_keys(provider)):
        return None
    return dispatch.first_claimed_at + datetime.timedelta(hours=provider.idempotency_hours) - _lease()


def _knows_keys(provider: Provider) -> bool:
    try:
        return bool(dialect(provider.dialect, provider.dialect_overrides).idempotency_param)
    except ValueError:  # staff must mend the dialect; until then nothing is sent
        return False


def plain_link(link: str) -> str:
    """Return a link as two panels write it alike: unescaped, scheme and host in small letters, no slash at the end."""
    text = unquote(html.unescape(link.strip()))
    return re.sub(r"^[a-z][a-z0-9+.-]*://[^/?#]*", lambda start: start[0].lower(), text, flags=re.IGNORECASE).rstrip(
        "/"
    )


def _take_due() -> dict[int, list[int]]:
    now = timezone.now()
    taken: dict[int, list[int]] = defaultdict(list)
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(TAKE_DUE, {"now": now, "again": now + TAKEN_FOR, "limit": MOST_AT_ONCE})
        for dispatch_id, provider_id in cursor.fetchall():
            taken[provider_id].append(dispatch_id)
    return taken


def _ask(provider: Provider, dispatch_ids: Sequence[int]) -> tuple[Sequence[RecentOrder] | None, bool]:
    """Read the balance, unless it was read since, and the list of recent orders, None where there is none to be had.

    Tells besides whether the provider's rate limit left turns for both.
    """
    if connecting.is_paused(provider) and provider.pause_reason == Provider.Pause.NETWORK:
        return None, True
    try:
        if not _is_read_since(provider, dispatch_ids):
            if not pacing.take(provider.pk, pacing.Kind.READ, 1):
                return None, False
            connecting.read_balance(provider)
        with connecting.connect(provider) as client:
            if client.connection.dialect.list_orders == "none":
                return None, True
            if not pacing.take(provider.pk, pacing.Kind.READ, 1):
                return None, False
            return client.recent_orders(), True
    except ProviderError as error:
        logger.warning("provider %s: its orders were not looked into: %s", provider, error)
        connecting.record_failure(provider, error)
    return None, True


def _is_read_since(provider: Provider, dispatch_ids: Sequence[int]) -> bool:
    """Tell whether the balance was read after the last attempt of all of these: later readings say less."""
    taken = Dispatch.objects.filter(pk__in=dispatch_ids)
    doubts = OrderEvent.objects.filter(order__dispatches__in=taken, kind=Kind.UNCLEAR)
    last = doubts.aggregate(at=Max("created_at"))["at"]
    return provider.balance_at is not None and last is not None and provider.balance_at > last


@transaction.atomic
def _look(dispatch_id: int, recent: Sequence[RecentOrder] | None, *, soon: bool) -> None:
    """Decide about one dispatch under its row's lock, or note what was seen and when to look again."""
    rows = Dispatch.objects.select_for_update(of=("self",)).select_related(
        "order__service", "provider_service", "provider"
    )
    dispatch = rows.filter(pk=dispatch_id, state=State.UNCLEAR).first()
    if dispatch is None or _resend(dispatch) or (recent is not None and _find(dispatch, recent)):
        return
    dispatch.look_at = timezone.now() if soon else _next_look(dispatch)
    dispatch.save(update_fields=["look_at"])


def _resend(dispatch: Dispatch) -> bool:
    """Queue a dispatch again under its key while the provider surely remembers it; tell whether that was so.

    Not where a refusal came back: sent again it brings the same, and what the text means is for staff to say. Nor after
    a backup was restored: the dispatch may have been refused since, and its order sent elsewhere.
    """
    until = remembered_until(dispatch)
    if until is None or dispatch.unknown_text or dispatch.reason == RESTORED or not dispatch.provider.enabled:
        return False
    due = timezone.now() + datetime.timedelta(
        seconds=min(FIRST_RESEND * 2 ** min(dispatch.retries, 20), LONGEST_RESEND)
    )
    if due >= until:
        return False
    dispatch.state = State.QUEUED
    dispatch.due_at = due
    dispatch.resend_until = until
    dispatch.by_key = True
    dispatch.look_at = None
    dispatch.retries += 1
    dispatch.save(update_fields=["state", "due_at", "resend_until", "by_key", "look_at", "retries"])
    lifecycle.note(dispatch.order_id, Kind.RESENT, said(dispatch, until=until.isoformat()))
    return True


def _find(dispatch: Dispatch, recent: Sequence[RecentOrder]) -> bool:
    """Bind the one order of the provider's list that can only be this dispatch's; tell whether there was one."""
    listed = {row.order_id: row for row in recent}
    verdicts = {remote_id: _judge(dispatch, row) for remote_id, row in listed.items()}
    alike = [remote_id for remote_id, verdict in verdicts.items() if verdict != "other"]
    verdicts |= dict.fromkeys(_bound(dispatch, alike), "bound")
    matches = [remote_id for remote_id in alike if verdicts[remote_id] == "match"]
    rivals = _rivals(dispatch, [listed[remote_id] for remote_id in matches])
    if len(matches) == 1 and not rivals and _bind(dispatch, matches[0]):
        lifecycle.note(dispatch.order_id, Kind.LOOKED, said(dispatch, matched=matches[0]))
        return True
    told = [_tell(listed[remote_id], verdicts[remote_id]) for remote_id in alike[:MOST_TOLD]]
    finding = said(dispatch, found=told, rivals=rivals[:MOST_TOLD])
    if finding != last_finding(dispatch):
        lifecycle.note(dispatch.order_id, Kind.LOOKED, finding)
    return False


def last_finding(dispatch: Dispatch) -> dict[str, Any] | None:
    """Return what was seen when a dispatch was last looked for in its provider's list; None when it never was.

    `found` are the listed orders with our service and link, and what speaks against each; `rivals` the dispatches that
    a match could as well belong to.
    """
    looked = OrderEvent.objects.filter(order_id=dispatch.order_id, kind=Kind.LOOKED, data__dispatch=dispatch.pk)
    return looked.order_by("-pk").values_list("data", flat=True).first()


def _tell(row: RecentOrder, verdict: str) -> dict[str, object]:
    at = row.created_at.isoformat() if row.created_at else ""
    return {"id": row.order_id, "quantity": row.quantity, "at": at, "verdict": verdict}


def _bind(dispatch: Dispatch, remote_id: str) -> bool:
    try:
        with transaction.atomic():
            settling.bind(dispatch, remote_id)
    except IntegrityError:
        return False  # bound to another meanwhile
    return True


def _judge(dispatch: Dispatch, row: RecentOrder) -> str:
    """Say "match", or what about a listed order is not as it would be if it were this dispatch's."""
    if dispatch.is_product:
        return "other"  # no provider lists orders of products
    params = claiming.describe(dispatch, dispatch.provider)
    link = plain_link(params.get("link", ""))
    if not link or row.service != params["service"] or plain_link(row.link) != link:
        return "other"
    # Of a drip-feed some will list the quantity of one run, as it was sent, and others that of all.
    if row.quantity not in {int(params.get("quantity", dispatch.order.quantity)), dispatch.order.quantity}:
        return "quantity"
    if row.created_at is None or dispatch.first_claimed_at is None or dispatch.claimed_at is None:
        return "no time"
    start, end = dispatch.first_claimed_at - CLOCKS, dispatch.claimed_at + _lease() + CLOCKS
    return "match" if start <= row.created_at <= end else "time"


def _bound(dispatch: Dispatch, remote_ids: Sequence[str]) -> list[str]:
    adds = Dispatch.objects.filter(
        provider_id=dispatch.provider_id, command=Dispatch.Command.ADD, is_product=dispatch.is_product
    )
    return list(adds.filter(remote_id__in=remote_ids).values_list("remote_id", flat=True))


def _rivals(dispatch: Dispatch, matches: Sequence[RecentOrder]) -> list[int]:
    """Return other dispatches that the provider may have taken, and that a listed order would match as well.

    Those whose answer is still on its way; those in doubt that never got an id, whatever was decided about them; and
    those in doubt that were sent more than once, since there may be a second order of theirs.
    """
    if not matches or dispatch.first_claimed_at is None:
        return []
    may_be_there = Q(state=State.LEASED) | Q(doubtful=True, remote_id="") | Q(doubtful=True, attempt__gt=1)
    others = Dispatch.objects.filter(
        may_be_there,
        command=Dispatch.Command.ADD,
        provider_service_id=dispatch.provider_service_id,
        claimed_at__gte=dispatch.first_claimed_at - _lease() - 2 * CLOCKS,
    ).exclude(pk=dispatch.pk)
    rows = others.select_related("order__service", "provider_service", "provider").order_by("pk")
    return [other.pk for other in rows if any(_judge(other, row) == "match" for row in matches)]


def _next_look(dispatch: Dispatch) -> datetime.datetime | None:
    """Return when to look again: after as long as the doubt is old, from a minute to six hours, for a week."""
    now = timezone.now()
    age = now - (dispatch.claimed_at or dispatch.created_at)
    if age > LOOK_FOR:
        return None
    return now + min(max(age, SHORTEST_INTERVAL), LONGEST_INTERVAL)


def _lease() -> datetime.timedelta:
    return datetime.timedelta(seconds=settings.DISPATCH_LEASE_SECONDS)
