"""One keeper per VAR_DIR, however many come and however they die (`panel/embedded.py`)."""

import os
import random
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from panel import embedded
from tests.launcher.processes import (
    ROOT,
    USER,
    Process,
    apart,
    ask,
    command_of,
    environment,
    keepers,
    living,
    python_in,
    servers,
    using,
    wait_for,
)

MAKE_TABLE = "create table if not exists notes as select 42 as number"
READ_TABLE = "select number from notes"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another user")


def test_ten_that_come_at_once_to_an_empty_folder_share_one_keeper_and_one_secret(var_dir: Path) -> None:
    from_start = [Process(var_dir, sys.executable, "-c", USER, "select 1") for _ in range(10)]
    answers = [process.ready() for process in from_start]
    assert len({tuple(answer) for answer in answers}) == 1
    assert [len(keepers(var_dir)), len(servers(var_dir, "postgres")), len(servers(var_dir, "valkey"))] == [1, 1, 1]
    assert {stat.S_IMODE(file.stat().st_mode) for file in (var_dir / "secrets").iterdir()} == {0o600}
    for process in from_start:
        process.finish()
    wait_for(lambda: not living(var_dir), "the keeper leaving with its last user")


def test_ten_management_commands_at_once_all_succeed(var_dir: Path) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "showmigrations", "contenttypes"]
    started = [Process(var_dir, *command) for _ in range(10)]
    said = [process.finish() for process in started]
    assert [process.popen.returncode for process in started] == [0] * 10, said


@pytest.mark.parametrize("name", ["keeper", "postgres", "valkey", "user"])
def test_a_kill_of_any_process_leaves_nothing_running_and_the_data_whole(var_dir: Path, name: str) -> None:
    with using(var_dir, MAKE_TABLE) as process:
        process.ready()
        if name == "user":
            process.popen.kill()
        else:
            (keepers(var_dir) if name == "keeper" else servers(var_dir, name))[0].kill()
    wait_for(lambda: not living(var_dir), f"the end of everything after the {name} was killed", seconds=20)
    assert ask(var_dir, READ_TABLE) == "42"


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_server_that_dies_under_its_users_comes_back_at_the_same_address(var_dir: Path, name: str) -> None:
    with using(var_dir) as process:
        _, _, database_url, redis_url = process.ready()
        before = servers(var_dir, name)[0]
        before.kill()
        wait_for(lambda: before.pid not in [server.pid for server in servers(var_dir, name)], "the old one's end")
        wait_for(lambda: _answer(database_url, redis_url), f"{name} coming back")
        assert len(keepers(var_dir)) == 1


def test_a_server_that_nobody_keeps_is_ended_before_another_opens_its_data(var_dir: Path) -> None:
    with using(var_dir, MAKE_TABLE) as first:
        first.ready()
        kept = servers(var_dir, "postgres")[0]
        command, user, folder = kept.cmdline(), kept.uids().real, kept.cwd()
    wait_for(lambda: not living(var_dir), "the keeper's end")
    with subprocess.Popen(command, cwd=folder, user=user, stderr=subprocess.DEVNULL) as stray:
        try:
            wait_for(lambda: "ready" in _text(Path(folder) / "postmaster.pid"), "the stray server")
            assert ask(var_dir, READ_TABLE) == "42"
            assert stray.wait(10) == 0
        finally:
            stray.terminate()


def test_nobody_is_sent_to_servers_that_are_being_stopped(var_dir: Path) -> None:
    with using(var_dir, MAKE_TABLE) as first:
        first.ready()
        slow = servers(var_dir, "postgres")[0]
        slow.suspend()
    wait_for(lambda: not (var_dir / "services.json").exists(), "the keeper leaving")
    with using(var_dir, READ_TABLE) as newcomer:
        wait_for(lambda: newcomer.popen.pid in [process.pid for process in living(var_dir)], "the newcomer")
        slow.resume()
        assert newcomer.ready()[0] == "42"
        assert slow.pid not in [server.pid for server in servers(var_dir, "postgres")]


def test_the_servers_stay_until_the_last_user_has_gone(var_dir: Path) -> None:
    with using(var_dir) as last:
        last.ready()
        keeper = keepers(var_dir)[0]
        ask(var_dir)
        assert not _leaves(var_dir, within=1.0)
        assert keepers(var_dir) == [keeper]
    assert _leaves(var_dir, within=10.0)


def test_a_newcomer_who_meets_a_leaving_keeper_is_served(var_dir: Path) -> None:
    chance = random.Random(7)
    assert ask(var_dir, MAKE_TABLE) == "-"
    for _ in range(5):
        time.sleep(chance.uniform(0.0, 0.45))  # from before the keeper looks until after it has stopped the servers
        assert ask(var_dir, READ_TABLE) == "42"


def test_a_keeper_killed_while_it_makes_the_data_leaves_a_folder_that_works(var_dir: Path) -> None:
    process = Process(var_dir, sys.executable, "-c", USER, "select 1")
    wait_for(lambda: list(var_dir.glob(".postgres-*/data/base")), "initdb at work")
    keepers(var_dir)[0].kill()
    assert process.ready()[0] == "1", "the waiting user starts another keeper"
    process.finish()


