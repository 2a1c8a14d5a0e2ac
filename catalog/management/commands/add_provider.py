"""Add a provider from a shell, once it has answered."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.management.operating import OperatorCommand
from accounts.money import plain
from catalog import adding
from catalog.detecting import DETECT
from catalog.providers.dialects import DIALECTS


class Command(OperatorCommand):
    help = (
        "Add a provider: an upstream panel that we order from. Asks for our balance first and prints it; an "
        "address that does not answer or a key that is refused is not added. import_services brings its services in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="what staff call it; unique in any case")
        parser.add_argument(
            "url", metavar="URL", help="its API address in full, for example https://example.org/api/v2"
        )
        parser.add_argument("--key", required=True, help="our API key there; it is kept encrypted")
        parser.add_argument("--currency", default="", help="three letters (what the provider says, else USD)")
        parser.add_argument(
            "--exchange-rate",
            metavar="RATE",
            help=f"{settings.CURRENCY} for one unit of its currency (1; needed when it is not {settings.CURRENCY})",
        )
        parser.add_argument("--markup", default="20", metavar="PERCENT", help="percent on top of its rates (20)")
        parser.add_argument(
            "--dialect",
            default=DETECT,
            help=f"how it speaks: {', '.join(DIALECTS)}; {DETECT}: ask it and conclude ({DETECT})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        rate = options["exchange_rate"]
        new = adding.NewProvider(
            name=options["name"],
            url=options["url"],
            key=options["key"],
            currency=options["currency"],
            exchange_rate=None if rate is None else read_number(rate, "--exchange-rate"),
            markup_percent=read_number(options["markup"], "--markup"),
            dialect=options["dialect"],
        )
        if new.dialect == DETECT:
            new, found = adding.look_into(new)
            self.stdout.write(f"dialect: {found.dialect}")
            for finding in found.findings:
                self.stdout.write(f"  {finding}")
        provider, balance = adding.add_provider(new)
        said = balance.currency.strip()
        if said and said.upper() != provider.currency:
            self.stderr.write(f"Warning: the provider says {said}, but {provider.currency} was given and is kept.")
        self.stdout.write(f"provider: {provider.name}")
        self.stdout.write(f"balance: {plain(balance.amount)} {said or provider.currency}")


def read_number(text: str, option: str) -> Decimal:
    """Read an option's number; raise CommandError when it is none."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation as error:
        raise CommandError(f"{option}: '{text}' is not a number.") from error
    if not number.is_finite():
        raise CommandError(f"{option}: '{text}' is not a number.")
    return number
