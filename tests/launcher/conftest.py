import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.launcher.processes import apart, living, wait_for


@contextmanager
def var_dirs() -> Iterator[Callable[..., Path]]:
    """Make folders for servers of their own; at the end nothing may run in any of them."""
    made: list[Path] = []

    def make(name: str = "var") -> Path:
        folder = Path(tempfile.mkdtemp(prefix="panel-launcher-"))
        folder.chmod(0o755)  # as root the servers' own user must be able to enter it
        made.append(folder / name)
        return folder / name

    yield make
    try:
        for var_dir in made:
            wait_for(partial(_is_quiet, var_dir), f"the end of all that ran in {var_dir}", seconds=20)
    finally:
        for var_dir in made:
            for process in living(var_dir):
                process.kill()
            for folder in (var_dir.parent, apart(var_dir)):
                if folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_var_dir() -> Iterator[Callable[..., Path]]:
    with var_dirs() as make:
        yield make


def _is_quiet(var_dir: Path) -> bool:
    return not living(var_dir)


@pytest.fixture
def var_dir(new_var_dir: Callable[..., Path]) -> Path:
    return new_var_dir()
