"""The panel's processes as production runs them, one by one, and a broker of their own: all made to be killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import redis

from panel.embedded_home import Account, Home, valkey_program
from tests.processes import ROOT, environment, free_port, kill, wait_for

# Short, so that what a crash leaves behind is swept within the run; a lease is connect + read + 5 s (panel/checks.py).
SHORT = {
    "PROVIDER_CONNECT_TIMEOUT": "1",
    "PROVIDER_READ_TIMEOUT": "1",
    "DISPATCH_LEASE_SECONDS": "7",
    "FORWARD_EVERY_SECONDS": "0.2",
    "SYNC_EVERY_SECONDS": "0.5",
    "BREAKER_PAUSE_SECONDS": "0.5",
}
CELERY = [sys.executable, "-m", "celery", "-q", "-A", "panel"]
THREADS = {"forward": "8", "default": "6"}


class Member:
    """One process that can be started, killed and started again; what it says is added to one log."""

    def __init__(self, name: str, command: list[str], variables: Mapping[str, str], log: IO[bytes]) -> None:
        self.name, self.command, self.variables, self.log = name, command, dict(variables), log
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process, in a group of its own; nothing where it lives."""
        if self.process is not None:
            return
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )

    def kill(self) -> None:
        """SIGKILL the process and all that it started; nothing where it is dead."""
        process, self.process = self.process, None
        if process is not None:
            kill(process)

    def stop(self) -> None:
        """Ask the process to stop, as a deployment does, and wait until it has."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    @property
    def died(self) -> bool:
        """Whether the process ended although nobody killed it."""
        return self.process is not None and self.process.poll() is not None


class Broker(Member):
    """A Valkey that keeps nothing on disk, always on the same port."""

    def __init__(self, folder: Path, log: IO[bytes]) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        program = str(valkey_program(Home(folder, Account())))
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        super().__init__("broker", [*command, "--appendonly", "no"], environment(), log)

    def start(self) -> None:
        """Start the broker and wait until it answers."""
        super().start()
        wait_for(self.answers, what=f"the broker on port {self.port}")

    def answers(self) -> bool:
        """Tell whether the broker answers."""
        with suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False

    def flush(self) -> None:
        """Forget every message, binding and counter."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def seen(self, pattern: str) -> bool:
        """Tell whether the broker holds a key of this pattern."""
        with redis.Redis.from_url(self.url) as client:
            return bool(client.keys(pattern))


class Crew:
    """Everything that runs beside the web server: two workers on the queue of commands, one for the rest, and beat."""

    def __init__(self, folder: Path, log: IO[bytes], **more: str) -> None:
        self.broker = Broker(folder, log)
        variables = environment(**SHORT | {"REDIS_URL": self.broker.url} | more)

        def member(name: str, *words: str) -> Member:
            return Member(name, [*CELERY, *words, "-l", "WARNING"], variables, log)

        def worker(name: str, queue: str) -> Member:
            return member(name, "worker", "-Q", queue, "-P", "threads", "-c", THREADS[queue], "-n", f"{name}@%h")

        self.members: dict[str, Member] = {
            "broker": self.broker,
            "forward": worker("forward", "forward"),
            "second": worker("second", "forward"),
            "default": worker("default", "default"),
            "beat": member("beat", "beat", "-s", str(folder / "schedule"), "--pidfile="),
        }

    def start(self, *names: str) -> None:
        """Start some members, in the order given."""
        for name in names:
            self.members[name].start()

    def disband(self) -> None:
        """Kill whoever lives."""
        for member in self.members.values():
            member.kill()

    @property
    def deserters(self) -> list[Member]:
        """Whoever ended without having been killed: workers are to outlive their broker."""
        return [member for member in self.members.values() if member.died]


@contextmanager
def hired(folder: Path, **more: str) -> Iterator[Crew]:
    """Yield a crew that nobody has started yet, and end it whatever happens."""
    with ExitStack() as stack:
        log = stack.enter_context((folder / "crew.log").open("wb"))
        crew = Crew(folder, log, **more)
        stack.callback(crew.disband)
        yield crew
