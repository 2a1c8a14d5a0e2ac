"""From a provider's row to a client that speaks to it, and the breaker that its row carries (ARCHITECTURE 3).

Transport failures in a row, and unclear answers to commands in a row, pause a provider. When such a pause is over the
provider is half-open: one worker asks it for our balance, a read that risks no order, and what comes of that ends the
pause or doubles it. After doubt commands go out one at a time until one is answered.
"""

import datetime
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from catalog import classing, pacing, secrets
from catalog.models import BalanceReading, Provider
from catalog.providers.client import Client, Connection
from catalog.providers.dialects import dialect
from catalog.providers.errors import ProviderError, Reason, Unavailable, Unclear
from catalog.providers.replies import Balance

logger = logging.getLogger(__name__)

Pause = Provider.Pause

# A single failure is noise; five in a row are a provider that is down, and every further try would only hold a lane.
FAILURES_TO_PAUSE = 5
# Each of these may have cost us money, and a person's time.
DOUBTS_TO_PAUSE = 5
LONGEST_PAUSE = 600
# Whatever is wrong with a provider, it has answered.
ANSWERED = frozenset({"unknown_refusal", "server_error"})
# What is counted for a pause, and up to where.
COUNTED: Mapping[str, tuple[str, int]] = {
    Pause.NETWORK: ("failures", FAILURES_TO_PAUSE),
    Pause.DOUBT: ("doubts", DOUBTS_TO_PAUSE),
}
LONGEST_ERROR = 300  # its column
LARGEST_BALANCE = Decimal(10) ** 12  # what the column can hold
# A refused key or a moved address needs a person; look again by itself only now and then.
PAUSE_FOR_STAFF = datetime.timedelta(hours=6)
NOTED_EVERY = datetime.timedelta(minutes=1)
READINGS_KEPT = datetime.timedelta(days=30)
# What a success that proves nothing about commands makes of the last error.
UNLESS_IN_DOUBT = Case(When(doubts=0, then=Value("")), default=F("last_error"))


def connect(provider: Provider) -> Client:
    """Return a client for a provider; its time-outs are its own or the settings'. The caller closes it.

    Raises Unavailable, as a refused key does, when what we keep of the provider cannot be used: staff must mend it.
    """
    try:
        return Client(
            Connection(
                url=provider.api_url,
                key=secrets.decrypt(provider.key_encrypted),
                dialect=dialect(provider.dialect, provider.dialect_overrides),
                connect_timeout=connect_timeout(provider),
                read_timeout=read_timeout(provider),
                refusals=classing.read_refusals(provider.pk),
            )
        )
    except InvalidToken as error:
        text = "Our key for this provider cannot be decrypted with ENCRYPTION_KEYS: enter it again"
        raise Unavailable(text, reason=Reason.KEY) from error
    except ValueError as error:
        raise Unavailable(str(error), reason=Reason.KEY) from error


def connect_timeout(provider: Provider) -> float:
    """Return how long a connection to a provider may take to open, in seconds."""
    return provider.connect_timeout or settings.PROVIDER_CONNECT_TIMEOUT


def read_timeout(provider: Provider) -> float:
    """Return how long a provider may take to answer a command, in seconds."""
    return provider.read_timeout or settings.PROVIDER_READ_TIMEOUT


def record_success(provider: Provider, *, command: bool = False) -> None:
    """Close the breaker of a provider that answered. Doubt about its commands is ended by nothing but a command.

    A provider may tell our balance while every order hangs.
    """
    ended = {Pause.NETWORK, Pause.DOUBT} if command else {Pause.NETWORK}
    over, troubled = Q(pause_reason__in=ended), Q(failures__gt=0)
    cleared: dict[str, Any] = {"failures": 0}
    if command:
        troubled |= Q(doubts__gt=0)
        cleared["doubts"] = 0
    Provider.objects.filter(troubled | over, pk=provider.pk).update(
        **cleared,
        last_error="" if command else UNLESS_IN_DOUBT,
        paused_until=Case(When(over, then=None), default=F("paused_until")),
        pause_reason=Case(When(over, then=Value("")), default=F("pause_reason")),
    )
    _note_success(provider)


def _note_success(provider: Provider) -> None:
    """Keep when a provider last answered, to the minute: a write for each call would be one too many."""
    now = timezone.now()
    if provider.last_success_at is not None and provider.last_success_at > now - NOTED_EVERY:
        return
    older = Q(last_success_at=None) | Q(last_success_at__lt=now - NOTED_EVERY)
    Provider.objects.filter(older, pk=provider.pk).update(last_success_at=now)
    provider.last_success_at = now


def record_failure(provider: Provider, error: ProviderError, *, command: bool = False) -> None:
    """Count what says that a provider is not well, and pause it when there was enough of that in a row.

    That is transport failures, and unclear answers to commands. A refused key and a redirect pause it at once: nothing
    that is sent to it can succeed. "Too many requests" slows us down (catalog/pacing.py). Other failures are answers.
    """
    if isinstance(error, Unclear):
        if command and error.reason not in ANSWERED:
            _count(provider, Pause.DOUBT, error)
    elif not isinstance(error, Unavailable):
        return
    elif error.reason == Reason.NETWORK:
        _count(provider, Pause.NETWORK, error)
    elif error.reason == Reason.RATE_LIMITED:
        pacing.slow_down(provider.pk, pacing.Kind.COMMAND if command else pacing.Kind.READ, error.retry_after)
        provider.refresh_from_db(fields=["learned_per_minute", "limited_at"])
    elif error.reason in {Reason.KEY, Reason.REDIRECT}:
        Provider.objects.filter(pk=provider.pk).update(last_error=error.text[:LONGEST_ERROR])
        pause(provider.pk, Pause(error.reason.value), PAUSE_FOR_STAFF)


