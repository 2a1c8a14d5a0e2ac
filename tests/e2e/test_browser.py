"""A customer with a real browser, a real web server, a real worker and a provider that delivers by itself."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts.models import User
from catalog import importing
from catalog.models import Service
from catalog.providers.sandbox import Sandbox, serving
from orders import auditing
from orders.models import Order
from tests.conftest import Fund, make_provider
from tests.processes import free_port, manage, serving_panel, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker, pytest.mark.browser]

DELIVERED_IN = 30_000  # milliseconds; the sandbox needs about two seconds


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=DELIVERED_IN)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def shop(tmp_path: Path, customer: User, fund: Fund) -> Iterator[str]:
    """A panel with a provider that delivers in seconds, and a customer with funds; yields its address."""
    with serving(Sandbox(pace=0.4)) as sandbox_url:
        importing.import_services(make_provider(sandbox_url), markup_percent=Decimal(20))
        fund(customer, "500")
        customer.set_password("carla-password")
        customer.save()
        with serving_panel(free_port()) as url, worker(tmp_path):
            yield url


@pytest.fixture(params=[(1360, 900), (360, 760)], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, shop: str) -> Iterator[Page]:
    """Sign the customer in, and hold every page that is seen to having no error on its console."""
    width, height = request.param
    context = browser.new_context(base_url=shop, viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_default_timeout(DELIVERED_IN)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page)
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page) -> None:
    page.goto("/")
    page.locator("input[name=login]").fill("carla@example.org")
    page.locator("input[name=password]").fill("carla-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="New order")).to_be_visible()


def choose(page: Page, category: str, service: str) -> None:
    page.get_by_label("Category").select_option(label=category)
    option = page.locator("#service option", has_text=service)
    expect(option).to_have_count(1)
    number = option.get_attribute("value") or ""
    if page.locator("#service").input_value() != number:
        page.locator("#service").select_option(value=number)
    expect(page.locator("#order input[name=service]")).to_have_value(number)


def order_of(page: Page) -> int:
    placed = page.get_by_role("status").filter(has_text="received").locator("b").first
    return int("".join(char for char in placed.inner_text() if char.isdigit()))


def no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_orders_of_all_three_types_are_placed_and_delivered_before_the_customers_eyes(page: Page) -> None:
    choose(page, "Website visits", "worldwide")
    page.get_by_label("Link").fill("https://example.org/#partial")
    page.get_by_label("Quantity").fill("1000")
    expect(page.locator(".total dd")).to_contain_text("$")
    no_sideways_scrolling(page)
    page.get_by_role("button", name="Place order").click()
    partial = order_of(page)

    choose(page, "Comments from your list", "Guest-book")
    page.get_by_label("Link").fill("https://example.org/#completed")
    page.get_by_label("Comments").fill("Lovely, really\n\nMore of this\nThanks")
    page.get_by_role("button", name="Place order").click()
    comments = order_of(page)

    choose(page, "Packages", "Starter")
    page.get_by_label("Link").fill("https://example.org/shop#completed")
    page.get_by_role("button", name="Place order").click()
    package = order_of(page)

    page.get_by_role("link", name="View order").click()
    expect(page.locator("main")).to_contain_text("Started")
    page.goto("/orders/")
    no_sideways_scrolling(page)
    for order, status in ((partial, "Partial"), (comments, "Completed"), (package, "Completed")):
        expect(page.locator(f"#order-{order} .badge")).to_have_text(status)

    page.goto(f"/orders/{partial}/")
    expect(page.locator("main")).to_contain_text("÷ 1000")
    no_sideways_scrolling(page)
    page.goto("/statement/")
    expect(page.locator("main")).to_contain_text("Refund")
    expect(page.locator("main")).to_contain_text("Charge")
    no_sideways_scrolling(page)
    ended = Order.objects.get(pk=partial)
    assert (ended.status, ended.refunded > 0) == ("Partial", True)
    assert auditing.find_differences() == []
    assert manage("audit_ledger").returncode == 0


def test_a_spread_order_is_canceled_and_an_ended_one_is_refilled(page: Page) -> None:
    Service.objects.update(refill_after_hours=0)
    choose(page, "Website visits", "worldwide")
    page.get_by_label("Link").fill("https://example.org/#stuck")
    page.get_by_label("Quantity", exact=True).fill("100")
    page.get_by_text("Spread over time").first.click()
    page.get_by_label("Runs", exact=True).fill("3")
    page.get_by_label("Minutes between runs").fill("60")
    expect(page.locator(".sum")).to_contain_text("3 × 100 = 300")
    no_sideways_scrolling(page)
    page.get_by_role("button", name="Place order").click()
    spread = order_of(page)
    page.get_by_role("link", name="View order").click()
    expect(page.locator("#facts")).to_contain_text("0 of 3 delivered")
    expect(page.locator("#parts")).to_contain_text("In progress")
    page.get_by_text("Cancel order").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.locator("#told")).to_contain_text("Cancellation asked for")
    no_sideways_scrolling(page)
    expect(page.locator("#state .badge")).to_have_text("Canceled")
    stopped = Order.objects.get(pk=spread)
    assert (stopped.parts, stopped.refunded) == (3, stopped.charge)

    page.goto("/orders/new/")
    choose(page, "Website visits", "worldwide")
    page.get_by_label("Link").fill("https://example.org/#completed")
    page.get_by_label("Quantity", exact=True).fill("100")
    page.get_by_role("button", name="Place order").click()
    ended = order_of(page)
    page.goto("/orders/")
    page.get_by_label(f"Choose order {ended}").check()
    page.locator(f"button#order-{ended}-refill").click()
    expect(page.locator("#told")).to_contain_text(f"Refill asked for: order {ended}.")
    expect(page.get_by_label(f"Choose order {ended}")).to_be_checked()
    no_sideways_scrolling(page)
    page.goto(f"/orders/{ended}/")
    expect(page.locator("#wishes .badge")).to_have_text("Completed")
    assert auditing.find_differences() == []


def test_the_shop_works_without_javascript(browser: Browser, shop: str) -> None:
    context = browser.new_context(base_url=shop, java_script_enabled=False, viewport={"width": 360, "height": 760})
    page = context.new_page()
    sign_in(page)
    page.get_by_label("Category").select_option(label="Packages")
    page.get_by_role("button", name="Show").first.click()
    page.get_by_label("Link").fill("https://example.org/#completed")
    page.get_by_role("button", name="Place order").click()
    assert order_of(page) == Order.objects.get().pk

    page.goto("/orders/")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link", name="Back to the orders").click()
    expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_visible()
    context.close()
