from decimal import Decimal

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


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

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), name="one_user_per_email"),
            models.UniqueConstraint(Lower("username"), name="one_user_per_username_in_any_case"),
            models.CheckConstraint(
                condition=models.Q(discount_percent__gte=0, discount_percent__lte=100), name="discount_within_percent"
            ),
        ]
