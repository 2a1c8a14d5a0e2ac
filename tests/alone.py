"""What a long run needs that pytest does not start: Django on servers of its own, a voice, and a good end."""

# The first import gives this process servers, secrets and a VAR_DIR of its own; Django's settings read them.
from tests import environment  # isort: skip

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "panel.settings"
django.setup()


def say(text: str) -> None:
    """Write a line at once, also where nobody sits at a terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(main: Callable[[], int]) -> NoReturn:
    """Exit with what a run returns; what was started is killed on the way out, also when it is told to end."""
    signal.signal(signal.SIGTERM, leave)
    try:
        code = main()
    finally:
        environment.pytest_unconfigure()
    sys.exit(code)


def leave(*_: object) -> NoReturn:
    """End in good order when told to."""
    sys.exit(143)
