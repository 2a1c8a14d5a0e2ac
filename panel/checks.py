"""System checks that hold the settings together (ARCHITECTURE 3)."""

from collections.abc import Sequence

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register
from django.db import connection

from catalog import connecting
from catalog.models import Provider

# What a worker may need between an answer and its settling.
SLACK = 5


@register("database")
def check_lease(*, databases: Sequence[str] | None, **_: object) -> list[CheckMessage]:
    """Warn when a lease could end while a command is still waiting for its answer."""
    # `migrate` asks too, on a database that has no tables yet.
    if not databases or Provider._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - public by name
        return []
    messages: list[CheckMessage] = []
    for provider in Provider.objects.filter(enabled=True):
        needed = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + SLACK
        if needed > settings.DISPATCH_LEASE_SECONDS:
            messages.append(
                checks.Warning(
                    f"DISPATCH_LEASE_SECONDS is {settings.DISPATCH_LEASE_SECONDS:g}; {provider} may need {needed:g}.",
                    hint="Raise it, or give the provider shorter time-outs: orders would end up unclear for no reason.",
                    id="panel.W001",
                )
            )
    enabled = Provider.objects.filter(enabled=True).count()
    if enabled >= settings.FORWARD_THREADS:
        messages.append(
            checks.Warning(
                f"{enabled} providers are enabled, but the forward worker has {settings.FORWARD_THREADS} threads.",
                hint="Raise FORWARD_THREADS above the number of providers, so that a slow one delays only itself.",
                id="panel.W002",
            )
        )
    return messages


@register()
def check_timeouts(**_: object) -> list[CheckMessage]:
    """Refuse time-outs that cannot work."""
    names = (
        "PROVIDER_CONNECT_TIMEOUT",
        "PROVIDER_READ_TIMEOUT",
        "DISPATCH_LEASE_SECONDS",
        "SYNC_EVERY_SECONDS",
        "BREAKER_PAUSE_SECONDS",
        "BALANCE_EVERY_SECONDS",
    )
    wrong = [name for name in names if getattr(settings, name) <= 0]
    return [checks.Error(f"{name} must be above zero.", id="panel.E001") for name in wrong]
