import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models import Provider, ProviderService
from orders.models.order import Order


class Dispatch(models.Model):
    """One command to one provider, and what became of it: the outbox row (ARCHITECTURE 3, orders/forwarding.py).

    `due_at` does three jobs: when to try, when to try again, when a lease ends. `poll_at` says when to ask after an
    accepted order again. `key` is the idempotency key, the same for every attempt. Doubt is about `add` alone: refills
    and cancels are harmless twice. A dispatch in doubt is sent again only until `resend_until`: while the provider
    surely remembers its key, or because staff looked.
    """

    class Command(models.TextChoices):
        ADD = "add", _("Place the order")
        REFILL = "refill", _("Ask for a refill")
        CANCEL = "cancel", _("Ask to cancel")

    class State(models.TextChoices):
        QUEUED = "QUEUED", _("Queued")  # to be sent at due_at
        LEASED = "LEASED", _("Being sent")  # a worker is at it until due_at
        SENT = "SENT", _("Accepted")  # the provider answered with an id
        REJECTED = "REJECTED", _("Refused")  # the provider surely did not take it, and never will
        UNCLEAR = "UNCLEAR", _("Unclear")  # the provider may have taken it: a person decides
        HELD = "HELD", _("Held")  # surely not taken; waits for a cause to go away or for staff

    class Hold(models.TextChoices):
        LOSS = "loss", _("It would cost more than was charged")
        FUNDS = "funds", _("Not enough funds at the provider")
        KEY = "key", _("The provider refuses our key")
        REDIRECT = "redirect", _("The provider's address redirects")
        PAUSED = "paused", _("The provider is paused")

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="dispatches")
    command = models.CharField(_("command"), max_length=12, choices=Command, default=Command.ADD)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="dispatches")
    provider_service = models.ForeignKey(ProviderService, on_delete=models.PROTECT, related_name="+")
    is_product = models.BooleanField(default=False, db_default=False)  # products have ids of their own there
    route_position = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.QUEUED)
    due_at = models.DateTimeField(_("due"), null=True, db_default=Now())
    attempt = models.PositiveIntegerField(_("attempt"), default=0, db_default=0)
    retries = models.PositiveIntegerField(default=0, db_default=0)
    doubtful = models.BooleanField(_("in doubt"), default=False, db_default=False)
    hold = models.CharField(_("why held"), max_length=10, choices=Hold, blank=True, default="", db_default="")
    resend_until = models.DateTimeField(_("may be sent again until"), null=True)
    unknown_text = models.CharField(_("text nobody has classed"), max_length=300, blank=True, default="", db_default="")
    reason = models.CharField(_("last reason"), max_length=300, blank=True, default="", db_default="")
    evidence = models.TextField(_("what came back"), blank=True, default="", db_default="")
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    remote_id = models.CharField(_("their ID"), max_length=100, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("created"), db_default=Now())
    failing_since = models.DateTimeField(null=True)  # what giving up counts from: network, rate limit, maintenance
    keyed = models.BooleanField(_("every attempt told its key"), default=False, db_default=False)
    by_key = models.BooleanField(_("may go out under its key only"), default=False, db_default=False)
    cost = models.DecimalField(_("cost known at the last claim"), max_digits=20, decimal_places=5, null=True)
    loss_allowed = models.BooleanField(_("sold at a loss by its service's policy"), default=False, db_default=False)
    first_claimed_at = models.DateTimeField(_("first claimed"), null=True)
    claimed_at = models.DateTimeField(_("last claimed"), null=True)
    settled_at = models.DateTimeField(_("settled"), null=True)
    poll_at = models.DateTimeField(_("next look"), null=True)
    look_at = models.DateTimeField(_("next look into the doubt"), null=True)
    missing_since = models.DateTimeField(_("not known there since"), null=True)
    missing_checks = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")
        ordering = ["-id"]
        constraints = [
            # A refusal is the only end after which another attempt may be made elsewhere.
            models.UniqueConstraint(
                fields=["order"], condition=Q(command="add") & ~Q(state="REJECTED"), name="one_live_add_per_order"
            ),
            models.UniqueConstraint(
                fields=["provider", "command", "is_product", "remote_id"],
                # Some servers give a refill the id of its order (PROTOCOL 3.6).
                condition=Q(command="add") & ~Q(remote_id=""),
                name="remote_id_bound_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["QUEUED", "LEASED"], due_at__isnull=False)
                | (~Q(state__in=["QUEUED", "LEASED"]) & Q(due_at__isnull=True)),
                name="due_while_queued_or_leased_only",
            ),
            models.CheckConstraint(
                condition=~Q(command="add", state="SENT", remote_id=""), name="sent_has_a_remote_id"
            ),
            models.CheckConstraint(
                condition=~Q(doubtful=True, state__in=["QUEUED", "LEASED"], resend_until=None),
                name="doubtful_is_sent_by_leave_only",
            ),
            models.CheckConstraint(condition=Q(hold="") | Q(state="HELD"), name="hold_reason_while_held_only"),
        ]
        indexes = [
            models.Index(fields=["provider", "due_at"], condition=Q(state="QUEUED"), name="dispatches_to_send"),
            models.Index(fields=["due_at"], condition=Q(state="LEASED"), name="leases_to_sweep"),
            models.Index(fields=["provider"], condition=Q(state="LEASED"), name="dispatches_in_flight"),
            models.Index(fields=["provider", "poll_at"], condition=Q(poll_at__isnull=False), name="orders_to_look_at"),
            models.Index(fields=["look_at"], condition=Q(state="UNCLEAR"), name="doubts_to_look_into"),
            models.Index(fields=["state"], condition=Q(state__in=["UNCLEAR", "HELD"]), name="dispatches_for_staff"),
        ]

    def __str__(self) -> str:
        return f"{self.command} {self.order_id} → {self.provider_id}: {self.state}"
