"""Loaded before Django's settings (`-p tests.environment`): gives a test run servers, secrets and intervals of its own.

The run's VAR_DIR is a new folder, removed when the servers in it have stopped, so that runs never meet each other or a
running panel. Workers of a parallel run share the servers of the process that started them; each has its own database.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

MADE_HERE = "PANEL_TESTS_VAR_DIR"

if MADE_HERE not in os.environ:
    var_dir = tempfile.mkdtemp(prefix="panel-tests-")
    Path(var_dir).chmod(0o755)  # the database's own user must be able to enter it
    os.environ[MADE_HERE] = var_dir
    OWNER = True
else:
    OWNER = False

for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "PORT", "DEBUG", "CURRENCY"):
    os.environ.pop(name, None)
os.environ |= {
    "VAR_DIR": os.environ[MADE_HERE],
    "EMAIL_URL": "memorymail://",
    "PROVIDER_CONNECT_TIMEOUT": "2",
    "PROVIDER_READ_TIMEOUT": "3",
    "DISPATCH_LEASE_SECONDS": "10",
    "SYNC_EVERY_SECONDS": "1",
    # Tests and benchmarks share one address and hammer one key; the limits' own tests set them.
    "API_KEY_CALLS_PER_SECOND": "0",
    "API_ADDRESS_CALLS_PER_SECOND": "0",
    # Playwright keeps an event loop in the thread of the test; Django would take that for asynchronous code.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
}


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Leave the servers, wait until they have stopped, and remove their folder."""
    embedded = sys.modules.get("panel.embedded")
    if not OWNER or embedded is None:
        return
    var_dir = Path(os.environ["VAR_DIR"])
    embedded.leave(var_dir)
    embedded.wait_for_end(var_dir)
    shutil.rmtree(var_dir, ignore_errors=True)
