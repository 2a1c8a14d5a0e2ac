"""`python -m tests.fuzz --requests 100000 --seed 7`: one long run on servers of its own, and a table.

Ends with 1 where a promise was broken, and shows the smallest call that broke it.
"""

# The first import sets Django up, which the others need.
from tests import alone  # isort: skip

import argparse
import tempfile
from pathlib import Path

from django.core.management import call_command

from tests.fuzz import running, telling


def main() -> int:
    """Do one run as the command line says; return what to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz /api/v2 of a real server.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--only", type=int, help="send one round again, by the number that a finding names")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="panel-fuzz-"))
    call_command("migrate", verbosity=0)
    alone.say(f"the server's log: {folder / 'web.log'}")
    outcome = running.run(options.seed, options.requests, folder, alone.say, only=options.only)
    alone.say(telling.table(outcome))
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    alone.run(main)
