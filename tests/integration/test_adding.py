"""Adding a provider whose dialect is asked for: reads alone, nothing written, and what was found is what is kept."""

from io import StringIO

import pytest
from django.core.management import call_command

from accounts.errors import UserError
from catalog import adding
from catalog.adding import NewProvider
from catalog.detecting import DETECT
from catalog.models import Provider
from catalog.providers.sandbox import Sandbox
from tests.conftest import make_provider

pytestmark = pytest.mark.django_db


def test_a_provider_is_looked_into_and_then_added_as_it_was_found(sandbox: Sandbox) -> None:
    for service in sandbox.services.values():
        service.pop("cancel")
    found_new, found = adding.look_into(NewProvider("Main", sandbox.url, sandbox.key, dialect=DETECT))
    assert Provider.objects.count() == 0
    assert (found_new.dialect, found_new.overrides) == (found.dialect, found.overrides)
    adding.add_provider(found_new)
    kept = Provider.objects.get()
    assert (kept.dialect, kept.dialect_overrides) == ("perfectpanel", {"cancel": "none"})
    assert {call["action"] for call in sandbox.received} == {"balance", "services", "products"}


def test_what_cannot_be_added_asks_nobody(sandbox: Sandbox) -> None:
    make_provider(sandbox.url, name="Main")
    for new in (
        NewProvider("MAIN", sandbox.url, sandbox.key),
        NewProvider("Other", sandbox.url, sandbox.key, currency="DOLLAR"),
        NewProvider("Other", "ftp://example.org/api", sandbox.key),
        NewProvider("Other", sandbox.url, " "),
    ):
        with pytest.raises(UserError):
            adding.look_into(new)
    assert sandbox.received == []


def test_a_refused_key_and_no_answer_are_told_at_their_field(sandbox: Sandbox) -> None:
    with pytest.raises(UserError, match="refuses the key") as caught:
        adding.look_into(NewProvider("Main", sandbox.url, "wrong"))
    assert caught.value.field == "key"
    with pytest.raises(UserError, match="did not tell our balance") as caught:
        adding.look_into(NewProvider("Main", "http://127.0.0.1:9/api/v2", "key"))
    assert caught.value.field == "api_url"


def test_a_key_is_not_part_of_what_a_log_would_show() -> None:
    assert "secret-key" not in repr(NewProvider("Main", "http://127.0.0.1:9/api/v2", "secret-key"))


def test_the_command_says_what_it_found_unless_it_is_told(sandbox: Sandbox) -> None:
    out = StringIO()
    call_command("add_provider", "First", sandbox.url, "--key", sandbox.key, stdout=out)
    assert "dialect: perfectpanel\n" in out.getvalue()
    assert "  It counts in USD.\n" in out.getvalue()
    out = StringIO()
    options = ["--key", sandbox.key, "--dialect", "panel"]
    call_command("add_provider", "Second", sandbox.url, *options, stdout=out)
    assert "counts in" not in out.getvalue()
    assert Provider.objects.get(name="Second").dialect == "panel"
