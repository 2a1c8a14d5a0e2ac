"""Syncs as staff see them: what a provider's list changed, what waits to be looked at, and undoing it."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin_pages import NOTHING, ReadOnlyAdmin, StaffRequest, change_url, column, link
from accounts.errors import UserError
from catalog import following, reading, telling
from catalog.models import Provider, ProviderService, Sync, SyncChange

# So many boxes a page has, which also keeps its fields below what Django takes from one form.
PER_PAGE = 200
REFRESH_SECONDS = 2
NEEDED = "catalog.change_provider"
State, Kind = Sync.State, SyncChange.Kind
LOOKS = {
    State.READING: "info",
    State.WAITING: "danger",
    State.APPLIED: "success",
    State.UNCHANGED: "",
    State.FAILED: "warning",
    State.DISMISSED: "",
    State.UNDONE: "warning",
}


@dataclass(frozen=True, slots=True)
class Tab:
    """The differences of one kind: how many, and whether they are the ones that are shown."""

    label: str
    count: int
    query: str
    current: bool


@admin.register(Sync)
class SyncAdmin(ReadOnlyAdmin):
    """Readings of providers' lists, newest first; a page of one shows the differences and what can be done."""

    list_display = (
        "begun",
        "provider_link",
        "list_label",
        "state_label",
        "listed",
        "differences",
        "why_short",
        "actor_link",
    )
    list_display_links = ("begun",)
    list_filter = ("state", "is_product", "provider")
    list_select_related = ("provider", "actor")
    ordering = ("-id",)
    list_before_template: Any = "admin/panel/sync_waiting_link.html"
    change_form_outer_before_template: Any = "admin/panel/sync.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("provider_link", "list_label"),
                    ("state_text", "listed"),
                    "differences",
                    ("created_at", "actor_link"),
                )
            },
        ),
    )
    readonly_fields = ("provider_link", "list_label", "state_text", "listed", "differences", "created_at", "actor_link")

    @column(_("begun"), ordering="id")
    def begun(self, sync: Sync) -> Any:
        return sync.created_at

    @column(_("provider"))
    def provider_link(self, sync: Sync) -> str:
        return link(sync.provider)

    @column(_("list"), ordering="is_product")
    def list_label(self, sync: Sync) -> str:
        return str(_("Products") if sync.is_product else _("Services"))

    @column(_("state"), ordering="state", label=LOOKS)
    def state_label(self, sync: Sync) -> tuple[str, str]:
        return sync.state, str(State(sync.state).label)

    @column(_("state"))
    def state_text(self, sync: Sync) -> str:
        return str(State(sync.state).label)

    @column(_("listed"), ordering="rows")
    def listed(self, sync: Sync) -> int:
        return sync.rows

    @column(_("what differed"))
    def differences(self, sync: Sync) -> str:
        return telling.tell_counts(sync.counts) if sync.state not in {State.READING, State.FAILED} else NOTHING

    @column(_("why"))
    def why_short(self, sync: Sync) -> str:
        return sync.why or NOTHING

    @column(_("asked or decided by"))
    def actor_link(self, sync: Sync) -> str:
        return str(sync.actor) if sync.actor else str(_("the schedule"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show above the list how many services wait to be confirmed."""
        context: dict[str, Any] = {**(extra_context or {}), "confirmable": list_waiting().count()}
        return super().changelist_view(request, context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show a sync; while its list is read the page comes again by itself, without a script."""
        response = super().change_view(request, object_id, *args, **kwargs)
        shown = getattr(response, "context_data", None) or {}
        if shown.get("sync") is not None and shown["sync"].state == State.READING:
            response["Refresh"] = str(REFRESH_SECONDS)
        return response

    def render_change_form(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the differences of a sync above its facts."""
        sync = kwargs.get("obj")
        if sync is not None:
            may = request.user.has_perm(NEEDED)
            kind = request.GET.get("kind", "")
            shown = read_page(sync, kind, request.GET.get("page", "1"))
            context |= {
                "sync": sync,
                "tabs": list_tabs(sync, kind),
                "lines": telling.tell(
                    sync.provider, cast("list[SyncChange]", shown.object_list), is_product=sync.is_product
                ),
                "found": shown,
                "query": urlencode({"kind": kind}),
                "can_decide": may and sync.state == State.WAITING,
                "can_apply": sync.changes.filter(applied=False).exists(),
                "can_undo": may and sync.state == State.APPLIED and following.last_applied(sync) == sync,
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        pages = {"start": self.start, "decide": self.decide, "undo": self.undo}
        own = [
            path(f"<int:pk>/{name}/", site.admin_view(require_POST(view)), name=f"catalog_sync_{name}")
            for name, view in pages.items()
        ]
        confirm = path("confirm/<int:pk>/", site.admin_view(require_POST(self.confirm)), name="catalog_sync_confirm")
        waiting = path("waiting/", site.admin_view(self.waiting), name="catalog_sync_waiting")
        return [*own, confirm, waiting, *super().get_urls()]

    def start(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Ask for a provider's list to be read; a worker does within seconds. `review` lets it wait in any case.

        `products` asks for that list of its two.
        """
        check(request)
        provider = get_object_or_404(Provider, pk=pk)
        review, is_product = (name in request.GET or name in request.POST for name in ("review", "products"))
        sync = reading.request_sync(provider.pk, is_product=is_product, actor_id=request.user.pk, review=review)
        return redirect(change_url(sync))

    def decide(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Apply what was found, or what was ticked of it, or dismiss it."""
        check(request)
        sync = get_object_or_404(Sync, pk=pk)
        way = request.POST.get("way", "")
        try:
            if way == "dismiss":
                following.dismiss(pk, actor_id=request.user.pk)
                told = _("Dismissed. It does not come back unless the list changes again.")
            elif way == "apply":
                following.apply(pk, actor_id=request.user.pk)
                told = _("Applied.")
            else:
                ticked = [int(text) for text in request.POST.getlist("change") if text.isdecimal()]
                following.apply(pk, actor_id=request.user.pk, only=ticked)
                told = _("What was ticked is applied.")
        except UserError as error:
            messages.error(request, error.text)
        else:
            self.log_change(request, sync, str(told))
            messages.success(request, told)
        return redirect(change_url(sync))

    def undo(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Put back what a sync changed."""
        check(request)
        sync = get_object_or_404(Sync, pk=pk)
        try:
            sync = following.undo(pk, actor_id=request.user.pk)
        except UserError as error:
            messages.error(request, error.text)
        else:
            self.log_change(request, sync, "Undone")
            messages.success(request, _("Undone; %s had been changed since and stay.") % sync.counts["missed"])
        return redirect(change_url(sync))

    def waiting(self, request: StaffRequest) -> HttpResponse:
        """List what we could sell again once a person confirms it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,  # noqa: SLF001 - the public way to a model's names
            "title": _("Waiting to be confirmed"),
            "found": Paginator(list_waiting(), PER_PAGE).get_page(request.GET.get("page")),
            "may_confirm": request.user.has_perm(NEEDED),
        }
        return TemplateResponse(request, "admin/panel/sync_waiting.html", context)

    def confirm(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Sell again what waits."""
        check(request)
        row = get_object_or_404(ProviderService, pk=pk)
        try:
            following.confirm(pk, actor_id=request.user.pk)
        except UserError as error:
            messages.error(request, error.text)
        else:
            self.log_change(request, row, "Confirmed")
            messages.success(request, _("%s can be sold again.") % row.name)
        return redirect(reverse("admin:catalog_sync_waiting"))


def check(request: HttpRequest) -> None:
    """Raise PermissionDenied unless whoever asks may change providers."""
    if not request.user.has_perm(NEEDED):
        raise PermissionDenied


def list_waiting() -> QuerySet[ProviderService]:
    """Return what waits for a person and is used by a service, with the services that are."""
    rows = ProviderService.objects.exclude(waiting="").filter(vanished_at=None, routes__isnull=False).distinct()
    return rows.select_related("provider").prefetch_related("routes__service").order_by("provider", "pk")


def list_tabs(sync: Sync, kind: str) -> list[Tab]:
    """Return the kinds of differences that a sync has, and all of them together; one query."""
    numbers = dict(sync.changes.order_by().values_list("kind").annotate(Count("pk")))
    kinds = [Tab(str(one.label), numbers[one], one.value, current=one == kind) for one in Kind if one in numbers]
    return [Tab(str(_("All")), sum(numbers.values()), "", current=not kind), *kinds]


def read_page(sync: Sync, kind: str, number: str) -> Page[SyncChange]:
    """Return a page of a sync's differences, those of one kind or all."""
    changes = sync.changes.order_by("kind", "pk")
    return Paginator(changes.filter(kind=kind) if kind else changes, PER_PAGE).get_page(number)
