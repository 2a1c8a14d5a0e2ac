"""Prove the books from a shell."""

from typing import Any

from django.core.management.base import CommandError
from django.db.models import Count, F, Sum

from accounts.management.operating import OperatorCommand
from accounts.models import LedgerAccount, Transfer
from accounts.money import plain
from orders import auditing
from orders.models import Order


class Command(OperatorCommand):
    help = (
        "Recompute every balance, chain, closed day, charge and refund from the transfers. Prints each row that does "
        "not add up and exits 1; exits 0 when the books balance. Orders that a provider reports to have cost more than "
        "was charged are counted in a notice: no fault of the books. Changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        differences = auditing.find_differences()
        for difference in differences:
            self.stdout.write(difference)
        self.tell_reported_losses()
        if differences:
            raise CommandError(f"The books do not balance: rows that do not add up: {len(differences)}.")
        customers = LedgerAccount.objects.filter(kind=LedgerAccount.Kind.CUSTOMER).count()
        transfers, orders = Transfer.objects.count(), Order.objects.count()
        self.stdout.write(f"the books balance: {customers} customers, {transfers} transfers, {orders} orders")

    def tell_reported_losses(self) -> None:
        """Say how many orders cost more, by their providers' own word, than was charged for them."""
        paid = F("charge") - F("refunded")
        losses = auditing.find_reported_losses().aggregate(orders=Count("pk"), loss=Sum(F("reported_cost") - paid))
        if losses["orders"]:
            orders, loss = losses["orders"], plain(losses["loss"])
            self.stdout.write(f"notice: sold below the cost reported later: {orders} orders, {loss} in all")
