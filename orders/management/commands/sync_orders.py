"""Read the status of accepted orders from a shell, without Celery."""

from argparse import ArgumentParser
from typing import Any

from accounts.management.operating import OperatorCommand
from orders import syncing


class Command(OperatorCommand):
    help = (
        "Ask the providers what became of accepted orders that are due for a look, and follow their answers: status, "
        "counts, refunds. Can be repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--all", action="store_true", dest="everything", help="look at every order not yet done with, due or not"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        looked = syncing.sync_all(everything=options["everything"])
        self.stdout.write(f"looked at {looked}")
