"""The admin's front page and sidebar: what needs a person first, then how the day goes. Nobody sees what he may not."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import amount, change_url
from accounts.models import User
from catalog import admin_syncs, connecting, stock
from catalog.models import Provider, Service, Sync
from orders import auditing, replacing, reporting, resolving
from orders.models import Dispatch, Order
from panel import watching
from panel.admin_watching import tell_balance
from panel.watching import Watched

WEEK = datetime.timedelta(days=7)
MOST_DIFFERENCES = 20

# The pages that are no model's list.
OWN_PAGES = frozenset({"provider_health", "admin:orders_delivery_hand"})

# Title, icon, address and the permission that is needed to see it.
PAGES: tuple[tuple[str | Promise, tuple[tuple[str | Promise, str, str, str], ...]], ...] = (
    (
        _("Orders"),
        (
            (_("Orders"), "list_alt", "orders_order", "orders.view_order"),
            (_("Needs you"), "front_hand", "orders_dispatch", "orders.view_dispatch"),
            (_("By hand"), "redeem", "admin:orders_delivery_hand", "orders.view_order"),
            (_("Deliveries"), "package_2", "orders_delivery", "orders.view_delivery"),
            (_("Replacements"), "published_with_changes", "orders_replacement", "orders.view_replacement"),
            (_("Webhooks"), "webhook", "orders_webhookendpoint", "orders.view_webhookendpoint"),
        ),
    ),
    (
        _("Catalogue"),
        (
            (_("Services"), "sell", "catalog_service", "catalog.view_service"),
            (_("Products"), "redeem", "catalog_product", "catalog.view_product"),
            (_("Uploads of stock"), "inventory", "catalog_stockbatch", "catalog.view_stockbatch"),
            (_("Categories"), "category", "catalog_category", "catalog.view_category"),
            (_("Markups"), "percent", "catalog_markup", "catalog.view_markup"),
            (_("Custom rates"), "loyalty", "catalog_customrate", "catalog.view_customrate"),
        ),
    ),
    (
        _("Providers"),
        (
            (_("Providers"), "cloud_sync", "catalog_provider", "catalog.view_provider"),
            (_("Health"), "monitor_heart", "provider_health", "catalog.view_provider"),
            (_("Syncs"), "sync", "catalog_sync", "catalog.view_sync"),
            (_("What they list"), "inventory_2", "catalog_providerservice", "catalog.view_providerservice"),
            (_("Classed refusals"), "rule", "catalog_refusaltext", "catalog.view_refusaltext"),
        ),
    ),
    (
        _("Customers and money"),
        (
            (_("Users"), "group", "accounts_user", "accounts.view_user"),
            (_("Customer groups"), "groups", "accounts_customergroup", "accounts.view_customergroup"),
            (_("Transfers"), "account_balance", "accounts_transfer", "accounts.view_transfer"),
            (_("Roles"), "badge", "auth_group", "auth.view_group"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for a person: how many, and where they are listed."""

    label: str | Promise
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of today beside the same span a week ago."""

    label: str | Promise
    today: str
    before: str


@dataclass(frozen=True, slots=True)
class Purse:
    """What is left at a provider, and for how many days at the pace of the last seven."""

    provider: Provider
    url: str
    balance: str
    runway: str
    state: str


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Give the front page what whoever asks may see; `?books` proves the books now, which only reads."""
    user = request.user
    watched = watching.watch_all() if user.has_perm("catalog.view_provider") else []
    may_prove = user.has_perm("accounts.view_transfer")
    books = auditing.find_differences() if may_prove and "books" in request.GET else None
    return context | {
        "title": _("Overview"),
        "needs": list_needs(request, watched),
        "figures": read_figures() if user.has_perm("orders.view_order") else [],
        "purses": [make_purse(one) for one in watched if one.provider.enabled],
        "may_prove": may_prove,
        "proved": books is not None,
        "differences": books[:MOST_DIFFERENCES] if books else [],
        "steps": list_steps() if user.is_superuser else [],
    }


def list_needs(request: HttpRequest, watched: list[Watched]) -> list[Need]:
    """Return what waits for a person, with the lists that show it; `watched` are the providers."""
    return [*list_needs_of_orders(request), *list_needs_of_catalogue(request, watched)]


def list_needs_of_orders(request: HttpRequest) -> list[Need]:
    """Return what waits for a person among orders."""
    dispatches, orders = list_url("orders_dispatch"), list_url("orders_order")
    needs = []
    if request.user.has_perm("orders.view_dispatch"):
        states = [*Dispatch.objects.filter(state__in=resolving.RESOLVABLE).order_by().values_list("state", flat=True)]
        needs += [
            Need(
                _("Unclear: may have been taken"), states.count(Dispatch.State.UNCLEAR), f"{dispatches}?queue=unclear"
            ),
            Need(_("Held: surely not taken"), states.count(Dispatch.State.HELD), f"{dispatches}?queue=held"),
        ]
    if request.user.has_perm("orders.view_order"):
        marked = Order.objects.exclude(attention="").count()
        needs += [
            Need(_("Orders to be looked at"), marked, f"{orders}?attention=any"),
            Need(_("Open for more than a day"), reporting.find_stuck().count(), f"{orders}?attention=stuck"),
            Need(
                _("To be delivered by hand"),
                reporting.find_undelivered().count(),
                find_url("admin:orders_delivery_hand"),
            ),
        ]
    if request.user.has_perm("orders.view_replacement"):
        replacements = f"{list_url('orders_replacement')}?status__exact=open"
        needs.append(Need(_("Replacements to answer"), replacing.count_open(), replacements))
    return needs


