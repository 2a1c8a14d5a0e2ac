import datetime
import html
import re
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import User
from catalog import classing, connecting, health, pacing, secrets
from catalog.admin_forms import ProviderForm
from catalog.admin_health import HealthColumns
from catalog.admin_providers import ProviderAdmin
from catalog.models import Category, CustomRate, Markup, Provider, ProviderService, RefusalText, Route, Service
from catalog.providers.errors import Rejected, Unclear
from catalog.providers.sandbox import Sandbox
from tests.conftest import MakeService
from tests.integration.admin.conftest import allow

# The pages that wait for the network refuse to run in a transaction, as they do behind a real server.
pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/catalog/provider/"


def told(response: Any) -> str:
    return html.unescape(response.content.decode())


def settings_of(provider: Provider, **changes: str) -> dict[str, str]:
    """Return what the provider's page posts."""
    values = {
        "name": provider.name,
        "api_url": provider.api_url,
        "key": "",
        "enabled": "on",
        "currency": provider.currency,
        "exchange_rate": "1",
        "exchange_rate_days": "0",
        "low_balance": "",
        "sync_minutes": "60",
        "brake_gone_percent": "30",
        "brake_rate_percent": "50",
        "idempotency_hours": "12",
        "connect_timeout": "",
        "read_timeout": "",
        "max_in_flight": "8",
        "calls_per_minute": "",
        "markups-TOTAL_FORMS": "0",
        "markups-INITIAL_FORMS": "0",
    }
    return values | changes


def test_a_provider_is_tested_and_then_added(sandbox: Sandbox, staff_client: Client) -> None:
    values = {
        "name": "Main",
        "api_url": sandbox.url,
        "key": sandbox.key,
        "markup_percent": "15",
        "dialect": "perfectpanel",
    }
    wrong = told(staff_client.post(f"{LIST}add/", values | {"key": "wrong-key"}))
    assert "refuses the key" in wrong
    assert "wrong-key" not in wrong
    assert Provider.objects.count() == 0
    added = staff_client.post(f"{LIST}add/", values, follow=True)
    assert "It answered: balance 10000 USD" in told(added)
    assert Markup.objects.get(provider=Provider.objects.get()).percent == 15


NEW = {"name": "Main", "api_url": "", "key": "", "markup_percent": "15", "dialect": "detect"}


def test_what_was_found_is_shown_before_a_provider_is_added(sandbox: Sandbox, staff_client: Client) -> None:
    values = NEW | {"api_url": sandbox.url, "key": sandbox.key}
    shown = told(staff_client.post(f"{LIST}add/", values, follow=True))
    assert "Nothing is saved yet" in shown
    assert "It counts in USD." in shown
    assert "It has no list of products." in shown
    assert sandbox.key not in shown
    assert Provider.objects.count() == 0
    added = staff_client.post(f"{LIST}add/?found", {"dialect": "perfectpanel"}, follow=True)
    assert "It answered: balance 10000 USD" in told(added)
    provider = Provider.objects.get()
    assert (provider.dialect, secrets.decrypt(provider.key_encrypted)) == ("perfectpanel", sandbox.key)
    assert Markup.objects.get(provider=provider).percent == 15
    assert "provider_to_add" not in staff_client.session


def test_the_key_waits_encrypted_between_the_two_pages(sandbox: Sandbox, staff_client: Client) -> None:
    staff_client.post(f"{LIST}add/", NEW | {"api_url": sandbox.url, "key": sandbox.key})
    waiting = staff_client.session["provider_to_add"]
    assert sandbox.key not in str(waiting)
    assert secrets.decrypt(waiting["key"]) == sandbox.key


