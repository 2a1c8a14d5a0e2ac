"""Telling on a terminal how far a command is: one line on stderr, silent where that is no terminal."""

from typing import Self, TextIO

CELLS = 20
TO_THE_LEFT, WIPE = "\r", "\033[K"


class Progress:
    """What a command is doing, in a line written over itself, which is wiped at the end of the `with`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.say("")

    def say(self, text: str) -> None:
        """Show what is being done, for as long as nobody knows how much of it there is."""
        if self.stream.isatty():
            self.stream.write(f"{TO_THE_LEFT}{WIPE}{text}")
            self.stream.flush()

    def show(self, done: str, number: int, of: int) -> None:
        """Show with how many of how many something is done."""
        if of:
            bar = "#" * (CELLS * number // of)
            self.say(f"[{bar:-<{CELLS}}] {number:,} of {of:,} {done}")
