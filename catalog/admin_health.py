"""How providers do, for their list and their pages: whether they are sent anything, and how they answer."""

import datetime
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.timesince import timeuntil
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import NOTHING, PanelAdmin, column
from catalog import connecting, health, pacing
from catalog.health import Health
from catalog.models import Provider

# The reasons of a pause, short enough for a column.
PAUSED: Mapping[str, str | Promise] = {
    Provider.Pause.NETWORK: _("Away"),
    Provider.Pause.KEY: _("Key refused"),
    Provider.Pause.REDIRECT: _("Redirects"),
    Provider.Pause.STAFF: _("Paused by staff"),
    Provider.Pause.DOUBT: _("Unclear answers"),
}


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

    @column(_("half answer within"))
    def median(self, provider: Provider) -> str:
        return tell_time(day_of(provider).percentile(50))

    @column(_("95 % answer within"))
    def slow(self, provider: Provider) -> str:
        return tell_time(day_of(provider).percentile(95))

    @column(_("answers in, on average"))
    def latency(self, provider: Provider) -> str:
        return tell_time(day_of(provider).latency)

    @column(_("slowest answer"))
    def slowest(self, provider: Provider) -> str:
        day = day_of(provider)
        return tell_time(day.slowest if day.attempts else None)

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
        return tell_pace(provider)


def day_of(provider: Provider) -> Health:
    """Return how a provider did in the last day, as its page has read it."""
    day: Health = getattr(provider, "day", Health())
    return day


def tell_time(milliseconds: int | None) -> str:
    """Write how long something took, or a dash."""
    return NOTHING if milliseconds is None else f"{milliseconds:,} ms"


def tell_pace(provider: Provider) -> str:
    """Tell how many calls a provider is sent in a minute, and whether it was staff or the provider who said so."""
    if not pacing.is_limited(provider):
        return str(_("no limit"))
    if provider.calls_per_minute is not None:
        return str(provider.calls_per_minute)
    return str(_("%s, learned")) % provider.learned_per_minute


def name_state(provider: Provider) -> tuple[str, str]:
    """Return whether a provider is on, off or paused, and a word for it that fits into a column."""
    if not provider.enabled:
        return "off", str(_("Switched off"))
    if connecting.is_paused(provider):
        return "paused", str(PAUSED.get(provider.pause_reason, _("Paused")))
    if connecting.is_half_open(provider):
        return "paused", str(_("To be tried"))
    return ("paused", str(_("One at a time"))) if in_doubt(provider) else ("on", str(_("On")))


def tell_state(provider: Provider) -> str:
    """Say how a provider is, and for how long."""
    if not provider.enabled:
        return str(_("Switched off"))
    why = provider.get_pause_reason_display() or str(_("Paused"))
    if connecting.is_half_open(provider):
        return str(_("%s, about to be tried again")) % why
    if provider.paused_until is None or not connecting.is_paused(provider):
        return str(_("One order at a time until one is answered")) if in_doubt(provider) else str(_("On"))
    if provider.pause_reason == Provider.Pause.STAFF:
        return why
    left = provider.paused_until - timezone.now()
    if left < datetime.timedelta(minutes=2):
        return str(_("%(why)s, %(seconds)d seconds")) % {"why": why, "seconds": left.total_seconds()}
    return f"{why}, {timeuntil(provider.paused_until)}"


def in_doubt(provider: Provider) -> bool:
    """Tell whether orders go out one at a time because the last ones were not clearly answered."""
    return provider.doubts >= connecting.DOUBTS_TO_PAUSE
