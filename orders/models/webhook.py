from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from orders.models.order import Order, OrderEvent


class WebhookEndpoint(models.Model):
    """Where a reseller is told of his orders; its secret is its own, encrypted, shown once (orders/webhooks/)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.URLField(_("address"), max_length=500)
    secret_encrypted = models.TextField(editable=False)
    kinds = ArrayField(models.CharField(max_length=10), verbose_name=_("events"), default=list)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    paused_until = models.DateTimeField(_("paused until"), null=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    disabled_at = models.DateTimeField(_("switched off"), null=True)
    disabled_why = models.CharField(_("why"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("webhook endpoint")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint: queued by the database with the event itself (migration 0005).

    `body` is written at the first attempt and never changes; `tries` tells each attempt. Deliveries about one order go
    out one after the other, in the order in which things happened.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Delivered")
        FAILED = "failed", _("Given up")

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(OrderEvent, on_delete=models.CASCADE, null=True, related_name="+")  # None: only a test
    order = models.ForeignKey(Order, on_delete=models.CASCADE, null=True, related_name="+")
    kind = models.CharField(_("event"), max_length=10)
    state = models.CharField(_("state"), max_length=7, choices=State, default=State.WAITING, db_default=State.WAITING)
    body = models.TextField(blank=True, default="", db_default="")
    attempts = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    tries = models.JSONField(default=list, db_default=[])
    due_at = models.DateTimeField(_("due"), db_default=Now())
    created_at = models.DateTimeField(_("queued"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="one_delivery_per_endpoint_and_event"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="webhooks_due"),
            models.Index(fields=["endpoint", "order", "id"], condition=Q(state="waiting"), name="webhooks_in_order"),
            models.Index(fields=["endpoint", "-id"], name="webhooks_of_an_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
