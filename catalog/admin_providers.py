"""Providers as staff see them: adding one that answered, testing, importing and pausing them."""

import datetime
from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.timesince import timeuntil
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin_pages import (
    NOTHING,
    Button,
    StaffRequest,
    ask,
    change_url,
    column,
)
from accounts.errors import UserError
from accounts.money import plain
from catalog import adding, connecting, fetching
from catalog.admin_forms import AddForm, ImportForm, ProviderForm
from catalog.admin_health import HealthColumns
from catalog.admin_prices import MarkupInline
from catalog.models import Provider
from catalog.providers.replies import Balance

# Until staff resume it; a year is for ever enough, and the column needs a moment.
STAFF_PAUSE = datetime.timedelta(days=365)
# The reasons of a pause, short enough for a column.
PAUSED: Mapping[str, str | Promise] = {
    Provider.Pause.NETWORK: _("Away"),
    Provider.Pause.KEY: _("Key refused"),
    Provider.Pause.REDIRECT: _("Redirects"),
    Provider.Pause.STAFF: _("Paused by staff"),
    Provider.Pause.DOUBT: _("Unclear answers"),
}


@admin.register(Provider)
class ProviderAdmin(HealthColumns):
    """Providers; each is tested before it is added, and nothing here waits for the network inside a transaction."""

    form = ProviderForm
    list_display = (
        "name",
        "state",
        "balance_text",
        "latency",
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
        *("latency", "slowest", "accepted", "refused", "unclear", "last_success_at"),
        *("learned_per_minute", "limited_at"),
    )
    fieldsets = (
        (None, {"fields": (("name", "enabled"), ("api_url", "key"), ("currency", "exchange_rate"))}),
        (
            _("How it is"),
            {
                "fields": (
                    ("state_text", "created_at"),
                    ("balance_text", "balance_at"),
                    ("failures", "doubts"),
                    ("last_success_at", "last_error"),
                )
            },
        ),
        (
            _("Its answers of the last 24 hours"),
            {"fields": (("accepted", "refused", "unclear"), ("latency", "slowest"))},
        ),
        (
            _("How fast it is asked"),
            {"fields": (("calls_per_minute", "max_in_flight"), ("learned_per_minute", "limited_at"))},
        ),
        (
            _("How it speaks"),
            {"fields": (("connect_timeout", "read_timeout"), "idempotency_hours", "dialect", "dialect_overrides")},
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
        obj.save(update_fields=changed)

    def list_buttons(self, request: StaffRequest, row: Provider) -> list[Button]:
        if not self.has_change_permission(request, row):
            return []
        paused = connecting.is_paused(row)
        pause = ("resume", _("Resume"), "play_arrow") if paused else ("pause", _("Pause"), "pause")
        return [
            Button(_("Test connection"), button_url("test", row), "network_check", post=True),
            Button(_("Import services"), button_url("import", row), "download"),
            Button(pause[1], button_url(pause[0], row), pause[2], post=True),
        ]

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        pages = {"test": self.test, "pause": self.pause, "resume": self.resume}
        own = [
            path(f"<int:pk>/{name}/", site.admin_view(require_POST(view)), name=f"catalog_provider_{name}")
            for name, view in pages.items()
        ]
        importing = path("<int:pk>/import/", site.admin_view(self.import_page), name="catalog_provider_import")
        return [*own, importing, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a provider, test it, and add it; not Django's own page, since that one runs in a transaction."""
        del form_url, extra_context
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AddForm(request.POST or None)
        if form.is_valid():
            values = form.cleaned_data
            new = adding.NewProvider(
                name=values["name"],
                url=values["api_url"],
                key=values["key"],
                currency=values["currency"],
                exchange_rate=values["exchange_rate"],
                markup_percent=values["markup_percent"],
                dialect=values["dialect"],
            )
            try:
                provider, balance = adding.add_provider(new)
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else None, error.text)
            else:
                self.log_addition(request, provider, "Added")
                messages.success(request, _("Added. It answered: balance %s.") % tell_balance(provider, balance))
                return redirect(change_url(provider))
        explanation = _("The provider is asked for our balance first; it is added only when it answers.")
        return ask(self, request, form, title=_("Add provider"), submit=_("Test and add"), explanation=explanation)

    def import_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask what to import, import it, and tell what that did."""
        provider = self.find(request, pk)
        form = ImportForm(request.POST or None)
        if form.is_valid():
            try:
                counts = fetching.fetch_services(provider, **form.cleaned_data)
            except UserError as error:
                form.add_error(error.field if error.field in form.fields else None, error.text)
            else:
                self.log_change(request, provider, f"Imported: {fetching.tell_counts(counts)}")
                messages.success(request, fetching.tell_counts(counts))
                for line in fetching.tell_skipped(counts):
                    messages.info(request, line)
                return redirect(change_url(provider))
        words: dict[str, Any] = {"title": _("Import services from %s") % provider, "submit": _("Import")}
        return ask(self, request, form, subject=provider, **words)

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


def button_url(name: str, provider: Provider) -> str:
    """Return the address of something to be done with a provider."""
    return reverse(f"admin:catalog_provider_{name}", args=[provider.pk])


def tell_balance(provider: Provider, balance: Balance) -> str:
    """Write a balance as the provider told it, with a warning where it names another currency than is set."""
    said = balance.currency or provider.currency
    text = f"{plain(balance.amount)} {said}"
    if said.upper() != provider.currency:
        text += " " + _("(but the currency set here is %s)") % provider.currency
    return text
