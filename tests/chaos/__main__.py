"""`python -m tests.chaos --seed 7 --orders 1000 --minutes 5`: one long run on servers of its own, and a table.

Ends with 1 where a promise was broken, and shows the orders with everything that happened to them.
"""

# The first import sets Django up, which the others need.
from tests import alone  # isort: skip

import argparse
import tempfile
from pathlib import Path

from django.core.management import call_command

from tests.chaos import plan, running, telling


def main() -> int:
    """Do one run as the command line says; return what to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="A long run of the chaos harness.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long customers buy; settling comes after it")
    parser.add_argument("--blows", type=int, default=0, help="processes killed, stopped or flushed; 0: one in 7 s")
    options = parser.parse_args()
    seconds = options.minutes * 60
    blows = options.blows or int(seconds / 7)
    drawn = plan.draw(options.seed, options.orders, seconds, patience=max(60, seconds / 2), blows=blows)
    folder = Path(tempfile.mkdtemp(prefix="panel-chaos-"))
    call_command("migrate", verbosity=0)
    alone.say(telling.intent(drawn))
    alone.say(f"logs and state: {folder}")
    outcome = running.run(drawn, folder, alone.say)
    alone.say(telling.table(outcome))
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    alone.run(main)
