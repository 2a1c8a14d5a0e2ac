"""The Makefile, the Procfile and `.env.example` say what they do and do what they say."""

import fcntl
import itertools
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from panel.running import read_procfile
from tests.launcher.processes import ROOT, environment, living
from tests.launcher.test_run_all import free_ports

MAKE = shutil.which("make") or "make"
MAKEFILE = (ROOT / "Makefile").read_text()
# Read by docker-compose.yml and by run_all, not by the settings.
READ_ELSEWHERE = {"POSTGRES_PASSWORD", "HOST", "DEMO"}


def test_make_alone_lists_every_command() -> None:
    said = subprocess.run([MAKE, "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    for name in ("run", "test", "lint", "check", "bench", "help"):
        assert re.search(rf"^  {name} +\w", said, re.MULTILINE), name


def test_make_installs_again_only_when_the_lock_is_newer(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / ".venv").mkdir()
    lock, stamp = tmp_path / "requirements.lock", tmp_path / ".venv" / ".installed"
    lock.touch()
    stamp.touch()
    os.utime(lock, (1_000_000, 1_000_000))
    question = [MAKE, "-C", str(tmp_path), "-q", ".venv/.installed"]
    assert subprocess.run(question, capture_output=True, check=False).returncode == 0
    os.utime(lock, (4_000_000_000, 4_000_000_000))
    assert subprocess.run(question, capture_output=True, check=False).returncode == 1


def test_make_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "requirements.lock").touch()
    done = subprocess.run([MAKE, "-C", str(tmp_path), "run", "PYTHON="], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("Python 3.11 or newer is needed")


def test_ctrl_c_on_make_run_leaves_nothing_and_no_wall_of_errors(var_dir: Path) -> None:
    terminal, far_end = pty.openpty()
    process = subprocess.Popen(
        [MAKE, "-o", ".venv/.installed", "run"],
        cwd=ROOT,
        env=environment(var_dir, PORT=str(free_ports()), DEMO="0"),
        stdin=far_end,
        stdout=far_end,
        stderr=far_end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C needs a terminal of its own
    )
    os.close(far_end)
    try:
        said = read_until(terminal, "Stop with Ctrl-C")
        os.write(terminal, b"\x03")
        said += read_until(terminal, None)
        assert living(var_dir) == [], "make has ended, so the keeper must have"
    finally:
        os.close(terminal)
        process.wait(60)
    assert said.rstrip().endswith("Stopped.")
    assert not re.search(r"Traceback|Error \d|\*\*\*", said), said


def read_until(terminal: int, words: str | None) -> str:
    """Read a terminal until it shows some words, or to its end."""
    said = ""
    deadline = time.monotonic() + 90
    while words is None or words not in said:
        assert time.monotonic() < deadline, said
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            part = os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
        if not part:
            break
        said += part
    return said


def test_the_procfile_takes_its_values_from_the_environment_and_its_programs_from_our_folder() -> None:
    commands = read_procfile(ROOT / "Procfile", {"PORT": "8123", "VAR_DIR": "/a folder"})
    assert commands.keys() == {"web", "worker_forward", "worker_default", "beat"}
    assert commands["web"][commands["web"].index("--port") + 1] == "8123"
    assert commands["web"][commands["web"].index("--host") + 1] == "127.0.0.1"
    assert "/a folder/beat-schedule" in commands["beat"]
    assert {Path(command[0]).parent for command in commands.values()} == {Path(sys.executable).parent}


def test_env_example_names_exactly_the_variables_that_are_read() -> None:
    settings = (ROOT / "panel" / "settings.py").read_text()
    read = set(re.findall(r'(?:\benv\.\w+|\benv|read_secret)\(\s*"([A-Z_]+)"', settings))
    shown = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert shown == read | READ_ELSEWHERE


def test_env_example_gives_every_variable_a_reason() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"(# )?[A-Z_]+=", line):
            assert above.startswith("# "), line


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD"])
def test_env_example_holds_no_usable_secret(name: str) -> None:
    assert f"\n{name}=change-me" in (ROOT / ".env.example").read_text()


def test_ci_run_is_a_program_that_a_shell_understands() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["/bin/bash", "-n", str(ROOT / ".ci" / "run")], check=False).returncode == 0