def _count(provider: Provider, reason: Provider.Pause, error: ProviderError, *, probing: bool = False) -> None:
    """Count a failure in a row, and pause for as long as their number says.

    Not while the provider is paused: the other lanes were out already, and what they bring back is the same outage.
    """
    column, enough = COUNTED[reason]
    rows = Provider.objects.filter(pk=provider.pk)
    awake = Q(paused_until=None) | Q(paused_until__lte=timezone.now())
    counting = rows if probing else rows.filter(awake)
    if not counting.update(**{column: F(column) + 1, "last_error": error.text[:LONGEST_ERROR]}):
        return
    number = rows.values_list(column, flat=True).get()
    if number >= enough:
        # The exponent is bounded, since a provider may be away for months.
        seconds = settings.BREAKER_PAUSE_SECONDS * 2 ** min(number - enough, 30)
        pause(provider.pk, reason, datetime.timedelta(seconds=min(seconds, LONGEST_PAUSE)))


def pause(provider_id: int, reason: Provider.Pause, length: datetime.timedelta) -> None:
    """Send nothing to a provider for a while; a pause by staff is never overwritten."""
    until = timezone.now() + length
    rows = Provider.objects.filter(pk=provider_id).exclude(pause_reason=Pause.STAFF, paused_until__gt=timezone.now())
    if rows.update(paused_until=until, pause_reason=reason):
        logger.warning("provider %s paused until %s: %s", provider_id, until, reason)


def resume(provider_id: int, *reasons: Provider.Pause) -> bool:
    """End a provider's pause when it was for one of these reasons; doubt about its commands stays."""
    rows = Provider.objects.filter(pk=provider_id, pause_reason__in=reasons)
    return bool(rows.update(paused_until=None, pause_reason="", failures=0, last_error=UNLESS_IN_DOUBT))


def is_paused(provider: Provider) -> bool:
    """Tell whether nothing is sent to a provider right now."""
    return provider.paused_until is not None and provider.paused_until > timezone.now()


def is_half_open(provider: Provider) -> bool:
    """Tell whether a pause that a provider came by through its answers is over, but nothing has proved it needless."""
    return provider.pause_reason in COUNTED and provider.paused_until is not None and not is_paused(provider)


def lanes(provider: Provider) -> int:
    """Return how many commands may be out at a provider at once: one while nobody knows what becomes of them."""
    return 1 if provider.doubts >= DOUBTS_TO_PAUSE else provider.max_in_flight


def probe(provider: Provider) -> bool:
    """Ask a half-open provider for our balance, and tell whether it may be sent commands again.

    One worker at a time: the others are told no until this one's patience is over. A failure pauses it again, for twice
    as long; a success ends the pause, but not the doubt. Never inside a transaction.
    """
    reason = provider.pause_reason
    patience = connect_timeout(provider) + read_timeout(provider) + 1
    now = timezone.now()
    half_open = Provider.objects.filter(pk=provider.pk, pause_reason=reason, paused_until__lte=now)
    if reason not in COUNTED or not half_open.update(paused_until=now + datetime.timedelta(seconds=patience)):
        return False
    try:
        read_balance(provider)
    except ProviderError as error:
        _fail_probe(provider, Pause(reason), error)
        return False
    resume(provider.pk, Pause.NETWORK, Pause.DOUBT)
    return True


def _fail_probe(provider: Provider, reason: Provider.Pause, error: ProviderError) -> None:
    record_failure(provider, error)
    if not (isinstance(error, Unavailable) and error.reason in {Reason.KEY, Reason.REDIRECT}):
        _count(provider, reason, error, probing=True)


def read_balance(provider: Provider) -> Balance:
    """Ask a provider for our balance, keep it and return it; raise ProviderError when it does not say.

    It proves that address and key are right, so it ends a pause for their sake. Never inside a transaction.
    """
    with connect(provider) as client:
        balance = client.balance()
    now = timezone.now()
    if abs(balance.amount) >= LARGEST_BALANCE:
        raise Unavailable(f"A balance of {balance.amount:.3e} cannot be", reason=Reason.UNREADABLE)
    with transaction.atomic():
        Provider.objects.filter(pk=provider.pk).update(
            balance=balance.amount, balance_at=now, last_error=UNLESS_IN_DOUBT
        )
        BalanceReading.objects.create(provider=provider, amount=balance.amount, read_at=now)
    provider.balance, provider.balance_at = balance.amount, now
    resume(provider.pk, Pause.KEY, Pause.REDIRECT)
    record_success(provider)
    return balance


def read_balances() -> int:
    """Read every balance that is due, as evidence and for staff, and return how many were read.

    Where we are paused nobody is asked, except while only commands are in doubt.
    """
    now = timezone.now()
    due = Q(balance_at=None) | Q(balance_at__lte=now - datetime.timedelta(seconds=settings.BALANCE_EVERY_SECONDS))
    away = Q(paused_until__gt=now) & ~Q(pause_reason=Pause.DOUBT)
    return sum(_read_if_allowed(provider) for provider in Provider.objects.filter(due, enabled=True).exclude(away))


def _read_if_allowed(provider: Provider) -> bool:
    if is_half_open(provider):
        return probe(provider)
    if not pacing.take(provider.pk, pacing.Kind.READ, 1):
        return False
    try:
        read_balance(provider)
    except ProviderError as error:
        record_failure(provider, error)
        return False
    return True


def prune_readings() -> int:
    """Forget balances that were read a month ago; return how many."""
    return BalanceReading.objects.filter(read_at__lt=timezone.now() - READINGS_KEPT).delete()[0]
