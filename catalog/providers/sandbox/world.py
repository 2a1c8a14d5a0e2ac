"""What the sandbox remembers: services, orders, refills, balance, what arrived, and which misbehaviour is scripted.

Every public method takes the world's lock, and moves along first what is due by the clock: there is no thread that
ticks, an order is where the clock says it is whenever somebody looks. What is confirmed is in the state file before.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from catalog.providers.sandbox import catalogue, life
from catalog.providers.sandbox.faults import Misbehaviour
from catalog.providers.sandbox.life import SandboxOrder, SandboxRefill
from catalog.providers.sandbox.state import Journal

RECEIVED_LIMIT = 100_000
# Longer than the 60 seconds that panels wait for an answer by default.
HANG_SECONDS = 120.0
FAULT_BY_FRAGMENT = {"hang": "hang", "reset": "reset"}


class Sandbox:
    """An upstream provider with orders that progress by themselves; safe to use from many threads.

    `pace` is the seconds that one step of an order's life takes; at 0 orders move only by hand. `state` is a file in
    which orders, ids and balance outlive a restart; where it holds a balance, that counts and not the argument. `clock`
    gives seconds and must go on over restarts. Raises StateError where the state file cannot be used.
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
    ) -> None:
        self.key, self.pace, self.currency, self.clock = key, pace, currency, clock
        # Where it is served, while it is.
        self.url = ""
        self.received: list[dict[str, str]] = []
        self.services = catalogue.services()
        self.lock = threading.RLock()
        self.journal = Journal(state) if state else None
        self._balance = life.rounded(Decimal(balance))
        self._orders: dict[str, SandboxOrder] = {}
        self._refills: dict[str, SandboxRefill] = {}
        self._misbehaviours: list[Misbehaviour] = []
        self._due: list[tuple[float, int, SandboxOrder | SandboxRefill]] = []
        self._ties = itertools.count()
        self._load()

    @property
    def orders(self) -> dict[str, SandboxOrder]:
        """Copy the table of all orders by id, oldest first, each moved to where the clock says it is."""
        with self.lock:
            self.advance()
            return dict(self._orders)

    def order(self, order_id: str) -> SandboxOrder | None:
        """Find one order, moved to where the clock says it is."""
        with self.lock:
            self.advance()
            return self._orders.get(order_id)

    @property
    def refills(self) -> dict[str, SandboxRefill]:
        """Copy the table of all refills by id."""
        with self.lock:
            self.advance()
            return dict(self._refills)

    @property
    def balance(self) -> Decimal:
        """Tell what is left of the money, after everything that is due has been given back."""
        with self.lock:
            self.advance()
            return self._balance

    def receive(self, params: dict[str, str]) -> Misbehaviour | None:
        """Note a call as it arrived and pick the misbehaviour that it meets."""
        with self.lock:
            self.received.append(params)
            if len(self.received) > RECEIVED_LIMIT:
                del self.received[: RECEIVED_LIMIT // 10]
            return self._misbehaviour_for(params)

    def misbehave(self, action: str, kind: str, **fields: Any) -> None:
        """Script a misbehaviour; the fields are those of Misbehaviour. The oldest that fits a call strikes first."""
        with self.lock:
            self._misbehaviours.append(Misbehaviour(action, kind, **fields))

    def behave(self) -> None:
        """Forget all scripted misbehaviour; calls that hang already go on hanging."""
        with self.lock:
            self._misbehaviours.clear()

    def set_order(self, order_id: str, **fields: Any) -> None:
        """Set status, remains, start_count or charge by hand; the order no longer moves by itself.

        A status brings its charge and its refund along, as if the order had got there alone; a charge that is given is
        only reported, whatever it is, and the balance stays. Raises KeyError for an unknown order, ValueError for
        an unknown field.
        """
        unknown = set(fields) - set(life.HAND_SET)
        if unknown:
            raise ValueError(f"Not to be set on an order: {', '.join(sorted(unknown))}")
        with self.lock:
            self.advance()
            order = self._orders[str(order_id)]
            order.by_hand, order.due = True, None
            before = order.charge
            order.remains = fields.get("remains", order.remains)
            order.start_count = fields.get("start_count", order.start_count)
            if "status" in fields:
                order.finish(fields["status"], order.remains)
            if "charge" in fields:
                order.charge = Decimal(str(fields["charge"]))
            else:
                self._balance += before - order.charge
            self.save(order)

    def set_refill(self, refill_id: str, status: str) -> None:
        """Set the status of a refill by hand; it no longer moves by itself. Raises KeyError for an unknown one."""
        with self.lock:
            refill = self._refills[str(refill_id)]
            refill.status, refill.due, refill.by_hand = status, None, True
            self.save(refill)

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

    def accepted(self, link: str) -> int:
        """Count the orders that were taken for a link."""
        with self.lock:
            return sum(order.link == link for order in self._orders.values())

    def take(self, **fields: Any) -> SandboxOrder:
        """Take an order and its money; expects the lock to be held and the money to be there."""
        now = self.clock()
        number = str(life.FIRST_ORDER + len(self._orders))
        order = SandboxOrder(id=number, created=now, charge=fields["gross"], remains=fields["quantity"], **fields)
        self._orders[order.id] = order
        self._balance -= order.charge
        self.schedule(order)
        self.save(order)
        return order

    def take_refill(self, order: SandboxOrder) -> SandboxRefill:
        """Take a refill; expects the lock to be held."""
        refill = SandboxRefill(str(life.FIRST_REFILL + len(self._refills)), order.id, self.clock())
        self._refills[refill.id] = refill
        self.schedule(refill)
        self.save(refill)
        return refill

    def schedule(self, moving: SandboxOrder | SandboxRefill) -> None:
        """Plan the next step one pace from now, where the sandbox has a pace; expects the lock to be held."""
        if self.pace > 0 and moving.moves:
            moving.due = self.clock() + self.pace
            heapq.heappush(self._due, (moving.due, next(self._ties), moving))

    def advance(self) -> None:
        """Make every step that is due, in the order of time; expects the lock to be held."""
        now = self.clock()
        while self._due and self._due[0][0] <= now:
            planned, _, moving = heapq.heappop(self._due)
            if moving.due != planned:
                continue
            before = moving.charge if isinstance(moving, SandboxOrder) else Decimal(0)
            moving.take_step(self.pace)
            if isinstance(moving, SandboxOrder):
                self._balance += before - moving.charge
            if moving.due is not None:
                heapq.heappush(self._due, (moving.due, next(self._ties), moving))
            self.save(moving)

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

    def save(self, changed: SandboxOrder | SandboxRefill) -> None:
        """Write a change and the balance after it to the state file, if there is one; expects the lock to be held."""
        if self.journal:
            self.journal.append({self._kind(changed): changed.record(), "balance": f"{self._balance:f}"})

    def _misbehaviour_for(self, params: dict[str, str]) -> Misbehaviour | None:
        fault = next((fault for fault in self._misbehaviours if fault.strikes(params)), None)
        if fault:
            fault.times -= 1
            return fault
        by_link = FAULT_BY_FRAGMENT.get(life.fragment(params.get("link", "")))
        return Misbehaviour("add", by_link, seconds=HANG_SECONDS) if by_link and params.get("action") == "add" else None

    def _load(self) -> None:
        if not self.journal:
            return
        for record in self.journal.load():
            self._balance = Decimal(record.get("balance", self._balance))
            if "order" in record:
                order = life.order_from(record["order"])
                self._orders[order.id] = order
            elif "refill" in record:
                refill = SandboxRefill(**record["refill"])
                self._refills[refill.id] = refill
        everything: list[SandboxOrder | SandboxRefill] = [*self._orders.values(), *self._refills.values()]
        self.journal.rewrite(
            [{self._kind(thing): thing.record()} for thing in everything] + [{"balance": f"{self._balance:f}"}]
        )
        for thing in everything:
            if thing.due is None:
                self.schedule(thing)
            elif self.pace > 0:
                heapq.heappush(self._due, (thing.due, next(self._ties), thing))

    @staticmethod
    def _kind(thing: SandboxOrder | SandboxRefill) -> str:
        return "order" if isinstance(thing, SandboxOrder) else "refill"
