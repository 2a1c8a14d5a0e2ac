"""What was sold below cost: what was known when it was sent (never any), and what a provider reports afterwards."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import NOTHING, ReadOnlyAdmin, Text, amount, column
from orders import auditing
from orders.models import Order

KNOWN, REPORTED = "known", "reported"
MEANINGS: dict[str | None, Text] = {
    KNOWN: _(
        "Orders that were sent although the cost known at that moment was above the charge, and whose service does not "
        "allow a loss. Every claim checks this: the list is always empty."
    ),
    REPORTED: _(
        "Orders of which the provider reports a charge above what the customer paid, refunds taken off. Providers mean "
        "different things by that figure; it moves no money. Look at the rate and the exchange rate first."
    ),
}


class LossFilter(admin.SimpleListFilter):
    """Orders that were sold below cost, by what was known or by what was reported."""

    title = _("sold below cost")
    parameter_name = "loss"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [(KNOWN, _("Known when it was sent")), (REPORTED, _("Reported afterwards"))]

    def queryset(self, _request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() == KNOWN:
            orders = orders.filter(pk__in=auditing.find_known_losses().order_by().values("order_id"))
        elif self.value() == REPORTED:
            orders = orders.filter(pk__in=auditing.find_reported_losses())
        else:
            return orders
        return orders.annotate(left=F("charge") - F("refunded") - F("reported_cost"))


class LossColumns(ReadOnlyAdmin):
    """The columns of orders sold below cost, in place of the usual ones while that filter is on."""

    loss_display = (
        "ids",
        "customer",
        "service_link",
        "status_label",
        "charge_text",
        "net",
        "expected",
        "reported",
        "difference",
        "created",
        "provider",
    )
    list_before_template: Any = "admin/panel/list_note.html"

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = request.GET.get(LossFilter.parameter_name) in MEANINGS
        return self.loss_display if shown else super().get_list_display(request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Say above the list what it means."""
        context = {**(extra_context or {}), "note": MEANINGS.get(request.GET.get(LossFilter.parameter_name))}
        return super().changelist_view(request, context)

    @column(_("expected cost"), ordering="expected_cost")
    def expected(self, order: Order) -> str:
        return amount(order.expected_cost)

    @column(_("reported cost"), ordering="reported_cost")
    def reported(self, order: Order) -> str:
        return amount(order.reported_cost)

    @column(_("difference"), ordering="left")
    def difference(self, order: Order) -> str:
        """Tell what is left of the payment, or what is missing, by the provider's own word."""
        return NOTHING if order.reported_cost is None else amount(order.net_charge - order.reported_cost)
