#!/usr/bin/env python
"""Run the panel's commands, from any folder."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "panel.settings")
    try:
        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        # Asked to stop is no error: what was open is rolled back, and nobody wants a traceback.
        sys.exit(130)


if __name__ == "__main__":
    main()