def test_flags_that_were_found_go_with_the_dialect_that_was_found(sandbox: Sandbox, staff_client: Client) -> None:
    for service in sandbox.services.values():
        service["refill"] = 3
    values = NEW | {"api_url": sandbox.url, "key": sandbox.key}
    assert "refill_flag_map: tri-state" in told(staff_client.post(f"{LIST}add/", values, follow=True))
    staff_client.post(f"{LIST}add/?found", {"dialect": "perfectpanel"})
    staff_client.post(f"{LIST}add/", values | {"name": "Other"})
    staff_client.post(f"{LIST}add/?found", {"dialect": "smartpanel"})
    kept = dict(Provider.objects.values_list("dialect", "dialect_overrides"))
    assert kept == {"perfectpanel": {"refill_flag_map": "tri-state"}, "smartpanel": {}}


def test_a_provider_that_cannot_be_detected_is_asked_for_again(sandbox: Sandbox, staff_client: Client) -> None:
    wrong = told(staff_client.post(f"{LIST}add/", NEW | {"api_url": sandbox.url, "key": "wrong-key"}))
    assert "refuses the key" in wrong
    assert "wrong-key" not in wrong
    assert "Test and add" in told(staff_client.get(f"{LIST}add/?found"))
    staff_client.post(f"{LIST}add/", NEW | {"api_url": sandbox.url, "key": sandbox.key})
    session = staff_client.session
    session["provider_to_add"] = {**session["provider_to_add"], "key": "made-with-another-key"}
    session.save()
    assert "begin again" in told(staff_client.post(f"{LIST}add/?found", {"dialect": "perfectpanel"}))
    assert Provider.objects.count() == 0


def test_no_page_shows_a_key(provider: Provider, staff_client: Client, sandbox: Sandbox) -> None:
    for address in (LIST, f"{LIST}{provider.pk}/change/", f"{LIST}{provider.pk}/history/"):
        text = told(staff_client.get(address))
        assert sandbox.key not in text
        assert provider.key_encrypted not in text


def test_a_new_key_is_kept_encrypted_and_the_last_four_shown(provider: Provider, staff_client: Client) -> None:
    address = f"{LIST}{provider.pk}/change/"
    response = staff_client.post(address, settings_of(provider, key="a-brand-new-key-9876"), follow=True)
    assert "was changed successfully" in told(response)
    provider.refresh_from_db()
    assert secrets.decrypt(provider.key_encrypted) == "a-brand-new-key-9876"
    text = told(staff_client.get(address))
    assert "ends in 9876" in text
    assert "brand-new" not in text
    assert "brand-new" not in told(staff_client.get(f"{LIST}{provider.pk}/history/"))


def test_without_a_new_key_the_old_one_stays(provider: Provider, staff_client: Client) -> None:
    staff_client.post(f"{LIST}{provider.pk}/change/", settings_of(provider, exchange_rate="1.25"))
    changed = Provider.objects.get()
    assert (changed.exchange_rate, changed.key_encrypted) == (Decimal("1.25"), provider.key_encrypted)


def test_what_a_worker_writes_while_staff_save_is_left_alone(provider: Provider, rf: RequestFactory) -> None:
    form = ProviderForm(settings_of(provider, exchange_rate="1.25"), instance=Provider.objects.get())
    assert form.is_valid(), form.errors
    Provider.objects.update(failures=4, balance=Decimal(7), last_error="Gone")
    page = ProviderAdmin(Provider, admin.site)
    page.save_model(rf.post("/"), form.save(commit=False), form, change=True)
    changed = Provider.objects.get()
    assert changed.exchange_rate == Decimal("1.25")
    assert (changed.failures, changed.balance, changed.last_error) == (4, Decimal(7), "Gone")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_url": "ftp://example.org/api"}, "http"),
        ({"exchange_rate": "0"}, "exchange_rate_above_zero"),
        ({"sync_minutes": "-1"}, "greater than or equal to 0"),
        ({"low_balance": "much"}, "Enter a number"),
        ({"connect_timeout": "-1"}, "seconds"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    provider: Provider, staff_client: Client, changes: dict[str, str], words: str
) -> None:
    response = staff_client.post(f"{LIST}{provider.pk}/change/", settings_of(provider, **changes))
    assert words in told(response)
    kept = Provider.objects.get()
    assert (kept.api_url, kept.sync_minutes, kept.low_balance) == (provider.api_url, 60, None)


