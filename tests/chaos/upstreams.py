"""Three providers in processes of their own that nobody kills: what they say they have taken is the truth of a run."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.chaos.plan import RUNS_OUT, SERVICES, UPSTREAMS, UpstreamPlan
from tests.chaos.weather import REFUSALS, Weather
from tests.processes import ROOT, environment, kill

KEY = "sandbox-key"
PLENTY = 100_000


class Upstream:
    """One sandbox in another process, spoken to over its control channel."""

    def __init__(self, plan: UpstreamPlan, url: str) -> None:
        self.plan = plan
        self.url = url
        self.control = f"{url.removesuffix('/api/v2')}/__sandbox__"
        if plan.configure:
            self.tell("configure", **plan.configure)
        told = requests.post(url, data={"key": KEY, "action": "services"}, timeout=20).json()
        self.catalogue = {int(row["service"]): row for row in told if int(row["service"]) in SERVICES}

    def tell(self, op: str, **fields: Any) -> Any:
        """Carry out one control operation and return its result; raises RuntimeError when it is refused."""
        told = requests.post(self.control, json={"key": KEY, "op": op, **fields}, timeout=20)
        if told.status_code != 200:
            raise RuntimeError(f"{op}: {told.text}")
        return told.json()["result"]

    def set_rate(self, service: int, factor: float) -> None:
        """Make a service cost so many times what it cost at first."""
        rate = float(self.catalogue[service]["rate"]) * factor
        self.tell("set_service", service=service, fields={"rate": f"{rate:.5f}"})

    def turn(self, seed: int, weather: Weather) -> None:
        """Misbehave from now on as the weather says, by the seed."""
        self.tell("misrule", seed=seed, rules=weather.rules, seconds=weather.seconds, refusals=REFUSALS)

    def calm(self, seed: int) -> None:
        """Behave, at the first prices and with plenty in stock: what ran out waits for it in doubt."""
        self.tell("misrule", seed=seed, rules={})
        for service in self.catalogue:
            self.set_rate(service, 1)
        self.tell("set_product", product=RUNS_OUT, fields={"inventory": PLENTY})

    def orders(self) -> dict[str, dict[str, Any]]:
        """Return every order that was taken here, by id; runs of a drip-feed are orders with a parent."""
        orders: dict[str, dict[str, Any]] = self.tell("orders")
        return orders

    def product_orders(self) -> dict[str, dict[str, Any]]:
        """Return every order of a product that was taken here, by id; `goods` are the lines handed over."""
        orders: dict[str, dict[str, Any]] = self.tell("product_orders")
        return orders

    def refills(self) -> dict[str, str]:
        """Return the status of every refill that was taken here, by id."""
        refills: dict[str, str] = self.tell("refills")
        return refills

    def met(self) -> dict[str, int]:
        """Return how often callers met which misbehaviour, by action and kind."""
        met: dict[str, int] = self.tell("met")
        return met


@contextmanager
def opened(folder: Path, *, pace: float) -> Iterator[list[Upstream]]:
    """Open the three providers, each on a port and with a state file of its own, and close them at the end."""
    with ExitStack() as stack:
        processes = []
        for plan in UPSTREAMS:
            state = str(folder / f"{plan.name}.state")
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.sandbox_process", state, str(pace)],
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            stack.callback(process.stdout.close if process.stdout else int)
            stack.callback(kill, process)
            processes.append(process)
        urls = [process.stdout.readline().strip() if process.stdout else "" for process in processes]
        yield [Upstream(plan, url) for plan, url in zip(UPSTREAMS, urls, strict=True)]
