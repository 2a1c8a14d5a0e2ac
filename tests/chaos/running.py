"""One run from end to end: open, buy and be beaten, calm down, settle, and be judged."""

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db import connections
from django.db.models.functions import Now

from catalog.models import Provider
from orders import delivering, doubting, resolving
from orders.models import ChildOrder, Delivery, Dispatch, Order, Refill
from tests.chaos import judging, staffing, warehouse
from tests.chaos.buying import Takings, shopping
from tests.chaos.crew import Crew, Member, hired
from tests.chaos.judging import Violation
from tests.chaos.plan import AT_FIRST_THERE, MORE_LATER, Blow, Change, Plan
from tests.chaos.shop import Shop, stock
from tests.chaos.upstreams import Upstream, opened
from tests.processes import wait_for

PACE = 0.3
STAFF_ROUNDS = 3
AT_FIRST = ("broker", "forward", "second", "default", "beat")
SENDERS = ("forward", "second")
IN_THE_ACT = 4
State = Dispatch.State
# Bought when it cost less than it ever will again: what becomes of it is for staff to say.
LOSS = Dispatch.Hold.LOSS
ENDED = (Order.Status.COMPLETED, Order.Status.PARTIAL, Order.Status.CANCELED)


@dataclass
class Outcome:
    """What became of a run; no violation means that every promise was kept."""

    plan: Plan
    takings: Takings
    blows: Counter[str] = field(default_factory=Counter)
    bought_without_broker: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    met: dict[str, dict[str, int]] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)
    decided: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)


class Run:
    """The moving parts of one run while it lasts; the thread that made it strikes, the customers' threads buy."""

    def __init__(self, plan: Plan, shop: Shop, upstreams: list[Upstream], crew: Crew) -> None:
        self.plan, self.shop, self.upstreams, self.crew = plan, shop, upstreams, crew
        self.start = time.monotonic()
        self.pause = threading.Event()
        self.ties = itertools.count()
        self.todo: list[tuple[float, int, Callable[[], None]]] = []
        self.struck: Counter[str] = Counter()
        self.deserted: Counter[str] = Counter()
        self.without_broker: list[tuple[float, float]] = []
        for blow in plan.blows:
            self.schedule(blow.at, partial(self.strike, blow))
        for change in plan.changes:
            self.schedule(change.at, partial(self.change, change))
        warehouse.fill(plan, shop.wares, AT_FIRST_THERE)
        self.schedule(plan.seconds / 2, partial(warehouse.fill, plan, shop.wares, MORE_LATER))

    def schedule(self, at: float, act: Callable[[], None]) -> None:
        """Remember to do something at a time."""
        heapq.heappush(self.todo, (at, next(self.ties), act))

    def now(self) -> float:
        """Return how many seconds the doors have been open."""
        return time.monotonic() - self.start

    def last(self) -> None:
        """Strike and change as planned until everything has been done."""
        while self.todo:
            at, _, act = heapq.heappop(self.todo)
            self.pause.wait(max(0.0, at - self.now()))
            self.replace_deserters()
            act()

    def replace_deserters(self) -> None:
        """Start again whoever ended without having been killed, as the runner of the Procfile does, and remember it."""
        for member in self.crew.deserters:
            self.deserted[member.name] += 1
            member.kill()
            member.start()

    def strike(self, blow: Blow) -> None:
        """Deal one blow and plan the recovery from it."""
        member = self.crew.members[blow.member]
        self.struck[f"{blow.how} {blow.member}"] += 1
        if blow.how == "flush":
            if member.process is not None:
                self.crew.broker.flush()
            return
        if blow.member in SENDERS:
            self.catch_in_the_act()
        if blow.how == "stop":
            member.stop()
        else:
            member.kill()
        self.schedule(self.now() + blow.away, partial(self.recover, member, self.now()))

    def catch_in_the_act(self) -> None:
        """Wait a moment for orders to be on the wire: a worker that dies idle leaves nothing behind."""
        until = self.now() + 2
        while Dispatch.objects.filter(state=State.LEASED).count() < IN_THE_ACT and self.now() < until:
            self.pause.wait(0.02)

    def recover(self, member: Member, since: float) -> None:
        """Start a member again that has been away since a moment."""
        if member is self.crew.broker:
            self.without_broker.append((since, self.now()))
        member.start()

    def change(self, change: Change) -> None:
        """Turn the weather at a provider, or a price there, here, or both."""
        upstream = self.upstreams[change.upstream]
        if change.weather is not None:
            upstream.turn(self.plan.seed, change.weather)
        else:
            upstream.set_rate(change.service, change.theirs)
            self.shop.set_rate(change.upstream, change.service, change.ours)

    def calm(self) -> None:
        """End all misrule, bring the first prices and new stock, and see that the whole crew is at work."""
        for upstream in self.upstreams:
            upstream.calm(self.plan.seed)
        self.shop.restore_rates()
        self.crew.start(*AT_FIRST)


