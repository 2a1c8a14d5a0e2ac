"""Fill an empty panel with a shop to look at."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.management.operating import OperatorCommand
from catalog.providers.errors import ProviderError
from panel import demo


class Command(OperatorCommand):
    help = (
        "Make the demo shop: the sandbox as a provider with its services on sale, a customer with a balance and "
        "orders, and a superuser. Can be repeated: what is there stays as it is. Needs a running "
        "sandbox (run_sandbox). The logins are printed and kept in VAR_DIR/demo.json."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        url = f"http://127.0.0.1:{settings.PORT + 1}/api/v2"
        parser.add_argument("--sandbox-url", default=url, metavar="URL", help=f"where the sandbox answers ({url})")
        parser.add_argument(
            "--yes",
            action="store_true",
            help="do it on a database of your own as well (DATABASE_URL), with random passwords",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not (settings.EMBEDDED or options["yes"]):
            raise CommandError(
                "This is not the embedded database; add --yes to make a demo shop and a superuser in it."
            )
        try:
            logins = demo.seed(options["sandbox_url"])
        except ProviderError as error:
            raise CommandError(f"The sandbox at {options['sandbox_url']} does not answer: {error}") from error
        if options["verbosity"]:
            self.tell(logins)

    def tell(self, logins: dict[str, Any]) -> None:
        """Print who can sign in."""
        for who in ("customer", "staff"):
            password = logins[who]["password"] or "(as it was set)"
            self.stdout.write(f"{who}: {logins[who]['email']}  password: {password}")
        if "api_key" in logins:
            self.stdout.write(f"api_key: {logins['api_key']}")
