from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _


class Provider(models.Model):
    """An upstream panel that we order from. Its key is encrypted; `paused_until` is the breaker (ARCHITECTURE 3)."""

    class Pause(models.TextChoices):
        NETWORK = "network", _("It cannot be reached")
        KEY = "key", _("It refuses our key")
        REDIRECT = "redirect", _("Its address redirects")
        STAFF = "staff", _("Paused by staff")
        DOUBT = "doubt", _("Its answers to orders are unclear")

    name = models.CharField(_("name"), max_length=80)
    api_url = models.URLField(_("API address"), max_length=300, help_text=_("In full, for example https://…/api/v2"))
    key_encrypted = models.TextField(editable=False)
    key_hint = models.CharField(_("key ends with"), max_length=4, editable=False)
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    exchange_rate = models.DecimalField(
        _("exchange rate"),
        max_digits=20,
        decimal_places=10,
        default=Decimal(1),
        help_text=_("What one unit of the provider's currency costs in the panel's currency."),
    )
    dialect = models.CharField(_("dialect"), max_length=20, default="perfectpanel")
    dialect_overrides = models.JSONField(_("dialect overrides"), default=dict, blank=True)
    connect_timeout = models.FloatField(_("connect timeout, seconds"), null=True, blank=True)
    read_timeout = models.FloatField(_("read timeout, seconds"), null=True, blank=True)
    max_in_flight = models.PositiveSmallIntegerField(
        _("requests at a time"), default=8, help_text=_("Over all workers on all machines.")
    )
    calls_per_minute = models.PositiveIntegerField(
        _("calls per minute"),
        null=True,
        blank=True,
        help_text=_(
            "Orders, refills and cancels on the one hand and reads on the other are counted apart. Empty: as fast "
            "as it answers."
        ),
    )
    learned_per_minute = models.PositiveIntegerField(_("calls per minute, learned"), null=True, editable=False)
    limited_at = models.DateTimeField(_("last said too many calls"), null=True, editable=False)
    command_turn_at = models.DateTimeField(null=True, editable=False)  # the buckets (catalog/pacing.py)
    read_turn_at = models.DateTimeField(null=True, editable=False)
    single_until = models.DateTimeField(_("asked for single orders until"), null=True, editable=False)
    sync_minutes = models.PositiveIntegerField(
        _("read its list every, minutes"), default=60, db_default=60, help_text=_("0: only when staff ask.")
    )
    synced_at = models.DateTimeField(_("list last read"), null=True, editable=False)
    brake_gone_percent = models.PositiveSmallIntegerField(
        _("brake: services gone, percent"),
        default=30,
        db_default=30,
        help_text=_("A list that lacks more of what we sell waits for a person."),
    )
    brake_rate_percent = models.PositiveSmallIntegerField(
        _("brake: rates moved by, percent"),
        default=50,
        db_default=50,
        help_text=_("A list that moves rates by more on average waits for a person."),
    )
    exchange_rate_at = models.DateTimeField(_("exchange rate set"), db_default=Now(), editable=False)
    exchange_rate_days = models.PositiveSmallIntegerField(
        _("exchange rate holds for, days"),
        default=0,
        db_default=0,
        help_text=_("Older than that, nothing of this provider is sold until it is set again. 0: no limit."),
    )
    low_balance = models.DecimalField(
        _("low balance"),
        max_digits=20,
        decimal_places=8,
        null=True,
        blank=True,
        help_text=_(
            "In its currency; staff are told when less is left. Empty: three days at the pace of the last seven."
        ),
    )
    idempotency_hours = models.PositiveSmallIntegerField(_("remembers idempotency keys for, hours"), default=12)
    enabled = models.BooleanField(_("enabled"), default=True)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    pause_reason = models.CharField(_("why paused"), max_length=10, choices=Pause, blank=True)
    failures = models.PositiveIntegerField(_("transport failures in a row"), default=0, editable=False)
    doubts = models.PositiveIntegerField(_("unclear answers in a row"), default=0, db_default=0, editable=False)
    last_success_at = models.DateTimeField(_("last success"), null=True, editable=False)
    balance = models.DecimalField(_("balance"), max_digits=20, decimal_places=8, null=True, editable=False)
    balance_at = models.DateTimeField(_("balance read"), null=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("provider")
        constraints = [
            models.UniqueConstraint(Lower("name"), name="one_provider_per_name"),
            models.CheckConstraint(condition=Q(exchange_rate__gt=0), name="exchange_rate_above_zero"),
            models.CheckConstraint(condition=Q(max_in_flight__gt=0), name="max_in_flight_above_zero"),
            models.CheckConstraint(
                condition=Q(calls_per_minute=None) | Q(calls_per_minute__gt=0), name="calls_per_minute_above_zero"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProviderService(models.Model):
    """One row of a provider's catalogue as last read; rates are in its currency, per 1000, per package or per piece.

    What vanished or waits for a person is not sold and not sent. Ids of services and of products are separate ones.
    """

    class Waiting(models.TextChoices):
        NONE = "", _("No")
        BACK = "back", _("It had vanished and is listed again")
        REUSED = "reused", _("Its ID stands for another service now")

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="services")
    remote_id = models.CharField(_("their ID"), max_length=60)
    name = models.CharField(_("name"), max_length=300)
    type = models.CharField(_("type"), max_length=60, help_text=_("The raw name, as the provider writes it."))
    category = models.CharField(_("category"), max_length=200, blank=True)
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=8)
    min = models.PositiveBigIntegerField(_("min"))
    max = models.PositiveBigIntegerField(_("max"))
    refill = models.BooleanField(_("refill"), null=True)
    cancel = models.BooleanField(_("cancel"), null=True)
    dripfeed = models.BooleanField(_("drip-feed"), null=True)
    description = models.TextField(_("description"), blank=True)
    vanished_at = models.DateTimeField(_("vanished"), null=True, blank=True)
    waiting = models.CharField(
        _("waits for a person"), max_length=8, choices=Waiting, blank=True, default="", db_default=""
    )
    read_at = models.DateTimeField(_("last read"), db_default=Now())
    is_product = models.BooleanField(_("product"), default=False, db_default=False)
    require = models.CharField(_("the buyer must enter"), max_length=200, blank=True, default="", db_default="")
    in_stock = models.BooleanField(_("in stock"), null=True)
    inventory = models.BigIntegerField(_("inventory"), null=True)

    class Meta:
        verbose_name = _("provider service")
        constraints = [
            models.UniqueConstraint(fields=["provider", "is_product", "remote_id"], name="one_row_per_remote_service"),
            models.CheckConstraint(condition=Q(rate__gte=0), name="provider_rate_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.remote_id} · {self.name}"
