from decimal import Decimal

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class CustomerGroup(models.Model):
    """Customers who share a discount; whoever has one of his own gets the larger of the two."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    discount_percent = models.DecimalField(
        _("discount"), max_digits=5, decimal_places=2, default=Decimal(0), help_text=_("Percent off every rate.")
    )

    class Meta:
        verbose_name = _("customer group")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(discount_percent__gte=0, discount_percent__lte=100),
                name="group_discount_within_percent",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A customer or a member of staff; the money is in the ledger, not here."""

    email = models.EmailField(_("e-mail address"))
    discount_percent = models.DecimalField(
        _("discount"),
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        help_text=_("Percent off every rate without a custom rate; never below cost."),
    )
    group = models.ForeignKey(
        CustomerGroup, on_delete=models.SET_NULL, null=True, blank=True, related_name="users", verbose_name=_("group")
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), name="one_user_per_email"),
            models.UniqueConstraint(Lower("username"), name="one_user_per_username_in_any_case"),
            models.CheckConstraint(
                condition=models.Q(discount_percent__gte=0, discount_percent__lte=100), name="discount_within_percent"
            ),
        ]
