"""What a lane does: one call to a provider, with no database near it, and what came of it for each claim.

Orders go out one by one; refills and cancels that were claimed together go out in one call.
"""

from collections.abc import Sequence

from catalog.providers.client import Client
from catalog.providers.replies import Added, CancelAccepted, ItemError, RefillAccepted
from orders.claiming import Claim
from orders.models import Dispatch

Command = Dispatch.Command

# None: the answer says nothing about this one.
Outcome = Added | RefillAccepted | CancelAccepted | ItemError | Exception | None


def pack(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Return the loads of claims that go out in one call each."""
    loads = [[claim] for claim in claims if claim.command == Command.ADD]
    for command in (Command.REFILL, Command.CANCEL):
        together = [claim for claim in claims if claim.command == command]
        if together:
            loads.append(together)
    return loads


def send(client: Client, load: Sequence[Claim]) -> dict[Claim, Outcome]:
    """Make the one call of a load and return what came of it, never raising: a lane has nobody to catch for it."""
    try:
        if load[0].command == Command.ADD:
            return {claim: _add(client, claim) for claim in load}
        ask = client.refill if load[0].command == Command.REFILL else client.cancel
        answers = ask([claim.remote_id for claim in load])
        return {claim: answers.get(claim.remote_id) for claim in load}
    except Exception as error:  # noqa: BLE001 - an error nobody thought of is doubt, and settles as such
        return dict.fromkeys(load, error)


def _add(client: Client, claim: Claim) -> Added:
    place = client.add_product_order if claim.is_product else client.add
    return place(claim.params, idempotency_key=claim.key)
