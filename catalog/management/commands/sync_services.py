"""Follow a provider's list from a shell."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from accounts.management.operating import OperatorCommand
from catalog import adding, comparing, fetching, following, telling
from catalog.management.progress import Progress
from catalog.models import Provider, Sync
from catalog.providers.errors import ProviderError
from catalog.telling import NOTHING, Line

WIDEST_NAME = 40
HEADERS = ("kind", "id", "name", "what", "margin after")


class Command(OperatorCommand):
    help = (
        "Read a provider's list and follow it: rates, limits, what is gone, back or new; nothing new is put on sale. "
        "A list that is empty or moves too much waits for a person. Prints every difference, then the counts."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", help="the provider's name, in any case")
        parser.add_argument("--products", action="store_true", help="its list of products instead of services")
        parser.add_argument("--dry-run", action="store_true", help="show what differs, and write nothing")
        parser.add_argument("--review", action="store_true", help="let it wait for a person in any case")

    def handle(self, *args: Any, **options: Any) -> None:
        provider, is_product = adding.find_provider(options["provider"]), options["products"]
        if options["dry_run"]:
            self.preview(provider, is_product=is_product)
            return
        with Progress(sys.stderr) as progress:
            progress.say(f"Reading the list of {provider} …")
            sync = following.sync_provider(
                provider.pk, is_product=is_product, review=options["review"], tell=progress.show
            )
        if sync.state == Sync.State.FAILED:
            raise fetching.explain(provider, sync.why, is_product=is_product)
        self.tell(telling.tell(provider, list(sync.changes.order_by("pk")), is_product=is_product), sync.counts)
        self.stdout.write(" ".join(filter(None, [f"{Sync.State(sync.state).label}.", sync.why])))

    def preview(self, provider: Provider, *, is_product: bool) -> None:
        try:
            with Progress(sys.stderr) as progress:
                progress.say(f"Reading the list of {provider} …")
                found = following.preview(provider.pk, is_product=is_product)
        except ProviderError as error:
            raise fetching.explain(provider, error, is_product=is_product) from error
        lines = telling.tell(provider, found.differences, is_product=is_product)
        self.tell(lines, comparing.count(found.differences))
        self.stdout.write(
            " ".join(filter(None, ["Nothing was written.", found.brake and f"It would wait: {found.brake}"]))
        )

    def tell(self, lines: Sequence[Line], counts: dict[str, Any]) -> None:
        if lines:
            rows = [HEADERS, *(write_row(line) for line in lines)]
            widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
            for row in rows:
                self.stdout.write(
                    "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
                )
            self.stdout.write(telling.tell_counts(counts))


def write_row(line: Line) -> tuple[str, ...]:
    """Return what stands in the columns of one difference."""
    change = line.change
    return (
        change.kind,
        change.remote_id,
        change.name[:WIDEST_NAME],
        telling.write_fields(line),
        line.margin or NOTHING,
    )
