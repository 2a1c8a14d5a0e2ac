"""What `docker-compose.yml` and `Dockerfile` say, run here without an engine against the embedded servers."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from panel.running import read_procfile
from tests.launcher.conftest import var_dirs
from tests.launcher.processes import ROOT, environment, using, wait_for

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
LASTING = sorted(OURS.keys() - {"migrate"})
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
BIN = str(Path(sys.executable).parent)
GIVEN = {
    "SECRET_KEY": "a-secret-that-only-this-test-knows-" * 2,
    "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "POSTGRES_PASSWORD": "unused",
    "ALLOWED_HOSTS": "panel.example.org",
}


@dataclass
class Machine:
    """Stands in for the containers: the services' own environment, with addresses and folders of this test."""

    folder: Path
    port: int
    database_url: str
    redis_url: str

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        own = {name: self.here(fill(value)) for name, value in service["environment"].items()}
        servers = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "HOSTNAME": socket.gethostname()}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return environment(self.folder, PATH=path, C_FORCE_ROOT="1") | own | servers

    def here(self, text: str) -> str:
        """Put this machine's port and folder where a container has its own."""
        text = text.replace("/app/", f"{self.folder}/").replace("0.0.0.0", "127.0.0.1")
        return re.sub(r"\b8000\b", str(self.port), text)

    def start(self, service: dict[str, Any]) -> subprocess.Popen[bytes]:
        command = [self.here(fill(word)) for word in service["command"]]
        output = (self.folder / "output").open("ab")
        with output:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment(service),
                stdout=output,
                stderr=output,
                executable=which(command),
            )

    def is_healthy(self, service: dict[str, Any]) -> bool:
        kind, *words = (self.here(fill(word)) for word in service["healthcheck"]["test"])
        command = ["/bin/sh", "-c", words[0]] if kind == "CMD-SHELL" else words
        return not subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment(service),
            executable=which(command),
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode


def which(command: list[str]) -> str:
    found = Path(BIN) / command[0]
    return str(found if found.exists() else command[0])


def fill(text: object) -> str:
    """Fill a compose file's `${NAME}`, `${NAME:-default}` and `${NAME:?why}` in as the engine does."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        assert name in GIVEN or kind == "-", f"{name} is needed"
        return GIVEN.get(name, rest)

    return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", value, str(text)).replace("$$", "$")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with var_dirs() as make:
        var_dir = make()
        with using(var_dir) as servers, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            probe.close()
            _, _, database_url, redis_url = servers.ready()
            folder = var_dir.parent / "app"
            (folder / "var").mkdir(parents=True)
            machine = Machine(folder, port, database_url, redis_url)
            assert machine.start(OURS["migrate"]).wait(120) == 0, (folder / "output").read_text()
            yield machine


@pytest.mark.parametrize("name", LASTING)
def test_a_service_runs_and_its_health_check_can_tell(machine: Machine, name: str) -> None:
    service = OURS[name]
    assert not machine.is_healthy(service), "nothing runs yet"
    process = machine.start(service)
    try:
        wait_for(lambda: process.poll() is not None or machine.is_healthy(service), f"{name} being healthy")
        assert process.poll() is None, (machine.folder / "output").read_text()
    finally:
        process.terminate()
        process.wait(seconds(service.get("stop_grace_period", "10s")))


def test_the_image_collects_static_files_without_servers_or_published_secrets(machine: Machine) -> None:
    step = next(line for line in DOCKERFILE.splitlines() if "collectstatic" in line).removeprefix("RUN ")
    command = machine.here(step).split("&& mkdir")[0]
    variables = environment(
        machine.folder, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", STATIC_ROOT=f"{machine.folder}/staticfiles"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (machine.folder / "staticfiles" / "staticfiles.json").exists()


def test_the_image_installs_as_the_makefile_does() -> None:
    install = re.compile(r"python -m pip (install .*?)(?:;|$)", re.MULTILINE)
    in_makefile = {" ".join(words.split()) for words in install.findall((ROOT / "Makefile").read_text())}
    in_image = {" ".join(words.split()) for words in install.findall(DOCKERFILE)}
    assert in_image == in_makefile == {"install --require-hashes -r requirements.lock"}


def test_the_image_does_not_run_as_root() -> None:
    lines = DOCKERFILE.splitlines()
    assert lines.index("USER panel") < next(n for n, line in enumerate(lines) if line.startswith("CMD"))


def test_procfile_image_and_compose_file_start_the_same_programs() -> None:
    in_containers = {"HOST": "0.0.0.0", "PORT": "8000", "VAR_DIR": "/app/var"}
    procfile = {name: words[1:] for name, words in read_procfile(ROOT / "Procfile", in_containers).items()}
    assert {name: [fill(word) for word in OURS[name]["command"]][1:] for name in LASTING} == procfile
    image = json.loads(next(line for line in DOCKERFILE.splitlines() if line.startswith("CMD")).removeprefix("CMD "))
    assert image == OURS["web"]["command"]


def test_the_image_checks_its_health_as_the_compose_file_does() -> None:
    check = re.search(r"HEALTHCHECK.*?CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert check is not None
    assert ["CMD", *json.loads(check[1])] == OURS["web"]["healthcheck"]["test"]


@pytest.mark.parametrize("name", LASTING)
def test_a_service_waits_for_the_migrations_and_is_restarted(name: str) -> None:
    assert OURS[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert OURS[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["worker_forward", "worker_default"])
def test_a_worker_may_finish_its_call_before_it_is_killed(name: str) -> None:
    settings = (ROOT / "panel" / "settings.py").read_text()
    patience = sum(
        float(re.findall(rf'"{variable}", default=([\d.]+)', settings)[0])
        for variable in ("PROVIDER_CONNECT_TIMEOUT", "PROVIDER_READ_TIMEOUT")
    )
    assert seconds(OURS[name]["stop_grace_period"]) > patience + 5


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "ALLOWED_HOSTS"])
def test_compose_has_no_default_for_what_must_be_ones_own(name: str) -> None:
    uses = re.findall(rf"\$\{{{name}(:?.?)", (ROOT / "docker-compose.yml").read_text())
    assert uses
    assert set(uses) == {":?"}


def test_an_image_never_holds_the_environments_secrets() -> None:
    assert {".env", "var", ".git"} <= set((ROOT / ".dockerignore").read_text().split())


def test_the_placeholder_secrets_are_refused(machine: Machine) -> None:
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"[A-Z_]+=", line)
    )
    refused = subprocess.run(
        shlex.split(f"{BIN}/python manage.py check"),
        cwd=ROOT,
        env=machine.environment(OURS["web"]) | example,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "SECRET_KEY must be set to a secret of your own" in refused.stderr


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))
