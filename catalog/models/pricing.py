from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models.provider import Provider
from catalog.models.service import Category, Service


class Markup(models.Model):
    """What is put on top of a cost: cost × (1 + percent ÷ 100) + fixed. At most one scope is set; none means the site.

    The most specific markup wins: service, category, provider, site.
    """

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, null=True, blank=True, related_name="markups")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, null=True, blank=True, related_name="markups")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, null=True, blank=True, related_name="markups")
    percent = models.DecimalField(_("percent"), max_digits=9, decimal_places=4, default=Decimal(0))
    fixed = models.DecimalField(
        _("fixed"),
        max_digits=20,
        decimal_places=8,
        default=Decimal(0),
        help_text=_("Added to the rate, in the panel's currency."),
    )
    round_to = models.DecimalField(
        _("round up to"),
        max_digits=20,
        decimal_places=6,
        null=True,
        blank=True,
        help_text=_("A multiple of this, for example 0.01; empty: as it comes."),
    )

    class Meta:
        verbose_name = _("markup")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "category", "service"], nulls_distinct=False, name="one_markup_per_scope"
            ),
            models.CheckConstraint(
                condition=Q(provider=None, category=None)
                | Q(provider=None, service=None)
                | Q(category=None, service=None),
                name="markup_has_at_most_one_scope",
            ),
            models.CheckConstraint(condition=Q(percent__gte=0, fixed__gte=0), name="markup_not_negative"),
            models.CheckConstraint(condition=Q(round_to=None) | Q(round_to__gt=0), name="markup_rounds_to_something"),
        ]

    def __str__(self) -> str:
        return f"{self.percent} % + {self.fixed}"


class CustomRate(models.Model):
    """The rate one customer pays for one service instead of the listed one; no discount on top."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="custom_rates")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="custom_rates")
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=8)

    class Meta:
        verbose_name = _("custom rate")
        constraints = [
            models.UniqueConstraint(fields=["user", "service"], name="one_custom_rate_per_user_and_service"),
            models.CheckConstraint(condition=Q(rate__gt=0), name="custom_rate_above_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.service_id}: {self.rate}"
