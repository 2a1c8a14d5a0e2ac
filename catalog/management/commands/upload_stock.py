"""Upload lines of stock from a shell."""

import datetime
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.views.decorators.debug import sensitive_variables

from accounts.errors import UserError
from accounts.management.operating import OperatorCommand
from catalog import stock
from catalog.models import Product
from catalog.stock import Fault

WORDS = {Fault.BLANK: "blank", Fault.TWICE: "stands above already", Fault.KNOWN: "is or was in stock already"}


class Command(OperatorCommand):
    help = (
        "Upload lines of stock of a product: a text file in UTF-8, one line for each piece. Blank lines and lines that "
        "are or were in stock are left out and told by number; no line's text is printed. Can be repeated: a line is "
        "never kept twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("product", metavar="PRODUCT", help="the product's id, or its name in any case")
        parser.add_argument("file", metavar="FILE", help="the file with the lines; - reads standard input")
        parser.add_argument("--name", default="", help="what to call the upload (the file's name)")
        parser.add_argument("--last-day", metavar="DAY", help="the last day on sale, such as 2027-01-31 (no limit)")
        parser.add_argument("--dry-run", action="store_true", help="show what would be kept, and keep nothing")

    @sensitive_variables()
    def handle(self, *args: Any, **options: Any) -> None:
        product, expires_at = find_product(options["product"]), read_day(options["last_day"])
        text = read_text(options["file"])
        found = stock.preview(text)
        for number, fault in found.faults:
            self.stdout.write(f"  line {number}: {WORDS[fault]}")
        if options["dry_run"]:
            self.stdout.write(f"new {found.new}, left out {len(found.faults)}; nothing was kept")
            return
        name = options["name"] or Path(options["file"]).name
        done = stock.upload(product, text, actor_id=None, name=name[:120], expires_at=expires_at)
        on_hand = stock.count([product.pk])[product.pk]
        self.stdout.write(f"kept {done.kept}, left out {done.left_out}; can be sold now: {on_hand}")


def find_product(text: str) -> Product:
    """Return the product with this id, else with this name in any case; raise UserError for none or several."""
    products = Product.objects.select_related("service")
    found = list(products.filter(pk=int(text)) if text.isdecimal() else products.filter(service__name__iexact=text))
    if len(found) > 1:
        raise UserError(
            f"{len(found)} products are called '{text}': give an id ({', '.join(str(one.pk) for one in found)})"
        )
    if not found:
        raise UserError(f"There is no product '{text}'")
    return found[0]


def read_day(text: str | None) -> datetime.datetime | None:
    """Return when a day is over here; raise CommandError when it is none."""
    try:
        return stock.end_of_day(datetime.date.fromisoformat(text)) if text else None
    except ValueError as error:
        raise CommandError(f"--last-day: '{text}' is not a day such as 2027-01-31.") from error


@sensitive_variables()
def read_text(name: str) -> str:
    """Return the text of a file, or of standard input; raise CommandError when it is no text."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is no text in UTF-8.") from error
