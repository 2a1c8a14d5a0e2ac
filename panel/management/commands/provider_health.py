"""Tell how providers do, from a shell or a monitor."""

import sys
from argparse import ArgumentParser
from typing import Any

from accounts.management.operating import OperatorCommand
from catalog import adding
from catalog.admin_health import tell_state
from panel import watching
from panel.admin_watching import list_facts
from panel.watching import Watched


class Command(OperatorCommand):
    help = (
        "Tell how every provider does, or one of them: balance, answers of the last 24 hours, last sync, and what "
        "needs a person. Exits 1 when something does. Reads the database only."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", nargs="?", help="its name in any case (all of them)")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["provider"]
        watched = [watching.watch(adding.find_provider(name))] if name else watching.watch_all()
        if not watched:
            self.stdout.write("There is no provider yet.")
        for one in watched:
            self.write_provider(one)
        if any(one.list_troubles() for one in watched):
            sys.exit(1)

    def write_provider(self, watched: Watched) -> None:
        """Write what the staff page shows of one provider."""
        self.stdout.write(f"{watched.provider}: {tell_state(watched.provider)}")
        facts = list_facts(watched)
        width = max(len(label) for label, _value in facts)
        for label, value in facts:
            self.stdout.write(f"  {label.ljust(width)}  {value}")
        for trouble in watched.list_troubles():
            self.stdout.write(f"  ! {trouble.text}")
