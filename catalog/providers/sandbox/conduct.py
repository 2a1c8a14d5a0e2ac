"""What a call meets before it is looked at: the limit on calls, a scripted misbehaviour, a drawn one, or none."""

from catalog.providers.sandbox import life
from catalog.providers.sandbox.faults import Misbehaviour
from catalog.providers.sandbox.limiting import Meter
from catalog.providers.sandbox.misrule import Misrule

# Longer than the 60 seconds that panels wait for an answer by default.
HANG_SECONDS = 120.0
FAULT_BY_FRAGMENT = {"hang": "hang", "reset": "reset"}
ASKED_BY = {"add": "link", "add_product_order": "require"}


class Conduct:
    """How the sandbox treats its callers at the moment; expects the world's lock for everything."""

    def __init__(self) -> None:
        self.scripted: list[Misbehaviour] = []
        self.misrule = Misrule(0, {})
        self._meter = Meter()

    def towards(self, params: dict[str, str], limit: int | None, now: float) -> Misbehaviour | None:
        """Pick the misbehaviour that a call meets; `limit` is the calls per minute, None for any number."""
        if limit is not None:
            wait = self._meter.wait(params.get("action", ""), limit, now)
            if wait:
                return Misbehaviour("*", "refuse_429", seconds=wait)
        fault = next((fault for fault in self.scripted if fault.strikes(params)), None)
        if fault:
            fault.times -= 1
            return fault
        return self.misrule.draw(params) or asked_for(params)


def asked_for(params: dict[str, str]) -> Misbehaviour | None:
    """Read the misbehaviour that an order asks for by the fragment of its link, or of what its product requires."""
    action = params.get("action", "")
    name = ASKED_BY.get(action)
    kind = FAULT_BY_FRAGMENT.get(life.fragment(params.get(name, ""))) if name else None
    return Misbehaviour(action, kind, seconds=HANG_SECONDS) if kind else None
