from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from orders.models.dispatch import Dispatch
from orders.models.order import Order


class ChildOrder(models.Model):
    """One run of a drip-feed or one post of a subscription, as the provider lists it; money is the parent's alone."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="children")
    dispatch = models.ForeignKey(Dispatch, on_delete=models.PROTECT, related_name="children")
    remote_id = models.CharField(_("their ID"), max_length=100)
    status = models.CharField(_("status"), max_length=11, choices=Order.Status, default=Order.Status.PENDING)
    start_count = models.BigIntegerField(_("start count"), null=True)
    remains = models.BigIntegerField(_("remains"), null=True)
    created_at = models.DateTimeField(_("first seen"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)
    poll_at = models.DateTimeField(_("next look"), null=True, db_default=Now())

    class Meta:
        verbose_name = _("run or post")
        verbose_name_plural = _("runs and posts")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["dispatch", "remote_id"], name="one_row_per_child")]
        indexes = [models.Index(fields=["poll_at"], condition=Q(poll_at__isnull=False), name="children_to_look_at")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.remote_id}"
