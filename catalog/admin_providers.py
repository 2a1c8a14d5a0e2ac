"""Providers as staff see them: their settings, and testing, syncing and pausing them."""

import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin_pages import NOTHING, Button, StaffRequest, change_url, column
from accounts.errors import UserError
from accounts.money import plain
from catalog import adding, admin_import, connecting, receiving
from catalog.admin_adding import ask_for_provider, tell_balance
from catalog.admin_dialect import ask_dialect
from catalog.admin_forms import ProviderForm
from catalog.admin_health import HealthColumns, name_state, tell_state
from catalog.admin_prices import MarkupInline
from catalog.models import Provider

# Until staff resume it; a year is for ever enough, and the column needs a moment.
STAFF_PAUSE = datetime.timedelta(days=365)


@admin.register(Provider)
class ProviderAdmin(HealthColumns):
    """Providers; each is tested before it is added, and nothing here waits for the network inside a transaction."""

    form = ProviderForm
    list_display = (
        "name",
        "state",
        "balance_text",
        "median",
        "slow",
        "accepted",
        "refused",
        "unclear",
        "last_success_at",
        "pace",
    )
    list_filter = ("enabled", "pause_reason")
    search_fields = ("name", "api_url")
    ordering = ("name",)
    inlines = (MarkupInline,)
    actions = ("test_all", "pause_all", "resume_all")
    readonly_fields = (
        *("state_text", "created_at", "balance_text", "balance_at", "failures", "doubts", "last_error"),
        *("median", "slow", "latency", "slowest", "accepted", "refused", "unclear", "last_success_at"),
        *("learned_per_minute", "limited_at", "synced_at", "exchange_rate_at", "speech"),
    )
    fieldsets = (
        (None, {"fields": (("name", "enabled"), ("api_url", "key"))}),
        (
            _("Its currency"),
            {"fields": (("currency", "exchange_rate"), ("exchange_rate_days", "exchange_rate_at"), "rate_holds")},
        ),
        (
            _("How it is"),
            {
                "fields": (
                    ("state_text", "created_at"),
                    ("balance_text", "balance_at"),
                    "low_balance",
                    ("failures", "doubts"),
                    ("last_success_at", "last_error"),
                )
            },
        ),
        (
            _("Its answers of the last 24 hours"),
            {"fields": (("accepted", "refused", "unclear"), ("median", "slow"), ("latency", "slowest"))},
        ),
        (
            _("Its lists of services and products"),
            {"fields": (("sync_minutes", "synced_at"), ("brake_gone_percent", "brake_rate_percent"))},
        ),
        (
            _("How fast it is asked"),
            {"fields": (("calls_per_minute", "max_in_flight"), ("learned_per_minute", "limited_at"))},
        ),
        (
            _("How it speaks"),
            {"fields": (("connect_timeout", "read_timeout"), "idempotency_hours", "speech")},
        ),
    )

    @column(_("state"), label={"on": "success", "off": "", "paused": "warning"})
    def state(self, provider: Provider) -> tuple[str, str]:
        return name_state(provider)

    @column(_("state"))
    def state_text(self, provider: Provider) -> str:
        return tell_state(provider)

    @column(_("balance"), ordering="balance")
    def balance_text(self, provider: Provider) -> str:
        return NOTHING if provider.balance is None else f"{plain(provider.balance)} {provider.currency}"

    @column(_("dialect"))
    def speech(self, provider: Provider) -> str:
        flags = ", ".join(f"{flag}: {value}" for flag, value in provider.dialect_overrides.items())
        return f"{provider.dialect} ({flags})" if flags else provider.dialect

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        """Orders name their provider: switch it off instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Write only what was changed here: workers write balance, failures and pauses at the same time."""
        del request, change
        columns = {field.name for field in Provider._meta.fields}  # noqa: SLF001 - the public way to a model's fields
        changed = columns.intersection(form.changed_data)
        if form.cleaned_data.get("key"):
            adding.set_key(obj, form.cleaned_data["key"])
            changed |= {"key_encrypted", "key_hint"}
        if "exchange_rate" in changed or form.cleaned_data.get("rate_holds"):
            obj.exchange_rate_at = timezone.now()
            changed |= {"exchange_rate_at"}
        obj.save(update_fields=changed)

    def list_buttons(self, request: StaffRequest, row: Provider) -> list[Button]:
        if not self.has_change_permission(request, row):
            return []
        paused = connecting.is_paused(row)
        pause = ("resume", _("Resume"), "play_arrow") if paused else ("pause", _("Pause"), "pause")
        return [
            Button(_("Test connection"), button_url("test", row), "network_check", post=True),
            *list_list_buttons(row),
            Button(_("How it speaks"), button_url("dialect", row), "forum"),
            Button(_("Health"), reverse("provider_health_services", args=[row.pk]), "monitor_heart"),
            Button(pause[1], button_url(pause[0], row), pause[2], post=True),
        ]

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        pages = {"test": self.test, "pause": self.pause, "resume": self.resume}
        own = [
            path(f"<int:pk>/{name}/", site.admin_view(require_POST(view)), name=f"catalog_provider_{name}")
            for name, view in pages.items()
        ]
        dialect = path("<int:pk>/dialect/", site.admin_view(self.dialect_page), name="catalog_provider_dialect")
        return [*own, dialect, *admin_import.list_urls(self), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a provider, test it, and add it; not Django's own page, since that one runs in a transaction."""
        del form_url, extra_context
        if not self.has_add_permission(request):
            raise PermissionDenied
        return ask_for_provider(self, request)

    def dialect_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask how a provider speaks."""
        return ask_dialect(self, request, self.find(request, pk))

    def test(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask a provider for our balance, and show what was read."""
        provider = self.find(request, pk)
        self.tell_test(request, provider)
        return redirect(change_url(provider))

    def pause(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send nothing to a provider until staff resume it."""
        provider = self.find(request, pk)
        self.pause_all(request, Provider.objects.filter(pk=pk))
        return redirect(change_url(provider))

    def resume(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End a pause, whatever it was for."""
        provider = self.find(request, pk)
        self.resume_all(request, Provider.objects.filter(pk=pk))
        return redirect(change_url(provider))

    @admin.action(description=_("Test connection"), permissions=["change"])
    def test_all(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        for provider in providers:
            self.tell_test(request, provider)

    @admin.action(description=_("Pause"), permissions=["change"])
    def pause_all(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        for provider in providers:
            connecting.pause(provider.pk, Provider.Pause.STAFF, STAFF_PAUSE)
            self.log_change(request, provider, "Paused")
            messages.success(request, _("%s is paused: nothing is sent to it until it is resumed.") % provider)

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume_all(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        for provider in providers:
            connecting.resume(provider.pk, *Provider.Pause)
            self.log_change(request, provider, "Resumed")
            messages.success(request, _("%s is no longer paused.") % provider)

    def tell_test(self, request: HttpRequest, provider: Provider) -> None:
        """Test one provider and say how it went."""
        try:
            balance = adding.retest(provider)
        except UserError as error:
            messages.error(request, f"{provider}: {error.text}")
        else:
            messages.success(
                request,
                _("%(name)s answered: balance %(balance)s.")
                % {"name": provider, "balance": tell_balance(provider, balance)},
            )

    def find(self, request: HttpRequest, pk: int) -> Provider:
        """Return a provider that whoever asks may change; raise PermissionDenied or Http404."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return get_object_or_404(Provider, pk=pk)


def list_list_buttons(provider: Provider) -> list[Button]:
    """Return what can be done with a provider's list of services, and with that of products where it has one."""
    sync = admin_import.start_sync_url(provider)
    buttons = [
        Button(_("Import services"), button_url("import", provider), "download"),
        Button(_("Sync services"), sync, "sync", post=True),
        Button(_("Sync, let me look first"), f"{sync}?review=1", "difference", post=True),
    ]
    if receiving.sells_products(provider):
        sync = admin_import.start_sync_url(provider, is_product=True)
        buttons += [
            Button(_("Import products"), button_url("import_products", provider), "download"),
            Button(_("Sync products"), sync, "sync", post=True),
            Button(_("Sync products, let me look first"), f"{sync}&review=1", "difference", post=True),
        ]
    return buttons


def button_url(name: str, provider: Provider) -> str:
    """Return the address of something to be done with a provider."""
    return reverse(f"admin:catalog_provider_{name}", args=[provider.pk])
