"""What a run tells at its end: figures by provider, by state, and every broken promise with its order's events."""

from collections import Counter
from collections.abc import Iterable

from django.db.models import Max

from catalog.models import StockItem
from orders.models import DeliveredLine, Delivery, Dispatch, Order, OrderEvent
from tests.chaos.plan import Plan
from tests.chaos.running import Outcome

TOLD = ("add", "add_product_order", "product_order_status", "result_product", "products")


def intent(plan: Plan) -> str:
    """Say in one line what is about to happen."""
    return (
        f"seed {plan.seed}: {len(plan.purchases)} orders of services, {len(plan.products)} of products and "
        f"{len(plan.blows)} blows in {plan.seconds:g} s, {len(plan.changes)} changes of weather and prices"
    )


def table(outcome: Outcome) -> str:
    """Write everything that a person wants to know about a run."""
    lines = ["", intent(outcome.plan), ""]
    for name, met in outcome.met.items():
        others = Counter(kind.split(" ")[0] for kind, number in met.items() for _ in range(number))
        taken = f"{outcome.accepted[name]} orders and {outcome.products[name]} of products taken"
        lines += [
            f"provider {name}: {sum(met.values())} calls ({listed(others)}), {taken}",
            *(f"    {action} met: {listed(met_by(met, action))}" for action in TOLD),
        ]
    states = Counter(Dispatch.objects.order_by().values_list("command", "state"))
    statuses = Counter(Order.objects.order_by().values_list("status", flat=True))
    lines += [
        f"orders: {listed(statuses)}",
        f"dispatches: {listed({f'{command} {state}': number for (command, state), number in states.items()})}",
        f"products: {listed(sold_by_source())}",
        deliveries(),
        f"customers: {listed(outcome.takings.said)}; bought while the broker was away: {outcome.bought_without_broker}",
        f"blows: {listed(outcome.blows)}",
        f"decided by staff: {listed(outcome.decided)}",
        f"seconds: {', '.join(f'{name} {seconds:.1f}' for name, seconds in outcome.seconds.items())}",
        f"violations: {len(outcome.violations)}",
        *explained(outcome),
    ]
    return "\n".join(lines) + "\n"


def met_by(met: dict[str, int], action: str) -> dict[str, int]:
    """Return how often calls of one action met which misbehaviour."""
    return {kind.split(" ")[1]: number for kind, number in met.items() if kind.startswith(f"{action} ")}


def sold_by_source() -> Counter[str]:
    """Count orders of products by where these come from and what became of them."""
    sold = Order.objects.filter(service__is_product=True).order_by()
    return Counter(f"{source} {status}" for source, status in sold.values_list("service__product__source", "status"))


def deliveries() -> str:
    """Tell how much was handed over, and how hard it was to get."""
    late, tries = Delivery.objects.exclude(fetch_at=None).count(), Delivery.objects.aggregate(Max("attempts"))
    sold, left = (StockItem.objects.filter(taken_at__isnull=isnull).count() for isnull in (False, True))
    return (
        f"deliveries: {Delivery.objects.count()}, {DeliveredLine.objects.count()} lines; {late} not fetched yet, "
        f"most tries {tries['attempts__max']}; our own stock: {sold} lines sold, {left} left"
    )


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
    about = order.link or order.details
    yield f"      {about} {order.status} charge {order.charge} refunded {order.refunded} placed {order.created_at}"
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
