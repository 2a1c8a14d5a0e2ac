"""Watching providers: what their page, the front page and `manage.py provider_health` say, and what needs a person.

It stands up here because what is spent and sent is known to orders, and what is read and paused to the catalogue.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.admin_pages import change_url
from catalog import connecting, health
from catalog.health import Health
from catalog.models import Provider, ProviderService, Sync
from orders import reporting, resolving
from orders.models import Dispatch

WEEK = datetime.timedelta(days=health.PACE_DAYS)
# The breaker looks again by itself; what it has not mended by then, it will not.
AWAY_TOO_LONG = datetime.timedelta(hours=1)
MENDED_BY_STAFF = frozenset({Provider.Pause.KEY, Provider.Pause.REDIRECT})
MOST_SERVICES = 100
State = Dispatch.State


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something about a provider that needs a person, and where it is dealt with."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known about one provider: its last day, what its last week cost, its last sync, and what waits there.

    `held` is the latest sync that waits for a person, which stays so while a newer one reads the list.
    """

    provider: Provider
    day: Health
    spent: Decimal | None
    sync: Sync | None
    held: Sync | None = None
    undecided: int = 0
    unconfirmed: int = 0

    @property
    def is_low(self) -> bool:
        """Whether little is left on our account there."""
        return health.is_low(self.provider, self.spent)

    @property
    def runway(self) -> str:
        """For how long that lasts, in words."""
        return health.tell_runway(self.provider, self.spent)

    def list_troubles(self) -> list[Trouble]:
        """Return what needs a person; nothing does about a provider that is switched off."""
        return list(self._find_troubles()) if self.provider.enabled else []

    def _find_troubles(self) -> Iterator[Trouble]:
        provider, own_page = self.provider, change_url(self.provider)
        if needs_mending(provider):
            yield Trouble(provider.get_pause_reason_display(), own_page)
        if self.is_low:
            yield Trouble(_("Low balance"), own_page)
        if is_rate_too_old(provider):
            yield Trouble(_("Its exchange rate is too old: nothing of it is sold"), own_page)
        if self.held is not None:
            yield Trouble(_("A sync waits: %s") % (self.held.why or _("to be looked at")), change_url(self.held))
        if self.unconfirmed:
            waiting = reverse("admin:catalog_sync_waiting")
            yield Trouble(_("Services that wait to be confirmed: %s") % self.unconfirmed, waiting)
        if self.undecided:
            yield Trouble(_("Orders that wait for a decision: %s") % self.undecided, queue_url(provider))


@dataclass(frozen=True, slots=True)
class ServiceAnswers:
    """How a provider answered the orders of one service in the last seven days; `unclear` were ever in doubt."""

    service: ProviderService
    accepted: int
    refused: int
    unclear: int
    orders: int


def watch_all() -> list[Watched]:
    """Return what is known about every provider: those that need a person first, then those in use.

    As many queries for a hundred as for one.
    """
    watched = _watch(list(Provider.objects.order_by("-enabled", "name")))
    return sorted(watched, key=lambda one: not one.list_troubles())


def watch(provider: Provider) -> Watched:
    """Return what is known about one provider."""
    return _watch([provider])[0]


def count_answers(provider: Provider) -> list[ServiceAnswers]:
    """Return how a provider answered the orders of the last seven days, the most troubled services first; two queries.

    Bounded: a page can show so many services.
    """
    counted = (
        Dispatch.objects.filter(provider=provider, command=Dispatch.Command.ADD, created_at__gte=timezone.now() - WEEK)
        .order_by()
        .values_list("provider_service")
        .annotate(
            accepted=Count("pk", filter=Q(state=State.SENT)),
            refused=Count("pk", filter=Q(state=State.REJECTED)),
            unclear=Count("pk", filter=Q(doubtful=True)),
            orders=Count("pk"),
        )
        .order_by("-unclear", "-refused", "-orders", "provider_service")[:MOST_SERVICES]
    )
    rows = list(counted)
    services = ProviderService.objects.in_bulk([service_id for service_id, *_numbers in rows])
    return [ServiceAnswers(services[service_id], *numbers) for service_id, *numbers in rows]


def needs_mending(provider: Provider) -> bool:
    """Tell whether a provider's pause will not end by itself: its key or address, or an hour without an answer."""
    if provider.pause_reason in MENDED_BY_STAFF:
        return provider.paused_until is not None
    if provider.pause_reason not in connecting.COUNTED:
        return False
    last = provider.last_success_at
    return last is None or last < timezone.now() - AWAY_TOO_LONG


def is_rate_too_old(provider: Provider) -> bool:
    """Tell whether a provider's exchange rate has outlived the days that staff gave it."""
    days = provider.exchange_rate_days
    return days > 0 and provider.exchange_rate_at < timezone.now() - datetime.timedelta(days=days)


def queue_url(provider: Provider) -> str:
    """Return the address of a provider's dispatches that need a person."""
    return f"{reverse('admin:orders_dispatch_changelist')}?provider__id__exact={provider.pk}"


def _watch(providers: list[Provider]) -> list[Watched]:
    ids = [provider.pk for provider in providers]
    days = health.read_day(ids)
    spent = reporting.read_spending(timezone.now() - WEEK)
    syncs = _read_latest(Sync.objects.filter(provider__in=ids))
    held = _read_latest(Sync.objects.filter(provider__in=ids, state=Sync.State.WAITING))
    undecided = _count(Dispatch.objects.filter(provider__in=ids, state__in=resolving.RESOLVABLE))
    # Those that catalog/admin_syncs.py lists.
    used = ProviderService.objects.filter(provider__in=ids, vanished_at=None, routes__isnull=False)
    unconfirmed = _count(used.exclude(waiting=""))
    return [
        Watched(
            provider=provider,
            day=days[provider.pk],
            spent=spent.get(provider.pk),
            sync=syncs.get(provider.pk),
            held=held.get(provider.pk),
            undecided=undecided.get(provider.pk, 0),
            unconfirmed=unconfirmed.get(provider.pk, 0),
        )
        for provider in providers
    ]


def _read_latest(syncs: QuerySet[Sync]) -> dict[int, Sync]:
    """Return the latest of some syncs of each provider."""
    return {sync.provider_id: sync for sync in syncs.order_by("provider", "-id").distinct("provider")}


def _count(rows: QuerySet[Any]) -> dict[int, int]:
    """Count rows by their provider."""
    return dict(rows.order_by().values_list("provider").annotate(number=Count("pk", distinct=True)))
