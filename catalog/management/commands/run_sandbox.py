"""Run the sandbox provider until it is told to stop; it needs no database and touches none."""

import errno
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.providers import sandbox

HABITS = (
    "remembers_keys",
    "lists_orders",
    "batches",
    "multi_refill",
    "calls_per_minute",
    "has_products",
    "has_result_product",
)
SETTINGS = ("key", "pace", "state", *HABITS)


class Command(BaseCommand):
    help = "Run the sandbox: a make-believe provider speaking API v2 whose orders progress by themselves."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=9000, help="port to listen on (9000); 0 takes a free one")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--key", default="sandbox-key", help="API key that callers must send (sandbox-key)")
        parser.add_argument(
            "--pace", type=float, default=1.0, help="seconds per step of an order (1.0); 0: orders do not move"
        )
        parser.add_argument("--state", type=Path, help="file in which orders, ids and balance outlive a restart")

        parser.add_argument("--remembers-keys", action="store_true", help="take an order once per idempotency key")
        parser.add_argument("--lists-orders", action="store_true", help="answer action=orders with the latest orders")
        parser.add_argument("--no-batches", dest="batches", action="store_false", help="know no lists of IDs")
        parser.add_argument(
            "--multi-refill", choices=("list", "scalar"), default="list", help="answer to a refill of many (list)"
        )
        parser.add_argument(
            "--calls-per-minute", type=int, help="answer HTTP 429 beyond; commands and reads count apart (no limit)"
        )
        parser.add_argument("--products", dest="has_products", action="store_true", help="sell products as well")
        parser.add_argument(
            "--no-result-product",
            dest="has_result_product",
            action="store_false",
            help="tell the goods of a product order in its status",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["port"] <= 65535:
            raise CommandError(f"--port must be between 0 and 65535, not {options['port']}.")
        if not options["pace"] >= 0:
            raise CommandError(f"--pace must be 0 or more, not {options['pace']}.")

        if options["calls_per_minute"] is not None and options["calls_per_minute"] < 1:
            raise CommandError(f"--calls-per-minute must be 1 or more, not {options['calls_per_minute']}.")

        def ready(url: str) -> None:
            self.stdout.write(f"Sandbox provider at {url} with the key {options['key']}")
            self.stdout.flush()

        try:
            world = sandbox.Sandbox(**{name: options[name] for name in SETTINGS})
            sandbox.serve_forever(world, options["port"], options["host"], ready=ready)
        except sandbox.StateError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            place = f"Port {options['port']} on {options['host']}"
            if error.errno == errno.EADDRINUSE:
                raise CommandError(f"{place} is in use by another program.") from error
            raise CommandError(f"{place} cannot be listened on: {error.strerror}.") from error
