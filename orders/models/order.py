from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models import Service


class Order(models.Model):
    """What a customer bought. `status` speaks the wire's vocabulary; what happens upstream stands in its dispatches.

    `quantity` is what was charged for: the number given, the number of comment lines, 1 for a package, and over all
    runs or posts where it is spread. `parts` is the number of those runs or posts, 1 for an order that comes at once,
    and `parts_done` how many of them came: None for an order that comes at once.
    """

    class Status(models.TextChoices):
        PENDING = "Pending", _("Pending")  # paid, not yet accepted by a provider
        PROCESSING = "Processing", _("Processing")  # a provider has it
        IN_PROGRESS = "In progress", _("In progress")  # it is being delivered
        COMPLETED = "Completed", _("Completed")
        PARTIAL = "Partial", _("Partial")  # ended early, the rest was given back
        CANCELED = "Canceled", _("Canceled")  # ended, all that was left was given back

    class Attention(models.TextChoices):
        NONE = "", _("None")
        UNKNOWN_WORD = "unknown_word", _("The provider reports an unknown status")
        FAILED = "failed", _("The provider reports a failure")
        REMAINS = "remains", _("The provider reports remains that cannot be")
        SHRUNK = "shrunk", _("The provider took back a partial refund")
        REVIVED = "revived", _("The provider reports news of a canceled order")
        GHOST = "ghost", _("A second id turned up at the provider")
        LOST = "lost", _("The provider says it does not know the order")
        GOODS = "goods", _("What was bought has not come from the provider")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="orders")
    link = models.CharField(_("link"), max_length=2048)
    quantity = models.PositiveBigIntegerField(_("quantity"))
    parts = models.PositiveIntegerField(_("runs or posts"), default=1, db_default=1)
    parts_done = models.PositiveIntegerField(_("runs or posts delivered"), null=True)
    details = models.JSONField(default=dict, blank=True)  # the parameters of its type beside link and quantity
    status = models.CharField(_("status"), max_length=11, choices=Status, default=Status.PENDING)
    attention = models.CharField(_("needs attention"), max_length=12, choices=Attention, blank=True, default="")
    start_count = models.BigIntegerField(_("start count"), null=True)
    remains = models.BigIntegerField(_("remains"), null=True)
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=6)
    charge = models.DecimalField(_("charge"), max_digits=20, decimal_places=5)
    refunded = models.DecimalField(_("refunded"), max_digits=20, decimal_places=5, default=Decimal(0), db_default=0)
    provider_rate = models.DecimalField(_("provider rate"), max_digits=20, decimal_places=8)
    exchange_rate = models.DecimalField(_("exchange rate"), max_digits=20, decimal_places=10)
    expected_cost = models.DecimalField(_("expected cost"), max_digits=20, decimal_places=5)
    reported_cost = models.DecimalField(_("reported cost"), max_digits=20, decimal_places=5, null=True)
    note = models.CharField(_("note"), max_length=300, blank=True, default="", db_default="")  # of a provider or staff
    created_at = models.DateTimeField(_("placed"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("order")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("charge")), name="order_refunded_within_charge"
            ),
            models.CheckConstraint(condition=Q(charge__gt=0), name="order_charge_above_zero"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_above_zero"),
            models.CheckConstraint(
                condition=Q(parts=1) | Q(parts__gt=1, parts_done__isnull=False), name="order_parts_are_counted"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["Pending", "Processing", "In progress", "Completed", "Partial", "Canceled"]),
                name="order_status_is_a_wire_word",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="orders_of_a_customer"),
            models.Index(fields=["user", "status", "-id"], name="orders_of_a_customer_by_status"),
            BrinIndex(fields=["created_at"], name="orders_by_time"),
            models.Index(fields=["status"], condition=~Q(status__in=["Completed", "Canceled"]), name="open_orders"),
            models.Index(fields=["attention"], condition=~Q(attention=""), name="orders_needing_attention"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_spread(self) -> bool:
        """Whether it comes in runs or posts, be it a single one."""
        return self.parts_done is not None

    @property
    def net_charge(self) -> Decimal:
        """What the customer paid in the end: charge − refunded."""
        return self.charge - self.refunded

    @property
    def delivered(self) -> int:
        """How many units have been delivered, as far as is known; never below zero."""
        remains = self.quantity if self.remains is None else self.remains
        return min(max(self.quantity - remains, 0), self.quantity)


class OrderEvent(models.Model):
    """One thing that happened to an order; `data` holds the figures and is kept for ever."""

    class Kind(models.TextChoices):
        PLACED = "placed", _("Placed and paid")
        ACCEPTED = "accepted", _("Accepted for delivery")
        STATUS = "status", _("Status changed")
        REFUNDED = "refunded", _("Money returned")
        REFILL = "refill", _("Refill")
        CANCEL = "cancel", _("Cancellation asked for")
        DELIVERED = "delivered", _("Handed over")
        # From here on for staff alone: what happened between us and providers.
        ATTEMPT = "attempt", _("Not taken, will be tried again")
        REFUSED = "refused", _("Refused by a provider")
        ROUTE = "route", _("Next route")
        HELD = "held", _("Held")
        RELEASED = "released", _("Released")
        UNCLEAR = "unclear", _("Unclear whether the provider took it")
        LOOKED = "looked", _("Looked for it at the provider")
        RESENT = "resent", _("Sent again under the same key")
        RESOLVED = "resolved", _("Resolved by staff")
        ATTENTION = "attention", _("Needs attention")
        GHOST = "ghost", _("A second id turned up")

    PUBLIC = (Kind.PLACED, Kind.ACCEPTED, Kind.STATUS, Kind.REFUNDED, Kind.REFILL, Kind.CANCEL, Kind.DELIVERED)

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    data = models.JSONField(default=dict)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("when"), db_default=Now())

    class Meta:
        verbose_name = _("event")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.order_id} {self.kind}"


class PlacedOnce(models.Model):
    """An idempotency key and the order it placed: per customer, not per API key, so that rotating a key cannot double.

    Its insert is the first statement of the placing transaction; `digest` is over the action and the parsed request.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    digest = models.CharField(max_length=64)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_order_per_idempotency_key")]
        indexes = [models.Index(fields=["created_at"], name="placed_once_by_age")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.key}"
