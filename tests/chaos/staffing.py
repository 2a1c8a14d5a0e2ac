"""The member of staff who comes when everything else has settled, looks at the providers and decides what is left."""

from collections import Counter
from collections.abc import Sequence

from django.db.models import QuerySet

from accounts.errors import UserError
from orders import resolving
from orders.models import Dispatch
from tests.chaos import warehouse
from tests.chaos.judging import read_taken, subject
from tests.chaos.shop import Shop
from tests.chaos.upstreams import Upstream

State = Dispatch.State


def decide(shop: Shop, upstreams: Sequence[Upstream]) -> Counter[str]:
    """Decide every order that waits for a person, by what the providers took; return how often in which way.

    What something else decides at the same moment is left to it, and to the next round.
    """
    petra = warehouse.clerk()
    taken = read_taken(shop, upstreams)
    ways: Counter[str] = Counter()
    ways["delivered by hand"] = warehouse.deliver(petra.pk, everything=True)
    for dispatch in waiting():
        there = next((one.record["id"] for one in taken[subject(dispatch.order)]), "")
        try:
            ways[_decide(dispatch, there, petra.pk)] += 1
        except UserError as error:
            ways[error.text] += 1
    return ways


def waiting() -> QuerySet[Dispatch]:
    """Return what waits for a person."""
    waits = Dispatch.objects.filter(state__in=[State.UNCLEAR, State.HELD])
    return waits.select_related("order").order_by("pk")


def _decide(dispatch: Dispatch, there: str, actor_id: int) -> str:
    if dispatch.command != Dispatch.Command.ADD:
        resolving.refuse(dispatch.pk, actor_id=actor_id, why="chaos")
        return "wish refused"
    if there:
        resolving.mark_arrived(dispatch.pk, there, actor_id=actor_id)
        return "arrived"
    if dispatch.state == State.UNCLEAR and dispatch.pk % 2 and not resolving.wants_cancel(dispatch.order_id):
        resolving.send_again(dispatch.pk, actor_id=actor_id)
        return "sent again"
    resolving.cancel_and_refund(dispatch.pk, actor_id=actor_id, why="chaos")
    return "given back"