def list_needs_of_catalogue(request: HttpRequest, watched: list[Watched]) -> list[Need]:
    """Return what waits for a person among products, providers and their lists."""
    needs = []
    if request.user.has_perm("catalog.view_product"):
        low = stock.find_low().count()
        needs.append(Need(_("Products low on stock"), low, f"{list_url('catalog_product')}?stock=low"))
    if request.user.has_perm("catalog.view_provider"):
        used = [one for one in watched if one.provider.enabled]
        paused = sum(connecting.is_paused(one.provider) for one in used)
        low = sum(one.is_low for one in used)
        needs += [
            Need(_("Providers paused"), paused, list_url("catalog_provider")),
            Need(_("Providers low on balance"), low, find_url("provider_health")),
        ]
    if request.user.has_perm("catalog.view_sync"):
        held, waiting = Sync.objects.filter(state=Sync.State.WAITING).count(), admin_syncs.list_waiting().count()
        needs += [
            Need(_("Syncs that wait"), held, f"{list_url('catalog_sync')}?state__exact=waiting"),
            Need(_("Services to be confirmed"), waiting, reverse("admin:catalog_sync_waiting")),
        ]
    return needs


def read_figures() -> list[Figure]:
    """Return today's orders and money beside those of the same hours a week ago."""
    now = timezone.localtime()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today, before = reporting.read_span(midnight, now), reporting.read_span(midnight - WEEK, now - WEEK)
    return [
        Figure(_("Turnover"), amount(today.turnover), amount(before.turnover)),
        Figure(_("Refunds"), amount(today.refunds), amount(before.refunds)),
        Figure(_("Cost"), amount(today.cost), amount(before.cost)),
        Figure(_("Profit"), amount(today.profit), amount(before.profit)),
        Figure(_("Orders"), str(today.orders), str(before.orders)),
    ]


def make_purse(watched: Watched) -> Purse:
    """Return what is left at a provider."""
    provider = watched.provider
    state = provider.get_pause_reason_display() if connecting.is_paused(provider) else _("On")
    return Purse(provider, change_url(provider), tell_balance(provider), watched.runway, str(state))


def list_steps() -> list[tuple[str | Promise, bool, str]]:
    """Return the steps to a first order, which of them are done, and where to take them; none when all are."""
    steps: list[tuple[str | Promise, bool, str]] = [
        (_("Add a provider"), Provider.objects.exists(), reverse("admin:catalog_provider_add")),
        (_("Import its services"), Service.objects.filter(enabled=True).exists(), list_url("catalog_provider")),
        (_("Have a customer"), User.objects.filter(is_staff=False).exists(), reverse("admin:accounts_user_add")),
        (_("Place the first order"), Order.objects.exists(), reverse("new_order")),
    ]
    return [] if all(done for _label, done, _url in steps) else steps


def list_pages(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: the pages that whoever asks may see, with the number of those that need a person."""
    groups: list[dict[str, Any]] = [
        {"items": [{"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")}]}
    ]
    for title, pages in PAGES:
        items = [
            {"title": label, "icon": icon, "link": find_url(name), **badge(name), **mark(request, name)}
            for label, icon, name, permission in pages
            if request.user.has_perm(permission)
        ]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def badge(name: str) -> dict[str, str]:
    """Return the badge of a sidebar entry: how many dispatches need a person."""
    if name != "orders_dispatch":
        return {}
    waiting = Dispatch.objects.filter(state__in=resolving.RESOLVABLE).count()
    return {"badge": str(waiting), "badge_variant": "danger"} if waiting else {}


def mark(request: HttpRequest, name: str) -> dict[str, bool]:
    """Leave the list of deliveries unmarked on the page for those by hand, which lies below it."""
    by_hand = name == "orders_delivery" and request.path.startswith(find_url("admin:orders_delivery_hand"))
    return {"active": False} if by_hand else {}


def find_url(name: str) -> str:
    """Return the address of a page of the sidebar."""
    return reverse(name) if name in OWN_PAGES else list_url(name)


def list_url(name: str) -> str:
    """Return the address of a model's list."""
    return reverse(f"admin:{name}_changelist")


def name_site(_request: HttpRequest) -> str:
    """Return the shop's name."""
    return str(settings.SITE_NAME)


def find_favicon(_request: HttpRequest) -> str:
    """Return the address of the shop's icon."""
    return static("favicon.svg")
