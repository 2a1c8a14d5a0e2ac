"""A make-believe provider on a real socket: API v2 in the shapes of seed 003_31070e689288a311.txt.

Demo, contract tests and fault tests share it. Standard library only; it is the same from Python (`Sandbox`, `serving`),
from a shell (`manage.py run_sandbox`) and from other processes (the control channel below). Its guarantee: an order
that was confirmed is in `orders`, and in the state file, and its id is never given to another one.

How an order ends, by the fragment of its link (`https://example.com/page#partial`), like test cards:

    #completed        all of it is delivered             #hang            taken, but the answer comes after two minutes
    #partial          843 of 1,000 are delivered         #reset           taken, but the connection is reset
    #canceled         nothing is delivered               #refuse-link     refused: Invalid link
    #stuck            stays In progress                  #refuse-service  refused: Incorrect service ID
    #fail             ends with the status Fail          #no-funds        refused: Not enough funds on balance

Any other link ends by the number of the order since the first (70001): each ninth Canceled, each fourth Partial (but a
package whole), the others Completed. Money for what was not delivered goes back to the balance, `charge` is the net.
A cancel is fulfilled by the next step: Canceled when nothing is delivered yet, else Partial. Each fourth refill is
Rejected. With pace 0 nothing moves by itself.

A drip-feed (`add` with two runs or more) and a subscription (service 6) are parents: their runs and posts are orders of
their own that come one after another, each to the end that its link or number names; #canceled ends the parent before
the first. `accepted` and the list of recent orders count parents alone, and the parent's charge holds all of the money.
Habits (habits.py) are what differs between providers: keywords here, options of `run_sandbox`, fields of `configure`.

With the habit `has_products` it sells products as well, in the shapes of 000_fa79b687568cfb1d.txt (`warehouse` in
Python). Their ids and those of their orders are number spaces of their own, which begin where the others do. An order
goes Pending, In progress, the end, which is named by the fragment of `require` (also of one that was not asked for) or
by its number as above; #refuse-product, #out-of-stock and #no-funds refuse it. The stock falls when goods are handed
over: where it has run out meanwhile, the order ends Partial, or Canceled with a note. The lines are made up.

The control channel: POST /__sandbox__ with a JSON object of `key`, `op` and the fields of the operation, from loopback
only. It answers `{"result": …}`, or `{"error": …}` with HTTP 400 (bad request) or 403 (bad key, other machine).

    op              fields                                  result
    received        action?, count? (true)                  the calls in order of arrival, or their number
    orders          link?                                   orders by id; amounts as text; with a link no runs or posts
    accepted        link                                    how many orders were taken for it (or for a username)
    balance                                                 the balance as text
    misbehave       action, kind, times?, seconds?, body?, match?    null (the fields of Misbehaviour)
    misrule         seed, rules {action: {kind: share}}, seconds?, refusals?    null; {} for rules ends it
    behave                                                  null; scripted misbehaviour is forgotten
    configure       any habits                              null
    set_order       order, fields {status, remains, start_count, charge, runs or posts}    null
    add_child       parent                                  the id of one more run or post
    set_refill      refill, status                          null
    set_service     service, fields {rate, min, …}          null; an unknown id becomes a new row
    remove_service  service                                 null
    product_orders                                          orders of products by id; `goods` are the lines handed over
    accepted_products    require?, product?                 how many orders of products were taken with, and of, it
    set_product_order    order, fields {status, remains, note, charge, lines}    null
    set_product     product, fields {rate, inventory, …}    null; an unknown id becomes a new row
    remove_product  product                                 null
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catalog.providers.sandbox.faults import KINDS, Misbehaviour
from catalog.providers.sandbox.http import SandboxServer
from catalog.providers.sandbox.life import SandboxOrder
from catalog.providers.sandbox.state import StateError
from catalog.providers.sandbox.world import Sandbox

__all__ = ["KINDS", "Misbehaviour", "Sandbox", "SandboxOrder", "StateError", "serve_forever", "serving"]

STOP_POLL_SECONDS = 0.05


@contextmanager
def serving(sandbox: Sandbox, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the sandbox in threads and yield its API URL; port 0 takes a free one.

    On leaving, calls that hang are cut off and every thread is joined; the same sandbox can be served again. Raises
    OSError when the port is taken, StateError when another sandbox has the state file.
    """
    with sandbox.state_held():
        server = SandboxServer(sandbox, host, port)
        thread = threading.Thread(target=server.serve_forever, args=(STOP_POLL_SECONDS,), name="sandbox")
        thread.start()
        sandbox.url = server.url
        try:
            yield server.url
        finally:
            sandbox.url = ""
            server.stop()
            thread.join()


def serve_forever(
    sandbox: Sandbox, port: int, host: str = "127.0.0.1", *, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT arrives; `ready` is told the URL once it answers. Raises as `serving` does.

    To be called from the main thread, before others are started: the signals are blocked and waited for, because a
    handler could run in the middle of any line.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with serving(sandbox, port, host) as url:
            if ready:
                ready(url)
            signal.sigwait(signals)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
