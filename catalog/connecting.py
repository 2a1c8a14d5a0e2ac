"""From a provider's row to a client that speaks to it, and the breaker that its row carries (ARCHITECTURE 3)."""

import datetime
import logging
from decimal import Decimal

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from catalog import secrets
from catalog.models import Provider
from catalog.providers.client import Client, Connection
from catalog.providers.dialects import dialect
from catalog.providers.errors import ProviderError, Reason, Unavailable
from catalog.providers.replies import Balance

logger = logging.getLogger(__name__)

# A single failure is noise; five in a row are a provider that is down, and every further try would only hold a lane.
FAILURES_TO_PAUSE = 5
SHORTEST_PAUSE = 15
LONGEST_PAUSE = 600
LARGEST_BALANCE = Decimal(10) ** 12  # what the column can hold
# A refused key or a moved address needs a person; look again by itself only now and then.
PAUSE_FOR_STAFF = datetime.timedelta(hours=6)


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


def record_success(provider: Provider) -> None:
    """Close the breaker of a provider that answered."""
    troubled = Provider.objects.filter(pk=provider.pk).filter(
        Q(failures__gt=0) | Q(pause_reason=Provider.Pause.NETWORK)
    )
    troubled.update(failures=0, last_error="", paused_until=None, pause_reason="")


def record_failure(provider: Provider, error: ProviderError) -> None:
    """Count a transport failure and pause the provider when there were several in a row; other failures do not count.

    A refused key and a redirect pause it at once: nothing that is sent to it can succeed.
    """
    if not isinstance(error, Unavailable):
        return
    told = {"last_error": error.text[:300]}
    if error.reason == Reason.NETWORK:
        Provider.objects.filter(pk=provider.pk).update(failures=F("failures") + 1, **told)
        failures = Provider.objects.values_list("failures", flat=True).get(pk=provider.pk)
        if failures >= FAILURES_TO_PAUSE:
            seconds = min(SHORTEST_PAUSE * 2 ** (failures - FAILURES_TO_PAUSE), LONGEST_PAUSE)
            pause(provider.pk, Provider.Pause.NETWORK, datetime.timedelta(seconds=seconds))
    elif error.reason in {Reason.KEY, Reason.REDIRECT}:
        Provider.objects.filter(pk=provider.pk).update(**told)
        pause(provider.pk, Provider.Pause(error.reason.value), PAUSE_FOR_STAFF)


def pause(provider_id: int, reason: Provider.Pause, length: datetime.timedelta) -> None:
    """Send nothing to a provider for a while; a pause by staff is never overwritten."""
    until = timezone.now() + length
    rows = Provider.objects.filter(pk=provider_id).exclude(
        pause_reason=Provider.Pause.STAFF, paused_until__gt=timezone.now()
    )
    if rows.update(paused_until=until, pause_reason=reason):
        logger.warning("provider %s paused until %s: %s", provider_id, until, reason)


def resume(provider_id: int, *reasons: Provider.Pause) -> bool:
    """End a provider's pause when it was for one of these reasons."""
    rows = Provider.objects.filter(pk=provider_id, pause_reason__in=reasons)
    return bool(rows.update(paused_until=None, pause_reason="", failures=0))


def read_balance(provider: Provider) -> Balance:
    """Ask a provider for our balance, keep it and return it; raise ProviderError when it does not say.

    It proves that address and key are right, so it ends a pause for their sake. Never inside a transaction.
    """
    with connect(provider) as client:
        balance = client.balance()
    now = timezone.now()
    if abs(balance.amount) >= LARGEST_BALANCE:
        raise Unavailable(f"A balance of {balance.amount:.3e} cannot be", reason=Reason.UNREADABLE)
    Provider.objects.filter(pk=provider.pk).update(balance=balance.amount, balance_at=now, last_error="")
    provider.balance, provider.balance_at = balance.amount, now
    resume(provider.pk, Provider.Pause.KEY, Provider.Pause.REDIRECT, Provider.Pause.NETWORK)
    return balance


def is_paused(provider: Provider) -> bool:
    """Tell whether nothing is sent to a provider right now."""
    return provider.paused_until is not None and provider.paused_until > timezone.now()