def test_a_dialect_is_set_flag_by_flag(provider: Provider, staff_client: Client) -> None:
    address = f"{LIST}{provider.pk}/dialect/"
    assert "As the preset: orders" in told(staff_client.get(address))
    values = {
        "dialect": "1dg",
        "encoding": "json",
        "batch_size": "50",
        "products": "no",
        "cancel": "",
        "numeric_status_map": "1 = Completed\n\n 2=Canceled ",
        "time_zone": "Europe/Berlin",
        "refill_multi": "scalar",
    }
    told_page = told(staff_client.post(address, values, follow=True))
    provider.refresh_from_db()
    assert provider.dialect == "1dg"
    assert provider.dialect_overrides == {
        "encoding": "json",
        "batch_size": 50,
        "products": False,
        "numeric_status_map": {"1": "Completed", "2": "Canceled"},
        "time_zone": "Europe/Berlin",
    }
    assert "encoding: json" in told_page
    again = told(staff_client.get(address))
    assert "1 = Completed" in again
    assert "As the preset: none" in again


def test_an_empty_flag_can_be_set_against_a_preset_that_has_one(provider: Provider, staff_client: Client) -> None:
    staff_client.post(f"{LIST}{provider.pk}/dialect/", {"dialect": "notpanel", "idempotency_param": "none"})
    provider.refresh_from_db()
    assert provider.dialect_overrides == {"idempotency_param": ""}
    page = staff_client.get(f"{LIST}{provider.pk}/dialect/")
    assert page.context["form"]["idempotency_param"].value() == "none"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dialect": "klingon"}, "klingon is not one of"),
        ({"encoding": "smoke"}, "smoke is not one of"),
        ({"batch_size": "0"}, "greater than or equal to 1"),
        ({"time_zone": "Middle-earth"}, "no value for the flag 'time_zone'"),
        ({"key_in": "pocket"}, "no value for the flag 'key_in'"),
        ({"numeric_status_map": "1 Completed"}, "is not written as name = value"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(
    provider: Provider, staff_client: Client, values: dict[str, str], words: str
) -> None:
    response = staff_client.post(f"{LIST}{provider.pk}/dialect/", {"dialect": "1dg"} | values)
    assert words in told(response)
    provider.refresh_from_db()
    assert (provider.dialect, provider.dialect_overrides) == ("perfectpanel", {})


def test_a_provider_is_asked_how_it_speaks_and_nothing_is_saved(
    provider: Provider, staff_client: Client, sandbox: Sandbox
) -> None:
    Provider.objects.update(dialect="1dg")
    text = told(staff_client.post(f"{LIST}{provider.pk}/dialect/", {"detect": "1"}))
    assert "It counts in USD." in text
    assert '<option value="perfectpanel" selected>' in text
    assert Provider.objects.get().dialect == "1dg"
    sandbox.misbehave("balance", "html")
    assert "did not tell our balance" in told(staff_client.post(f"{LIST}{provider.pk}/dialect/", {"detect": "1"}))


def test_setting_the_exchange_rate_says_when_it_was_set(provider: Provider, staff_client: Client) -> None:
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    address = f"{LIST}{provider.pk}/change/"
    Provider.objects.update(exchange_rate_at=long_ago)
    staff_client.post(address, settings_of(provider, low_balance="5", brake_gone_percent="10"))
    kept = Provider.objects.get()
    assert (kept.exchange_rate_at, kept.low_balance, kept.brake_gone_percent) == (long_ago, Decimal(5), 10)
    for changes in ({"exchange_rate": "1.25"}, {"exchange_rate": "1.25", "rate_holds": "on"}):
        Provider.objects.update(exchange_rate_at=long_ago)
        staff_client.post(address, settings_of(provider, **changes))
        assert Provider.objects.get().exchange_rate_at > timezone.now() - datetime.timedelta(minutes=1)


def test_testing_shows_the_balance_and_ends_a_needless_pause(provider: Provider, staff_client: Client) -> None:
    Provider.objects.update(pause_reason="key", paused_until="2099-01-01T00:00Z")
    response = staff_client.post(f"{LIST}{provider.pk}/test/", follow=True)
    assert f"{provider} answered: balance 10000 USD." in told(response)
    provider.refresh_from_db()
    assert (provider.balance, provider.pause_reason) == (Decimal(10000), "")


def test_a_test_that_fails_says_why(provider: Provider, staff_client: Client, sandbox: Sandbox) -> None:
    sandbox.misbehave("balance", "maintenance_503")
    response = staff_client.post(f"{LIST}{provider.pk}/test/", follow=True)
    assert "did not tell our balance" in told(response)


def test_another_currency_than_is_set_is_pointed_out(
    provider: Provider, staff_client: Client, sandbox: Sandbox
) -> None:
    sandbox.currency = "EUR"
    response = staff_client.post(f"{LIST}{provider.pk}/test/", follow=True)
    assert "but the currency set here is USD" in told(response)


def test_pausing_and_resuming(provider: Provider, staff_client: Client) -> None:
    staff_client.post(f"{LIST}{provider.pk}/pause/")
    provider.refresh_from_db()
    assert connecting.is_paused(provider)
    assert "Paused by staff" in told(staff_client.get(LIST))
    staff_client.post(f"{LIST}{provider.pk}/resume/")
    provider.refresh_from_db()
    assert not connecting.is_paused(provider)


def test_several_are_paused_at_once_from_the_list(provider: Provider, staff_client: Client) -> None:
    values = {"action": "pause_all", "_selected_action": [str(provider.pk)]}
    assert "is paused" in told(staff_client.post(LIST, values, follow=True))


def test_who_may_only_look_can_do_nothing_to_a_provider(
    provider: Provider, helper: User, helper_client: Client
) -> None:
    allow(helper, "catalog.view_provider")
    text = told(helper_client.get(f"{LIST}{provider.pk}/change/"))
    assert provider.name in text
    assert "Test connection" not in text
    for page in ("test", "pause", "resume", "import", "dialect"):
        assert helper_client.post(f"{LIST}{provider.pk}/{page}/").status_code == 403
    assert helper_client.get(f"{LIST}add/").status_code == 403


@pytest.mark.parametrize("page", ["test", "pause", "resume"])
def test_a_link_alone_changes_nothing(provider: Provider, staff_client: Client, page: str) -> None:
    assert staff_client.get(f"{LIST}{provider.pk}/{page}/").status_code == 405


def test_rates_and_margins_of_a_page_are_those_that_customers_pay(
    make_service: MakeService, staff_client: Client
) -> None:
    service = make_service(rate=Decimal("0.90"))
    Markup.objects.create(percent=Decimal(25))
    text = told(staff_client.get("/admin/catalog/service/"))
    assert "$1.125" in text
    assert "20.0 %" in text
    Route.objects.filter(service=service).update(enabled=False)
    assert "cannot be sold" in told(staff_client.get("/admin/catalog/service/"))


def test_services_are_put_on_and_off_sale_but_never_an_unknown_type(
    make_service: MakeService, staff_client: Client
) -> None:
    known, unknown = make_service(), make_service(type="Unknown", enabled=False)
    both = {"_selected_action": [str(known.pk), str(unknown.pk)]}
    staff_client.post("/admin/catalog/service/", both | {"action": "take_off_sale"})
    assert not Service.objects.filter(enabled=True).exists()
    response = staff_client.post("/admin/catalog/service/", both | {"action": "put_on_sale"}, follow=True)
    assert "unknown type" in told(response)
    assert list(Service.objects.filter(enabled=True)) == [known]


def test_a_service_is_edited_with_its_routes_and_its_markup(
    make_service: MakeService, provider: Provider, staff_client: Client
) -> None:
    service = make_service()
    second = ProviderService.objects.create(
        provider=provider, remote_id="2", name="Other", type="Default", rate=1, min=1, max=2
    )
    route = service.routes.get()
    values = {
        "name": "Ours",
        "category": str(service.category_id),
        "description": "",
        "enabled": "on",
        "position": "0",
        "type": "Default",
        "min": "10",
        "max": "100",
        "loss_policy": "next",
        "refill_days": "0",
        "refill_after_hours": "24",
        "refill_limit": "0",
        "routes-TOTAL_FORMS": "2",
        "routes-INITIAL_FORMS": "1",
        "routes-0-id": str(route.pk),
        "routes-0-service": str(service.pk),
        "routes-0-position": "1",
        "routes-0-provider_service": str(route.provider_service_id),
        "routes-0-enabled": "on",
        "routes-1-service": str(service.pk),
        "routes-1-position": "2",
        "routes-1-provider_service": str(second.pk),
        "routes-1-enabled": "on",
        "markups-TOTAL_FORMS": "1",
        "markups-INITIAL_FORMS": "0",
        "markups-0-service": str(service.pk),
        "markups-0-percent": "12.5",
        "markups-0-fixed": "0",
    }
    response = staff_client.post(f"/admin/catalog/service/{service.pk}/change/", values, follow=True)
    assert "was changed successfully" in told(response)
    assert list(service.routes.values_list("provider_service_id", flat=True)) == [route.provider_service_id, second.pk]
    assert Markup.objects.get(service=service).percent == Decimal("12.5")


def test_a_markup_has_one_scope_at_most(provider: Provider, staff_client: Client) -> None:
    category = Category.objects.create(name="Web")
    values = {"provider": str(provider.pk), "category": str(category.pk), "percent": "5", "fixed": "0"}
    assert "A rule is for one" in told(staff_client.post("/admin/catalog/markup/add/", values))
    assert Markup.objects.count() == 0
    staff_client.post("/admin/catalog/markup/add/", {"percent": "5", "fixed": "0"})
    assert Markup.objects.get().provider is None


def test_a_custom_rate_stands_beside_list_and_cost(
    make_service: MakeService, customer: User, staff_client: Client
) -> None:
    CustomRate.objects.create(user=customer, service=make_service(rate=Decimal("0.9")), rate=Decimal("0.95"))
    text = told(staff_client.get("/admin/catalog/customrate/"))
    assert "$0.95" in text
    assert "$0.90" in text


def test_the_list_and_the_page_tell_how_a_provider_did_in_the_last_day(
    provider: Provider, staff_client: Client
) -> None:
    outcomes: list[tuple[object, float]] = [(object(), 0.2)] * 6
    outcomes += [(Rejected("No", condition="invalid_link"), 0.1), (Unclear("What?", reason="cut"), 1.1)]
    health.count(provider.pk, outcomes)
    connecting.record_success(provider)
    for address in (LIST, f"{LIST}{provider.pk}/change/"):
        words = re.sub(r"<[^>]*>", " ", told(staff_client.get(address)))
        for figure in ("150 ms", "980 ms", "6 / 8", "12.5%"):
            assert figure in words
    assert "1,100 ms" in words


def test_a_provider_that_nobody_ordered_from_has_no_figures(provider: Provider, staff_client: Client) -> None:
    page = HealthColumns(Provider, admin.site)
    columns = (page.median, page.slow, page.latency, page.slowest, page.accepted, page.refused, page.unclear)
    assert [column(provider) for column in columns] == ["–"] * 7
    assert "no limit" in told(staff_client.get(LIST))


def test_staff_set_how_fast_a_provider_is_asked(provider: Provider, staff_client: Client) -> None:
    address = f"{LIST}{provider.pk}/change/"
    staff_client.post(address, settings_of(provider, calls_per_minute="0"))
    assert Provider.objects.get().calls_per_minute is None
    staff_client.post(address, settings_of(provider, calls_per_minute="90"))
    assert Provider.objects.get().calls_per_minute == 90
    assert ">90<" in re.sub(r"\s", "", told(staff_client.get(LIST)))
    staff_client.post(address, settings_of(provider))
    assert Provider.objects.get().calls_per_minute is None


def test_a_limit_that_was_learned_is_told_with_its_date(provider: Provider, staff_client: Client) -> None:
    pacing.slow_down(provider.pk, pacing.Kind.COMMAND, None)
    assert "60, learned" in told(staff_client.get(LIST))
    text = told(staff_client.get(f"{LIST}{provider.pk}/change/"))
    assert "last said too many calls" in text.lower()


@pytest.mark.parametrize(
    ("fields", "short", "words"),
    [
        ({"enabled": False}, "Switched off", "Switched off"),
        ({"doubts": 5}, "One at a time", "One order at a time until one is answered"),
        (
            {"pause_reason": "doubt", "paused_until": "2020-01-01T00:00Z"},
            "To be tried",
            "Its answers to orders are unclear, about to be tried again",
        ),
        ({"pause_reason": "network", "paused_until": 40}, "Away", "It cannot be reached, 39 seconds"),
        ({"pause_reason": "key", "paused_until": 7260}, "Key refused", "It refuses our key, 2\xa0hours"),
        ({"pause_reason": "staff", "paused_until": 7260}, "Paused by staff", "Paused by staff"),
    ],
)
def test_a_word_in_the_list_and_a_sentence_on_the_page_tell_how_a_provider_is(
    provider: Provider, staff_client: Client, fields: dict[str, Any], short: str, words: str
) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        if isinstance(fields.get("paused_until"), int):
            until = timezone.now() + datetime.timedelta(seconds=fields["paused_until"] - 1)
            fields = {**fields, "paused_until": until}
        Provider.objects.update(**fields)
        assert short in told(staff_client.get(LIST))
        assert words in told(staff_client.get(f"{LIST}{provider.pk}/change/"))


REFUSALS = "/admin/catalog/refusaltext/"


def test_staff_class_a_text_change_what_it_means_and_forget_it(
    provider: Provider, staff: User, staff_client: Client
) -> None:
    values = {"provider": str(provider.pk), "text": "Mercury is in retrograde.", "meaning": "wait"}
    added = told(staff_client.post(f"{REFUSALS}add/", values, follow=True))
    assert "was added successfully" in added
    assert "petra@example.org" in added
    row = RefusalText.objects.get()
    assert (row.normal, row.meaning, row.classed_by) == ("mercury is in retrograde", "wait", staff)

    other = {"provider": "0", "text": "Something else", "meaning": "link"}
    staff_client.post(f"{REFUSALS}{row.pk}/change/", other)
    assert classing.read_refusals(provider.pk) == {"mercury is in retrograde": classing.MEANINGS["link"]}

    staff_client.post(f"{REFUSALS}add/", values | {"text": "MERCURY is in retrograde"})
    assert classing.read_refusals(provider.pk) == {"mercury is in retrograde": classing.MEANINGS["wait"]}

    staff_client.post(f"{REFUSALS}{row.pk}/delete/", {"post": "yes"})
    assert classing.read_refusals(provider.pk) == {}


@pytest.mark.parametrize(("text", "words"), [("...", "The text is empty"), ("ß" * 200, "longer than 300")])
def test_a_text_that_cannot_be_compared_is_not_classed(
    provider: Provider, staff_client: Client, text: str, words: str
) -> None:
    values = {"provider": str(provider.pk), "text": text, "meaning": "wait"}
    assert words in told(staff_client.post(f"{REFUSALS}add/", values))
    assert not RefusalText.objects.exists()


def test_texts_are_classed_only_by_whoever_may(provider: Provider, helper: User, helper_client: Client) -> None:
    values = {"provider": str(provider.pk), "text": "No", "meaning": "wait"}
    assert helper_client.post(f"{REFUSALS}add/", values).status_code == 403
    assert "Classed refusals" not in told(helper_client.get("/admin/"))
    allow(helper, "catalog.view_refusaltext")
    assert helper_client.post(f"{REFUSALS}add/", values).status_code == 403
    assert "Classed refusals" in told(helper_client.get("/admin/"))
