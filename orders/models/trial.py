from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from catalog.models import Service


class TrialOrder(models.Model):
    """An order placed with a test key: checked and priced like any other, but never charged, never sent.

    What became of it follows from its age alone (orders/trying.py), so nothing but a cancel or a refill is written.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="trial_orders")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+")
    link = models.CharField(_("link"), max_length=2048)
    quantity = models.PositiveBigIntegerField(_("quantity"))
    charge = models.DecimalField(_("charge"), max_digits=20, decimal_places=5)
    idempotency_key = models.CharField(max_length=128, blank=True, default="")
    digest = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(_("placed"), db_default=Now())
    canceled_at = models.DateTimeField(_("canceled"), null=True)
    refill_asked_at = models.DateTimeField(_("refill asked for"), null=True)

    class Meta:
        verbose_name = _("trial order")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["api_key", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="one_trial_per_idempotency_key",
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="trials_by_age")]

    def __str__(self) -> str:
        return str(self.pk)
