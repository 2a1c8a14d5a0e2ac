"""What one run draws from its seed, before anything happens: purchases, wishes, blows, weather and prices.

Each topic has a generator of its own, so that a change to one leaves the draws of the others alone. Times are seconds
after the doors open.
"""

import random
from dataclasses import dataclass, field
from typing import Any

CUSTOMERS = 4
SITE_MARKUP = 20  # per cent


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """One provider: what makes it special, and how we are told to speak to it."""

    name: str
    configure: dict[str, Any] = field(default_factory=dict)
    dialect_overrides: dict[str, Any] = field(default_factory=dict)


UPSTREAMS = (
    UpstreamPlan("plain"),
    UpstreamPlan("keys", {"remembers_keys": True}, {"idempotency_param": "idempotency_key"}),
    UpstreamPlan("list", {"lists_orders": True}, {"list_orders": "orders"}),
)
# Their ids at the sandbox; service n goes to provider n, then to the one after it.
SERVICES = (1, 2, 3, 21, 23, 62)
LOSS_POLICIES = ("hold", "next")

# Every class of PROTOCOL 4 that an order can meet; what is named twice comes twice as often.
REFUSALS = (
    "neworder.error.link",  # final
    "Quantity more than maximum 10",  # final
    "Incorrect service ID",  # failover
    "Service is not available",  # failover
    "Disabled service ID",  # failover
    "Not enough funds on balance",  # operator_failover
    "Insufficient funds",  # operator_failover
    "Rate limit exceeded",  # later
    "This panel is temporarily unavailable",  # later
    "You have active order with this link. Please wait until order being completed",  # wait
    "Failed to place order",  # ambiguous
    "The moon is in the seventh house",  # nobody knows it
)

Rules = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Weather:
    """How a provider misbehaves for a while; `seconds` is what slow and hanging answers take."""

    name: str
    rules: Rules
    seconds: float = 1.0


FAIR = Weather(
    "fair",
    {
        "add": {"slow": 0.2, "notice": 0.1, "wrong_types": 0.1, "error": 0.12, "refuse_429": 0.02},
        "status": {"slow": 0.2, "wrong_types": 0.2, "notice": 0.1},
        "cancel": {"slow": 0.2, "wrong_types": 0.2},
        "refill": {"slow": 0.2, "wrong_types": 0.2},
    },
    seconds=0.3,
)
ROUGH = Weather(
    "rough",
    {
        "add": {
            "error": 0.15,
            "maintenance_503": 0.06,
            "refuse_429": 0.02,
            "hang": 0.03,
            "slow": 0.02,
            "reset": 0.03,
            "accepted_500": 0.03,
            "cut": 0.02,
            "no_id": 0.02,
            "garbage": 0.01,
            "html": 0.02,
            "http500": 0.01,
            "empty": 0.01,
            "cut_before": 0.02,
        },
        "status": {"http500": 0.1, "html": 0.1, "cut": 0.1, "hang": 0.05, "refuse_429": 0.02},
        "balance": {"http500": 0.2, "html": 0.1},
        "orders": {"http500": 0.2, "cut": 0.1},
        "cancel": {"reset": 0.2, "accepted_500": 0.1, "hang": 0.05, "cut_before": 0.1},
        "refill": {"reset": 0.2, "accepted_500": 0.1, "hang": 0.05, "cut_before": 0.1},
        "refill_status": {"http500": 0.2, "html": 0.1},
    },
    seconds=2.0,
)
STORM = Weather(
    "storm",
    {
        "add": {"hang": 0.1, "reset": 0.15, "cut": 0.1, "html": 0.05, "error": 0.3, "maintenance_503": 0.1},
        "status": {"http500": 0.5, "cut": 0.3},
        "balance": {"http500": 0.5},
        "orders": {"http500": 0.5},
        "cancel": {"hang": 0.3, "reset": 0.3},
        "refill": {"hang": 0.3, "reset": 0.3},
    },
    seconds=2.0,
)
WEATHERS = (FAIR, ROUGH, STORM)
# Of a provider that remembers keys doubt is cheap: there it is sent again, and may be refused the second time.
CHANCES = ((5, 6, 1), (2, 5, 5), (4, 6, 2))
AT_FIRST = (ROUGH, STORM, FAIR)


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
    blows: tuple[Blow, ...]
    changes: tuple[Change, ...]


def draw(seed: int, orders: int, seconds: float, *, patience: float, blows: int) -> Plan:
    """Draw a run: so many orders and blows over so many seconds."""
    return Plan(
        seed,
        seconds,
        patience,
        tuple(_purchases(random.Random(f"{seed} purchases"), orders, seconds)),
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
