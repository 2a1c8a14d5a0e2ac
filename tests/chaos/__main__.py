"""`python -m tests.chaos --seed 7 --orders 1000 --minutes 5`: one long run on servers of its own, and a table.

Ends with 1 where a promise was broken, and shows the orders with everything that happened to them.
"""

# The first import gives this process servers, secrets and a VAR_DIR of its own; Django's settings read them.
from tests import environment  # isort: skip

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "panel.settings"
django.setup()

from tests.chaos import plan, running, telling  # noqa: E402 - they need the models


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
    say(telling.intent(drawn))
    say(f"logs and state: {folder}")
    outcome = running.run(drawn, folder, say)
    say(telling.table(outcome))
    return 1 if outcome.violations else 0


def say(text: str) -> None:
    """Write a line at once, also where nobody sits at a terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def leave(*_: object) -> NoReturn:
    """End in good order when told to: what was started is killed on the way out."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    try:
        code = main()
    finally:
        environment.pytest_unconfigure()
    sys.exit(code)
