"""Fifty thousand services: how long reading, importing and following them takes, and in how much memory.

The commands run as an operator runs them, against a provider in a process of its own, so that the peak is theirs alone.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from catalog import pricing, publishing
from catalog.models import ProviderService, Service, Sync
from tests.conftest import make_provider
from tests.processes import ROOT, answers, environment, free_port, running, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SERVICES = 50_000
# 271 were measured; a worker that needs more than this for one list would be a surprise to whoever sized it.
MOST_MEGABYTES = 400
SERVER = """
import http.server, pathlib, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = pathlib.Path(sys.argv[2]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

# The peak of this program alone; what getrusage says begins with that of the process that started it.
COMMAND = """
import sys
from django.core.management import execute_from_command_line
try:
    execute_from_command_line(sys.argv)
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


def write_list(path: Path, rate: str) -> None:
    """Write a list of services as long as real ones are, about 450 bytes each."""
    rows = (
        {
            "service": number,
            "name": f"Website visits, plan {number} – steady & slow [max {number}K] 🚀",
            "type": "Default",
            "category": f"⭐ Category {number % 300}",
            "rate": rate,
            "min": "10",
            "max": "100000",
            "refill": number % 2 == 0,
            "cancel": True,
            "desc": "Starts in an hour. Speed about 5K a day. " * 5,
        }
        for number in range(1, SERVICES + 1)
    )
    path.write_text(json.dumps(list(rows)))


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Answer every call with a file, from another process; give the address."""
    port = free_port()
    with running([sys.executable, "-c", SERVER, str(port), str(path)]):
        wait_for(lambda: answers(port), what="the provider")
        yield f"http://127.0.0.1:{port}/api/v2"


def measure(name: str, *arguments: str) -> None:
    """Run a manage.py command, and say what it took; its peak memory must stay within bounds."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=ROOT,
        env=environment(PROVIDER_READ_TIMEOUT="60", DJANGO_SETTINGS_MODULE="panel.settings"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = int(ran.stderr.split()[-2]) // 1024
    print(f"{name:<28} {took:>7.1f} s   own cpu {cpu:>6.1f} s   peak {peak:>4} MB")  # noqa: T201 - its purpose
    assert peak < MOST_MEGABYTES


def test_fifty_thousand_services_come_in_and_are_followed_in_bounded_memory(tmp_path: Path) -> None:
    listed = tmp_path / "services.json"
    write_list(listed, "1.25")
    with serving(listed) as url:
        provider = make_provider(url, name="Large", synced_at=None)
        measure("a command that does nothing", "import_services", "--help")
        measure("import", "import_services", "Large", "--markup", "20")
        assert Service.objects.filter(enabled=True).count() == SERVICES
        measure("import again", "import_services", "Large")
        publishing.publish()
        measure("sync, nothing differs", "sync_services", "Large")
        write_list(listed, "1.5")
        measure("sync, all rates differ", "sync_services", "Large")
    assert Sync.objects.filter(provider=provider, state=Sync.State.APPLIED).count() == 1
    assert ProviderService.objects.filter(rate=Decimal("1.5")).count() == SERVICES
    assert {pricing.list_rate(terms) for terms in pricing.load_terms(None).values()} == {Decimal("1.8")}
