"""After a backup was restored: nothing that may have been sent since the backup was taken is sent again by itself."""

from django.db import transaction

from orders import lifecycle, routing
from orders.models import Dispatch, OrderEvent

State = Dispatch.State
RESTORED = "Restored from a backup: it may have been sent since"


def distrust_backup() -> int:
    """Make every order UNCLEAR that the backup has not yet sent, and return how many there were (ARCHITECTURE 3).

    To be run before workers start on a restored database; one that runs already is kept out by the rows' locks. Held
    orders are among them: their cause may have gone after the backup. Refills and cancels are harmless twice.
    """
    with transaction.atomic():
        waiting = Dispatch.objects.select_for_update().filter(
            command=Dispatch.Command.ADD, state__in=[State.QUEUED, State.LEASED, State.HELD]
        )
        restored = list(waiting.order_by("pk"))
        for dispatch in restored:
            routing.park(dispatch, RESTORED)
            lifecycle.note(dispatch.order_id, OrderEvent.Kind.UNCLEAR, routing.said(dispatch))
    return len(restored)