def run(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Do one run in the database of this process; `folder` is for state files and logs. `say` is told how far it is."""
    started = time.monotonic()
    with opened(folder, pace=PACE) as upstreams, hired(folder) as crew:
        crew.start(*AT_FIRST)
        this = Run(plan, stock(upstreams), upstreams, crew)
        for queue in ("forward", "default"):
            wait_for(partial(crew.broker.seen, f"_kombu.binding.{queue}*"), what=f"a worker that listens to {queue}")
        say(f"the doors are open after {time.monotonic() - started:.0f} s")
        outcome = Outcome(plan, endure(this))
        say(f"{len(outcome.takings.orders)} orders after {this.now():.0f} s; now all is calm")
        this.calm()
        outcome.seconds["settling"] = settle(plan.patience)
        found = judging.judge(outcome.takings, this.shop, upstreams)
        say(f"settled after {outcome.seconds['settling']:.0f} s; now staff decide")
        outcome.decided = let_staff_decide(this)
        this.replace_deserters()
        crew.disband()
        found += [Violation(f"{name} ended by itself, {times} ×") for name, times in this.deserted.items()]
        found += judging.judge(outcome.takings, this.shop, upstreams, all_settled=True)
        outcome.violations = list(dict.fromkeys(found))
        told(outcome, this)
    outcome.seconds["all"] = time.monotonic() - started
    return outcome


def endure(this: Run) -> Takings:
    """Let customers buy while everything strikes, until all have done what they came for; return what they did."""
    this.start = time.monotonic()
    with shopping(this.plan, this.shop, this.start) as (takings, threads):
        with hurrying(), warehouse.delivering_by_hand():
            this.last()
        for thread in threads:
            thread.join()
    return takings


def let_staff_decide(this: Run) -> Counter[str]:
    """Let staff decide what waits for them, and what comes back in doubt from that; return how often in which way."""
    ways: Counter[str] = Counter()
    for _ in range(STAFF_ROUNDS):
        ways += staffing.decide(this.shop, this.upstreams)
        settle(this.plan.patience)
        if not staffing.waiting().exists():
            break
    return ways


def told(outcome: Outcome, this: Run) -> None:
    """Add what only the providers and the schedule know."""
    outcome.blows = this.struck
    for upstream in this.upstreams:
        name = upstream.plan.name
        outcome.met[name] = upstream.met()
        outcome.accepted[name] = sum(not order["parent"] for order in upstream.orders().values())
        outcome.products[name] = len(upstream.product_orders())
    outcome.bought_without_broker = sum(
        any(begin < at < end for begin, end in this.without_broker) for at in outcome.takings.placed_at.values()
    )


def settle(patience: float) -> float:
    """Wait until everything that can settle has; return how long it took. What cannot is left to the judge.

    Waiting for hours is made short by moving what is due later to now; nothing else is touched.
    """
    start, pause = time.monotonic(), threading.Event()
    in_doubt: set[int] | None = None
    while time.monotonic() - start < patience:
        hurry()
        delivering.fetch_all()
        if moving():
            in_doubt = None
        elif in_doubt == (in_doubt := unclear()):
            # Looked into once more, by nobody disturbed, and no doubt was decided: the rest is for a person.
            break
        else:
            look()
        pause.wait(0.3)
    return time.monotonic() - start


@contextmanager
def hurrying() -> Iterator[None]:
    """Let the hours pass quickly meanwhile, so that what waits meets the chaos again and again."""
    stop = threading.Event()

    def pass_time() -> None:
        try:
            while not stop.wait(1):
                hurry()
                look()
        finally:
            connections.close_all()

    thread = threading.Thread(target=pass_time)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def unclear() -> set[int]:
    """Return the dispatches in doubt."""
    return set(Dispatch.objects.filter(state=State.UNCLEAR).values_list("pk", flat=True))


def moving() -> bool:
    """Tell whether something is on its way that gets somewhere without a person."""
    on_its_way = Order.objects.exclude(status__in=ENDED).filter(dispatches__command="add", dispatches__state=State.SENT)
    return (
        Dispatch.objects.filter(state__in=[State.QUEUED, State.LEASED, State.HELD]).exclude(hold=LOSS).exists()
        or on_its_way.exists()
        or ChildOrder.objects.filter(ended_at=None).exists()
        or Refill.objects.filter(status__in=Refill.OPEN, dispatch__state=State.SENT).exists()
        or Delivery.objects.exclude(fetch_at=None).exists()
    )


def hurry() -> None:
    """Move every moment that is waited for to now, and do by hand what a tick does only once a minute."""
    now = Now()
    Dispatch.objects.filter(state=State.QUEUED, due_at__gt=now).update(due_at=now)
    Dispatch.objects.filter(poll_at__gt=now).exclude(order__status__in=ENDED).update(poll_at=now)
    ChildOrder.objects.filter(poll_at__gt=now, ended_at=None).update(poll_at=now)
    Refill.objects.filter(poll_at__gt=now).update(poll_at=now)
    Delivery.objects.filter(fetch_at__gt=now).update(fetch_at=now)
    away = (Provider.Pause.NETWORK, Provider.Pause.DOUBT)
    Provider.objects.filter(paused_until__gt=now, pause_reason__in=away).update(paused_until=now)
    resolving.release_held()


def look() -> None:
    """Look into every doubt now."""
    Dispatch.objects.filter(state=State.UNCLEAR, look_at__isnull=False).update(look_at=Now())
    doubting.look_into_doubts()
