"""What every operator's command shares: it starts fast, and it fails in one clear line that changes nothing."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

from accounts.errors import UserError


class OperatorCommand(BaseCommand):
    """A command whose UserErrors are printed as one line on stderr, with exit code 1."""

    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; raise CommandError where an operator did something that cannot be done."""
        try:
            return super().execute(*args, **options)
        except UserError as error:
            raise CommandError(error.text) from error
        except ProgrammingError as error:
            if getattr(error.__cause__, "sqlstate", "") != "42P01":
                raise
            raise CommandError("The database has no tables yet: run manage.py migrate first.") from error
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {' '.join(str(error).split())}") from error
