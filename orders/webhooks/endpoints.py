"""Endpoints: where a customer is told of his orders, and what he may do with them and their deliveries.

A secret is returned by the verb that makes it and can be read by nobody afterwards. Rows are locked in one sequence
everywhere: delivery, endpoint.
"""

import datetime
from collections.abc import Collection

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.errors import UserError
from accounts.models import User
from orders.models import OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import reaching, signing
from orders.webhooks.describing import PING

MOST_ENDPOINTS = 10
LONGEST_COMMIT = datetime.timedelta(hours=1)
State = WebhookDelivery.State


class Why(models.TextChoices):
    """Why an endpoint is off."""

    CUSTOMER = "customer", _("Switched off by its owner.")
    STAFF = "staff", _("Switched off by our staff.")
    GONE = "gone", _("The server answered 410 Gone.")
    FAILING = "failing", _("The server did not accept anything for three days.")
    REMOVED = "removed", _("Deleted by its owner.")


def existing() -> models.QuerySet[WebhookEndpoint]:
    """Return the endpoints that nobody has deleted."""
    return WebhookEndpoint.objects.exclude(disabled_why=Why.REMOVED)


def add_endpoint(user_id: int, url: str, kinds: Collection[str]) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and return it with its secret, which cannot be read again.

    Raises UserError for an address that must not be reached, and beyond ten endpoints. Looks the address up first: no
    transaction may be open.
    """
    try:
        cleaned = reaching.clean_url(url)
    except reaching.UnreachableError as error:
        raise UserError(str(error), field="url") from error
    secret = signing.make_secret()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user_id)
        if existing().filter(user_id=user_id).count() >= MOST_ENDPOINTS:
            raise UserError(f"At most {MOST_ENDPOINTS} webhooks are possible", field="url")
        wanted = [kind for kind in OrderEvent.PUBLIC if kind in kinds]
        endpoint = WebhookEndpoint.objects.create(
            user_id=user_id, url=cleaned, kinds=wanted, secret_encrypted=signing.seal(secret)
        )
    return endpoint, secret


@transaction.atomic
def renew_secret(endpoint_id: int) -> str:
    """Give an endpoint a new secret and return it; the one before signs as well for a day."""
    endpoint = _lock(endpoint_id)
    secret = signing.make_secret()
    endpoint.secret_encrypted = signing.seal(secret, earlier=endpoint.secret_encrypted)
    endpoint.save(update_fields=["secret_encrypted"])
    return secret


@transaction.atomic
def stop(endpoint_id: int, why: Why = Why.CUSTOMER) -> None:
    """Switch an endpoint off: nothing is queued for it any more, and nothing is sent."""
    endpoint = _lock(endpoint_id)
    switch_off(endpoint, why)
    endpoint.save(update_fields=["disabled_at", "disabled_why"])


@transaction.atomic
def start(endpoint_id: int) -> None:
    """Switch an endpoint on again: what was waiting for it is sent, and its failures are forgotten."""
    endpoint = _lock(endpoint_id)
    endpoint.disabled_at, endpoint.disabled_why = None, ""
    endpoint.failures, endpoint.paused_until = 0, None
    endpoint.save(update_fields=["disabled_at", "disabled_why", "failures", "paused_until"])


def switch_off(endpoint: WebhookEndpoint, why: Why) -> None:
    """Mark an endpoint that is on as switched off; expects its lock, and that the caller saves it."""
    if endpoint.disabled_at is None:
        endpoint.disabled_at, endpoint.disabled_why = timezone.now(), why.value


@transaction.atomic
def remove(endpoint_id: int) -> None:
    """Take an endpoint from its owner and forget its secret; the row itself goes later (erase_removed).

    An order that is being placed at this moment may have queued something for it, and could not be committed if the row
    were gone.
    """
    endpoint = _lock(endpoint_id)
    endpoint.disabled_at, endpoint.disabled_why, endpoint.secret_encrypted = timezone.now(), Why.REMOVED, ""
    endpoint.save(update_fields=["disabled_at", "disabled_why", "secret_encrypted"])


def erase_removed() -> int:
    """Delete the endpoints that were removed longer ago than any transaction lasts, with their deliveries."""
    gone = WebhookEndpoint.objects.filter(disabled_why=Why.REMOVED, disabled_at__lt=timezone.now() - LONGEST_COMMIT)
    return gone.delete()[0]


@transaction.atomic
def send_test(endpoint_id: int) -> WebhookDelivery:
    """Queue a `ping`, or return the one that waits already; an endpoint that is paused is tried at once."""
    endpoint = _lock(endpoint_id)
    waiting = endpoint.deliveries.filter(kind=PING, state=State.WAITING).first()
    _hurry(endpoint)
    if waiting is not None:
        return waiting
    return WebhookDelivery.objects.create(endpoint=endpoint, kind=PING, due_at=timezone.now())


@transaction.atomic
def send_again(delivery_id: int) -> None:
    """Make a delivery due now, whatever became of it, under its id and with the body that it has."""
    delivery = WebhookDelivery.objects.select_for_update(no_key=True).get(pk=delivery_id)
    if delivery.state != State.WAITING or not is_away(delivery):
        delivery.state, delivery.due_at, delivery.ended_at = State.WAITING, timezone.now(), None
        delivery.save(update_fields=["state", "due_at", "ended_at"])
    _hurry(_lock(delivery.endpoint_id))


def is_away(delivery: WebhookDelivery) -> bool:
    """Tell whether a worker has a waiting delivery right now: its last try has not said anything."""
    tried = delivery.attempts and delivery.tries and "said" not in delivery.tries[-1]
    return bool(tried and delivery.due_at > timezone.now())


def _hurry(endpoint: WebhookEndpoint) -> None:
    """End an endpoint's pause; its failures stay, so that one call tells whether it is back."""
    endpoint.paused_until = None
    endpoint.save(update_fields=["paused_until"])


def _lock(endpoint_id: int) -> WebhookEndpoint:
    return WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)
