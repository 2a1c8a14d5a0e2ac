"""What the settings refuse and warn of, before it costs anything."""

import subprocess
import sys

import pytest
from django.conf import LazySettings
from django.core import checks

from catalog.models import Provider
from tests.processes import ROOT, environment

GOOD = "a-secret-that-nobody-published-0123456789"


def start(**changed: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of its own, as production would."""
    return subprocess.run(
        [sys.executable, "-c", "import panel.settings"],
        cwd=ROOT,
        env=environment(**changed),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS"])
@pytest.mark.parametrize("value", ["", "change-me", "change-me-too-0123456789"])
def test_production_refuses_to_start_without_a_secret_of_its_own(db: None, name: str, value: str) -> None:
    refused = start(**{name: value})
    assert refused.returncode != 0
    assert f"{name} must be set to a secret of your own" in refused.stderr


def test_production_starts_with_secrets_of_its_own(db: None) -> None:
    assert start(SECRET_KEY=GOOD).returncode == 0


def warnings() -> list[str]:
    return [str(message.id) for message in checks.run_checks(tags=["database"], databases=["default"])]


def test_a_lease_shorter_than_a_command_may_take_is_warned_of(provider: Provider, settings: LazySettings) -> None:
    settings.DISPATCH_LEASE_SECONDS = 60
    assert "panel.W001" not in warnings()
    Provider.objects.update(read_timeout=60)
    assert "panel.W001" in warnings()


def test_more_providers_than_threads_to_forward_are_warned_of(provider: Provider, settings: LazySettings) -> None:
    assert "panel.W002" not in warnings()
    settings.FORWARD_THREADS = 1
    assert "panel.W002" in warnings()


def test_a_time_out_of_nothing_is_an_error(settings: LazySettings) -> None:
    settings.PROVIDER_READ_TIMEOUT = 0
    assert "panel.E001" in [message.id for message in checks.run_checks()]
