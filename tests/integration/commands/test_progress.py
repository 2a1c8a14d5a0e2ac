import os
import pty
import subprocess
import sys
from io import StringIO

import pytest

from catalog.management.progress import Progress
from catalog.models import Provider
from catalog.providers.sandbox import Sandbox
from tests.processes import ROOT, environment, manage


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_how_far_a_command_is_and_left_clean() -> None:
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress.say("Reading …")
        for number in (0, 12_000, 50_000):
            progress.show("compared", number, 50_000)
        progress.show("applied", 0, 0)
    assert [line.removeprefix("\033[K") for line in terminal.getvalue().split("\r")] == [
        "",
        "Reading …",
        "[--------------------] 0 of 50,000 compared",
        "[####----------------] 12,000 of 50,000 compared",
        "[####################] 50,000 of 50,000 compared",
        "",
    ]


def test_a_file_is_told_nothing() -> None:
    with StringIO() as file, Progress(file) as progress:
        progress.show("compared", 1, 2)
        assert file.getvalue() == ""


def on_a_terminal(*arguments: str) -> tuple[str, str]:
    """Run a manage.py command whose stderr is a terminal; return what it printed and what the terminal was told."""
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        timeout=60,
        check=True,
    )
    os.close(theirs)
    told = os.read(ours, 65536).decode()
    os.close(ours)
    return ran.stdout, told


@pytest.mark.django_db(transaction=True)
def test_an_import_and_a_sync_show_a_bar_on_a_terminal_alone(provider: Provider, sandbox: Sandbox) -> None:
    printed, told = on_a_terminal("import_services", provider.name)
    assert printed.startswith("added 25,")
    assert f"Reading the list of {provider.name} …" in told
    assert "[####################] 25 of 25 imported" in told
    assert told.endswith("\r\033[K")
    sandbox.set_service(1, rate="0.95")
    printed, told = on_a_terminal("sync_services", provider.name)
    assert printed.endswith("Applied.\n")
    assert "25 of 25 compared" in told
    assert "1 of 1 applied" in told
    assert manage("sync_services", provider.name).stderr == ""
