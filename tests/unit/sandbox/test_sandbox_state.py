"""What the sandbox confirmed outlives it, however it dies."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from catalog.providers.sandbox import Sandbox, StateError, serving

from .conftest import Clock

ROOT = Path(__file__).parents[3]
ORDER = {"key": "sandbox-key", "action": "add", "service": "1", "link": "https://example.com/a", "quantity": "1000"}
SERVE = """
import sys
from pathlib import Path
from catalog.providers.sandbox import Sandbox, serve_forever
assert "django" not in sys.modules
serve_forever(Sandbox(pace=0, state=Path(sys.argv[1])), 0, ready=lambda url: print(url, flush=True))
"""


@contextmanager
def sandbox_process(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a sandbox in a process without Django, and kill it in the end if it still lives."""
    command = [sys.executable, "-c", SERVE, str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def add(world: Sandbox) -> str:
    with serving(world) as url:
        return str(requests.post(url, data=ORDER, timeout=10).json()["order"])


def test_no_confirmed_order_is_lost_and_no_id_repeated_after_kill_9(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "sandbox.json"
    confirmed: list[int] = []

    def keep_ordering(url: str) -> None:
        try:
            while True:
                confirmed.append(requests.post(url, data=ORDER, timeout=10).json()["order"])
        except requests.RequestException:
            return

    for _ in range(3):
        enough = len(confirmed) + 30
        with sandbox_process(state) as (process, url):
            threads = [threading.Thread(target=keep_ordering, args=(url,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            while len(confirmed) < enough and any(thread.is_alive() for thread in threads):
                threads[0].join(0.005)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
    assert len(confirmed) >= 90
    assert len(set(confirmed)) == len(confirmed)
    survivor = Sandbox(pace=0, state=state)
    assert {str(number) for number in confirmed} <= set(survivor.orders)
    # What was taken and not confirmed any more can only be the calls that were under way at the three kills.
    assert len(survivor.orders) <= len(confirmed) + 3 * 4
    assert survivor.balance == Decimal(10000) - Decimal("0.9") * len(survivor.orders)
    assert list(survivor.orders) == [str(70001 + number) for number in range(len(survivor.orders))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with sandbox_process(tmp_path / "state") as (process, url):
        assert requests.post(url, data=ORDER, timeout=10).json() == {"order": 70001}
        process.send_signal(number)
        assert process.wait(timeout=10) == 0


def test_everything_about_an_order_comes_back(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    first = Sandbox(state=state, clock=clock)
    first.set_service(1, refill=True)
    number = add(first)
    clock.pass_by(5)
    with serving(first) as url:
        requests.post(url, data={"key": "sandbox-key", "action": "refill", "order": number}, timeout=10)
    second = Sandbox(state=state, clock=clock)
    assert second.orders == first.orders
    assert second.refills == first.refills
    assert second.balance == first.balance == Decimal("9999.1")
    assert add(second) == "70002"


def test_a_life_goes_on_where_it_was_also_through_the_time_it_was_down(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    number = add(Sandbox(state=state, clock=clock))
    clock.pass_by(2.5)
    assert Sandbox(state=state, clock=clock).orders[number].status == "In progress"
    clock.pass_by(2.5)
    assert Sandbox(state=state, clock=clock).orders[number].status == "Completed"


def test_an_order_moved_by_hand_stays_where_it_was_put(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    first = Sandbox(state=state, clock=clock)
    number = add(first)
    first.set_order(number, status="Partial", remains="157", charge="0.7")
    clock.pass_by(100)
    second = Sandbox(state=state, clock=clock)
    order = second.orders[number]
    assert (order.status, order.remains, order.charge) == ("Partial", "157", Decimal("0.7"))
    second.set_order(number, status="Processing")
    third = Sandbox(state=state, clock=clock)
    clock.pass_by(100)
    assert third.orders[number].status == "Processing"


def test_orders_taken_without_a_pace_move_once_there_is_one(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    number = add(Sandbox(pace=0, state=state, clock=clock))
    brisk = Sandbox(pace=1, state=state, clock=clock)
    clock.pass_by(5)
    assert brisk.orders[number].status == "Completed"


def test_a_line_torn_in_the_middle_is_dropped_and_the_file_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    add(Sandbox(pace=0, state=state))
    with state.open("ab") as file:
        file.write(b'{"order":{"id":"70002","serv')
    torn = Sandbox(pace=0, state=state)
    assert list(torn.orders) == ["70001"]
    assert add(torn) == "70002"
    assert list(Sandbox(pace=0, state=state).orders) == ["70001", "70002"]


def test_a_start_writes_each_order_once(tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "state"
    first = Sandbox(state=state, clock=clock)
    add(first)
    clock.pass_by(100)
    assert first.orders["70001"].status == "Completed"
    long = len(state.read_bytes().splitlines())
    Sandbox(state=state, clock=clock)
    assert (long, len(state.read_bytes().splitlines())) == (7, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("content", [b"not json\n", b"[1, 2]\n", b"\x00\xff\n{}\n"])
def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    state = tmp_path / "state"
    state.write_bytes(content)
    with pytest.raises(StateError, match="is not one of the sandbox's"):
        Sandbox(state=state)
    assert state.read_bytes() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "state"):
        with pytest.raises(StateError, match="cannot be used"):
            Sandbox(state=place)


def test_two_sandboxes_never_write_one_file(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first, second = Sandbox(pace=0, state=state), Sandbox(pace=0, state=state)
    with serving(first), pytest.raises(StateError, match="in use by another sandbox"):
        Sandbox(pace=0, state=state)
    add(first)
    with pytest.raises(StateError, match="changed by another sandbox"), serving(second):
        pass
