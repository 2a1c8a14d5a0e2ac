"""`manage.py run_all`: one command starts the panel, heals it, and stops it with nothing left."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.launcher.processes import ROOT, children_of, command_of, environment, keepers, living, servers, wait_for

PARTS = ("web", "web worker", "worker_forward", "worker_default", "beat", "sandbox", "keeper", "postgres", "valkey")


class Panel:
    """A panel that run_all keeps, its output in a file."""

    def __init__(self, var_dir: Path, *, demo: bool = False) -> None:
        self.var_dir = var_dir
        self.port = free_ports()
        self.output = var_dir.parent / "output"
        variables = {"PORT": str(self.port), "DEMO": str(int(demo)), "PROVIDER_READ_TIMEOUT": "5"}
        with self.output.open("w") as output:
            self.popen = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "run_all"],
                env=environment(var_dir, **variables),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        wait_for(self.is_up, "the panel telling where it is", seconds=90)

    def said(self) -> str:
        return self.output.read_text()

    def is_up(self) -> bool:
        assert self.popen.poll() is None, self.said()
        return "Stop with Ctrl-C" in self.said()

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def processes(self, word: str) -> list[psutil.Process]:
        """Return the children that have a word on their command line."""
        children = children_of(psutil.Process(self.popen.pid))
        return [child for child in children if word in command_of(child)]

    def part(self, name: str) -> list[psutil.Process]:
        """Return the living processes that are one part of the panel."""
        if name in {"postgres", "valkey"}:
            return servers(self.var_dir, name)
        if name == "keeper":
            return keepers(self.var_dir)
        if name == "web worker":
            return [child for web in self.part("web") for child in children_of(web)]
        words = {
            "web": "wsgi",
            "worker_forward": "forward@%h",
            "worker_default": "default@%h",
            "sandbox": "run_sandbox",
        }
        return self.processes(words.get(name, name))


@contextmanager
def starting(var_dir: Path, *, demo: bool = False) -> Iterator[Panel]:
    panel = Panel(var_dir, demo=demo)
    try:
        yield panel
    finally:
        if panel.popen.poll() is None:
            panel.popen.send_signal(signal.SIGTERM)
            panel.popen.wait(60)


@contextmanager
def running(var_dir: Path, *, demo: bool = False) -> Iterator[Panel]:
    with starting(var_dir, demo=demo) as panel:
        panel.wait()
        yield panel


def free_ports() -> int:
    """Return a port that is free and whose next one is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def test_the_demo_says_who_can_sign_in_heals_and_ends_with_its_terminal(
    var_dir: Path, subtests: pytest.Subtests
) -> None:
    with running(var_dir, demo=True) as panel:
        with subtests.test("greeting"):
            said = panel.said()
            assert f"http://127.0.0.1:{panel.port}/admin/" in said
            assert f"http://127.0.0.1:{panel.port + 1}/" in said
            assert len(re.findall(r"^  (?:Customer|Staff) .*@.* password \S+$", said, re.MULTILINE)) == 2
            assert panel.answers()
        for name in PARTS:
            with subtests.test("killed", part=name):
                kill_and_see_it_come_back(panel, name)
        with subtests.test("a second panel on the same folder"):
            done = run_all(var_dir, PORT=str(free_ports()), DEMO="0")
            assert (done.returncode, done.stderr.count("\n")) == (1, 1)
            assert "runs on" in done.stderr
        os.killpg(panel.popen.pid, signal.SIGHUP)
        assert panel.popen.wait(60) == 0, panel.said()
        assert living(var_dir) == []


def kill_and_see_it_come_back(panel: Panel, name: str) -> None:
    before = panel.part(name)
    assert before
    before[0].kill()
    wait_for(lambda: (now := panel.part(name)) and before[0] not in now, f"a new {name}")
    wait_for(panel.answers, "the panel answering")
    wait_for(lambda: len(servers(panel.var_dir, "")) == 2, "both servers")
    if name in {"web", "worker_forward", "worker_default", "beat", "sandbox"}:
        assert f"{name} was ended by SIGKILL; starting it again" in panel.said()


def test_two_panels_side_by_side_end_on_their_own(new_var_dir: Callable[..., Path]) -> None:
    with starting(new_var_dir("my var")) as one, starting(new_var_dir()) as other:
        one.wait()
        other.wait()
        one.popen.kill()
        one.popen.wait()
        wait_for(lambda: not living(one.var_dir), "the end of everything whose runner was killed", seconds=30)
        assert other.answers()
        other.popen.send_signal(signal.SIGINT)
        wait_for(lambda: "Stopping" in other.said(), "the first Ctrl-C being heard")
        other.popen.send_signal(signal.SIGINT)
        assert other.popen.wait(60) == 0, other.said()
        assert living(other.var_dir) == []
        assert "Traceback" not in other.said()


@pytest.mark.parametrize("offset", [0, 1])
def test_a_port_in_use_is_said_in_one_line_and_nothing_is_started(var_dir: Path, offset: int) -> None:
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + offset)):
        done = run_all(var_dir, PORT=str(port))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Port {port + offset} " in done.stderr


def run_all(var_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "run_all"]
    return subprocess.run(
        command, env=environment(var_dir, **variables), capture_output=True, text=True, timeout=60, check=False
    )
