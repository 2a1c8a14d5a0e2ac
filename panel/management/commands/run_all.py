"""Run the whole panel from one command: servers, migrations, a demo shop, web, workers and beat."""

import fcntl
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from panel import embedded
from panel.running import Child, Runner, read_procfile

_START_SECONDS = 90.0
_WORKERS = ("worker_forward", "worker_default")


class Command(BaseCommand):
    help = (
        "Run the whole panel: migrate, make a demo shop with a provider of its own (unless DEMO=0), start web, "
        "workers and beat, and stop all of it on Ctrl-C. Read from the environment: PORT, HOST, VAR_DIR, DEMO."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = False
        self.lines: dict[str, list[str]] = {}
        self.var_dir = Path(settings.VAR_DIR)
        self.var_dir.mkdir(parents=True, exist_ok=True)
        self.host = os.environ.get("HOST") or "127.0.0.1"
        # A database that was given is somebody's own: a demo goes there only when asked for.
        self.demo = (os.environ.get("DEMO") or str(int(settings.EMBEDDED))).lower() not in {"0", "false", "no", "off"}
        alone = self.be_alone()
        self.check_ports()
        self.urls = self.own_servers()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.ask_to_stop)
        self.runner = Runner(settings.BASE_DIR, self.environment(), self.say)
        try:
            self.prepare()
            self.run()
        finally:
            self.stop()
            os.close(alone)

    def be_alone(self) -> int:
        """Hold a lock: two panels on one VAR_DIR would share a beat's schedule and the sandbox's orders."""
        lock = os.open(self.var_dir / "run_all", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise CommandError(
                f"A panel runs on {self.var_dir} already; give this one a VAR_DIR of its own."
            ) from error
        return lock

    def check_ports(self) -> None:
        """Raise CommandError in one clear line when a port cannot be listened on."""
        last = settings.PORT + (1 if self.demo else 0)
        if not 1 <= settings.PORT <= last <= 65535:
            raise CommandError(f"PORT must be between 1 and {65534 if self.demo else 65535}, not {settings.PORT}.")
        for host, port in [(self.host, settings.PORT), ("127.0.0.1", settings.PORT + 1)][: last - settings.PORT + 1]:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    raise CommandError(
                        f"Port {port} on {host} cannot be used ({error.strerror}); choose others: PORT=8010 make run."
                    ) from error

    def environment(self) -> dict[str, str]:
        """Give the children what they need beside the environment we were started with."""
        defaults = {"LOG_LEVEL": "WARNING", "PYTHONUNBUFFERED": "1", "FORWARD_THREADS": str(settings.FORWARD_THREADS)}
        if os.geteuid() == 0:  # Celery warns of what is no risk with JSON messages
            defaults["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser privileges"
        if self.demo:
            defaults["SYNC_EVERY_SECONDS"] = "2"
        ours = {"PORT": str(settings.PORT), "HOST": self.host, "VAR_DIR": str(self.var_dir)}
        return {**defaults, **os.environ, **ours}

    def prepare(self) -> None:
        """Bring the database up to date and, in the demo, fill it with a shop whose provider answers."""
        self.say("Preparing the database …")
        call_command("migrate", verbosity=0, interactive=False)
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # WhiteNoise warns where it is missing
        if self.demo and not self.stopping:
            port = str(settings.PORT + 1)
            state = str(self.var_dir / "sandbox.json")
            command = [*self.manage(), "run_sandbox", "--port", port, "--state", state, "--products"]
            self.runner.start(Child("sandbox", command, grace=5.0))
            self.wait_for("the sandbox provider", lambda: self.status(settings.PORT + 1, "/") is not None)
            if not self.stopping:
                call_command("seed_demo", verbosity=0)
        connections.close_all()

    def run(self) -> None:
        """Start the Procfile's lines, say where the panel answers, and look after them until told to stop."""
        self.lines = read_procfile(settings.BASE_DIR / "Procfile", self.runner.environment)
        patience = settings.PROVIDER_CONNECT_TIMEOUT + settings.PROVIDER_READ_TIMEOUT + 5
        for name, command in self.lines.items():
            if not self.stopping:
                self.runner.start(Child(name, command, grace=patience if name in _WORKERS else 15.0))
        self.wait_for("the panel", lambda: self.status(settings.PORT, "/health/") == 200)
        if not self.stopping:
            self.say(self.greeting())
        while not self.stopping:
            self.runner.look(0.2)
            self.revive_servers()

    def stop(self) -> None:
        """Stop web, then beat, then the workers, who settle what is in flight, then the rest and the servers."""
        for names in (("web",), ("beat",), _WORKERS, tuple(self.runner.children)):
            self.runner.stop(names)
        if self.has_own_servers():
            connections.close_all()
            embedded.leave(self.var_dir)
            if not embedded.wait_for_end(self.var_dir):
                self.say("The embedded servers stay up for another command that uses them.")
        self.say("Stopped.")

    def wait_for(self, what: str, answers: Callable[[], bool]) -> None:
        """Look after the children until something answers. Raises CommandError when it does not in time."""
        deadline = time.monotonic() + _START_SECONDS
        while not self.stopping and not answers():
            if time.monotonic() > deadline:
                raise CommandError(f"{what} did not answer within {_START_SECONDS:g} s; see the lines above.")
            self.runner.look(0.1)
            if failing := [child.name for child in self.runner.children.values() if child.deaths > 2]:
                raise CommandError(f"{', '.join(failing)} will not start; see the lines above.")

    def status(self, port: int, path: str) -> int | None:
        """Ask a server of ours for a page and return the HTTP status, or None when there is no answer."""
        host = next(iter(settings.ALLOWED_HOSTS), "").strip("*.") or "localhost"
        connection = http.client.HTTPConnection(self.reachable(), port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": host})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def reachable(self) -> str:
        """Turn the address we listen on into one that can be called."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - compared, not bound

    def revive_servers(self) -> None:
        """Bring the embedded servers back when their keeper was killed, and the children with them if they moved."""
        if not self.has_own_servers() or embedded.is_kept(self.var_dir):
            return
        self.say("The embedded servers are gone; starting them again.")
        urls = self.own_servers()
        if urls != self.urls:
            self.urls = urls
            self.runner.restart(self.lines)

    def greeting(self) -> str:
        """Say where the panel is, who can sign in, and how to stop it."""
        here = f"http://{self.reachable()}:{settings.PORT}"
        lines = ["", f"  {settings.SITE_NAME} is running", "", f"  Shop      {here}/", f"  Admin     {here}/admin/"]
        file = self.var_dir / "demo.json"
        if self.demo and file.exists():
            told = json.loads(file.read_text())
            for label, who in (("Customer", "customer"), ("Staff", "staff")):
                lines.append(
                    f"  {label:<9} {told[who]['email']}  password {told[who]['password'] or '(as it was set)'}"
                )
            lines.append(f"  Sandbox   http://127.0.0.1:{settings.PORT + 1}/api/v2")
        return "\n".join([*lines, f"  Data      {self.var_dir}", "", "  Stop with Ctrl-C.", ""])

    def manage(self) -> list[str]:
        return [sys.executable, str(settings.BASE_DIR / "manage.py")]

    def has_own_servers(self) -> bool:
        return not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"))

    def own_servers(self) -> embedded.Services:
        """Join or start the servers that the environment does not name."""
        named = {name: bool(os.environ.get(name)) for name in ("DATABASE_URL", "REDIS_URL")}
        return embedded.use_services(self.var_dir, postgres=not named["DATABASE_URL"], redis=not named["REDIS_URL"])

    def ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Note the wish; a second one changes nothing, since a worker in the middle of an order must be let finish."""
        text = "Still stopping: orders in flight are being finished." if self.stopping else "Stopping …"
        self.stopping = True
        with suppress(OSError):
            os.write(sys.stdout.fileno(), f"{text}\n".encode())

    def say(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone; the children must be stopped all the same
            self.stdout.write(text)
            self.stdout.flush()
