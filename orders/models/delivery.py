import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models import StockItem
from orders.models.order import Order


class Delivery(models.Model):
    """What was handed over for a product order; `token` is its name on the wire and says nothing (PROTOCOL 12).

    `fetch_at` is set while the goods still have to be fetched from the provider; `result_encrypted` is what its status
    said about them.
    """

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="delivery")
    token = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    result_encrypted = models.TextField(blank=True, default="", editable=False)
    fetch_at = models.DateTimeField(_("next try to fetch"), null=True)
    attempts = models.PositiveIntegerField(_("tries"), default=0)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        indexes = [models.Index(fields=["fetch_at"], condition=Q(fetch_at__isnull=False), name="deliveries_to_fetch")]

    def __str__(self) -> str:
        return f"{self.order_id}"


class DeliveredLine(models.Model):
    """One line that the buyer got: a line of our stock, or a text from a provider or from staff, encrypted."""

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    stock_item = models.OneToOneField(StockItem, on_delete=models.PROTECT, null=True, related_name="delivered")
    text_encrypted = models.TextField(blank=True, default="", editable=False)
    replaced_at = models.DateTimeField(_("replaced"), null=True)
    created_at = models.DateTimeField(_("delivered"), db_default=Now())

    class Meta:
        verbose_name = _("delivered line")
        ordering = ["delivery", "position"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "position"], name="one_line_per_position"),
            models.CheckConstraint(
                condition=Q(stock_item__isnull=False, text_encrypted="") | (Q(stock_item=None) & ~Q(text_encrypted="")),
                name="delivered_line_has_one_source",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.position}"


class Reveal(models.Model):
    """One time that somebody was shown a delivery: kept for ever."""

    class Way(models.TextChoices):
        PAGE = "page", _("on the page")
        FILE = "file", _("as a file")
        API = "api", _("over the API")

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="reveals")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    way = models.CharField(_("how"), max_length=4, choices=Way)
    address = models.GenericIPAddressField(_("from"), null=True)
    created_at = models.DateTimeField(_("when"), db_default=Now())

    class Meta:
        verbose_name = _("reveal")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.way}"


class Replacement(models.Model):
    """A buyer's wish for other lines within the warranty; staff grant or refuse it."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        GRANTED = "granted", _("Replaced")
        REFUSED = "refused", _("Refused")

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="replacements")
    lines = models.ManyToManyField(DeliveredLine, related_name="replacements")
    reason = models.CharField(_("what is wrong"), max_length=500)
    status = models.CharField(_("status"), max_length=7, choices=Status, default=Status.OPEN)
    answer = models.CharField(_("answer"), max_length=500, blank=True, default="")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("asked for"), db_default=Now())
    ended_at = models.DateTimeField(_("answered"), null=True)

    class Meta:
        verbose_name = _("replacement")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["delivery"], condition=Q(status="open"), name="one_open_replacement_per_delivery"
            )
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.status}"
