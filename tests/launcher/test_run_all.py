"""`manage.py run_all`: one command starts the panel, heals it and stops it with nothing left (issue 2, "Shown by" 1 and 9)."""

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

from tests.launcher.processes import ROOT, environment, keepers, living, servers, wait_for

HEALING = "starting it again"


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

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the children whose command line has all these words."""
        children = psutil.Process(self.popen.pid).children()
        return [child for child in children if set(words) <= set(" ".join(child.cmdline()).split())]


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


def test_ctrl_c_ends_everything_with_exit_code_0(var_dir: Path) -> None:
    panel = Panel(var_dir)
    assert panel.answers()
    assert {len(panel.processes(*words)) for words in (["granian"], ["beat"], ["forward"], ["default"])} <= {0, 1}
    panel.popen.send_signal(signal.SIGINT)
    panel.popen.send_signal(signal.SIGINT)
    assert panel.popen.wait(60) == 0, panel.said()
    assert living(var_dir) == []
    assert "Traceback" not in panel.said()


@pytest.mark.parametrize("name", ["web", "web worker", "worker_forward", "worker_default", "beat"])
def test_a_killed_process_is_started_again(healing: Panel, name: str) -> None:
    pick = {
        "web": lambda: healing.processes("wsgi"),
        "web worker": lambda: healing.processes("wsgi")[0].children(),
        "worker_forward": lambda: healing.processes("forward@%h"),
        "worker_default": lambda: healing.processes("default@%h"),
        "beat": lambda: healing.processes("beat"),
    }[name]
    before = pick()
    assert before
    before[0].kill()
    wait_for(lambda: (now := pick()) and before[0] not in now, f"a new {name}")
    wait_for(healing.answers, "the panel answering")
    if name != "web worker":
        assert f"{name} was ended by SIGKILL; {HEALING}" in healing.said()


@pytest.mark.parametrize("name", ["keeper", "postgres", "valkey"])
def test_killed_servers_come_back_under_a_running_panel(healing: Panel, name: str) -> None:
    def pick() -> list[psutil.Process]:
        return keepers(healing.var_dir) if name == "keeper" else servers(healing.var_dir, name)

    before = pick()
    before[0].kill()
    wait_for(lambda: (now := pick()) and before[0] not in now, f"a new {name}")
    wait_for(healing.answers, "the panel answering")
    wait_for(lambda: len(servers(healing.var_dir, "")) == 2, "both servers")


@pytest.fixture(scope="module")
def healing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    """One panel for all kills, so that it is not started for each."""
    folder = tmp_path_factory.mktemp("healing")
    with running(folder / "var") as panel:
        yield panel
    assert panel.popen.returncode == 0, panel.said()
    assert living(folder / "var") == []


def test_a_killed_runner_takes_everything_with_it(var_dir: Path) -> None:
    panel = Panel(var_dir)
    panel.popen.kill()
    panel.popen.wait()
    wait_for(lambda: not living(var_dir), "the end of everything", seconds=30)


def test_a_closed_terminal_ends_everything(var_dir: Path) -> None:
    panel = Panel(var_dir)
    os.killpg(panel.popen.pid, signal.SIGHUP)
    assert panel.popen.wait(60) == 0, panel.said()
    assert living(var_dir) == []


def test_two_panels_run_side_by_side(new_var_dir: Callable[[], Path]) -> None:
    with running(new_var_dir()) as one, running(new_var_dir()) as other:
        assert one.answers()
        assert other.answers()
        assert one.port != other.port


@pytest.mark.parametrize("offset", [0, 1])
def test_a_port_in_use_is_said_in_one_line_and_nothing_is_started(var_dir: Path, offset: int) -> None:
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + offset)):
        done = run_all(var_dir, PORT=str(port))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Port {port + offset} " in done.stderr


def test_a_second_panel_on_the_same_folder_is_refused_in_one_line(var_dir: Path) -> None:
    with running(var_dir):
        done = run_all(var_dir, PORT=str(free_ports()), DEMO="0")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "runs on" in done.stderr


def test_the_demo_tells_where_it_is_and_who_can_sign_in(var_dir: Path) -> None:
    with running(var_dir, demo=True) as panel:
        said = panel.said()
        assert f"http://127.0.0.1:{panel.port}/admin/" in said
        assert f"http://127.0.0.1:{panel.port + 1}/" in said
        assert len(re.findall(r"^  (?:Customer|Staff) .*@.* password \S+$", said, re.MULTILINE)) == 2
        sandbox = panel.processes("run_sandbox")[0]
        sandbox.kill()
        wait_for(lambda: sandbox not in (panel.processes("run_sandbox") or [sandbox]), "a new sandbox")


def run_all(var_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "run_all"]
    return subprocess.run(
        command, env=environment(var_dir, **variables), capture_output=True, text=True, timeout=60, check=False
    )
