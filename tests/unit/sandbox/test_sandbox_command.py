"""`manage.py run_sandbox` says where it is in one line, stops when told, and fails in one line."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from catalog.providers.sandbox import Sandbox, StateError, serving

ROOT = Path(__file__).parents[3]
ORDER = {"key": "k", "action": "add", "service": "1", "quantity": "100"}
# As manage.py would run it, but without the panel's settings and so without its database.
RUN = """
import sys
from django.conf import settings
settings.configure()
from catalog.management.commands.run_sandbox import Command
Command().run_from_argv(["manage.py", "run_sandbox", *sys.argv[1:]])
"""


@contextmanager
def run_sandbox(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-c", RUN, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_keeps_its_state(tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "sandbox.json"
    with run_sandbox("--port", "0", "--key", "k", "--pace", "0", "--state", str(state)) as process:
        line = first_line(process)
        url = line.split()[3]
        assert line == f"Sandbox provider at {url} with the key k\n"
        for link in ("https://example.com/a", "https://example.com/b"):
            requests.post(url, data={**ORDER, "link": link}, timeout=10)
        with ThreadPoolExecutor(1) as caller:
            hanging = caller.submit(requests.post, url, data={**ORDER, "link": "https://example.com/#hang"}, timeout=30)
            where = url.removesuffix("/api/v2") + "/__sandbox__"
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                count = requests.post(where, json={"key": "k", "op": "received", "count": True}, timeout=10).json()
                if count == {"result": 3}:
                    break
            began = time.monotonic()
            process.send_signal(number)
            output, errors = process.communicate(timeout=10)
            assert time.monotonic() - began < 2
            assert isinstance(hanging.exception(timeout=10), requests.ConnectionError)
    assert (process.returncode, output, errors) == (0, "", "")
    assert list(Sandbox(state=state).orders) == ["70001", "70002", "70003"]


def test_its_options_choose_its_habits() -> None:
    options = ("--remembers-keys", "--lists-orders", "--no-batches", "--multi-refill=scalar", "--calls-per-minute=4")
    with run_sandbox("--port", "0", "--key", "k", "--pace", "0", *options) as process:
        url = first_line(process).split()[3]

        def ask(action: str, **params: str) -> requests.Response:
            return requests.post(url, data={"key": "k", "action": action, **params}, timeout=10)

        order = {"service": "1", "link": "https://example.com/a", "quantity": "100", "request_id": "r1"}
        assert [ask("add", **order).json() for _ in range(2)] == [{"order": 70001}] * 2
        assert [row["order"] for row in ask("orders").json()] == [70001]
        assert ask("status", orders="70001,70002").json() == {"error": "Incorrect order ID"}
        assert [ask("balance").status_code for _ in range(3)] == [200, 200, 429]


def test_its_options_choose_what_it_sells() -> None:
    with run_sandbox("--port", "0", "--key", "k", "--pace", "0", "--products", "--no-result-product") as process:
        url = first_line(process).split()[3]
        answers = [
            requests.post(url, data={"key": "k", "action": action, "order": "70001"}, timeout=10).json()
            for action in ("products", "product_order_status", "result_product")
        ]
    assert answers[0][0]["product"] == 1
    assert answers[1:] == [{"error": "Incorrect order ID"}, {"error": "Incorrect request"}]


def test_a_port_in_use_is_one_line_and_exit_code_1(world: Sandbox, url: str) -> None:
    port = str(urlsplit(url).port)
    with run_sandbox("--port", port) as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (1, "")
    assert errors == f"CommandError: Port {port} on 127.0.0.1 is in use by another program.\n"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--port", "70000"), "--port must be between 0 and 65535, not 70000."),
        (("--pace", "-1"), "--pace must be 0 or more, not -1.0."),
        (("--pace", "nan"), "--pace must be 0 or more, not nan."),
        (("--calls-per-minute", "0"), "--calls-per-minute must be 1 or more, not 0."),
        (("--port", "0", "--host", "192.0.2.1"), "cannot be listened on: "),
        (("--port", "0", "--state", "/"), "The state file / cannot be used: "),
    ],
)
def test_bad_options_are_one_line_and_exit_code_1(options: tuple[str, ...], error: str) -> None:
    with run_sandbox(*options) as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors.count("\n")) == (1, "", 1)
    assert error in errors


def test_a_second_one_on_the_same_state_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.json"
    with run_sandbox("--port", "0", "--state", str(state)) as first:
        first_line(first)
        with run_sandbox("--port", "0", "--state", str(state)) as second:
            _, errors = second.communicate(timeout=20)
        assert (second.returncode, errors) == (
            1,
            f"CommandError: The state file {state} is in use by another sandbox.\n",
        )
        with pytest.raises(StateError):
            Sandbox(state=state)


def test_many_at_once_are_each_taken_once(tmp_path: Path) -> None:
    world = Sandbox(pace=0, state=tmp_path / "state")

    def add(number: int) -> int:
        order = {**ORDER, "key": world.key, "link": f"https://example.com/{number}"}
        return int(requests.post(world.url, data=order, timeout=30).json()["order"])

    with serving(world), ThreadPoolExecutor(64) as callers:
        numbers = list(callers.map(add, range(400)))
    assert sorted(numbers) == list(range(70001, 70401))
    assert all(world.accepted(f"https://example.com/{number}") == 1 for number in range(400))
