"""Prove the stock from a shell."""

from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from accounts import auditing
from accounts.management.operating import OperatorCommand
from catalog import stock
from catalog.models import StockItem
from orders import auditing_stock


class Command(OperatorCommand):
    help = (
        "Prove our own stock: each line that was sold is delivered exactly once, for an order that was charged; none "
        "that was delivered is still on hand; each completed order has as many as were bought. Prints each row that "
        "does not add up and exits 1; exits 0 when all do. Shows the text of no line, and changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            auditing.read_one_moment()
            differences = auditing_stock.find_differences()
            left = stock.list_on_hand()
            ready, expired = sum(stock.count().values()), left.filter(expires_at__lte=timezone.now()).count()
            sold = StockItem.objects.filter(taken_at__isnull=False).count()
        for difference in differences:
            self.stdout.write(difference)
        if differences:
            raise CommandError(f"The stock does not add up: rows that do not: {len(differences)}.")
        self.stdout.write(f"the stock adds up: {sold} sold, {ready} can be sold, {expired} expired")
