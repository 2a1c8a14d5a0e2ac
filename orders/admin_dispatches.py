"""The queue that needs a person: dispatches in doubt or held, and what is done about them (admin_doubt.py)."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.admin_pages import NOTHING, ReadOnlyAdmin, StaffRequest, amount, change_url, column, link
from accounts.errors import UserError
from accounts.money import plain
from catalog import classing
from orders import resolving
from orders.admin_doubt import (
    CONFIRMATION,
    ArrivedForm,
    MeaningForm,
    SendAgainForm,
    WhyForm,
    ask_meaning,
    breakable,
    may_class,
    offer_ways,
    show_evidence,
)
from orders.models import Dispatch

State = Dispatch.State
STATE_LOOKS = {
    State.SENT: "success",
    State.QUEUED: "info",
    State.LEASED: "info",
    State.HELD: "warning",
    State.UNCLEAR: "danger",
}
SHORT = 80


class QueueFilter(admin.SimpleListFilter):
    """What needs a person, unless more is asked for."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [("unclear", _("Unclear")), ("held", _("Held")), ("all", _("All dispatches"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Needs you")}, *others]

    def queryset(self, _request: HttpRequest, dispatches: QuerySet[Dispatch]) -> QuerySet[Dispatch]:
        states = {"unclear": [State.UNCLEAR], "held": [State.HELD], "all": list(State)}
        return dispatches.filter(state__in=states.get(self.value() or "", resolving.RESOLVABLE))


