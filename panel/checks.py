"""System checks that hold the settings together (ARCHITECTURE 3)."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from catalog import connecting
from catalog.models import Provider

# What a worker may need between an answer and its settling.
SLACK = 5


@register("database")
def check_lease(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None, **_: object
) -> list[CheckMessage]:
    """Warn when a lease could end while a command is still waiting for its answer."""
    if not databases:
        return []
    messages: list[CheckMessage] = []
    for provider in Provider.objects.filter(enabled=True):
        needed = connecting.connect_timeout(provider) + connecting.read_timeout(provider) + SLACK
        if settings.DISPATCH_LEASE_SECONDS < needed:
            messages.append(
                Warning(
                    f"DISPATCH_LEASE_SECONDS is {settings.DISPATCH_LEASE_SECONDS:g}, but provider {provider} may need {needed:g}.",
                    hint="Raise it, or give the provider shorter time-outs: orders would end up unclear for no reason.",
                    id="panel.W001",
                )
            )
    enabled = Provider.objects.filter(enabled=True).count()
    if enabled > settings.FORWARD_THREADS:
        messages.append(
            Warning(
                f"{enabled} providers are enabled, but the forward worker has {settings.FORWARD_THREADS} threads.",
                hint="Raise FORWARD_THREADS to at least the number of providers, so that a slow one delays only itself.",
                id="panel.W002",
            )
        )
    return messages


@register()
def check_timeouts(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Refuse time-outs that cannot work."""
    names = ("PROVIDER_CONNECT_TIMEOUT", "PROVIDER_READ_TIMEOUT", "DISPATCH_LEASE_SECONDS", "SYNC_EVERY_SECONDS")
    return [Error(f"{name} must be above zero.", id="panel.E001") for name in names if getattr(settings, name) <= 0]
