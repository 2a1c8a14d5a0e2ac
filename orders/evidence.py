"""What staff read about an order in doubt: how the balance there moved, and who else waits. Never acted on.

The balance speaks only where little else was bought in between; the sentence gives the figures and no verdict
(ARCHITECTURE 3, PROTOCOL 6.3). Amounts are in the provider's currency, at the rates last read.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.money import EXACT, round_refund
from accounts.templatetags.money import short
from catalog.models import BalanceReading
from orders import claiming
from orders.models import Dispatch, Order, OrderEvent

State = Dispatch.State
ADD = Dispatch.Command.ADD
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the balance says about one dispatch: the readings around its attempts, and what else moved it in between.

    `spent` is the expected cost of the orders accepted in between, `returned` the refunded share of what ended, and
    `doubtful` what the other orders in doubt that were sent in between would cost.
    """

    cost: Decimal
    currency: str
    before: BalanceReading | None = None
    after: BalanceReading | None = None
    spent: Decimal = NOTHING
    returned: Decimal = NOTHING
    doubts: int = 0
    doubtful: Decimal = NOTHING

    @property
    def fall(self) -> Decimal | None:
        """By how much the balance fell between the readings; None where one is missing."""
        return None if self.before is None or self.after is None else self.before.amount - self.after.amount

    @property
    def unexplained(self) -> Decimal | None:
        """What is left of the fall when all that is known is taken off; None where a reading is missing."""
        return None if self.fall is None else self.fall - self.spent + self.returned

    @property
    def sentence(self) -> str:
        """Tell it in plain words, with the figures."""
        if self.before is None:
            return _("The balance was not read before the order was first sent, so it says nothing.")
        if self.after is None:
            return _("The balance has not been read since the order was last sent.")
        parts = [self._tell_fall(), _("orders accepted in between explain %s") % short(self.spent)]
        if self.returned:
            parts.append(_("%s came back for orders that ended") % short(self.returned))
        parts.append(_("%s is unexplained") % short(self.unexplained or NOTHING))
        parts.append(_("this order would cost %s") % short(self.cost))
        if self.doubts:
            told = {"count": self.doubts, "cost": short(self.doubtful)}
            parts.append(
                ngettext(
                    "%(count)d other order in doubt was sent in between and would cost %(cost)s",
                    "%(count)d other orders in doubt were sent in between and would cost %(cost)s",
                    self.doubts,
                )
                % told
            )
        return "; ".join(parts) + "."

    def _tell_fall(self) -> str:
        if self.before is None or self.after is None or self.fall is None:
            return ""
        told = {"amount": short(abs(self.fall))} | _tell_times(self.before.read_at, self.after.read_at)
        if self.fall < 0:
            return _("Balance rose by %(amount)s between %(start)s and %(end)s, so money was paid in") % told
        return _("Balance fell by %(amount)s between %(start)s and %(end)s") % told


def gather(dispatch: Dispatch) -> Evidence:
    """Read what the balance says about an `add`: the last reading before its first attempt, the first after its last.

    Expects its order, service, provider and provider service to be loaded.
    """
    known = Evidence(claiming.expected_cost(dispatch, Decimal(1)), dispatch.provider.currency)
    if dispatch.first_claimed_at is None:
        return known
    readings = BalanceReading.objects.filter(provider_id=dispatch.provider_id)
    before = readings.filter(read_at__lte=dispatch.first_claimed_at).order_by("-read_at", "-pk").first()
    after = readings.filter(read_at__gte=_last_doubt(dispatch)).order_by("read_at", "pk").first()
    if before is None or after is None:
        return Evidence(known.cost, known.currency, before, after)
    adds = (
        Dispatch.objects.filter(provider_id=dispatch.provider_id, command=ADD)
        .exclude(pk=dispatch.pk)
        .select_related("order__service", "provider_service")
    )
    between = (before.read_at, after.read_at)
    accepted = adds.filter(state=State.SENT, settled_at__range=between)
    ended = adds.filter(
        state=State.SENT,
        order__ended_at__range=between,
        order__status__in=[Order.Status.CANCELED, Order.Status.PARTIAL],
    )
    doubts = list(adds.filter(state=State.UNCLEAR, claimed_at__range=between))
    return Evidence(
        known.cost,
        known.currency,
        before,
        after,
        spent=_cost(accepted),
        returned=sum(map(_returned, ended), NOTHING),
        doubts=len(doubts),
        doubtful=_cost(doubts),
    )


def list_affected(dispatch: Dispatch) -> QuerySet[Dispatch]:
    """Return the other orders in doubt at the same provider, the longest waiting first."""
    others = Dispatch.objects.filter(provider_id=dispatch.provider_id, command=dispatch.command, state=State.UNCLEAR)
    return others.exclude(pk=dispatch.pk).select_related("order__user").order_by("pk")


def _last_doubt(dispatch: Dispatch) -> datetime.datetime:
    """Return when the last attempt was over: a reading while it was out says nothing about it."""
    doubted = OrderEvent.objects.filter(
        order_id=dispatch.order_id, kind=OrderEvent.Kind.UNCLEAR, data__dispatch=dispatch.pk
    )
    last = doubted.order_by("-pk").values_list("created_at", flat=True).first()
    return last or dispatch.claimed_at or dispatch.created_at


def _cost(dispatches: Iterable[Dispatch]) -> Decimal:
    return sum((claiming.expected_cost(dispatch, Decimal(1)) for dispatch in dispatches), NOTHING)


def _returned(dispatch: Dispatch) -> Decimal:
    """Return what a provider gave back for an order that ended: of its cost, the share that we gave back."""
    order = dispatch.order
    cost = claiming.expected_cost(dispatch, Decimal(1))
    return round_refund(EXACT.divide(EXACT.multiply(cost, order.refunded), order.charge))


def _tell_times(start: datetime.datetime, end: datetime.datetime) -> dict[str, str]:
    """Write two moments as shortly as tells them apart."""
    start, end, today = timezone.localtime(start), timezone.localtime(end), timezone.localdate()
    form = "H:i:s" if start.replace(second=0, microsecond=0) == end.replace(second=0, microsecond=0) else "H:i"
    if start.date() != today or end.date() != today:
        form = f"j M {form}"
    return {"start": date_format(start, form), "end": date_format(end, form)}
