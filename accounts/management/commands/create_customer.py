"""Make a customer who can order at once, from a shell."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts import customers, ledger
from accounts.management.operating import OperatorCommand
from accounts.money import parse_amount, plain


class Command(OperatorCommand):
    help = (
        "Make a customer with an API key, which is printed once as 'api_key: …' and cannot be read again. "
        "Without a password he can use the API but not sign in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="e-mail address; nobody else may have it, in any case")
        parser.add_argument("--username", default="", help="user name (what stands before the @, made unique)")
        parser.add_argument("--password", help="password to sign in with (none works)")
        parser.add_argument(
            "--balance",
            default="0",
            metavar="AMOUNT",
            help=f"opening balance, {settings.CURRENCY}, at most 5 places (0)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            balance = parse_amount(options["balance"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        new = customers.NewCustomer(
            email=options["email"], username=options["username"], password=options["password"], balance=balance
        )
        user, key = customers.create_customer(new)
        self.stdout.write(f"customer: {user.email}")
        self.stdout.write(f"username: {user.username}")
        self.stdout.write(f"balance: {plain(ledger.read_balance(user.pk))} {settings.CURRENCY}")
        self.stdout.write(f"api_key: {key}")
