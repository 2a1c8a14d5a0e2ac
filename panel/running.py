"""A small runner for the lines of the Procfile: starts, watches, restarts and stops them in the right order.

It has a single thread, since the kernel ends the children with the thread that started them (panel/lifeline.py).
"""

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from panel.lifeline import follow_parent

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_LONGEST_PAUSE = 30.0
_LONG_LIFE = 30.0


@dataclass
class Child:
    """One process of the panel with all that it starts; `grace` is how long it may take to stop, in seconds."""

    name: str
    command: list[str]
    grace: float
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    pause: float = 0.5
    due: float | None = None
    deaths: int = 0
    unfinished: bytes = field(default=b"", repr=False)


def read_procfile(file: Path, variables: Mapping[str, str]) -> dict[str, list[str]]:
    """Read the commands of a Procfile by name, `${NAME:-default}` filled in as a shell would.

    A program is taken from the folder of our own interpreter, never from PATH.
    """
    commands = {}
    for line in file.read_text().splitlines():
        name, _, command = line.partition(":")
        filled = _VARIABLE.sub(lambda found: shlex.quote(variables.get(found[1]) or found[2] or ""), command)
        words = shlex.split(filled)
        commands[name.strip()] = [str(Path(sys.executable).parent / words[0]), *words[1:]]
    return commands


class Runner:
    """Keeps children alive until it is told to stop them; what they print appears with their names before it."""

    def __init__(self, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.say = say
        self.children: dict[str, Child] = {}
        self.selector = selectors.DefaultSelector()

    def start(self, child: Child) -> None:
        """Start a child in a process group of its own, so that Ctrl-C reaches only us and nothing outlives a stop."""
        self.children[child.name] = child
        child.due = None
        child.began = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 - the Procfile's own lines
            child.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=follow_parent(signal.SIGTERM),  # noqa: PLW1509 - this program has a single thread
        )
        if child.process.stdout is not None:
            os.set_blocking(child.process.stdout.fileno(), False)
            self.selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def look(self, seconds: float) -> None:
        """Pass on what the children print for some seconds, and start again what has died, after a growing pause."""
        self._listen(seconds)
        for child in self.children.values():
            if child.process is not None and child.process.poll() is not None:
                how = _ending(child.process.returncode)
                self._forget(child)
                child.deaths += 1
                lived_long = time.monotonic() - child.began > _LONG_LIFE
                child.pause = 0.5 if lived_long else min(child.pause * 2, _LONGEST_PAUSE)
                child.due = time.monotonic() + child.pause
                self.say(f"{child.name} {how}; starting it again in {child.pause:g} s.")
            elif child.due is not None and time.monotonic() >= child.due:
                self.start(child)

    def restart(self, names: Iterable[str]) -> None:
        """Stop some children and start them again."""
        again = [self.children[name] for name in names if name in self.children]
        self.stop([child.name for child in again])
        for child in again:
            self.start(child)

    def stop(self, names: Sequence[str]) -> None:
        """Stop some children at once, each within its grace, then end whatever they leave behind."""
        leaving = [child for name in names if (child := self.children.pop(name, None)) and child.process]
        for child in leaving:
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
        deadline = {child.name: time.monotonic() + child.grace for child in leaving}
        while leaving:
            self._listen(0.05)
            for child in list(leaving):
                over = time.monotonic() > deadline[child.name]
                if over or child.process is None or child.process.poll() is not None:
                    if over:
                        self.say(f"{child.name} did not stop within {child.grace:g} s and was killed.")
                    self._forget(child)
                    leaving.remove(child)

    def _listen(self, seconds: float) -> None:
        """Print whole lines that arrive within some seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not self.selector.get_map():
                time.sleep(left)
                return
            for key, _ in self.selector.select(left):
                child: Child = key.data
                with suppress(BlockingIOError):
                    read = os.read(key.fd, 65536)
                    if not read:
                        self.selector.unregister(key.fileobj)
                    *lines, child.unfinished = (child.unfinished + read).split(b"\n")
                    for line in lines:
                        self._pass_on(child, line)

    def _pass_on(self, child: Child, line: bytes) -> None:
        if line.strip():
            self.say(f"{child.name:<14} | {line.decode(errors='replace')}")

    def _forget(self, child: Child) -> None:
        """End what is left of a child's group, pass on its last words and close its pipe."""
        process, child.process = child.process, None
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._listen(0.05)
        if process.stdout is not None:
            if process.stdout in {key.fileobj for key in self.selector.get_map().values()}:
                self.selector.unregister(process.stdout)
            process.stdout.close()
        if child.unfinished:
            self._pass_on(child, child.unfinished)
            child.unfinished = b""


def _ending(code: int) -> str:
    """Say how a process ended."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
