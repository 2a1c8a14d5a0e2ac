"""The two embedded servers: how each is made, started, found to answer, and stopped with its data whole."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar

from panel.embedded_home import CannotRunError, Home, environment, postgres_folder, valkey_program
from panel.lifeline import end, end_stray, follow_parent

_LOG_LIMIT = 5_000_000
_LOOPBACK = "127.0.0.1"
_IN_THE_WAY = ("in use", "lock file", "starting up")
ROLE = "panel"


class Server(ABC):
    """One server with its data, its log and its port; the port is kept from one life to the next where it is free."""

    name: ClassVar[str]
    ready_within: ClassVar[float]
    parting: ClassVar[signal.Signals]
    farewell: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, var_dir: Path, home: Home) -> None:
        self.home = home
        self.data = home.folder / self.name
        self.log = var_dir / "log" / f"{self.name}.log"
        self.port_file = var_dir / f"{self.name}.port"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make the data where there is none, and end a server that a dead keeper left. Raises CannotRunError."""

    @abstractmethod
    def command(self) -> tuple[list[str], str]:
        """Give the command line and what the server reads from its input; a password is never in the first."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether our own server, and no other on that port, answers."""

    @abstractmethod
    def url(self) -> str:
        """Give the URL with the password in it."""

    def start(self) -> None:
        """Start the server and wait until it answers. Raises CannotRunError with the log's last line."""
        self.prepare()
        deadline = time.monotonic() + self.ready_within
        self.port = _free_port(_number_in(self.port_file))
        while True:
            begin = self.log.stat().st_size if self.log.exists() else 0
            self.process = self._spawn()
            while self.process.poll() is None and time.monotonic() < deadline:
                if self.answers():
                    self.port_file.write_text(str(self.port))
                    return
                time.sleep(0.01)
            self.stop()
            said = self._said_since(begin)
            if time.monotonic() > deadline or not any(words in said for words in _IN_THE_WAY):
                last = said.strip().rsplit("\n", 1)[-1] or "no answer in time"
                raise CannotRunError(f"{self.name} did not start: {last} (log: {self.log})")
            self.port = _free_port(0 if "in use" in said and "shared memory" not in said else self.port)
            time.sleep(0.1)

    def is_up(self) -> bool:
        """Say whether the process lives; a dead one is reaped by looking."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Stop the server so that its data is whole; harder only when it does not listen."""
        if self.process is not None:
            end(self.process, *self.farewell)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command, said = self.command()
        account = self.home.account
        with _log_file(self.log) as log:
            process = subprocess.Popen(  # noqa: S603 - the server's own program with our own arguments
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env=environment(),
                user=account.uid,
                group=account.gid,
                extra_groups=None if account.uid is None else (),
                preexec_fn=follow_parent(self.parting),  # noqa: PLW1509 - the keeper has a single thread
            )
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(said.encode())
        return process

    def _said_since(self, begin: int) -> str:
        with self.log.open(errors="replace") as log:
            log.seek(begin)
            return log.read()


class Postgres(Server):
    name = "postgres"
    ready_within = 60.0
    parting = signal.SIGINT
    farewell = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))

    def prepare(self) -> None:
        self.programs = postgres_folder(self.home)
        end_stray(self.data / "postmaster.pid", self.data, *self.farewell)
        told = self.home.account.run(self.programs / "postgres", "--version").stdout
        major = re.search(r"\d+", told)
        here = major.group() if major else "?"
        if not self.data.exists():
            self._create(int(here))
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != here:
            raise CannotRunError(
                f"{self.data} was made by PostgreSQL {made_by}, and this one is {here}: move the data over with "
                f"pg_dump and restore of version {made_by}, or start with an empty VAR_DIR."
            )

    def command(self) -> tuple[list[str], str]:
        settings = {
            "listen_addresses": _LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "max_wal_size": "512MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options], ""

    def answers(self) -> bool:
        """Read the server's own pid file: only our process writes its number, its port and "ready" there."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        ours = self.process is not None and lines[:1] == [str(self.process.pid)]
        return ours and len(lines) > 7 and lines[3] == str(self.port) and lines[7].strip() == "ready"

    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.home.password()}@{_LOOPBACK}:{self.port}/{ROLE}"

    def _create(self, major: int) -> None:
        """Make the cluster and the panel's database beside their place, then move them there in one step."""
        for old in self.home.folder.glob(".postgres-*"):
            shutil.rmtree(old, ignore_errors=True)
        draft = self.home.folder / f".postgres-{os.getpid()}"
        self.home.account.own_folder(draft)
        password = draft / "password"
        password.write_text(f"{self.home.password()}\n")
        password.chmod(0o644)  # inside a folder that only the server's user and root can enter
        cluster = draft / "data"
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
        self._run(
            *("initdb", "-D", cluster, "-U", ROLE, "--auth=scram-sha-256", f"--pwfile={password}"),
            *("--encoding=UTF8", *(locale or ["--locale=C.UTF-8"])),
        )
        self._run("postgres", "--single", "-D", cluster, "postgres", text=f"CREATE DATABASE {ROLE}\n")
        cluster.rename(self.data)
        shutil.rmtree(draft)

    def _run(self, program: str, *arguments: str | Path, text: str = "") -> None:
        done = self.home.account.run(self.programs / program, *arguments, text=text)
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise CannotRunError(f"PostgreSQL's {program} failed: {said[-400:]}")


class Valkey(Server):
    name = "valkey"
    ready_within = 20.0
    parting = signal.SIGTERM
    farewell = ((signal.SIGTERM, 10.0),)

    def prepare(self) -> None:
        self.program = valkey_program(self.home)
        self.home.account.own_folder(self.data)
        end_stray(self.data / "pid", self.data, *self.farewell)

    def command(self) -> tuple[list[str], str]:
        """Nothing of value lives here (ARCHITECTURE 3), so nothing is written to disk."""
        lines = [
            f"bind {_LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.home.password()}",
            'save ""',
            "appendonly no",
            f"dir {json.dumps(str(self.data))}",
            f"pidfile {json.dumps(str(self.data / 'pid'))}",
            "loglevel notice",
        ]
        return [str(self.program), "-"], "\n".join(lines)

    def answers(self) -> bool:
        try:
            with socket.create_connection((_LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(f"AUTH {self.home.password()}\r\nPING\r\n".encode())
                told = b""
                while told.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                    told += part
        except OSError:
            return False
        return told == b"+OK\r\n+PONG\r\n"

    def url(self) -> str:
        return f"redis://:{self.home.password()}@{_LOOPBACK}:{self.port}/0"


def _free_port(preferred: int) -> int:
    """Give the preferred port when nobody listens on it, else any free one of the loopback."""
    for port in (preferred, 0) if preferred else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((_LOOPBACK, port))
                number: int = probe.getsockname()[1]
                return number
    raise CannotRunError("No free port on the loopback.")


def _number_in(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _log_file(file: Path) -> IO[bytes]:
    """Open a log to append to; one that has grown large becomes the old one."""
    file.parent.mkdir(exist_ok=True)
    if file.exists() and file.stat().st_size > _LOG_LIMIT:
        file.replace(file.with_suffix(".log.old"))
    return file.open("ab")
