"""What holds for every page: who may see it, one heading, nothing inline, sound HTML, and the way in and out."""

import re

import pytest
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from catalog.models import Service
from tests.conftest import Fund, Place
from tests.integration.pages.reading import Reader, read

PRIVATE = [
    "/orders/new/",
    "/orders/mass/",
    "/orders/",
    "/orders/1/",
    "/services/",
    "/products/",
    "/statement/",
    "/api/",
    "/account/email/",
    "/account/password/change/",
]
PUBLIC = ["/account/login/", "/account/signup/", "/account/password/reset/", "/nothing-here/"]


@pytest.fixture
def busy_client(customer: User, customer_client: Client, service: Service, fund: Fund, place: Place) -> Client:
    """A customer's client whose every page has something to show."""
    fund(customer, "100")
    place(customer, service)
    customer.set_password("carla-password")  # without one there is no page to change it
    customer.save()
    customer_client.force_login(customer, backend="django.contrib.auth.backends.ModelBackend")
    return customer_client


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_page_leads_to_signing_in_and_back(client: Client, db: None, address: str) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer["Location"]) == (302, f"/account/login/?next={address}")


def pages(client: Client) -> dict[str, str]:
    """Open every page there is and return its HTML."""
    orders = re.findall(r'href="(/orders/\d+/)"', client.get("/orders/").content.decode())
    found = [address for address in PRIVATE if address != "/orders/1/"]
    opened = {address: client.get(address).content.decode() for address in [*found, orders[0], "/nothing-here/"]}
    return opened | {address: Client().get(address).content.decode() for address in PUBLIC}


def test_every_page_has_a_title_and_one_heading_and_nothing_inline(busy_client: Client) -> None:
    for address, html in pages(busy_client).items():
        assert html.count("<h1") == 1, address
        title = re.search(r"<title>\s*(.+?)\s* · Reseller Panel</title>", html, re.DOTALL)
        assert title, address
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style", html), address
        scripts = re.findall(r"<script([^>]*)>", html)
        assert all("src=" in script or "application/json" in script for script in scripts), address


def test_every_page_is_sound_html_with_its_labels_tied_to_fields(busy_client: Client) -> None:
    for address, html in pages(busy_client).items():
        reader = Reader()
        reader.feed(html)
        assert (reader.misplaced, reader.open) == ([], []), address
        ids = [tag["id"] for _, tag in reader.tags if "id" in tag]
        assert len(ids) == len(set(ids)), address
        assert {tag["for"] for name, tag in reader.tags if name == "label" and "for" in tag} <= set(ids), address
        named = {tag["for"] for name, tag in reader.tags if name == "label" and "for" in tag}
        bare = [
            tag
            for name, tag in reader.tags
            if name in {"input", "select", "textarea"}
            and tag.get("type") not in {"hidden", "radio"}
            and tag.get("id") not in named
            and "aria-label" not in tag
        ]
        assert not bare, address


def test_the_front_door_leads_in_or_to_signing_in(client: Client, customer_client: Client) -> None:
    assert client.get("/")["Location"] == "/account/login/"
    assert customer_client.get("/")["Location"] == "/orders/new/"


def test_one_signs_in_by_e_mail_or_user_name_and_out(customer: User, client: Client) -> None:
    customer.set_password("carla-password")
    customer.save()
    for login in ("carla@example.org", "carla"):
        answer = client.post("/account/login/", {"login": login, "password": "carla-password"})
        assert answer["Location"] == "/orders/new/"
        client.post("/account/logout/")
        assert client.get("/orders/")["Location"].startswith("/account/login/")


def test_a_wrong_password_is_said_on_the_page(customer: User, client: Client) -> None:
    answer = client.post("/account/login/", {"login": "carla", "password": "wrong"})
    assert "not correct" in read(answer).text


def test_a_newcomer_can_make_an_account_and_starts_with_nothing(client: Client, db: None) -> None:
    words = "a-long-enough-secret"
    sent = {"email": "n@example.org", "username": "newcomer", "password1": words, "password2": words}
    assert client.post("/account/signup/", sent)["Location"] == "/orders/new/"
    assert "Balance $0.00000" in read(client.get("/orders/new/")).text


def test_only_staff_see_the_way_to_the_admin(customer_client: Client, staff_client: Client) -> None:
    assert not read(customer_client.get("/orders/")).having(href="/admin/")
    assert read(staff_client.get("/orders/")).having(href="/admin/")


def test_the_chosen_theme_comes_from_a_cookie(customer_client: Client) -> None:
    assert read(customer_client.get("/orders/")).having(data_theme="auto")
    customer_client.cookies["theme"] = "dark"
    assert read(customer_client.get("/orders/")).having(data_theme="dark")


def test_health_answers_nothing_but_that(client: Client, db: None) -> None:
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_health_says_when_the_database_is_away(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        assert client.get("/health/").status_code == 503


def test_both_spellings_of_the_api_address_reach_it(client: Client, db: None) -> None:
    for address in ("/api/v2", "/api/v2/"):
        assert client.post(address, {"action": "balance"}).json() == {"error": "Invalid API key"}
