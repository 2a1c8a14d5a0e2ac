"""Correct a customer's balance from a shell, with a reason that stands in the books."""

import re
import uuid
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DataError

from accounts import customers, ledger
from accounts.errors import NotEnoughFundsError
from accounts.management.operating import OperatorCommand
from accounts.models import User
from accounts.money import parse_amount, plain

LONGEST_REASON = 200


class Command(OperatorCommand):
    help = (
        f"Credit a customer with an amount in {settings.CURRENCY}, or debit him with a negative one, never below zero. "
        "The correction is booked with its reason and cannot be taken back but by another one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="the customer's e-mail address, in any case")
        parser.add_argument(
            "amount", metavar="AMOUNT", help=f"{settings.CURRENCY}, at most 5 places; negative debits: -2.50"
        )
        parser.add_argument("--reason", required=True, help="why; it stands in the customer's statement")
        # argparse takes -2,50 for an option, unless told what a negative number begins with.
        parser._negative_number_matcher = re.compile(r"-[\d.,]")  # noqa: SLF001 - it has no public name

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            amount = parse_amount(options["amount"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        reason = options["reason"].strip()
        if not amount:
            raise CommandError("An amount of 0 moves nothing.")
        if not 0 < len(reason) <= LONGEST_REASON:
            raise CommandError(f"A reason of 1 to {LONGEST_REASON} characters is needed.")
        user = customers.find_customer(options["email"])
        balance = self.book(user, amount, reason)
        self.stdout.write(f"customer: {user.email}")
        self.stdout.write(f"balance: {plain(balance)} {settings.CURRENCY}")

    def book(self, user: User, amount: Decimal, reason: str) -> Decimal:
        """Book the correction and return the balance after it."""
        try:
            return ledger.adjust(user.pk, amount, reference=f"credit:{uuid.uuid4()}", note=reason)
        except NotEnoughFundsError as error:
            has = plain(ledger.read_balance(user.pk))
            raise CommandError(f"{user.email} has {has} {settings.CURRENCY}, less than {plain(-amount)}.") from error
        except DataError as error:
            raise CommandError(f"With {plain(amount)} more the balance would leave the ledger's range.") from error
