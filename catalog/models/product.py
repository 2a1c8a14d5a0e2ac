from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models.service import Service


class Product(models.Model):
    """What makes a service a product: sold by the piece, at a rate per unit, and handed over as lines of text.

    Name, category, limits, price and routes are those of its service, so one price rule, one import, one outbox and one
    lifecycle serve both. Only a product of the source PROVIDER has routes.
    """

    class Source(models.TextChoices):
        STOCK = "stock", _("Own stock")  # lines that staff uploaded, handed over as it is bought
        HAND = "hand", _("By hand")  # staff deliver
        PROVIDER = "provider", _("A provider")  # forwarded like any order

    class Kind(models.TextChoices):
        AUTO = "Auto", _("Auto")
        SERVICE = "Service", _("Service")

    service = models.OneToOneField(Service, on_delete=models.CASCADE, primary_key=True, related_name="product")
    source = models.CharField(_("source"), max_length=8, choices=Source, default=Source.STOCK)
    kind = models.CharField(_("type"), max_length=7, choices=Kind, default=Kind.AUTO)
    require = models.CharField(
        _("the buyer must enter"), max_length=200, blank=True, help_text=_("The label of the field; empty: nothing.")
    )
    warranty_days = models.PositiveSmallIntegerField(_("warranty in days"), default=0, help_text=_("0: none."))
    unit_cost = models.DecimalField(
        _("cost per unit"),
        max_digits=20,
        decimal_places=8,
        default=Decimal(0),
        help_text=_("What a line of our own cost us, in the panel's currency; it is never sold below that."),
    )
    low_stock = models.PositiveIntegerField(
        _("low stock"), default=0, help_text=_("Staff are told below this; 0: never.")
    )

    class Meta:
        verbose_name = _("product")
        constraints = [
            models.CheckConstraint(
                condition=Q(source__in=["stock", "hand", "provider"]), name="product_source_is_known"
            ),
            models.CheckConstraint(condition=Q(unit_cost__gte=0), name="product_cost_not_negative"),
        ]

    def __str__(self) -> str:
        return str(self.service)


class StockBatch(models.Model):
    """One upload of lines: who, when, from where; the lines themselves are StockItems."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="batches")
    name = models.CharField(_("name"), max_length=120, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("uploaded"), db_default=Now())

    class Meta:
        verbose_name = _("upload of stock")
        verbose_name_plural = _("uploads of stock")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name or str(self.pk)


class StockItem(models.Model):
    """One line of our own stock, encrypted. It leaves the stock once: taken by an order, or withdrawn by staff.

    `fingerprint` keeps the same line from being uploaded, and so sold, twice, even after it was sold.
    """

    batch = models.ForeignKey(StockBatch, on_delete=models.PROTECT, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="stock")
    text_encrypted = models.TextField(editable=False)
    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    taken_at = models.DateTimeField(_("sold"), null=True, editable=False)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, editable=False)

    class Meta:
        verbose_name = _("line of stock")
        verbose_name_plural = _("lines of stock")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(taken_at=None) | Q(withdrawn_at=None), name="stock_leaves_once"),
        ]
        indexes = [
            models.Index(fields=["product", "id"], condition=Q(taken_at=None, withdrawn_at=None), name="stock_on_hand"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
