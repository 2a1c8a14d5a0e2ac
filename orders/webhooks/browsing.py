"""What pages show of endpoints and deliveries, in plain words; a secret is never among it."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders.models import OrderEvent, WebhookDelivery, WebhookEndpoint
from orders.webhooks import endpoints
from orders.webhooks.describing import TYPES, name_message

PAGE_SIZE = 30
State = WebhookDelivery.State
# What can be ticked; of a cancellation not only the wish is told.
KINDS: Mapping[str, str | Promise] = {
    **{kind.value: kind.label for kind in OrderEvent.PUBLIC},
    OrderEvent.Kind.CANCEL: gettext_lazy("Cancellation"),
}
# The class that gives a state its colour (static/panel.css).
TONES: Mapping[str, str] = {State.SENT: "completed", State.FAILED: "canceled", State.WAITING: "processing"}


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint, how it is doing in one word with its tone, and in a sentence where something is wrong."""

    endpoint: WebhookEndpoint
    state: str
    tone: str
    why: str
    kinds: list[str]

    @property
    def is_on(self) -> bool:
        """Whether it is told of anything."""
        return self.endpoint.disabled_at is None


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt: when, the HTTP status, and what was said; `lost` where a worker died before it wrote that."""

    number: int
    at: datetime.datetime | None
    status: int | None
    said: str
    seconds: float | None
    ok: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery and its attempts, newest first."""

    delivery: WebhookDelivery
    message_id: str
    type: str
    tone: str
    tries: list[Try]

    @property
    def last(self) -> Try | None:
        """The newest attempt that was answered or failed."""
        return next((tried for tried in self.tries if not tried.lost), None)

    @property
    def body(self) -> str:
        """The body, in lines that can be read; what is sent has no blanks."""
        raw = self.delivery.body
        return orjson.dumps(orjson.loads(raw), option=orjson.OPT_INDENT_2).decode() if raw else ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some deliveries, and where the older ones begin, None when there are none."""

    rows: list[DeliveryRow]
    older: int | None


def read_endpoints(own: Iterable[WebhookEndpoint]) -> list[EndpointRow]:
    """Return the rows of a list of endpoints."""
    return [show_endpoint(endpoint) for endpoint in own]


def show_endpoint(endpoint: WebhookEndpoint) -> EndpointRow:
    """Say how an endpoint is doing."""
    kinds = [str(KINDS[kind]) for kind in endpoint.kinds]
    if endpoint.disabled_at is not None:
        why = endpoint.disabled_why
        said = str(endpoints.Why(why).label) if why in endpoints.Why.values else why
        return EndpointRow(endpoint, _("Off"), "disabled", said, kinds)
    if endpoint.paused_until is not None and endpoint.paused_until > timezone.now():
        said = _("%(count)s calls in a row failed. It is tried again later; nothing is lost.")
        return EndpointRow(endpoint, _("Paused"), "partial", said % {"count": endpoint.failures}, kinds)
    if endpoint.failures:
        return EndpointRow(endpoint, _("Failing"), "partial", _("The last call failed and is repeated."), kinds)
    return EndpointRow(endpoint, _("On"), "completed", "", kinds)


def read_page(endpoint: WebhookEndpoint, *, before: int | None = None) -> Page:
    """Return an endpoint's deliveries, newest first, from below an id."""
    deliveries = endpoint.deliveries.all() if before is None else endpoint.deliveries.filter(pk__lt=before)
    found = list(deliveries.order_by("-pk")[: PAGE_SIZE + 1])
    rows = [show(delivery) for delivery in found[:PAGE_SIZE]]
    return Page(rows, found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None)


def show(delivery: WebhookDelivery) -> DeliveryRow:
    """Describe a delivery."""
    tries = [_show_try(tried) for tried in reversed(delivery.tries)]
    return DeliveryRow(delivery, name_message(delivery), TYPES[delivery.kind], TONES[delivery.state], tries)


def _show_try(tried: Mapping[str, Any]) -> Try:
    status = tried.get("status")
    return Try(
        number=tried["attempt"],
        at=parse_datetime(tried["at"]),
        status=status,
        said=tried.get("said", ""),
        seconds=tried.get("seconds"),
        ok=status is not None and 200 <= status < 300,
        lost="said" not in tried,
    )
