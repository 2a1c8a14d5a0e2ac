from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models.provider import ProviderService


class Category(models.Model):
    name = models.CharField(_("name"), max_length=200, unique=True)
    position = models.PositiveIntegerField(_("position"), default=0)

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name


class Service(models.Model):
    """What a customer can order; its price comes from its first route's cost (catalog/pricing.py).

    A product is a service that is sold by the piece, with a row of its own besides (catalog/models/product.py).
    """

    class Type(models.TextChoices):
        DEFAULT = "Default"
        PACKAGE = "Package"
        SEO = "SEO"
        CUSTOM_COMMENTS = "Custom Comments"
        CUSTOM_COMMENTS_PACKAGE = "Custom Comments Package"
        MENTIONS = "Mentions"
        MENTIONS_WITH_HASHTAGS = "Mentions with Hashtags"
        MENTIONS_CUSTOM_LIST = "Mentions Custom List"
        MENTIONS_HASHTAG = "Mentions Hashtag"
        MENTIONS_USER_FOLLOWERS = "Mentions User Followers"
        MENTIONS_MEDIA_LIKERS = "Mentions Media Likers"
        COMMENT_LIKES = "Comment Likes"
        COMMENT_REPLIES = "Comment Replies"
        POLL = "Poll"
        INVITES_FROM_GROUPS = "Invites from Groups"
        SUBSCRIPTIONS = "Subscriptions"
        WEB_TRAFFIC = "Web Traffic"
        SPECIAL_1DG = "Special (1DG)"
        SPECIAL_1_1DG = "Special 1 (1DG)"
        UNKNOWN = "Unknown"  # imported, never on sale: nobody knows its parameters (PROTOCOL 2.2)

    class LossPolicy(models.TextChoices):
        HOLD = "hold", _("Hold the order for staff")
        NEXT_ROUTE = "next", _("Try the next route")
        ALLOW = "allow", _("Sell below cost")

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="services")
    name = models.CharField(_("name"), max_length=300)
    description = models.TextField(_("description"), blank=True)
    type = models.CharField(_("type"), max_length=40, choices=Type, default=Type.DEFAULT)
    min = models.PositiveBigIntegerField(_("min"), default=1)
    max = models.PositiveBigIntegerField(_("max"), default=1)
    refill = models.BooleanField(_("refill"), default=False)
    refill_days = models.PositiveSmallIntegerField(
        _("refill within days"), default=0, db_default=0, help_text=_("Counted from the end; 0: no limit of ours.")
    )
    refill_after_hours = models.PositiveSmallIntegerField(
        _("refill after hours"),
        default=24,
        db_default=24,
        help_text=_("Counted from the end, and from refill to refill."),
    )
    refill_limit = models.PositiveSmallIntegerField(
        _("refills per order"), default=0, db_default=0, help_text=_("0: no limit of ours.")
    )
    cancel = models.BooleanField(_("cancel"), default=False)
    dripfeed = models.BooleanField(_("drip-feed"), default=False)
    loss_policy = models.CharField(
        _("when the cost exceeds the charge"), max_length=5, choices=LossPolicy, default="hold"
    )
    enabled = models.BooleanField(_("on sale"), default=True)
    follows_name = models.BooleanField(_("name follows the provider"), default=False, db_default=False)
    follows_description = models.BooleanField(_("description follows the provider"), default=False, db_default=False)
    follows_limits = models.BooleanField(_("limits follow the provider"), default=True, db_default=True)
    follows_flags = models.BooleanField(_("refill and cancel follow the provider"), default=False, db_default=False)
    own_rate = models.DecimalField(
        _("own rate"),
        max_digits=20,
        decimal_places=8,
        null=True,
        blank=True,
        help_text=_("The list rate whatever the cost is; empty: cost and markup. Never below cost unless it says so."),
    )
    position = models.PositiveIntegerField(_("position"), default=0)
    is_product = models.BooleanField(_("product"), default=False, db_default=False, editable=False)

    class Meta:
        verbose_name = _("service")
        ordering = ["category__position", "category_id", "position", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(min__gte=1, max__gte=models.F("min")), name="service_min_within_max"),
            models.CheckConstraint(condition=~Q(type="Unknown", enabled=True), name="unknown_type_never_on_sale"),
            models.CheckConstraint(condition=Q(own_rate=None) | Q(own_rate__gt=0), name="own_rate_above_zero"),
            models.CheckConstraint(
                condition=Q(is_product=False) | Q(type="Default", refill=False, dripfeed=False),
                name="product_is_sold_plainly",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} · {self.name}"

    @property
    def is_package(self) -> bool:
        """Whether the rate is the price of one whole, not of a thousand (PROTOCOL 2)."""
        return self.type in {self.Type.PACKAGE, self.Type.CUSTOM_COMMENTS_PACKAGE}

    @property
    def per(self) -> int | None:
        """How many units the rate is for; None: for the whole order."""
        return None if self.is_package else 1 if self.is_product else 1000

    @property
    def is_each(self) -> bool:
        """Whether the rate is the price of one: of a package or a piece."""
        return self.per in {None, 1}


class Route(models.Model):
    """One provider service that can deliver a service; tried in the order of `position`."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="routes")
    provider_service = models.ForeignKey(ProviderService, on_delete=models.PROTECT, related_name="routes")
    position = models.PositiveSmallIntegerField(_("position"), default=1)
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        verbose_name = _("route")
        ordering = ["service_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["service", "position"], name="one_route_per_position"),
            models.UniqueConstraint(fields=["service", "provider_service"], name="one_route_per_provider_service"),
        ]

    def __str__(self) -> str:
        return f"{self.service_id} → {self.provider_service_id}"
