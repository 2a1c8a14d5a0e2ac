"""What the sandbox knows and does: what it took, what arrived, how it behaves, and what the clock makes of it.

Every public method takes the world's lock, and moves along first what is due by the clock: there is no thread that
ticks, an order is where the clock says it is whenever somebody looks. What is confirmed is in the state file before.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from catalog.providers.sandbox import catalogue, life, spreading
from catalog.providers.sandbox.agenda import Agenda
from catalog.providers.sandbox.conduct import Conduct
from catalog.providers.sandbox.faults import Misbehaviour
from catalog.providers.sandbox.goods import SandboxProductOrder
from catalog.providers.sandbox.habits import Habits
from catalog.providers.sandbox.life import SandboxOrder, SandboxRefill
from catalog.providers.sandbox.misrule import Misrule
from catalog.providers.sandbox.register import Register, Taken
from catalog.providers.sandbox.state import Journal
from catalog.providers.sandbox.warehouse import Warehouse

RECEIVED_LIMIT = 100_000


class Sandbox:
    """An upstream provider with orders that progress by themselves; safe to use from many threads.

    `pace` is the seconds that one step of an order's life takes; at 0 orders move only by hand. `state` is a file in
    which orders, ids and balance outlive a restart; where it holds a balance, that counts and not the argument. `clock`
    gives seconds and must go on over restarts. `habits` are those of Habits. Raises StateError where the state file
    cannot be used, ValueError and TypeError for habits that are none.
    """

    def __init__(  # noqa: PLR0913  keyword-only settings, each with its default
        self,
        *,
        key: str = "sandbox-key",
        pace: float = 1.0,
        state: Path | None = None,
        currency: str = "USD",
        balance: Decimal = Decimal(10000),
        clock: Callable[[], float] = time.time,
        **habits: Any,
    ) -> None:
        self.key, self.pace, self.currency, self.clock = key, pace, currency, clock
        self.habits = Habits(**habits)
        # Where it is served, while it is.
        self.url = ""
        self.received: list[dict[str, str]] = []
        self.services = catalogue.services()
        self.lock = threading.RLock()
        self.journal = Journal(state) if state else None
        self.register = Register(life.rounded(Decimal(balance)), self.journal)
        self.agenda: Agenda[Taken] = Agenda(pace, clock)
        self.warehouse = Warehouse(self.register, self.agenda, self.lock, self.advance)
        self._conduct = Conduct()
        for taken in self.register.everything():
            self.agenda.resume(taken)

    @property
    def orders(self) -> dict[str, SandboxOrder]:
        """Copy the table of all orders, runs and posts by id, oldest first, each where the clock says it is."""
        with self.lock:
            self.advance()
            return dict(self.register.orders)

    def order(self, order_id: str) -> SandboxOrder | None:
        """Find one order, moved to where the clock says it is."""
        with self.lock:
            self.advance()
            return self.register.orders.get(order_id)

    @property
    def refills(self) -> dict[str, SandboxRefill]:
        """Copy the table of all refills by id."""
        with self.lock:
            self.advance()
            return dict(self.register.refills)

    @property
    def balance(self) -> Decimal:
        """Tell what is left of the money, after everything that is due has been given back."""
        with self.lock:
            self.advance()
            return self.register.balance

    def accepted(self, link: str) -> int:
        """Count the orders that were taken for a link, or for the account of a subscription."""
        with self.lock:
            return len(self.register.at(link))

    def receive(self, params: dict[str, str]) -> Misbehaviour | None:
        """Note a call as it arrived and pick the misbehaviour that it meets."""
        with self.lock:
            self.received.append(params)
            if len(self.received) > RECEIVED_LIMIT:
                del self.received[: RECEIVED_LIMIT // 10]
            return self._conduct.towards(params, self.habits.calls_per_minute, self.clock())

    def configure(self, **habits: Any) -> None:
        """Change single habits; raises ValueError and TypeError for habits that are none."""
        with self.lock:
            self.habits = dataclasses.replace(self.habits, **habits)

    def misbehave(self, action: str, kind: str, **fields: Any) -> None:
        """Script a misbehaviour; the fields are those of Misbehaviour. The oldest that fits a call strikes first."""
        with self.lock:
            self._conduct.scripted.append(Misbehaviour(action, kind, **fields))

    def misrule(
        self,
        seed: int,
        rules: Mapping[str, Mapping[str, float]],
        *,
        seconds: float = 1.0,
        refusals: Sequence[str] = (),
    ) -> None:
        """Let a share of each action's calls end in misbehaviour, drawn as Misrule says; no rules end it."""
        with self.lock:
            self._conduct.misrule = Misrule(seed, rules, seconds=seconds, refusals=refusals)

    def behave(self) -> None:
        """Forget all scripted misbehaviour; calls that hang already go on hanging, and misrule goes on too."""
        with self.lock:
            self._conduct.scripted.clear()

    def set_order(self, order_id: str, **fields: Any) -> None:
        """Set status, remains, start_count or charge by hand, or runs or posts; the order no longer moves by itself.

        A status brings its charge and its refund along, as if the order had got there alone; a charge that is given is
        only reported, whatever it is, and the balance stays. Completed without runs or posts means all of them. Raises
        KeyError for an unknown order, ValueError for an unknown field.
        """
        with self.lock:
            self.advance()
            order = self.register.orders[str(order_id)]
            unknown = set(fields) - {*life.HAND_SET, order.spread}
            if unknown:
                raise ValueError(f"Not to be set on this order: {', '.join(sorted(unknown))}")
            order.by_hand, order.due = True, None
            before = order.charge
            order.remains = fields.get("remains", order.remains)
            order.start_count = fields.get("start_count", order.start_count)
            if order.spread:
                spreading.set_by_hand(order, self.register.parts_of(order), fields)
            elif "status" in fields:
                order.finish(fields["status"], order.remains)
            if "charge" in fields:
                order.charge = Decimal(str(fields["charge"]))
                before = order.charge
            self._settle(order, before, self.clock())

    def set_refill(self, refill_id: str, status: str) -> None:
        """Set the status of a refill by hand; it no longer moves by itself. Raises KeyError for an unknown one."""
        with self.lock:
            refill = self.register.refills[str(refill_id)]
            refill.status, refill.due, refill.by_hand = status, None, True
            self.register.save(refill)

    def set_service(self, service: int, **fields: Any) -> None:
        """Change keys of a service's row, or put a new row into the catalogue; lasts until the next start."""
        with self.lock:
            new = {"service": service, "name": f"Service {service}", "type": "Default", "category": "Other"}
            new |= {"rate": "1", "min": "1", "max": "1000", "refill": False, "cancel": False}
            self.services[service] = {**self.services.get(service, new), **fields}

    def remove_service(self, service: int) -> None:
        """Take a service off the list; raises KeyError when it is not on it."""
        with self.lock:
            del self.services[service]

    def add_child(self, parent_id: str) -> str:
        """Start another run or post of an order by hand and tell its id; raises KeyError for an unknown order.

        Raises ValueError for an order that does not come in parts.
        """
        with self.lock:
            self.advance()
            parent = self.register.orders[str(parent_id)]
            if not parent.spread:
                raise ValueError("This order does not come in parts")
            return self._start_part(parent, self.clock()).id

    def take(self, **fields: Any) -> SandboxOrder:
        """Take an order and its money; expects the lock to be held and the money to be there."""
        order = self._enter_order(self.clock(), fields)
        self.register.balance -= order.charge
        self.register.save(order)
        return order

    def take_refill(self, order: SandboxOrder) -> SandboxRefill:
        """Take a refill; expects the lock to be held."""
        refill = SandboxRefill(self.register.next_refill_id(), order.id, self.clock())
        self.register.enter(refill)
        self.agenda.schedule(refill)
        self.register.save(refill)
        return refill

    def advance(self) -> None:
        """Make every step that is due, in the order of time; expects the lock to be held."""
        for moving, planned in self.agenda.due():
            self._step(moving, planned)

    @contextmanager
    def state_held(self) -> Iterator[None]:
        """Keep other sandboxes off the state file meanwhile; raises StateError when one has it or has written to it."""
        if not self.journal:
            yield
            return
        self.journal.hold()
        try:
            yield
        finally:
            self.journal.release()

    def _step(self, moving: Taken, planned: float) -> None:
        if isinstance(moving, SandboxProductOrder):
            self.warehouse.step(moving, self.pace)
        elif isinstance(moving, SandboxRefill):
            moving.take_step(self.pace)
            self.register.save(moving)
        elif moving.spread:
            self._step_parent(moving, planned)
        else:
            before = moving.charge
            moving.take_step(self.pace)
            self._settle(moving, before, planned)
        self.agenda.plan(moving)

    def _step_parent(self, parent: SandboxOrder, planned: float) -> None:
        before = parent.charge
        parts = self.register.parts_of(parent)
        stopped = spreading.under_way(parts)
        if spreading.step(parent, parts, planned):
            self._start_part(parent, planned)
        for part in stopped:
            self.register.save(part)
        self._settle(parent, before, planned)

    def _start_part(self, parent: SandboxOrder, now: float) -> SandboxOrder:
        number = len(self.register.parts_of(parent)) + 1
        part = self._enter_order(now, {**spreading.next_part(parent, number), "parent": parent.id})
        self.register.save(part)
        return part

    def _enter_order(self, now: float, fields: dict[str, Any]) -> SandboxOrder:
        money = {"charge": fields["gross"], "remains": fields["quantity"]}
        order = SandboxOrder(id=self.register.next_order_id(), created=now, **money, **fields)
        self.register.enter(order)
        self.agenda.schedule(order, now)
        return order

    def _settle(self, order: SandboxOrder, before: Decimal, now: float) -> None:
        """Move the money that a change brings along, a part's by way of its parent, and write down what changed."""
        parent = self.register.orders.get(order.parent)
        if parent is None:
            self.register.balance += before - order.charge
        else:
            before = parent.charge
            spreading.take_news(parent, self.register.parts_of(parent))
            self.register.balance += before - parent.charge
            if order.status in spreading.ENDED:
                self.agenda.schedule(parent, now)
            self.register.save(parent)
        self.register.save(order)
