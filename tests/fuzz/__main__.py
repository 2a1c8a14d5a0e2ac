"""`python -m tests.fuzz --requests 100000 --seed 7`: one long run on servers of its own, and a table.

Ends with 1 where a promise was broken, and shows the smallest call that broke it.
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

from tests.fuzz import running, telling  # noqa: E402 - they need the models


def main() -> int:
    """Do one run as the command line says; return what to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz /api/v2 of a real server.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--only", type=int, help="send one round again, by the number that a finding names")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="panel-fuzz-"))
    call_command("migrate", verbosity=0)
    say(f"the server's log: {folder / 'web.log'}")
    outcome = running.run(options.seed, options.requests, folder, say, only=options.only)
    say(telling.table(outcome))
    return 1 if outcome.findings else 0


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
