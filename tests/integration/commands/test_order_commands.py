import datetime
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from catalog.models import CustomRate, Markup, Provider, Route, Service
from catalog.providers.sandbox import Sandbox
from orders import auditing
from orders.models import Dispatch, Order, PlacedOnce
from tests.conftest import Fund, Place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("books")]


def run(name: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def forwardable(place: Place, customer: User, service: Service, number: int) -> list[Order]:
    return [place(customer, service) for _ in range(number)]


@pytest.mark.django_db(transaction=True)
def test_forwarding_sweeps_and_sends_until_nothing_is_due(
    customer: User, service: Service, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    forwardable(place, customer, service, 3)
    left = place(customer, service).dispatches.get()
    Dispatch.objects.filter(pk=left.pk).update(state="LEASED", attempt=1, due_at=timezone.now())
    assert run("forward_orders") == "swept 1, sent 3; now queued 0, unclear 1, held 0\n"
    assert run("forward_orders") == "swept 0, sent 0; now queued 0, unclear 1, held 0\n"


@pytest.mark.django_db(transaction=True)
def test_syncing_looks_at_what_is_due_or_at_everything(
    customer: User, service: Service, sandbox: Sandbox, fund: Fund, place: Place
) -> None:
    fund(customer, "100")
    forwardable(place, customer, service, 2)
    run("forward_orders")
    Dispatch.objects.update(poll_at=timezone.now() + datetime.timedelta(hours=1))
    for order_id in sandbox.orders:
        sandbox.set_order(order_id, status="Completed", remains=0)
    assert run("sync_orders") == "looked at 0\n"
    assert run("sync_orders", "--all") == "looked at 2\n"
    assert set(Order.objects.values_list("status", flat=True)) == {"Completed"}


@pytest.fixture
def var_dir(settings: LazySettings, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


@pytest.mark.django_db(transaction=True)
def test_the_demo_is_made_once_and_can_be_repeated(sandbox: Sandbox, var_dir: Path) -> None:
    first = run("seed_demo", "--sandbox-url", sandbox.url)
    assert "demo@example.org  password: demo-customer" in first
    orders = Order.objects.count()
    assert orders >= 8
    run("forward_orders")

    PlacedOnce.objects.all().delete()  # they are kept for a week only
    User.objects.filter(username="demo").update(first_name="Changed")
    second = run("seed_demo", "--sandbox-url", sandbox.url)
    assert second == first
    assert (Order.objects.count(), Provider.objects.count(), CustomRate.objects.count()) == (orders, 1, 1)
    assert Markup.objects.count() == 2
    assert User.objects.get(username="demo").first_name == "Changed"
    assert Route.objects.filter(position=2).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_logins_are_kept_for_nobody_else_to_read(sandbox: Sandbox, var_dir: Path) -> None:
    run("seed_demo", "--sandbox-url", sandbox.url, verbosity=0)
    file = var_dir / "demo.json"
    assert file.stat().st_mode & 0o777 == 0o600
    logins = json.loads(file.read_text())
    assert logins["customer"] == {"email": "demo@example.org", "password": "demo-customer"}
    assert logins["staff"] == {"email": "admin@example.org", "password": "demo-staff"}
    assert User.objects.get(email="admin@example.org").check_password("demo-staff")


@pytest.mark.django_db(transaction=True)
def test_the_demo_follows_the_sandbox_to_another_port(sandbox: Sandbox, var_dir: Path) -> None:
    run("seed_demo", "--sandbox-url", sandbox.url)
    Provider.objects.update(api_url="http://127.0.0.1:9/api/v2", paused_until=timezone.now(), pause_reason="network")
    run("seed_demo", "--sandbox-url", sandbox.url)
    provider = Provider.objects.get()
    assert (provider.api_url, provider.pause_reason) == (sandbox.url, "")


@pytest.mark.django_db(transaction=True)
def test_the_demos_orders_come_to_believable_ends(sandbox: Sandbox, var_dir: Path) -> None:
    run("seed_demo", "--sandbox-url", sandbox.url)
    run("forward_orders")
    ends = {"#completed": "Completed", "#partial": "Partial", "#canceled": "Canceled", "#fail": "Fail"}
    for order_id, order in list(sandbox.orders.items()):
        for fragment, status in ends.items():
            if fragment in order.link:
                sandbox.set_order(order_id, status=status, remains=157 if status == "Partial" else 0)
    run("sync_orders", "--all")
    assert {"Completed", "Partial", "Canceled", "Processing"} <= set(Order.objects.values_list("status", flat=True))
    assert Dispatch.objects.filter(state="UNCLEAR").count() == 1
    assert Order.objects.filter(attention="failed").count() == 1
    assert auditing.find_differences() == []


@pytest.mark.django_db(transaction=True)
def test_the_demo_sells_products_from_everywhere(sandbox: Sandbox, var_dir: Path) -> None:
    sandbox.configure(has_products=True)
    for _ in range(2):
        run("seed_demo", "--sandbox-url", sandbox.url)
    run("forward_orders")
    sold = Order.objects.filter(service__is_product=True)
    told = sorted(sold.values_list("service__product__source", "status"))
    assert told == [("hand", "Pending"), *[("provider", "Processing")] * 3, ("stock", "Completed")]
    assert Provider.objects.get().dialect_overrides["products"] is True


def test_a_database_of_ones_own_is_not_seeded_by_accident(settings: LazySettings, var_dir: Path) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="--yes"):
        run("seed_demo")
    assert User.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_outside_of_the_embedded_panel_passwords_are_made_up(
    settings: LazySettings, sandbox: Sandbox, var_dir: Path
) -> None:
    settings.EMBEDDED = False
    out = run("seed_demo", "--sandbox-url", sandbox.url, "--yes")
    assert "demo-staff" not in out
    assert not User.objects.get(email="admin@example.org").check_password("demo-staff")


def test_a_sandbox_that_does_not_answer_is_one_clear_line(var_dir: Path) -> None:
    with pytest.raises(CommandError, match="refused"):
        run("seed_demo", "--sandbox-url", "http://127.0.0.1:9/api/v2")
    assert User.objects.count() == 0
