from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from orders.models.dispatch import Dispatch
from orders.models.order import Order


class Refill(models.Model):
    """A customer's wish to have delivered again what was lost, and what became of it; one open wish per order."""

    class Status(models.TextChoices):
        PENDING = "Pending", _("Pending")  # asked for; the provider may not have it yet
        IN_PROGRESS = "In progress", _("In progress")
        COMPLETED = "Completed", _("Completed")
        REJECTED = "Rejected", _("Rejected")
        ERROR = "Error", _("Error")

    OPEN = (Status.PENDING, Status.IN_PROGRESS)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refills")
    dispatch = models.OneToOneField(Dispatch, on_delete=models.PROTECT, related_name="refill")
    status = models.CharField(_("status"), max_length=11, choices=Status, default=Status.PENDING)
    remote_id = models.CharField(_("their ID"), max_length=100, blank=True, default="", db_default="")
    why = models.CharField(_("why not"), max_length=40, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("asked for"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)
    poll_at = models.DateTimeField(_("next look"), null=True)

    class Meta:
        verbose_name = _("refill")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(status__in=["Pending", "In progress"]), name="one_open_refill_per_order"
            ),
        ]
        indexes = [models.Index(fields=["poll_at"], condition=Q(poll_at__isnull=False), name="refills_to_look_at")]

    def __str__(self) -> str:
        return str(self.pk)


class Cancel(models.Model):
    """A customer's wish to cancel an order that is on its way; money moves only when the provider reports it."""

    class Status(models.TextChoices):
        ASKED = "asked", _("Asked for")  # not yet told to the provider, or not yet answered
        NOTED = "noted", _("Noted by the provider")
        DONE = "done", _("Canceled")
        REFUSED = "refused", _("Refused")
        LATE = "late", _("Too late")

    OPEN = (Status.ASKED, Status.NOTED)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="cancels")
    # None until a provider has the order, and where it never got it.
    dispatch = models.OneToOneField(Dispatch, on_delete=models.PROTECT, null=True, related_name="cancel")
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.ASKED)
    why = models.CharField(_("why not"), max_length=40, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("asked for"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("cancellation")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(status__in=["asked", "noted"]), name="one_open_cancel_per_order"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
