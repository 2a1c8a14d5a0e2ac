"""How providers do, for their list and their page: the last day's answers to commands, and how fast they are asked."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import NOTHING, PanelAdmin, column
from catalog import health, pacing
from catalog.health import Health
from catalog.models import Provider


class HealthColumns(PanelAdmin):
    """Columns of providers; the last day of all of a page's rows comes in one query."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        days = health.read_day([provider.pk for provider in changelist.result_list])
        for provider in changelist.result_list:
            provider.day = days[provider.pk]
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        provider = super().get_object(request, object_id, from_field)
        if provider is not None:
            provider.day = health.read_day([provider.pk])[provider.pk]
        return provider

    @column(_("answers in"))
    def latency(self, provider: Provider) -> str:
        latency = day_of(provider).latency
        return NOTHING if latency is None else f"{latency} ms"

    @column(_("slowest answer"))
    def slowest(self, provider: Provider) -> str:
        day = day_of(provider)
        return f"{day.slowest} ms" if day.attempts else NOTHING

    @column(_("accepted"))
    def accepted(self, provider: Provider) -> str:
        day = day_of(provider)
        return f"{day.accepted} / {day.attempts}" if day.attempts else NOTHING

    @column(_("refused"))
    def refused(self, provider: Provider) -> str:
        day = day_of(provider)
        return f"{day.refused_share:.1%}" if day.attempts else NOTHING

    @column(_("unclear"))
    def unclear(self, provider: Provider) -> str:
        day = day_of(provider)
        return str(day.unclear) if day.attempts else NOTHING

    @column(_("calls per minute"))
    def pace(self, provider: Provider) -> str:
        """Tell how many calls a provider is sent in a minute, and whether it was staff or the provider who said so."""
        if not pacing.is_limited(provider):
            return str(_("no limit"))
        if provider.calls_per_minute is not None:
            return str(provider.calls_per_minute)
        return str(_("%s, learned")) % provider.learned_per_minute


def day_of(provider: Provider) -> Health:
    """Return how a provider did in the last day, as its page has read it."""
    day: Health = getattr(provider, "day", Health())
    return day
