"""Forward orders from a shell, without Celery."""

from typing import Any

from django.db.models import Count

from accounts.management.operating import OperatorCommand
from orders import claiming, forwarding
from orders.models import Dispatch

State = Dispatch.State


class Command(OperatorCommand):
    help = (
        "Sweep leases that ended (their orders become unclear: a person decides), then send every due order to its "
        "provider until nothing is due. Safe beside running workers; can be repeated."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        swept = claiming.sweep_ended_leases()
        sent = forwarding.forward_all()
        waiting = Dispatch.objects.filter(state__in=[State.QUEUED, State.UNCLEAR, State.HELD])
        counts = dict(waiting.order_by().values_list("state").annotate(count=Count("pk")))
        now = ", ".join(
            f"{state.lower()} {counts.get(state, 0)}" for state in (State.QUEUED, State.UNCLEAR, State.HELD)
        )
        self.stdout.write(f"swept {swept}, sent {sent}; now {now}")
