"""`manage.py provider_health`: the staff page in a shell, with an exit code that a monitor can read."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from catalog import health
from catalog.models import Provider
from tests.conftest import make_provider

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[int, str]:
    """Return the exit code and what was written."""
    out = StringIO()
    try:
        call_command("provider_health", *arguments, stdout=out)
    except SystemExit as exit_:
        return int(str(exit_.code)), out.getvalue()
    return 0, out.getvalue()


def test_it_tells_how_every_provider_does() -> None:
    first, second = (make_provider("http://127.0.0.1:9/api/v2", name=name) for name in ("Alpha", "Beta"))
    Provider.objects.filter(pk=first.pk).update(balance=Decimal("12.50"))
    health.count(second.pk, [(object(), 0.1)])
    code, text = run()
    assert code == 0
    assert "Alpha: On\n  Balance           12.5 USD\n" in text
    assert text.index("Alpha") < text.index("Beta")
    assert "Accepted, 24 h      1 / 1" in text


def test_it_exits_1_and_says_why_when_something_needs_a_person() -> None:
    make_provider("http://127.0.0.1:9/api/v2", name="Alpha", balance=1, low_balance=2)
    make_provider("http://127.0.0.1:9/api/v2", name="Beta")
    code, text = run()
    assert code == 1
    assert text.count("  ! Low balance\n") == 1
    assert run("ALPHA") == (1, text[: text.index("Beta")])
    assert run("beta")[0] == 0


def test_an_unknown_provider_is_an_error_and_no_provider_is_none() -> None:
    assert run() == (0, "There is no provider yet.\n")
    with pytest.raises(CommandError, match="No provider is named 'nobody'"):
        run("nobody")
