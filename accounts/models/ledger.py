"""The books: accounts, and transfers that are never changed (ARCHITECTURE 4).

A transfer takes `amount` from its debit account and gives it to its credit account, so the books are balanced by
construction. Only customer accounts cache a balance; a house account's is the sum of its days and of today.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class LedgerAccount(models.Model):
    class Kind(models.TextChoices):
        CUSTOMER = "customer", _("Customer")  # what a customer may spend
        CASH = "cash", _("Cash")  # what came in from outside
        SALES = "sales", _("Sales")  # what orders earned, less refunds
        PROMOTIONS = "promotions", _("Promotions")  # bonuses given
        ADJUSTMENTS = "adjustments", _("Adjustments")  # corrections by staff, with a reason
        RECEIVABLE = "receivable", _("Receivable")  # what a dispute could not take back from a customer

    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="ledger_accounts"
    )
    balance = models.DecimalField(_("balance"), max_digits=20, decimal_places=5, null=True, blank=True)

    class Meta:
        verbose_name = _("ledger account")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "kind"], nulls_distinct=False, name="one_account_per_user_and_kind"
            ),
            models.CheckConstraint(
                condition=Q(kind="customer", user__isnull=False, balance__isnull=False)
                | (~Q(kind="customer") & Q(balance__isnull=True)),
                name="only_customer_accounts_cache_a_balance",
            ),
            models.CheckConstraint(condition=Q(balance__gte=0), name="balance_never_below_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id or ''}".strip()


class Transfer(models.Model):
    """Money that moved once; a trigger refuses every change, a mistake is mended by another transfer."""

    class Reason(models.TextChoices):
        DEPOSIT = "deposit", _("Deposit")
        CHARGE = "charge", _("Charge")
        REFUND = "refund", _("Refund")
        BONUS = "bonus", _("Bonus")
        ADJUSTMENT = "adjustment", _("Adjustment")

    debit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="debits")
    credit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="credits")
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=5)
    reason = models.CharField(_("reason"), max_length=12, choices=Reason)
    reference = models.CharField(_("reference"), max_length=80, unique=True)
    note = models.CharField(_("note"), max_length=200, blank=True, db_default="")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    customer_balance_after = models.DecimalField(_("balance after"), max_digits=20, decimal_places=5, null=True)
    created_at = models.DateTimeField(_("when"), db_default=Now())

    class Meta:
        verbose_name = _("transfer")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_amount_above_zero"),
            models.CheckConstraint(condition=~Q(debit=models.F("credit")), name="transfer_between_two_accounts"),
        ]
        indexes = [
            models.Index(fields=["debit", "-id"], name="transfers_out_of_an_account"),
            models.Index(fields=["credit", "-id"], name="transfers_into_an_account"),
            models.Index(fields=["created_at"], name="transfers_by_time"),
        ]

    def __str__(self) -> str:
        return self.reference


class LedgerDay(models.Model):
    """What went through an account on one closed day (UTC), so that no balance needs the whole history."""

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="days")
    day = models.DateField(_("day"))
    debits = models.DecimalField(max_digits=20, decimal_places=5)
    credits = models.DecimalField(max_digits=20, decimal_places=5)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="one_row_per_account_and_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day}"
