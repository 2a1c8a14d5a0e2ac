"""What to do after a backup was restored, before workers run again."""

from typing import Any

from accounts.management.operating import OperatorCommand
from orders import restoring


class Command(OperatorCommand):
    help = (
        "Run this once after restoring a backup, before workers start: every order that the backup has not yet sent "
        "becomes unclear, since it may have been sent after the backup was taken. Nothing is sent twice by itself."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = restoring.distrust_backup()
        self.stdout.write(f"unclear now: {count}; staff decide each under Needs you")
