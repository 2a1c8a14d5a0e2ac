from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models.provider import Provider


class BalanceReading(models.Model):
    """What a provider said is left on our account there: evidence for a person, never acted on (ARCHITECTURE 3)."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="readings")
    amount = models.DecimalField(_("balance"), max_digits=20, decimal_places=8)
    read_at = models.DateTimeField(_("read"), db_default=Now())

    class Meta:
        verbose_name = _("balance reading")
        ordering = ["-id"]
        indexes = [models.Index(fields=["provider", "read_at"], name="readings_by_time")]

    def __str__(self) -> str:
        return f"{self.provider_id}: {self.amount}"


class ProviderHour(models.Model):
    """How a provider answered commands in one hour, and how long it took in all; counted as attempts are settled."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField(_("hour"))
    accepted = models.PositiveIntegerField(_("accepted"), default=0, db_default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0, db_default=0)
    unclear = models.PositiveIntegerField(_("unclear"), default=0, db_default=0)
    unavailable = models.PositiveIntegerField(_("not taken"), default=0, db_default=0)
    milliseconds = models.PositiveBigIntegerField(_("milliseconds in all"), default=0, db_default=0)
    slowest = models.PositiveIntegerField(_("slowest, milliseconds"), default=0, db_default=0)
    # How many calls took up to LATENCIES[n] milliseconds (catalog/health.py); empty: none was counted so.
    latencies = ArrayField(models.PositiveIntegerField(), default=list, db_default=[])

    class Meta:
        verbose_name = _("hour of a provider")
        constraints = [models.UniqueConstraint(fields=["provider", "hour"], name="one_row_per_provider_and_hour")]

    def __str__(self) -> str:
        return f"{self.provider_id} {self.hour}"


class RefusalText(models.Model):
    """An error text that staff classed for one provider, so that the next one settles by itself (PROTOCOL 4)."""

    class Meaning(models.TextChoices):
        LINK = "link", _("The link is wrong: cancel and refund")
        QUANTITY = "quantity", _("The quantity is wrong: cancel and refund")
        FINAL = "final", _("It will not do this order: cancel and refund")
        SERVICE = "service", _("It does not offer the service: next route, else cancel and refund")
        FUNDS = "funds", _("Our money there is used up: next route, else hold")
        KEY = "key", _("Our key or account is blocked: pause it, next route, else hold")
        LATER = "later", _("Not now: try again later")
        WAIT = "wait", _("Another order for the link is running: try again later")
        UNCLEAR = "unclear", _("It may have been taken: staff must look each time")

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="refusal_texts")
    text = models.CharField(_("text"), max_length=300)
    normal = models.CharField(max_length=300, editable=False)
    meaning = models.CharField(_("what it means"), max_length=8, choices=Meaning)
    classed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("classed"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("classed refusal")
        constraints = [models.UniqueConstraint(fields=["provider", "normal"], name="one_class_per_provider_and_text")]

    def __str__(self) -> str:
        return self.text
