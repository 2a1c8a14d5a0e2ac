"""What a run tells at its end: figures by provider, by state, and every broken promise with its order's events."""

from collections import Counter
from collections.abc import Iterable

from orders.models import Dispatch, Order, OrderEvent
from tests.chaos.plan import Plan
from tests.chaos.running import Outcome


def intent(plan: Plan) -> str:
    """Say in one line what is about to happen."""
    return (
        f"seed {plan.seed}: {len(plan.purchases)} orders and {len(plan.blows)} blows in {plan.seconds:g} s, "
        f"{len(plan.changes)} changes of weather and prices"
    )


def table(outcome: Outcome) -> str:
    """Write everything that a person wants to know about a run."""
    lines = ["", intent(outcome.plan), ""]
    for name, met in outcome.met.items():
        adds = {kind.split(" ")[1]: number for kind, number in met.items() if kind.startswith("add ")}
        others = Counter(kind.split(" ")[0] for kind, number in met.items() for _ in range(number))
        lines += [
            f"provider {name}: {sum(met.values())} calls ({listed(others)}), {outcome.accepted[name]} orders taken",
            f"    add met: {listed(adds)}",
        ]
    states = Counter(Dispatch.objects.order_by().values_list("command", "state"))
    statuses = Counter(Order.objects.order_by().values_list("status", flat=True))
    lines += [
        f"orders: {listed(statuses)}",
        f"dispatches: {listed({f'{command} {state}': number for (command, state), number in states.items()})}",
        f"customers: {listed(outcome.takings.said)}; bought while the broker was away: {outcome.bought_without_broker}",
        f"blows: {listed(outcome.blows)}",
        f"decided by staff: {listed(outcome.decided)}",
        f"seconds: {', '.join(f'{name} {seconds:.1f}' for name, seconds in outcome.seconds.items())}",
        f"violations: {len(outcome.violations)}",
        *explained(outcome),
    ]
    return "\n".join(lines) + "\n"


def explained(outcome: Outcome) -> Iterable[str]:
    """Write each broken promise, and once for each order what happened to it."""
    told: set[int] = set()
    for violation in outcome.violations:
        yield f"  {violation}"
        if violation.order_id and violation.order_id not in told:
            told.add(violation.order_id)
            yield from history(violation.order_id)


def history(order_id: int) -> Iterable[str]:
    """Write an order, its dispatches and its events."""
    order = Order.objects.get(pk=order_id)
    yield f"      {order.link} {order.status} charge {order.charge} refunded {order.refunded} placed {order.created_at}"
    for row in Dispatch.objects.filter(order=order).order_by("pk"):
        yield (
            f"      dispatch {row.pk} {row.command} at {row.provider_id}: {row.state} attempt {row.attempt}"
            f" id {row.remote_id or '-'} doubtful {row.doubtful} due {row.due_at} poll {row.poll_at}: {row.reason}"
        )
    for event in OrderEvent.objects.filter(order=order).order_by("pk"):
        yield f"      {event.created_at:%H:%M:%S.%f} {event.kind} {event.data}"


def listed(figures: Counter[str] | dict[str, int]) -> str:
    """Write figures from the largest to the smallest."""
    return ", ".join(f"{name} {number}" for name, number in sorted(figures.items(), key=lambda one: -one[1])) or "none"
