from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models.provider import Provider
from catalog.models.service import Service


class Sync(models.Model):
    """One reading of a provider's list: what differed from ours, and what became of that."""

    class State(models.TextChoices):
        READING = "reading", _("Reading")
        WAITING = "waiting", _("Waits for a person")  # a brake held it, or staff asked to see it first
        APPLIED = "applied", _("Applied")
        UNCHANGED = "same", _("Nothing differed")
        FAILED = "failed", _("Failed")
        DISMISSED = "dropped", _("Dismissed")
        UNDONE = "undone", _("Undone")

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="syncs")
    is_product = models.BooleanField(_("products"), default=False, db_default=False)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.READING)
    rows = models.PositiveIntegerField(_("services listed"), default=0)
    done = models.PositiveIntegerField(_("compared so far"), default=0)
    counts = models.JSONField(_("what differed"), default=dict)
    why = models.CharField(_("why"), max_length=300, blank=True, default="")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(_("begun"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("sync")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "is_product"],
                condition=Q(state="reading"),
                name="one_reading_per_provider_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.pk}"


class SyncChange(models.Model):
    """One service of a provider that differed in one sync: `before` and `after` hold the fields that did."""

    class Kind(models.TextChoices):
        NEW = "new", _("New")
        CHANGED = "changed", _("Changed")
        VANISHED = "gone", _("Vanished")
        BACK = "back", _("Back")
        REUSED = "reused", _("ID reused")

    sync = models.ForeignKey(Sync, on_delete=models.CASCADE, related_name="changes")
    remote_id = models.CharField(_("their ID"), max_length=60)
    name = models.CharField(_("name"), max_length=300)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    applied = models.BooleanField(_("applied"), default=False)

    class Meta:
        verbose_name = _("difference")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["sync", "remote_id"], name="one_difference_per_service")]

    def __str__(self) -> str:
        return f"{self.remote_id} {self.kind}"


class ServiceChange(models.Model):
    """One change of what customers can buy: the history of every list rate, limit and being on sale."""

    class Kind(models.TextChoices):
        NEW = "new", _("New")
        ENABLED = "enabled", _("On sale again")
        DISABLED = "disabled", _("No longer on sale")
        UP = "up", _("Dearer")
        DOWN = "down", _("Cheaper")
        LIMITS = "limits", _("Other limits")

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    before = models.CharField(_("before"), max_length=60, blank=True)
    after = models.CharField(_("after"), max_length=60, blank=True)
    created_at = models.DateTimeField(_("when"), db_default=Now())

    class Meta:
        verbose_name = _("change of a service")
        ordering = ["-id"]
        indexes = [models.Index(fields=["service", "-id"], name="changes_of_a_service")]

    def __str__(self) -> str:
        return f"{self.service_id} {self.kind}"


class Published(models.Model):
    """What customers were last told of a service; the next difference from it is a ServiceChange."""

    service = models.OneToOneField(Service, on_delete=models.CASCADE, related_name="published")
    rate = models.DecimalField(max_digits=20, decimal_places=6, null=True)  # None: not on sale
    min = models.PositiveBigIntegerField()
    max = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = _("published service")

    def __str__(self) -> str:
        return str(self.service_id)


class Favourite(models.Model):
    """A service that a customer starred."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="favourites")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="favourites")

    class Meta:
        verbose_name = _("favourite")
        constraints = [models.UniqueConstraint(fields=["user", "service"], name="one_star_per_user_and_service")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.service_id}"


class PriceListVersion(models.Model):
    """One row whose number grows, by triggers, with every change that may change a price list (catalog/listing.py)."""

    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
