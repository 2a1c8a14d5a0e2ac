"""What a run tells at its end: how much was sent, what was met, and the smallest call behind every finding."""

from collections.abc import Iterable, Mapping

from tests.fuzz import calls
from tests.fuzz.running import Finding, Outcome
from tests.fuzz.shop import KEYS

MOST = 3000  # bytes of a call that are shown


def table(outcome: Outcome) -> str:
    """Write everything that a person wants to know about a run."""
    forms = {name.removeprefix("as "): number for name, number in outcome.sent.items() if name.startswith("as ")}
    keys = {name.removeprefix("key "): number for name, number in outcome.sent.items() if name.startswith("key ")}
    rate = outcome.requests / max(outcome.seconds, 0.001)
    lines = [
        "",
        f"seed {outcome.seed}: {outcome.requests} calls in {outcome.seconds:.0f} s, {rate:.0f} a second",
        f"forms: {listed(forms)}; broken HTTP {outcome.sent['broken HTTP']}",
        f"keys: {listed(keys)}",
        f"orders: {outcome.orders}, trial orders: {outcome.trials}",
        *(f"{number:>8}  {word}" for word, number in outcome.met.most_common()),
        f"findings: {len(outcome.findings)}",
        *(line for finding in outcome.findings for line in explained(finding, outcome)),
    ]
    return "\n".join(lines) + "\n"


def explained(finding: Finding, outcome: Outcome) -> Iterable[str]:
    """Write one finding, the smallest call that made it, and how to make it again."""
    yield f"  {finding.text}"
    if finding.call is None:
        return
    sent = calls.write(finding.call, {who: f"<{who} key>" for who in KEYS})
    again = f"--seed {outcome.seed} --requests {outcome.wanted} --only {finding.number}"
    yield f"    again: python -m tests.fuzz {again}"
    yield f"    call: {sent[:MOST]!r}{f' and {len(sent) - MOST} bytes' if len(sent) > MOST else ''}"
    if finding.answer is not None:
        yield f"    answer: {finding.answer.status} {finding.answer.body[:500]!r}"


def listed(figures: Mapping[str, int]) -> str:
    """Write figures from the largest to the smallest."""
    return ", ".join(f"{name} {number}" for name, number in sorted(figures.items(), key=lambda one: -one[1])) or "none"
