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

from tests.launcher.conftest import var_dirs
from tests.launcher.processes import ROOT, command_of, environment, keepers, living, servers, wait_for

# One worker of a parallel run starts panels, so that they do not fight for two cores.
pytestmark = pytest.mark.xdist_group("panels")


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
        wait_for(self.is_up, f"the panel; it said: {self.said()}")

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
        children = psutil.Process(self.popen.pid).children()
        return [child for child in children if word in command_of(child)]

    def part(self, name: str) -> list[psutil.Process]:
        """Return the living processes that are one part of the panel."""
        if name in {"postgres", "valkey"}:
            return servers(self.var_dir, name)
        if name == "keeper":
            return keepers(self.var_dir)
        if name == "web worker":
            return [child for web in self.part("web") for child in web.children()]
        words = {
            "web": "wsgi",
            "worker_forward": "forward@%h",
            "worker_default": "default@%h",
            "sandbox": "run_sandbox",
        }
        return self.processes(words.get(name, name))


@contextmanager
def running(var_dir: Path, *, demo: bool = False) -> Iterator[Panel]:
    panel = Panel(var_dir, demo=demo)
    try:
        yield panel
    finally:
        if panel.popen.poll() is None:
            panel.popen.send_signal(signal.SIGTERM)
            panel.popen.wait(60)


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


@pytest.fixture(scope="module")
def demo() -> Iterator[Panel]:
    """One panel with its demo for all the kills, so that it is not started for each."""
    with var_dirs() as make, running(make(), demo=True) as panel:
        yield panel


def test_the_demo_tells_where_it_is_and_who_can_sign_in(demo: Panel) -> None:
    said = demo.said()
    assert f"http://127.0.0.1:{demo.port}/admin/" in said
    assert f"http://127.0.0.1:{demo.port + 1}/" in said
    assert len(re.findall(r"^  (?:Customer|Staff) .*@.* password \S+$", said, re.MULTILINE)) == 2
    assert demo.answers()


@pytest.mark.parametrize(
    "name", ["web", "web worker", "worker_forward", "worker_default", "beat", "sandbox", "keeper", "postgres", "valkey"]
)
def test_a_killed_part_of_a_running_panel_comes_back(demo: Panel, name: str) -> None:
    before = demo.part(name)
    assert before
    before[0].kill()
    wait_for(lambda: (now := demo.part(name)) and before[0] not in now, f"a new {name}")
    wait_for(demo.answers, "the panel answering")
    wait_for(lambda: len(servers(demo.var_dir, "")) == 2, "both servers")
    if name in {"web", "worker_forward", "worker_default", "beat", "sandbox"}:
        assert f"{name} was ended by SIGKILL; starting it again" in demo.said()


def test_a_second_panel_on_the_same_folder_is_refused_in_one_line(demo: Panel) -> None:
    done = run_all(demo.var_dir, PORT=str(free_ports()), DEMO="0")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "runs on" in done.stderr


def test_two_panels_side_by_side_end_on_their_own(new_var_dir: Callable[..., Path]) -> None:
    with running(new_var_dir("my var")) as one, running(new_var_dir()) as other:
        os.killpg(one.popen.pid, signal.SIGHUP)  # its terminal is closed
        assert one.popen.wait(60) == 0, one.said()
        assert living(one.var_dir) == []
        assert other.answers()
        other.popen.send_signal(signal.SIGINT)
        wait_for(lambda: "Stopping" in other.said(), "the first Ctrl-C being heard")
        other.popen.send_signal(signal.SIGINT)
        assert other.popen.wait(60) == 0, other.said()
        assert living(other.var_dir) == []
        assert "Traceback" not in one.said() + other.said()


def test_a_killed_runner_takes_everything_with_it(var_dir: Path) -> None:
    panel = Panel(var_dir)
    panel.popen.kill()
    panel.popen.wait()
    wait_for(lambda: not living(var_dir), "the end of everything", seconds=30)


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
