"""The staff pages about how providers do: all of them at a glance, and one with its services."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.admin_pages import NOTHING, change_url, link
from accounts.money import plain
from catalog import telling
from catalog.admin_health import name_state, tell_pace, tell_state, tell_time
from catalog.health import Health
from catalog.models import Provider, Sync
from panel import watching
from panel.watching import Trouble, Watched

STATE_LOOKS = {"on": "success", "off": "", "paused": "warning"}
# The states of a sync that has found what differs.
COMPARED = frozenset({Sync.State.WAITING, Sync.State.APPLIED, Sync.State.DISMISSED, Sync.State.UNDONE})
MINUTE = datetime.timedelta(minutes=1)
CHART_HEIGHT = 32
BAR_WIDTH, BAR_STEP = 5, 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour of a chart, in its own units."""

    x: int
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Card:
    """What the pages show of one provider."""

    name: str
    url: str
    services_url: str
    state: str
    state_look: str
    troubles: list[Trouble]
    facts: list[tuple[str, str]]
    bars: list[Bar]
    chart: str


@require_safe
def show_all(request: HttpRequest) -> HttpResponse:
    """Show how every provider does."""
    check_permission(request)
    cards = [make_card(watched) for watched in watching.watch_all()]
    return render(request, "admin/panel/health.html", title=_("Provider health"), cards=cards)


@require_safe
def show_one(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how one provider does, and how it answered for each service."""
    check_permission(request)
    provider = get_object_or_404(Provider, pk=pk)
    rows = [
        [
            link(answers.service),
            str(answers.accepted),
            tell_share(answers.refused, answers.orders),
            tell_share(answers.unclear, answers.orders),
            str(answers.orders),
        ]
        for answers in watching.count_answers(provider)
    ]
    headers = [_("service"), _("accepted"), _("refused"), _("ever in doubt"), _("orders")]
    return render(
        request,
        "admin/panel/health_provider.html",
        title=_("Health of %s") % provider,
        card=make_card(watching.watch(provider)),
        table={"headers": headers, "rows": rows},
        back=reverse("provider_health"),
    )


def make_card(watched: Watched) -> Card:
    """Return what is shown of a provider."""
    provider, day = watched.provider, watched.day
    look, _word = name_state(provider)
    busiest = max(day.by_hour, default=0)
    return Card(
        name=provider.name,
        url=change_url(provider),
        services_url=reverse("provider_health_services", args=[provider.pk]),
        state=tell_state(provider),
        state_look=STATE_LOOKS[look],
        troubles=watched.list_troubles(),
        facts=list_facts(watched),
        bars=draw_bars(day.by_hour),
        chart=_("Attempts by hour, %s in the busiest") % busiest if busiest else "",
    )


def list_facts(watched: Watched) -> list[tuple[str, str]]:
    """Return what is known of a provider, each with its label."""
    provider = watched.provider
    return [
        (_("Balance"), tell_balance(provider)),
        (_("Lasts"), watched.runway),
        *list_answers(watched.day),
        (_("Last success"), tell_since(provider.last_success_at)),
        (_("Calls per minute"), tell_pace(provider)),
        (_("Last sync"), tell_sync(watched.sync)),
    ]


def list_answers(day: Health) -> list[tuple[str, str]]:
    """Return how a provider answered in the last day, each figure with its label."""
    if not day.attempts:
        return [(_("Sent to it, 24 h"), _("nothing"))]
    return [
        (_("Half answer within"), tell_time(day.percentile(50))),
        (_("95 % answer within"), tell_time(day.percentile(95))),
        (_("Accepted, 24 h"), f"{day.accepted:,} / {day.attempts:,}"),
        (_("Refused, 24 h"), f"{day.refused_share:.1%}"),
        (_("Unclear, 24 h"), f"{day.unclear:,}"),
        (_("Not taken, 24 h"), f"{day.unavailable:,}"),
    ]


def tell_balance(provider: Provider) -> str:
    """Write what is left on our account at a provider."""
    return NOTHING if provider.balance is None else f"{plain(provider.balance)} {provider.currency}"


def tell_sync(sync: Sync | None) -> str:
    """Say what became of a sync, when, and what differed."""
    if sync is None:
        return _("never")
    state = f"{sync.get_state_display()}, {tell_since(sync.created_at)}"
    return f"{state} · {telling.tell_counts(sync.counts)}" if sync.state in COMPARED else state


def tell_since(moment: Any) -> str:
    """Write how long ago a moment was; the moment itself when that was more than a day ago."""
    if moment is None:
        return NOTHING
    since = localtime() - moment
    if since < MINUTE:
        return _("just now")
    return date_format(localtime(moment), "DATETIME_FORMAT") if since.days else _("%s ago") % timesince(moment, depth=1)


def tell_share(number: int, whole: int) -> str:
    """Write a number with its share of a whole."""
    return f"{number} ({number / whole:.1%})" if number else "0"


def draw_bars(by_hour: tuple[int, ...]) -> list[Bar]:
    """Return the bars of a chart of 24 hours; an hour with anything in it shows."""
    busiest = max(by_hour, default=0)
    bars = []
    for place, number in enumerate(by_hour):
        if number:
            height = max(2, round(CHART_HEIGHT * number / busiest))
            bars.append(Bar(x=place * BAR_STEP, y=CHART_HEIGHT - height, height=height))
    return bars


def check_permission(request: HttpRequest) -> None:
    """Raise PermissionDenied for whoever may not see providers."""
    if not request.user.has_perm("catalog.view_provider"):
        raise PermissionDenied


def render(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Show a page inside the admin's frame."""
    words = {"bar_width": BAR_WIDTH, "chart_height": CHART_HEIGHT, "chart_width": 24 * BAR_STEP, **context}
    return TemplateResponse(request, template, {**admin.site.each_context(request), **words})
