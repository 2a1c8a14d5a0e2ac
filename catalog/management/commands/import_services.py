"""Import a provider's services, or its products, from a shell."""

import sys
from argparse import ArgumentParser
from typing import Any

from accounts.management.operating import OperatorCommand
from catalog import adding, fetching
from catalog.management.commands.add_provider import read_number
from catalog.management.progress import Progress


class Command(OperatorCommand):
    help = (
        "Read a provider's catalogue and put its services on sale, all of them or one category; those of an unknown "
        "type or without a rate come in but are not on sale. Can be repeated: rates and limits follow the provider, "
        "what staff changed stays. Prints counts, then what was skipped and why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", help="the provider's name, in any case")
        parser.add_argument(
            "--markup",
            metavar="PERCENT",
            help="percent on top of the rates of the services imported now, as a rule of each (no rule is written)",
        )
        parser.add_argument("--products", action="store_true", help="its products instead of its services")
        parser.add_argument("--category", default="", metavar="NAME", help="only this category of theirs, in any case")

    def handle(self, *args: Any, **options: Any) -> None:
        markup = None if options["markup"] is None else read_number(options["markup"], "--markup")
        provider = adding.find_provider(options["provider"])
        with Progress(sys.stderr) as progress:
            progress.say(f"Reading the list of {provider} …")
            counts = fetching.fetch_services(
                provider,
                markup_percent=markup,
                category=options["category"],
                is_product=options["products"],
                tell=progress.show,
            )
        self.stdout.write(fetching.tell_counts(counts))
        for line in fetching.tell_skipped(counts):
            self.stdout.write(f"  {line}")
