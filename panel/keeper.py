"""The keeper: one process per VAR_DIR that owns the embedded servers and ends with the last of their users.

It is started by panel/embedded.py, in a session of its own, and never imports Django.
"""

import fcntl
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from panel.embedded import write_privately
from panel.embedded_home import CannotRunError, choose_home
from panel.embedded_servers import Postgres, Server, Valkey

_LOOK_EVERY = 0.2
_SERVERS: dict[str, type[Server]] = {"postgres": Postgres, "redis": Valkey}


class Keeper:
    """Owns the servers that are wanted under one VAR_DIR."""

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir
        self.home = choose_home(var_dir)
        self.servers: dict[str, Server] = {}
        self.deaths: list[float] = []
        self.leaving = False

    def start_wanted(self) -> None:
        """Start what is asked for and does not run, then tell where all of it answers. Raises CannotRunError."""
        wanted = (self.var_dir / "wanted").read_text().split()
        fresh = [name for name in wanted if name in _SERVERS and name not in self.servers]
        for name in fresh:
            self.servers[name] = _SERVERS[name](self.var_dir, self.home)
            self.servers[name].start()
        if fresh:
            self._tell()

    def revive_dead(self) -> None:
        """Start a server again that died under its users. Raises CannotRunError when it keeps dying."""
        for server in self.servers.values():
            if server.is_up():
                continue
            now = time.monotonic()
            self.deaths = [death for death in self.deaths if now - death < 30] + [now]
            if len(self.deaths) > 5:
                raise CannotRunError(f"{server.name} keeps dying; see {server.log}.")
            _say(f"{server.name} is gone; starting it again")
            server.start()
            self._tell()

    def keep(self, users: int) -> None:
        """Look after the servers until nobody holds the lock behind `users`, or until we are told to leave."""
        while not self.leaving and not _taken(users):
            self.start_wanted()
            self.revive_dead()
            time.sleep(_LOOK_EVERY)

    def stop(self) -> None:
        """Stop all servers, their data whole."""
        (self.var_dir / "services.json").unlink(missing_ok=True)
        for server in self.servers.values():
            server.stop()

    def leave(self, _signal_number: int, _frame: FrameType | None) -> None:
        self.leaving = True

    def _tell(self) -> None:
        urls = {name: server.url() for name, server in self.servers.items()}
        told = {"keeper": os.getpid(), "home": str(self.home.folder), "urls": urls}
        write_privately(self.var_dir / "services.json", json.dumps(told))


def main(folder: str) -> None:
    """Be the keeper of a VAR_DIR; what goes wrong before both servers answer is told on standard output."""
    var_dir = Path(folder)
    if os.fork():
        os._exit(0)
    lock = os.open(var_dir / "keeper", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _taken(lock, seconds=2.0):
        return
    users = os.open(var_dir / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    (var_dir / "services.json").unlink(missing_ok=True)
    _log_to(var_dir / "log" / "keeper.log")
    try:
        _be_keeper(var_dir, users)
    finally:
        # In this order: a newcomer who waits for `users` must find no keeper.
        os.close(lock)
        os.close(users)


def _be_keeper(var_dir: Path, users: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keeper = None
    try:
        keeper = Keeper(var_dir)
        signal.signal(signal.SIGTERM, keeper.leave)
        if keeper.home.note:
            sys.stdout.write(f"note {keeper.home.note}\n")
        keeper.start_wanted()
        _close_stdout()
        keeper.keep(users)
    except CannotRunError as error:
        _report(str(error))
    except Exception as error:  # noqa: BLE001 - a person gets one line, the log gets the rest
        traceback.print_exc()
        _report(f"The keeper of {var_dir} failed: {error!r}")
    finally:
        if keeper is not None:
            keeper.stop()


def _report(text: str) -> None:
    """Tell the starter if it still listens, and the log in any case."""
    _say(text)
    sys.stdout.write(f"error {text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {text}\n")
    sys.stderr.flush()


def _close_stdout() -> None:
    """Let the starter go: it waits for the end of this pipe."""
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _log_to(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.close(log)


def _taken(descriptor: int, seconds: float = 0.0) -> bool:
    """Take the exclusive lock behind a descriptor if nobody else holds it, trying for some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True
