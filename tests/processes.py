"""Real processes for tests: a worker with its beat, a web server, a manage.py command, on the test's own database."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0


def wait_for(condition: Callable[[], object], *, what: str, seconds: float = PATIENCE) -> None:
    """Return as soon as a condition holds; fail, naming it, when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for: {what}"
        time.sleep(0.02)


def database_url(name: str = "") -> str:
    """Return the address of the test's database, for another process."""
    db = connection.settings_dict
    host = f"{db['HOST']}:{db['PORT']}" if not str(db["HOST"]).startswith("/") else ""
    query = f"?host={quote(str(db['HOST']), safe='')}&port={db['PORT']}" if not host else ""
    secret = f":{quote(db['PASSWORD'], safe='')}" if db["PASSWORD"] else ""
    return f"postgresql://{db['USER']}{secret}@{host}/{name or db['NAME']}{query}"


def redis_url() -> str:
    """Return a broker of this test process's own: parallel runs must not take each other's messages."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) + 1
    return f"{settings.REDIS_URL.rsplit('/', 1)[0]}/{number}"


def environment(**more: str) -> dict[str, str]:
    """Return what another process needs to work on the test's database with the test's secrets."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return keep | {
        "DATABASE_URL": database_url(),
        "REDIS_URL": redis_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "HTTPS_ONLY": "0",
        "FORWARD_EVERY_SECONDS": "0.2",
        "SYNC_EVERY_SECONDS": "0.5",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@contextmanager
def running(command: list[str], **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test and end it with the test, whatever happens."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(**more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL a process and everything it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def worker(tmp_path: Path, **more: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run a real Celery worker with its own beat, as in production, both queues in one process."""
    command = [sys.executable, "-m", "celery", "-A", "panel", "worker", "-B", "-Q", "forward,default", "-P", "threads"]
    return running([*command, "-c", "6", "-s", str(tmp_path / "schedule"), "-l", "WARNING"], **more)


def manage(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a manage.py command to its end and return what it said."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@cache
def collected_static() -> str:
    """Collect the static files as an image's build does, once for each test process, and return the folder."""
    folder = Path(os.environ["VAR_DIR"]) / f"static-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    collected = manage("collectstatic", "--noinput", "-v", "0", STATIC_ROOT=str(folder))
    assert collected.returncode == 0, collected.stderr
    return str(folder)


@contextmanager
def serving_panel(port: int, **more: str) -> Iterator[str]:
    """Serve the panel with granian as in production and yield its address."""
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    served = {"STATIC_ROOT": collected_static(), **more}
    with running([*command, "--workers", "1", "--no-log", "panel.wsgi:application"], **served):
        wait_for(lambda: answers(port), what=f"the panel on port {port}")
        yield f"http://127.0.0.1:{port}"


def answers(port: int) -> bool:
    """Tell whether something listens on a port."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0
