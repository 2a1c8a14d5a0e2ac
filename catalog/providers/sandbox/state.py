"""The file in which the sandbox keeps what it took: one JSON record per line, appended before the caller is answered.

A line is handed to the operating system in full before an order is confirmed, so kill -9 loses nothing that anybody
was told of; a line torn in its middle was never answered and is dropped. Two sandboxes cannot write one file.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, BinaryIO


class StateError(Exception):
    """The state file cannot be used; the text is fit to show."""


class Journal:
    """An append-only list of records; locked for a moment per write, or as long as it is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: BinaryIO | None = None
        self._size = 0

    def load(self) -> list[dict[str, Any]]:
        """Read every whole record, oldest first.

        Raises StateError when the file is in use by another sandbox, or is not one of ours.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"The state file {self.path} cannot be used: {error.strerror}.") from error
        with self._locked() as file:
            self._size = file.tell()
            lines = self.path.read_bytes().split(b"\n")
        # Behind the last line break stands either nothing or a record that was being written when the power went.
        try:
            records = [json.loads(line) for line in lines[:-1]]
        except ValueError as error:
            raise StateError(f"The state file {self.path} is not one of the sandbox's.") from error
        if any(not isinstance(record, dict) for record in records):
            raise StateError(f"The state file {self.path} is not one of the sandbox's.")
        return records

    def rewrite(self, records: list[dict[str, Any]]) -> None:
        """Replace the whole file in one step, so that it holds each order once; a crash leaves the old one."""
        with self._locked() as old:
            self._refuse_changed(old)
            successor = self.path.with_name(self.path.name + ".new")
            with successor.open("wb") as file:
                file.write(b"".join(encoded(record) for record in records))
                file.flush()
                os.fsync(file.fileno())
                self._size = file.tell()
            successor.replace(self.path)

    def append(self, record: dict[str, Any]) -> None:
        """Add one record; raises StateError when another sandbox has written to the file since we read it."""
        if self._held:
            self._write(self._held, record)
            return
        with self._locked() as file:
            self._refuse_changed(file)
            self._write(file, record)

    def hold(self) -> None:
        """Keep the lock until `release`; raises StateError when another sandbox has it or has written."""
        self._held = self._locked()
        try:
            self._refuse_changed(self._held)
        except StateError:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._held:
            self._held.close()
            self._held = None

    def _write(self, file: BinaryIO, record: dict[str, Any]) -> None:
        file.write(encoded(record))
        file.flush()
        self._size = file.tell()

    def _refuse_changed(self, file: BinaryIO) -> None:
        if file.tell() != self._size:
            raise StateError(f"The state file {self.path} was changed by another sandbox.")

    def _locked(self) -> BinaryIO:
        try:
            file = self.path.open("ab")
        except OSError as error:
            raise StateError(f"The state file {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and lock another sandbox may have put a new file in this one's place.
            if os.fstat(file.fileno()).st_ino != self.path.stat().st_ino:
                raise BlockingIOError
        except OSError as error:
            file.close()
            raise StateError(f"The state file {self.path} is in use by another sandbox.") from error
        return file


def encoded(record: dict[str, Any]) -> bytes:
    """Write one record as one line; Decimals as text."""
    return json.dumps(record, default=str, separators=(",", ":")).encode() + b"\n"
