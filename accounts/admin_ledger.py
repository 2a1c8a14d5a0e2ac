"""The books as staff see them: every transfer, and nothing to edit."""

from decimal import Decimal

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.admin_pages import ReadOnlyAdmin, amount, column, link
from accounts.models import Transfer, User
from accounts.templatetags.money import signed


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    """Transfers, newest first; a mistake is mended by another one, on the customer's page."""

    list_display = ("created_at", "customer", "reason_label", "moved", "balance_after", "reference", "note", "actor")
    list_display_links = ("created_at",)
    list_filter = ("reason", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("debit__user", "credit__user", "actor")
    ordering = ("-id",)
    search_fields = ("^reference", "=debit__user__email", "=credit__user__email", "note")
    search_help_text = _("Reference (order:123), a customer's whole e-mail address, or words of a note")
    fields = ("created_at", "customer_link", "reason", "moved", "balance_after", "reference", "note", "actor")
    readonly_fields = ("customer_link", "moved", "balance_after")

    @column(_("customer"))
    def customer(self, transfer: Transfer) -> str:
        user = find_user(transfer)
        return user.email if user else str(transfer)

    @column(_("customer"))
    def customer_link(self, transfer: Transfer) -> str:
        user = find_user(transfer)
        return link(user, user.email) if user else link(None)

    @column(
        _("reason"),
        ordering="reason",
        label={"deposit": "success", "refund": "info", "adjustment": "warning", "bonus": "success"},
    )
    def reason_label(self, transfer: Transfer) -> tuple[str, str]:
        return transfer.reason, str(Transfer.Reason(transfer.reason).label)

    @column(_("moved"), ordering="amount")
    def moved(self, transfer: Transfer) -> str:
        return signed(moved(transfer))

    @column(_("balance after"))
    def balance_after(self, transfer: Transfer) -> str:
        return amount(transfer.customer_balance_after)


def find_user(transfer: Transfer) -> User | None:
    """Return whose balance a transfer moved."""
    return transfer.credit.user or transfer.debit.user


def moved(transfer: Transfer) -> Decimal:
    """Return what a transfer did to its customer's balance."""
    return transfer.amount if transfer.credit.user_id else -transfer.amount
