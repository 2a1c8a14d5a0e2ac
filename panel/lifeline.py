"""Processes that end with the one that started them, and ways to end them in good order.

Standard library only: the keeper of the embedded servers runs before Django's settings exist.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def follow_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """Give a `preexec_fn` after which the kernel sends `signal_number` to the child when its parent is gone.

    Linux only; elsewhere it does nothing. The kernel looks at the thread that starts the child, so start it in the main
    thread. It must run after a change of user, which clears the setting; `subprocess` keeps that order.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def end(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """Send each step's signal and wait its seconds for the process to end; SIGKILL after the last one."""
    for signal_number, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(signal_number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()


def end_stray(pid_file: Path, folder: Path, *steps: tuple[signal.Signals, float]) -> None:
    """End the server that a dead keeper left in `folder`, named by the first line of its own `pid_file`.

    A process that only happens to have that number is left alone. Returns when it is gone.
    """
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    for signal_number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        if not _works_in(pid, folder):
            return
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        wait_until(lambda: not _works_in(pid, folder), seconds)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look at a condition until it holds or the seconds are over, and say whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _works_in(pid: int, folder: Path) -> bool:
    """Say whether a live process has `folder` as its working directory, which both servers keep for their life."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").resolve(strict=True) == folder.resolve()
        except OSError:
            return False
    told = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "postgres" in told.stdout or "valkey" in told.stdout
