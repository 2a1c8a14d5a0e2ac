from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog import following, reading, secrets
from catalog.models import Markup, Provider, ProviderService, Service, Sync
from catalog.providers.sandbox import Sandbox
from tests.processes import manage

pytestmark = pytest.mark.django_db


def run(name: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def test_a_provider_that_answers_is_added_with_its_rule_and_balance(sandbox: Sandbox) -> None:
    out = run("add_provider", "Main", sandbox.url, "--key", sandbox.key, "--markup", "12.5")
    assert "balance: 10000 USD" in out
    assert sandbox.key not in out
    provider = Provider.objects.get()
    assert (provider.currency, provider.exchange_rate, provider.balance) == ("USD", Decimal(1), Decimal(10000))
    assert (secrets.decrypt(provider.key_encrypted), provider.key_hint) == (sandbox.key, sandbox.key[-4:])
    assert Markup.objects.get(provider=provider).percent == Decimal("12.5")


def test_without_a_markup_the_providers_rule_is_twenty_percent(sandbox: Sandbox) -> None:
    run("add_provider", "Main", sandbox.url, "--key", sandbox.key)
    assert Markup.objects.get().percent == 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--key", "wrong"], "refuses the key: Invalid API key"),
        (["--key", " "], "key is empty"),
        (["--exchange-rate", "0"], "above zero"),
        (["--exchange-rate", "-1"], "above zero"),
        (["--exchange-rate", "abc"], "not a number"),
        (["--exchange-rate", "NaN"], "not a number"),
        (["--exchange-rate", "0.00000000001"], "decimal places"),
        (["--markup", "-0.5"], "0 percent or more"),
        (["--markup", "lots"], "not a number"),
        (["--currency", "DOLLAR"], "not a currency"),
        (["--currency", "EUR"], "an exchange rate is needed"),
        (["--dialect", "klingon"], "is no dialect"),
    ],
)
def test_a_provider_that_cannot_be_is_not_added(sandbox: Sandbox, options: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run("add_provider", "Main", sandbox.url, "--key", sandbox.key, *options)
    assert Provider.objects.count() == Markup.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "url", "words"),
    [
        ("Main", "http://127.0.0.1:9/api/v2", "refused"),
        ("Main", "ftp://127.0.0.1/api/v2", "http"),
        ("Main", "127.0.0.1", "http"),
        ("", "http://127.0.0.1:9/api/v2", "name"),
        ("x" * 81, "http://127.0.0.1:9/api/v2", "80 characters"),
    ],
)
def test_an_address_or_a_name_that_cannot_be_is_not_added(name: str, url: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run("add_provider", name, url, "--key", "some-key")
    assert Provider.objects.count() == 0


def test_a_name_that_exists_in_any_case_is_an_error_and_asks_nobody(provider: Provider, sandbox: Sandbox) -> None:
    with pytest.raises(CommandError, match="exists already"):
        run("add_provider", provider.name.upper(), sandbox.url, "--key", sandbox.key)
    assert sandbox.received == []


def test_another_currency_than_the_provider_says_is_kept_with_a_warning(sandbox: Sandbox) -> None:
    warnings = StringIO()
    options = ["--currency", "eur", "--exchange-rate", "1.08"]
    run("add_provider", "Main", sandbox.url, "--key", sandbox.key, *options, stderr=warnings)
    assert "says USD, but EUR was given" in warnings.getvalue()
    assert Provider.objects.get().exchange_rate == Decimal("1.08")


def test_a_provider_with_another_currency_needs_an_exchange_rate(sandbox: Sandbox) -> None:
    sandbox.currency = "TRY"
    with pytest.raises(CommandError, match="counts in TRY, the panel in USD"):
        run("add_provider", "Main", sandbox.url, "--key", sandbox.key)
    run("add_provider", "Main", sandbox.url, "--key", sandbox.key, "--exchange-rate", "0.03")
    assert Provider.objects.get().currency == "TRY"


def test_an_import_counts_and_a_second_one_finds_nothing_new(provider: Provider) -> None:
    first = run("import_services", provider.name.upper())
    assert first.startswith("added 25, changed 0, unchanged 0, vanished 0, skipped 2\n")
    assert "unknown type Telepathy: imported, not on sale: 99" in first
    assert run("import_services", provider.name) == "added 0, changed 0, unchanged 25, vanished 0, skipped 0\n"
    assert Markup.objects.count() == 0


def test_one_category_with_a_markup_gives_its_services_a_rule_each(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.set_service(1, category="Visits &amp; more")
    assert run("import_services", provider.name, "--category", "visits & MORE", "--markup", "50").startswith("added 1,")
    assert Markup.objects.get().service == Service.objects.get()
    assert Markup.objects.get().percent == 50


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--category", "Nope"], "no category 'Nope'; it has .*Packages"),
        (["--markup", "-1"], "is not a markup"),
        (["--markup", "abc"], "not a number"),
        (["--markup", "0.00001"], "is not a markup"),
    ],
)
def test_an_import_that_cannot_be_changes_nothing(provider: Provider, options: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run("import_services", provider.name, *options)
    assert ProviderService.objects.count() == Markup.objects.count() == 0


def test_an_unknown_provider_and_one_that_does_not_answer_are_errors(provider: Provider, sandbox: Sandbox) -> None:
    with pytest.raises(CommandError, match="No provider is named 'nobody'"):
        run("import_services", "nobody")
    sandbox.misbehave("services", "html")
    with pytest.raises(CommandError, match="did not list its services"):
        run("import_services", provider.name)
    Provider.objects.update(key_encrypted="made-with-another-key")
    with pytest.raises(CommandError, match="enter it again"):
        run("import_services", provider.name)


def test_reasons_are_grouped_and_bounded(provider: Provider, sandbox: Sandbox) -> None:
    for number in range(200, 260):
        sandbox.set_service(number, name="Row", type=f"Kind {number % 30}", category="Rows", rate="1", min="1", max="2")
    for number in range(300, 340):
        sandbox.set_service(number, name="Row", type="Kind", category="Rows", rate="1", min="5", max="2")
    lines = run("import_services", provider.name, "--category", "Rows").splitlines()
    assert lines[1] == "  min above max: 300, 301, 302, 303, 304 and 35 more"
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "  and 11 other reasons"


@pytest.mark.django_db(transaction=True)
def test_a_shell_sees_one_clear_line_for_an_address_that_nobody_answers() -> None:
    added = manage("add_provider", "Main", "http://127.0.0.1:9/api/v2", "--key", "secret-key")
    assert (added.returncode, added.stdout) == (1, "")
    assert added.stderr.count("\n") == 1, added.stderr
    assert "secret-key" not in added.stderr


def test_a_dry_run_shows_what_differs_and_writes_nothing(provider: Provider, sandbox: Sandbox) -> None:
    run("import_services", provider.name, "--markup", "25")
    sandbox.set_service(1, rate="1.00")
    sandbox.remove_service(2)
    lines = run("sync_services", provider.name, "--dry-run").splitlines()
    assert lines[0].split() == ["kind", "id", "name", "what", "margin", "after"]
    assert lines[1].startswith("changed  1   Website visits – worldwide")
    assert lines[1].endswith("rate: 0.9 → 1 USD (+11.1 %)  20.0 %")
    assert lines[2].endswith("Not listed any more.         –")
    assert lines[3:] == ["Changed: 1, Vanished: 1, Rates up: 1", "Nothing was written."]
    assert Sync.objects.count() == 0
    assert ProviderService.objects.get(remote_id=1).rate == Decimal("0.9")
    sandbox.services.clear()
    assert "It would wait: The list is empty" in run("sync_services", provider.name, "--dry-run")


def test_a_sync_prints_what_it_changed_and_can_be_told_to_wait(provider: Provider, sandbox: Sandbox) -> None:
    run("import_services", provider.name)
    assert run("sync_services", provider.name) == "Nothing differed.\n"
    sandbox.set_service(1, rate="0.50")
    assert run("sync_services", provider.name, "--review").splitlines()[-1].startswith("Waits for a person. To be")
    assert ProviderService.objects.get(remote_id=1).rate == Decimal("0.9")
    following.apply(Sync.objects.get(state=Sync.State.WAITING).pk)
    sandbox.set_service(1, rate="0.40")
    assert run("sync_services", provider.name).splitlines()[2:] == ["Changed: 1, Rates down: 1", "Applied."]
    assert ProviderService.objects.get(remote_id=1).rate == Decimal("0.4")


def test_a_list_that_is_not_told_is_one_clear_line(provider: Provider, sandbox: Sandbox) -> None:
    for options in ([], ["--dry-run"]):
        sandbox.misbehave("services", "html")
        with pytest.raises(CommandError, match="did not list its services"):
            run("sync_services", provider.name, *options)
    reading.request_sync(provider.pk)
    reading.begin(provider.pk)
    with pytest.raises(CommandError, match="at this moment"):
        run("sync_services", provider.name)
