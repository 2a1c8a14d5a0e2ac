"""What one run draws from its seed, before anything happens: purchases, wishes, blows, weather and prices.

Each topic has a generator of its own, so that a change to one leaves the draws of the others alone. Times are seconds
after the doors open.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.weather import AT_FIRST, CHANCES, WEATHERS, Weather

CUSTOMERS = 4
SITE_MARKUP = 20  # per cent


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """One provider: what makes it special, and how we are told to speak to it."""

    name: str
    configure: dict[str, Any] = field(default_factory=dict)
    dialect_overrides: dict[str, Any] = field(default_factory=dict)


GOODS = {"products": True, "result_product": True}
UPSTREAMS = (
    UpstreamPlan("plain", {"has_products": True}, GOODS),
    UpstreamPlan(
        "keys", {"has_products": True, "remembers_keys": True}, {**GOODS, "idempotency_param": "idempotency_key"}
    ),
    UpstreamPlan(
        "list",
        {"has_products": True, "has_result_product": False, "lists_orders": True},
        {"products": True, "list_orders": "orders"},
    ),
)
# Their ids at the sandbox; service n goes to provider n, then to the one after it.
SERVICES = (1, 2, 3, 21, 23, 62)
LOSS_POLICIES = ("hold", "next")


@dataclass(frozen=True, slots=True)
class Ware:
    """One product of the shop, and its id at the sandbox where it is a provider's."""

    source: str
    remote: int = 0


# Of this one a sandbox has thirty pieces, of the other one as many as are wanted.
RUNS_OUT, ENDLESS = 8, 12
# A provider's go, as services do, to provider n, then to the one after it.
WARES = (
    Ware("stock"),
    Ware("provider", RUNS_OUT),
    Ware("stock"),
    Ware("provider", ENDLESS),
    Ware("hand"),
    Ware("provider", ENDLESS),
    Ware("provider", RUNS_OUT),
)
# One purchase in so many is of a product.
PRODUCTS_IN = 4
# Of what customers will want of our own stock, how much is there at first, and how much more at half time.
AT_FIRST_THERE, MORE_LATER = 0.5, 0.25


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order that a customer places; `twice` sends it again under its key, as a script does that heard nothing."""

    number: int
    at: float
    customer: int
    service: int
    times: int  # of the least quantity
    twice: bool
    cancel_after: float | None
    refill: bool
    runs: int

    @property
    def link(self) -> str:
        """Where it is to be delivered: no other order has this link."""
        return f"https://example.org/chaos/{self.number}"


@dataclass(frozen=True, slots=True)
class ProductPurchase:
    """One order of a product; its number is no other order's either."""

    number: int
    at: float
    customer: int
    ware: int
    quantity: int
    twice: bool
    cancel_after: float | None

    @property
    def require(self) -> str:
        """What a product that asks for something is told: no other order has it."""
        return f"chaos-{self.number}@example.org"


@dataclass(frozen=True, slots=True)
class Blow:
    """A member of the crew that dies, and for how long; "flush" forgets what the broker has, "stop" is a deployment."""

    at: float
    how: str  # kill, stop, flush
    member: str
    away: float


@dataclass(frozen=True, slots=True)
class Change:
    """The weather or a price changes at one provider: our copy of a rate and theirs may differ for a while."""

    at: float
    upstream: int
    weather: Weather | None = None
    service: int = 0
    ours: float = 1.0
    theirs: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one run draws; `seconds` is how long customers buy, `patience` how long the end may take."""

    seed: int
    seconds: float
    patience: float
    purchases: tuple[Purchase, ...]
    products: tuple[ProductPurchase, ...]
    blows: tuple[Blow, ...]
    changes: tuple[Change, ...]

    def count_wanted(self, ware: int) -> int:
        """Return how many pieces of a product customers will want in all."""
        return sum(purchase.quantity for purchase in self.products if purchase.ware == ware)


def draw(seed: int, orders: int, seconds: float, *, patience: float, blows: int) -> Plan:
    """Draw a run: so many orders, some of products, and so many blows over so many seconds."""
    products = orders // PRODUCTS_IN
    services = orders - products
    return Plan(
        seed,
        seconds,
        patience,
        tuple(_purchases(random.Random(f"{seed} purchases"), services, seconds)),
        tuple(_product_purchases(random.Random(f"{seed} products"), services, products, seconds)),
        tuple(sorted(_blows(random.Random(f"{seed} blows"), blows, seconds), key=lambda blow: blow.at)),
        tuple(sorted(_changes(random.Random(f"{seed} changes"), seconds), key=lambda change: change.at)),
    )


def _purchases(dice: random.Random, orders: int, seconds: float) -> list[Purchase]:
    times = sorted(dice.uniform(0, seconds) for _ in range(orders))
    return [
        Purchase(
            number=number,
            at=at,
            customer=dice.randrange(CUSTOMERS),
            service=dice.randrange(len(SERVICES)),
            times=dice.randint(1, 5),
            twice=dice.random() < 0.1,
            cancel_after=dice.choice((0.0, dice.uniform(0, 3))) if dice.random() < 0.15 else None,
            refill=dice.random() < 0.4,
            runs=dice.randint(2, 4) if dice.random() < 0.15 else 1,
        )
        for number, at in enumerate(times)
    ]


def _product_purchases(dice: random.Random, first: int, orders: int, seconds: float) -> list[ProductPurchase]:
    """Draw orders of products, numbered from `first`."""
    times = sorted(dice.uniform(0, seconds) for _ in range(orders))
    return [
        ProductPurchase(
            number=number,
            at=at,
            customer=dice.randrange(CUSTOMERS),
            ware=dice.randrange(len(WARES)),
            quantity=dice.randint(1, 3),
            twice=dice.random() < 0.1,
            cancel_after=dice.choice((0.0, dice.uniform(0, 3))) if dice.random() < 0.1 else None,
        )
        for number, at in enumerate(times, first)
    ]


def _blows(dice: random.Random, number: int, seconds: float) -> list[Blow]:
    """Draw blows at moments spread over the run; the first ones make sure that everybody has been hit."""
    must = [("kill", "forward"), ("kill", "broker"), ("kill", "beat"), ("kill", "default"), ("kill", "second")]
    may = [*must, ("kill", "forward"), ("kill", "second"), ("flush", "broker"), ("stop", "forward")]
    chosen = [*must[:number], *(dice.choice(may) for _ in range(number - len(must)))]
    dice.shuffle(chosen)
    width = seconds / max(len(chosen), 1)
    return [
        Blow((place + dice.uniform(0.2, 0.8)) * width, how, member, dice.uniform(0.3, 2))
        for place, (how, member) in enumerate(chosen)
    ]


def _changes(dice: random.Random, seconds: float) -> list[Change]:
    changes = []
    for upstream in range(len(UPSTREAMS)):
        weathers = [
            Change(at, upstream, dice.choices(WEATHERS, CHANCES[upstream])[0])
            for at in _moments(dice, seconds, every=6)
        ]
        prices = [
            Change(
                at,
                upstream,
                service=dice.choice(SERVICES),
                ours=dice.choice((0.8, 1.0, 1.1, 1.5)),
                theirs=dice.choice((0.8, 1.0, 1.1, 1.5)),
            )
            for at in _moments(dice, seconds, every=3)
        ]
        changes += [Change(0, upstream, AT_FIRST[upstream]), *weathers, *prices]
    return changes


def _moments(dice: random.Random, seconds: float, *, every: float) -> list[float]:
    return [dice.uniform(0, seconds) for _ in range(int(seconds / every))]
