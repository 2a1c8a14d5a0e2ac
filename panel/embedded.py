"""PostgreSQL and a Redis-compatible server for a machine that has neither.

One keeper process (panel/keeper.py) owns both. Whoever needs them holds a shared lock on VAR_DIR/users for its life;
the keeper stops both when it gets that lock for itself. It keeps it while it stops them, so that nobody can join a
keeper that is leaving: a newcomer waits at the lock, then finds no keeper and starts one.

Standard library only: it runs before Django's settings exist.
"""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 90.0

# panel/__init__.py imports Celery, which reads the settings, which call us: the keeper sees an empty package instead.
_KEEPER = (
    "import sys, types; panel = types.ModuleType('panel'); panel.__path__ = [sys.argv[1]]; "
    "sys.modules['panel'] = panel; from panel.keeper import main; main(sys.argv[2])"
)

_users: dict[Path, int] = {}


class CannotStartError(SystemExit):
    """The servers cannot be had. It ends whatever imports the settings in one line instead of a traceback."""


@dataclass(frozen=True)
class Services:
    """Where the servers answer; empty for one that was not asked for."""

    database_url: str
    redis_url: str


def use_services(var_dir: Path, *, postgres: bool = True, redis: bool = True) -> Services:
    """Join the servers under `var_dir`, or start them, and keep them for the life of this process.

    Raises CannotStartError. May be called again in the same process: then it revives a keeper that was killed.
    """
    wanted = {name for name, asked in (("postgres", postgres), ("redis", redis)) if asked}
    if not wanted:
        return Services("", "")
    try:
        var_dir.mkdir(parents=True, exist_ok=True)
        if var_dir not in _users:
            _users[var_dir] = _lock(var_dir / "users", fcntl.LOCK_SH)
        urls = _running(var_dir, wanted) or _started(var_dir, wanted)
    except PermissionError as error:
        raise CannotStartError(f"VAR_DIR is not ours to write: {error.filename}: {error.strerror}.") from error
    return Services(urls["postgres"] if postgres else "", urls["redis"] if redis else "")


def own_secret(var_dir: Path, name: str) -> str:
    """Read the secret `name` (SECRET_KEY or ENCRYPTION_KEYS) of this VAR_DIR, making it first where there is none.

    The file can be read by its owner only. Of several processes that come at once one makes it and all read that one.
    """
    folder = var_dir / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / name
    with contextlib.suppress(FileNotFoundError):
        return file.read_text()
    fernet_key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    draft = folder / f".{name}.{secrets.token_hex(8)}"
    write_privately(draft, fernet_key if name == "ENCRYPTION_KEYS" else secrets.token_urlsafe(50))
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    return file.read_text()


def is_kept(var_dir: Path) -> bool:
    """Say whether a keeper lives under `var_dir`: it holds its own lock until both servers are down."""
    try:
        lock = _lock(var_dir / "keeper", fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    os.close(lock)
    return False


def leave(var_dir: Path) -> None:
    """Give this process's hold on the servers back, so that the keeper may stop them before it ends."""
    if var_dir in _users:
        os.close(_users.pop(var_dir))


def wait_for_end(var_dir: Path) -> bool:
    """Wait until the keeper has stopped both servers and ended; False when somebody else goes on using them."""
    quiet_since = time.monotonic()
    while is_kept(var_dir):
        if not (var_dir / "services.json").exists() or _is_unused(var_dir):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > 1:
            return False
        time.sleep(0.05)
    return True


def write_privately(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)


def _running(var_dir: Path, wanted: set[str]) -> dict[str, str] | None:
    """Read the URLs that a living keeper has written, if it has all the wanted ones."""
    if not is_kept(var_dir):
        return None
    try:
        told = json.loads((var_dir / "services.json").read_text())
        os.kill(told["keeper"], 0)
    except (OSError, ValueError):
        return None
    urls: dict[str, str] = told["urls"]
    return urls if wanted <= urls.keys() else None


def _started(var_dir: Path, wanted: set[str]) -> dict[str, str]:
    """Start the keeper, or wait for the one that somebody else is starting."""
    start = _lock(var_dir / "start", fcntl.LOCK_EX)
    try:
        write_privately(var_dir / "wanted", "\n".join(wanted))  # a living keeper adds what it does not run yet
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if urls := _running(var_dir, wanted):
                return urls
            if is_kept(var_dir):
                time.sleep(0.02)
            else:
                _start_keeper(var_dir)
    finally:
        os.close(start)
    raise CannotStartError(f"The embedded servers did not start; see {var_dir / 'log'}.")


def _start_keeper(var_dir: Path) -> None:
    """Start a keeper in a session of its own and wait until it has both servers; it tells what went wrong by a pipe."""
    command = [sys.executable, "-I", "-c", _KEEPER, str(Path(__file__).parent), str(var_dir)]
    with subprocess.Popen(  # noqa: S603 - our own file, run by our own interpreter
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, text=True, cwd="/"
    ) as keeper:
        told, _ = keeper.communicate()
    for line in told.splitlines():
        kind, _, text = line.partition(" ")
        if kind == "error":
            raise CannotStartError(text)
        sys.stderr.write(f"{text}\n")


def _is_unused(var_dir: Path) -> bool:
    try:
        os.close(_lock(var_dir / "users", fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _lock(file: Path, how: int) -> int:
    """Open and lock a file; the lock lasts until the descriptor is closed, however the process ends."""
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(opened, how)
    except BaseException:
        os.close(opened)
        raise
    return opened