def test_two_folders_are_served_side_by_side(new_var_dir: Callable[..., Path]) -> None:
    here, there = new_var_dir(), new_var_dir("a folder, with a space")
    with using(here, MAKE_TABLE) as one, using(there) as other:
        addresses = {*one.ready()[2:], *other.ready()[2:]}
        assert len(addresses) == 4
        assert ask(there, "select count(*) from pg_tables where tablename = 'notes'") == "0"


def test_a_second_process_may_want_what_the_first_did_not(var_dir: Path) -> None:
    only_redis = environment(
        var_dir, DATABASE_URL="postgresql://u:p@127.0.0.1:9/d", SECRET_KEY="s", ENCRYPTION_KEYS="e"
    )
    waiting = "from panel import settings; print('ready', settings.REDIS_URL, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", waiting],
        cwd=ROOT,
        env=only_redis,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("ready redis://")
        assert servers(var_dir, "postgres") == []
        assert ask(var_dir) == "1"
        assert len(keepers(var_dir)) == 1
        first.communicate("\n", timeout=20)


def test_other_people_of_the_machine_are_kept_out(var_dir: Path) -> None:
    with using(var_dir) as process:
        _, _, database_url, redis_url = process.ready()
        password = psycopg.conninfo.conninfo_to_dict(database_url)["password"]
        assert isinstance(password, str)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(database_url.replace(password, "guess"))
        with redis.Redis.from_url(redis_url.replace(password, "guess")) as stranger, pytest.raises(redis.RedisError):
            stranger.ping()
        assert not [other for other in psutil.process_iter() if password in " ".join(command_of(other))]
        private = [file for file in var_dir.iterdir() if file.is_file() and password in file.read_text()]
        assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}


def test_data_of_another_version_is_refused_in_one_line(var_dir: Path) -> None:
    ask(var_dir)
    wait_for(lambda: not living(var_dir), "the first keeper's end")
    (var_dir / "postgres" / "PG_VERSION").write_text("15\n")
    refused = Process(var_dir, sys.executable, str(ROOT / "manage.py"), "check")
    _, said = refused.finish()
    assert refused.popen.returncode == 1
    assert said.count("\n") == 1
    assert "was made by PostgreSQL 15" in said


def test_a_revived_keeper_serves_the_same_process_again(var_dir: Path) -> None:
    try:
        before = embedded.use_services(var_dir)
        keepers(var_dir)[0].kill()
        wait_for(lambda: not embedded.is_kept(var_dir), "the keeper's end")
        assert embedded.use_services(var_dir) == before
    finally:
        embedded.leave(var_dir)
    assert embedded.wait_for_end(var_dir)


@as_root
def test_root_runs_the_servers_as_somebody_else(var_dir: Path) -> None:
    with using(var_dir) as process:
        process.ready()
        assert {server.uids().real for server in servers(var_dir, "") if server.is_running()} == {65534}


@as_root
def test_a_closed_folder_of_root_works_and_keeps_its_mode(new_var_dir: Callable[..., Path]) -> None:
    var_dir = new_var_dir()
    clone = var_dir.parent
    clone.chmod(0o700)
    python = python_in(clone, with_servers=True)
    modes = {path: path.stat().st_mode for path in (clone, *clone.parents, Path("/var/lib"))}
    with using(var_dir, MAKE_TABLE, python=python) as process:
        process.ready()
        home = apart(var_dir)
        assert home is not None
        programs = {Path(server.exe()) for server in servers(var_dir, "")}
        assert {program.is_relative_to(home) for program in programs} == {True}
        said = process.finish()[1]
    assert said.count("\n") == 1
    assert str(home) in said
    with using(var_dir, READ_TABLE, python=python) as again:
        assert again.ready()[0] == "42"
        assert again.finish()[1] == ""
    assert modes == {path: path.stat().st_mode for path in modes}


@as_root
def test_an_ordinary_user_works_too(new_var_dir: Callable[..., Path]) -> None:
    nobody = 65534
    var_dir = new_var_dir()
    os.chown(var_dir.parent, nobody, nobody)
    python = python_in(var_dir.parent, base=_python_for(nobody))
    with using(var_dir, MAKE_TABLE, python=python, user=nobody) as process:
        process.ready()
        assert {found.uids().real for found in living(var_dir)} == {nobody}
    wait_for(lambda: not living(var_dir), "the end of the servers")
    assert ask(var_dir, READ_TABLE, python=python, user=nobody) == "42"
    assert ask(var_dir, READ_TABLE) == "42", "root finds the data of its owner and runs the server as that owner"


def _answer(database_url: str, redis_url: str) -> bool:
    try:
        with psycopg.connect(database_url), redis.Redis.from_url(redis_url) as client:
            client.ping()
    except (psycopg.OperationalError, redis.RedisError):
        return False
    return True


def _leaves(var_dir: Path, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while embedded.is_kept(var_dir):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _python_for(user: int) -> str:
    """Find an interpreter of our version that a user may run; skip, saying so, when there is none."""
    wanted = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for base in (getattr(sys, "_base_executable", sys.executable), f"/usr/bin/{wanted}", f"/usr/local/bin/{wanted}"):
        try:
            subprocess.run([base, "-c", ""], check=True, user=user, group=user, extra_groups=(), cwd="/")
        except OSError:
            continue
        return str(base)
    pytest.skip(f"no {wanted} that another user may run")


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
