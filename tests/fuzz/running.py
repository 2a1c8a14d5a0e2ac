"""One run from end to end: serve, let every client send its rounds, and hold the log and the books against them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
from django.db import connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from orders import auditing
from orders.models import Order, TrialOrder
from panel.running import read_procfile
from tests.chaos.crew import Member
from tests.fuzz import calls, documented, drawing, judging, shop
from tests.fuzz.calls import Call
from tests.fuzz.judging import Books
from tests.fuzz.posting import VOLLEY, Volley
from tests.fuzz.shop import Booth
from tests.fuzz.wire import NONE, Answer, Wire
from tests.processes import ROOT, answers, collected_static, environment, free_port, wait_for

ROUND = 1000
# Every so many rounds one is drawn by schemathesis from the document alone.
DOCUMENTED = 10
CLIENTS = 3
# So high that no call is refused, so that every call is counted all the same.
LIMITS = {
    f"API_{of}_{what}": "1000000"
    for of, what in [
        ("KEY", "CALLS_PER_SECOND"),
        ("KEY", "BURST"),
        ("ADDRESS", "CALLS_PER_SECOND"),
        ("ADDRESS", "BURST"),
    ]
}
Say = Callable[[str], object]
PHASES = (Phase.generate, Phase.shrink)
ALL_CHECKS = tuple(HealthCheck)


class BrokenError(AssertionError):
    """A call after which something was not as it must be."""

    def __init__(self, call: Call, answer: Answer, found: Sequence[str]) -> None:
        super().__init__("; ".join(found))
        self.call, self.answer, self.found = call, answer, found


@dataclass(frozen=True)
class Finding:
    """The smallest call of a round that broke something; no call: the log or the books."""

    number: int
    text: str
    call: Call | None = None
    answer: Answer | None = None


@dataclass
class Outcome:
    """What a run met; no finding means that every promise was kept."""

    seed: int
    wanted: int
    sent: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    orders: int = 0
    trials: int = 0

    @property
    def requests(self) -> int:
        """How many calls were sent."""
        return sum(count for name, count in self.sent.items() if name.startswith("as "))


class Client:
    """One customer with one connection; his calls come one after the other."""

    def __init__(self, booth: Booth, port: int, outcome: Outcome) -> None:
        self.booth, self.outcome = booth, outcome
        self.wire, self.books = Wire(port), Books(booth)
        self.broken: BrokenError | None = None
        self.strategies = (drawing.volleys(booth), documented.volleys())

    def play(self, number: int, seed: int, size: int) -> None:
        """Send one round, which its number and the seed decide; raises BrokenError with the smallest bad call."""
        strategy: st.SearchStrategy[Volley] = self.strategies[number % DOCUMENTED == 1]
        settings = hypothesis.settings(
            max_examples=-(-size // VOLLEY),
            database=None,
            deadline=None,
            phases=PHASES,
            suppress_health_check=ALL_CHECKS,
            report_multiple_bugs=False,
            print_blob=False,
        )
        hypothesis.seed(seed * 1_000_003 + number)(settings(given(strategy)(self.fire)))()

    def fire(self, volley: Volley) -> None:
        """Send some calls, one after the other."""
        for call in volley:
            self.send(call)

    def send(self, call: Call) -> None:
        """Send one call and judge what came of it."""
        sent, hangs_up = calls.write(call, self.booth.keys), call.framing in calls.HANGING
        late: list[str] = []
        try:
            is_head, is_alone = call.method == "HEAD", not call.is_proper
            answer = self.wire.ask(sent, is_head=is_head, is_alone=is_alone, hangs_up=hangs_up)
        except TimeoutError:
            self.wire.close()
            answer, late = NONE, ["no answer in time"]
        found = [*late, *judging.judge_answer(call, answer, self.booth.secrets), *self.books.judge(call, answer)]
        self.count(call, answer)
        if found:
            self.broken = BrokenError(call, answer, found)
            raise self.broken

    def count(self, call: Call, answer: Answer) -> None:
        """Remember what was sent and met."""
        self.outcome.sent[f"as {call.form}"] += 1
        self.outcome.sent[f"key {call.who}"] += 1
        if not call.is_proper:
            self.outcome.sent["broken HTTP"] += 1
        told = judging.read_told(answer)
        word = told.get("error") if isinstance(told, dict) else None
        if isinstance(word, str):
            self.outcome.met[" ".join("N" if part.isdecimal() else part for part in word.split())] += 1
        else:
            self.outcome.met[f"{answer.status} {'done' if told is not None else 'empty'}"] += 1


def run(seed: int, requests: int, folder: Path, say: Say = bool, *, only: int | None = None) -> Outcome:
    """Send so many calls and return what they met; `only` sends one round of them again. No transaction may be open."""
    outcome = Outcome(seed, requests)
    booths = shop.open_booths(CLIENTS)
    rounds = [only] if only is not None else list(range(-(-requests // ROUND)))
    with serving(folder) as (port, log):
        start, lock = time.monotonic(), threading.Lock()
        clients = [Client(booth, port, outcome) for booth in booths]

        def work(client: Client) -> None:
            while True:
                with lock:
                    if not rounds:
                        break
                    number = rounds.pop(0)
                size = min(ROUND, requests - number * ROUND)
                finding = play(client, number, seed, size)
                outcome.findings += [finding] if finding else []
                outcome.seconds = time.monotonic() - start
                say(f"round {number}: {outcome.requests} calls, {outcome.requests / outcome.seconds:.0f} a second")
            client.wire.close()
            connections.close_all()

        threads = [threading.Thread(target=work, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcome.seconds = time.monotonic() - start
    outcome.orders, outcome.trials = Order.objects.count(), TrialOrder.objects.count()
    outcome.findings += judge_end(booths, log.read_text(errors="replace"))
    return outcome


def play(client: Client, number: int, seed: int, size: int) -> Finding | None:
    """Send one round and return what it found; any other failure of the harness is a finding as well."""
    client.broken = None
    try:
        client.play(number, seed, size)
    except Exception as error:  # noqa: BLE001 - the run goes on, and ends with 1
        if client.broken is None:
            return Finding(number, f"{type(error).__name__}: {error}")
        often = "" if error is client.broken else "not every time: "
        return Finding(number, f"{often}{client.broken}", client.broken.call, client.broken.answer)
    return None


def judge_end(booths: Sequence[Booth], log: str) -> list[Finding]:
    """Hold the server's log and the books against the whole run."""
    found = list(auditing.find_differences())
    for booth in booths:
        found += ["a key or its digest is in the log" for secret in booth.secrets if secret in log]
        spent = sum((order.net_charge for order in Order.objects.filter(user=booth.user_id)), start=-shop.PURSE)
        balance = Books(booth).balance
        if balance != -spent:
            found.append(f"customer {booth.user_id} has {balance}, his orders leave {-spent}")
    found += [f"in the log: {line}" for line in log.splitlines() if " ERROR " in line or "Traceback" in line][:20]
    return [Finding(-1, text) for text in found]


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[tuple[int, Path]]:
    """Serve the panel by the Procfile's own line; yield its port, and the file with all that it says."""
    port, log = free_port(), folder / "web.log"
    ours = {"STATIC_ROOT": collected_static(), "LOG_LEVEL": "INFO", "PORT": str(port)}
    variables = environment(**{**LIMITS, **ours, **more})
    with log.open("wb") as file:
        web = Member("web", read_procfile(ROOT / "Procfile", variables)["web"], variables, file)
        web.start()
        try:
            wait_for(lambda: answers(port), what=f"the panel on port {port}")
            yield port, log
        finally:
            web.stop()
