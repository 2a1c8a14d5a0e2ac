"""Prove the books from a shell."""

from typing import Any

from django.core.management.base import CommandError

from accounts.management.operating import OperatorCommand
from accounts.models import LedgerAccount, Transfer
from orders import auditing
from orders.models import Order


class Command(OperatorCommand):
    help = (
        "Recompute every balance, chain, closed day, charge and refund from the transfers. Prints each row that does "
        "not add up and exits 1; exits 0 when the books balance. Changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        differences = auditing.find_differences()
        for difference in differences:
            self.stdout.write(difference)
        if differences:
            raise CommandError(f"The books do not balance: rows that do not add up: {len(differences)}.")
        customers = LedgerAccount.objects.filter(kind=LedgerAccount.Kind.CUSTOMER).count()
        transfers, orders = Transfer.objects.count(), Order.objects.count()
        self.stdout.write(f"the books balance: {customers} customers, {transfers} transfers, {orders} orders")
