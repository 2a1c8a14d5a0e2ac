from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models.user import User


class ApiKey(models.Model):
    """A key to `/api/v2`; only its digest is kept, the key itself was shown once (accounts/api_keys.py).

    A test key sees a world of its own, in which orders move by the clock and money never does (orders/trying.py).
    """

    class Style(models.TextChoices):
        """How the two rows are written in which the documents of this field disagree (PROTOCOL 12)."""

        LIST = "list", _("Refills as a list (PerfectPanel)")
        FIRST = "first", _("The first refill alone (1DG)")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=60, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    may_order = models.BooleanField(_("may order, refill and cancel"), default=True, db_default=True)
    is_test = models.BooleanField(_("test key"), default=False, db_default=False, editable=False)
    style = models.CharField(_("answers"), max_length=5, choices=Style, default=Style.LIST, db_default=Style.LIST)
    networks = ArrayField(
        models.CharField(max_length=43),
        verbose_name=_("addresses"),
        default=list,
        blank=True,
        db_default=[],
        help_text=_("Addresses or networks that may use it, one on each line; none: any."),
    )
    daily_cap = models.DecimalField(
        _("spend a day"),
        max_digits=20,
        decimal_places=5,
        null=True,
        blank=True,
        help_text=_("What orders with this key may cost in a day (UTC); empty: no cap."),
    )
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    last_address = models.GenericIPAddressField(_("last used from"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(daily_cap=None) | Q(daily_cap__gt=0), name="api_key_cap_above_zero"),
            models.CheckConstraint(condition=Q(style__in=["list", "first"]), name="api_key_style_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class ApiKeyDay(models.Model):
    """What was ordered with one key on one day (UTC); counted in the placing transaction, held below the key's cap."""

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="days")
    day = models.DateField(_("day"))
    spent = models.DecimalField(_("spent"), max_digits=20, decimal_places=5, default=Decimal(0))

    class Meta:
        verbose_name = _("day of an API key")
        constraints = [models.UniqueConstraint(fields=["api_key", "day"], name="one_row_per_api_key_and_day")]

    def __str__(self) -> str:
        return f"{self.api_key_id} {self.day}"