@admin.register(Dispatch)
class DispatchAdmin(ReadOnlyAdmin):
    """Dispatches; nothing is edited by hand, and whoever loses a race is told so."""

    list_display = (
        "id",
        "order_link",
        "customer",
        "command",
        "provider",
        "state_label",
        "why",
        "came_back_short",
        "claimed_at",
    )
    list_display_links = ("id",)
    list_filter = (QueueFilter, "command", "hold", ("provider", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("order__user", "provider")
    search_fields = ("=order__id", "=remote_id")
    search_help_text = _("ID of the order, or the provider's ID")
    change_form_outer_before_template: Any = "admin/panel/ways.html"
    fieldsets = (
        (
            None,
            {"fields": (("command", "state"), ("doubt", "look_at"), ("order_link", "customer"), "why", "came_back")},
        ),
        (
            _("What to look for there"),
            {"fields": (("provider_link", "claimed_at"), "service", ("link_whole", "quantity"), "balance")},
        ),
        (
            _("Attempts"),
            {"fields": (("attempt", "remote_id"), ("created_at", "due_at"), ("first_claimed_at", "settled_at"))},
        ),
    )
    readonly_fields = (
        "doubt",
        "order_link",
        "customer",
        "why",
        "came_back",
        "provider_link",
        "service",
        "link_whole",
        "quantity",
        "balance",
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Put the unclear before the held, the longest waiting first; everything: the newest first."""
        return ("-id",) if request.GET.get("queue") == "all" else ("-state", "id")

    @column(_("in doubt"))
    def doubt(self, dispatch: Dispatch) -> str:
        return str(_("Yes: an attempt may have been taken") if dispatch.doubtful else _("No: surely not taken"))

    @column(_("order"), ordering="order")
    def order_link(self, dispatch: Dispatch) -> str:
        return link(dispatch.order)

    @column(_("customer"))
    def customer(self, dispatch: Dispatch) -> str:
        return link(dispatch.order.user, dispatch.order.user.email)

    @column(_("provider"))
    def provider_link(self, dispatch: Dispatch) -> str:
        return link(dispatch.provider)

    @column(_("service there"))
    def service(self, dispatch: Dispatch) -> str:
        return link(dispatch.provider_service)

    @column(_("link"))
    def link_whole(self, dispatch: Dispatch) -> str:
        return dispatch.order.link

    @column(_("quantity"))
    def quantity(self, dispatch: Dispatch) -> int:
        return dispatch.order.quantity

    @column(_("our balance there"))
    def balance(self, dispatch: Dispatch) -> str:
        """Tell what was read last and what the order would have taken: evidence for a person, never acted on."""
        provider = dispatch.provider
        if provider.balance is None or provider.balance_at is None:
            return NOTHING
        told = {
            "balance": f"{plain(provider.balance)} {provider.currency}",
            "ago": timesince(provider.balance_at),
            "cost": amount(dispatch.order.expected_cost),
        }
        return str(_("%(balance)s, read %(ago)s ago; the order would have cost %(cost)s")) % told

    @column(_("state"), ordering="state", label=STATE_LOOKS)
    def state_label(self, dispatch: Dispatch) -> tuple[str, str]:
        return dispatch.state, str(State(dispatch.state).label)

    @column(_("why"))
    def why(self, dispatch: Dispatch) -> str:
        if dispatch.hold:
            return breakable(f"{Dispatch.Hold(dispatch.hold).label}: {dispatch.reason}")
        return breakable(dispatch.reason) if dispatch.reason else NOTHING

    @column(_("what came back"))
    def came_back(self, dispatch: Dispatch) -> str:
        return breakable(dispatch.evidence) if dispatch.evidence else str(_("Nothing."))

    @column(_("what came back"))
    def came_back_short(self, dispatch: Dispatch) -> str:
        text = " ".join(dispatch.evidence.split())
        return f"{text[:SHORT]}…" if len(text) > SHORT else text or NOTHING

    def render_change_form(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the ways out above what is known, to those who may take them."""
        dispatch = kwargs.get("obj")
        if dispatch is not None and dispatch.state in resolving.RESOLVABLE:
            if dispatch.command == Dispatch.Command.ADD and dispatch.doubtful:
                context["evidence"] = show_evidence(dispatch)
            if request.user.has_perm("orders.change_dispatch"):
                context["ways"] = offer_ways(dispatch)
                context["meaning"] = ask_meaning(request, dispatch)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        ways = {
            "arrived": self.arrived,
            "send_again": self.send_again,
            "cancel": self.cancel,
            "refuse": self.refuse,
            "meaning": self.meaning,
        }
        own = [
            path(f"<int:pk>/{name}/", site.admin_view(require_POST(view)), name=f"orders_dispatch_{name}")
            for name, view in ways.items()
        ]
        return [*own, *super().get_urls()]

    def arrived(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Bind the id under which staff found the order at the provider."""

        def act(_dispatch: Dispatch, values: dict[str, Any]) -> str:
            resolving.mark_arrived(pk, values["remote_id"], actor_id=request.user.pk)
            return str(_("Order %(order)s is followed under their ID %(id)s.")) % {
                "order": _dispatch.order_id,
                "id": values["remote_id"],
            }

        return self.resolve(request, pk, ArrivedForm(request.POST, prefix="arrived"), act)

    def send_again(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Queue a dispatch again, on the word of whoever asks that the provider does not have it."""

        def act(dispatch: Dispatch, values: dict[str, Any]) -> str:
            typed = " ".join(values["looked"].split())
            if dispatch.doubtful and typed.casefold() != CONFIRMATION.casefold():
                raise UserError(f"Type “{CONFIRMATION}” when you have looked; nothing was sent")
            resolving.send_again(pk, actor_id=request.user.pk)
            return str(_("Order %s is sent again now.")) % dispatch.order_id

        return self.resolve(request, pk, SendAgainForm(request.POST, prefix="send_again"), act)

    def cancel(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Cancel the order and give back what is left of its charge."""

        def act(dispatch: Dispatch, values: dict[str, Any]) -> str:
            resolving.cancel_and_refund(pk, actor_id=request.user.pk, why=values["why"])
            dispatch.order.refresh_from_db()
            told = {"order": dispatch.order_id, "amount": amount(dispatch.order.refunded)}
            return str(_("Order %(order)s is canceled; %(amount)s is returned in all.")) % told

        return self.resolve(request, pk, WhyForm(request.POST, prefix="cancel"), act)

    def refuse(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Refuse a refill or a cancel for good; no money moves."""

        def act(dispatch: Dispatch, values: dict[str, Any]) -> str:
            resolving.refuse(pk, actor_id=request.user.pk, why=values["why"])
            return str(_("Refused; order %s stays as it is.")) % dispatch.order_id

        return self.resolve(request, pk, WhyForm(request.POST, prefix="refuse"), act)

    def meaning(self, request: StaffRequest, pk: int) -> HttpResponse:
        """Say what a text means from now on, and settle by it what waits with it."""
        if not may_class(request):
            raise PermissionDenied

        def act(dispatch: Dispatch, values: dict[str, Any]) -> str:
            if not dispatch.unknown_text:
                raise UserError("Somebody or something else has decided this dispatch already")
            told = (dispatch.provider_id, dispatch.unknown_text)
            classing.class_text(*told, values["meaning"], actor_id=request.user.pk)
            if not values["settle"]:
                return str(_("The next answer with this text settles by itself; what waits is still to be decided."))
            settled = resolving.settle_classed(*told, actor_id=request.user.pk)
            return ngettext("%d dispatch is settled by it.", "%d dispatches are settled by it.", settled) % settled

        return self.resolve(request, pk, MeaningForm(request.POST, prefix="meaning"), act)

    def resolve(
        self, request: StaffRequest, pk: int, form: forms.Form, act: Callable[[Dispatch, dict[str, Any]], str]
    ) -> HttpResponse:
        """Check form and permission, act, and go on to the queue; on an error go back with its words."""
        if not request.user.has_perm("orders.change_dispatch"):
            raise PermissionDenied
        dispatch = get_object_or_404(Dispatch.objects.select_related("order"), pk=pk)
        if not form.is_valid():
            for name, texts in form.errors.items():
                messages.error(request, f"{form[name].label}: {texts[0]}")
            return redirect(change_url(dispatch))
        try:
            told = act(dispatch, form.cleaned_data)
        except UserError as error:
            messages.error(request, error.text)
            return redirect(change_url(dispatch))
        messages.success(request, told)
        return redirect(reverse("admin:orders_dispatch_changelist"))
