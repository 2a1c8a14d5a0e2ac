"""Import a provider's services from a shell."""

from argparse import ArgumentParser
from collections import Counter
from decimal import Decimal
from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import CommandError

from accounts.management.operating import OperatorCommand
from catalog import adding, connecting, importing
from catalog.management.commands.add_provider import read_number
from catalog.models import Provider
from catalog.providers.errors import ProviderError
from catalog.providers.replies import Catalogue

# A thousand broken rows are one message with a number, not a thousand lines.
MOST_REASONS = 20
MOST_CATEGORIES = 10
SHOWN_IDS = 5


class Command(OperatorCommand):
    help = (
        "Read a provider's catalogue and put its services on sale, all of them or one category; those of an unknown type "
        "or without a rate come in but are not on sale. Can be repeated: rates and limits follow the provider, what "
        "staff changed stays. Prints counts, then what was skipped and why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", help="the provider's name, in any case")
        parser.add_argument(
            "--markup",
            metavar="PERCENT",
            help="percent on top of the rates of the services imported now, as a rule of each (no rule is written)",
        )
        parser.add_argument("--category", default="", metavar="NAME", help="only this category of theirs, in any case")

    def handle(self, *args: Any, **options: Any) -> None:
        provider = adding.find_provider(options["provider"])
        markup = None if options["markup"] is None else read_markup(options["markup"])
        catalogue = read_catalogue(provider)
        category = find_category(catalogue, options["category"])
        counts = importing.apply_catalogue(provider, catalogue, markup_percent=markup, category=category)
        self.stdout.write(
            f"added {counts.added}, changed {counts.changed}, unchanged {counts.unchanged}, "
            f"vanished {counts.vanished}, skipped {len(counts.skipped)}"
        )
        for line in tell_skipped(counts.skipped):
            self.stdout.write(f"  {line}")


def read_markup(text: str) -> Decimal:
    """Read a markup, in percent; raise CommandError unless it is 0 or more and fits its column."""
    percent = read_number(text, "--markup")
    if not 0 <= percent < 100_000 or percent != round(percent, 4):
        raise CommandError(f"--markup: {text} is not a percentage from 0 to 99999, with at most 4 places.")
    return percent


def read_catalogue(provider: Provider) -> Catalogue:
    """Read a provider's services; raise CommandError saying why they could not be read."""
    try:
        with connecting.connect(provider) as client:
            return client.services()
    except (ProviderError, ValueError) as error:
        raise CommandError(f"{provider} did not list its services: {error}") from error
    except InvalidToken as error:
        raise CommandError(
            f"The key of {provider} was encrypted with none of ENCRYPTION_KEYS: enter it again."
        ) from error


def find_category(catalogue: Catalogue, wanted: str) -> str:
    """Return the category as it was given when the catalogue has it; raise CommandError naming those it has."""
    names = {row.category.casefold(): row.category for row in catalogue.rows}
    if wanted and wanted.casefold() not in names:
        known = ", ".join(sorted(names.values())[:MOST_CATEGORIES]) or "none at all"
        raise CommandError(f"The provider has no category '{wanted}'; it has {known}.")
    return wanted


def tell_skipped(skipped: list[tuple[str, str]]) -> list[str]:
    """Return one line for each reason, the most frequent first, with some of the ids it concerns."""
    reasons = Counter(reason for _, reason in skipped)
    lines = []
    for reason, count in reasons.most_common(MOST_REASONS):
        ids = [remote_id for remote_id, why in skipped if why == reason]
        more = f" and {count - SHOWN_IDS} more" if count > SHOWN_IDS else ""
        lines.append(f"{reason}: {', '.join(ids[:SHOWN_IDS])}{more}")
    if len(reasons) > MOST_REASONS:
        lines.append(f"and {len(reasons) - MOST_REASONS} other reasons")
    return lines
