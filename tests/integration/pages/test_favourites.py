"""Stars: on the list and on New order, with and without a script, each customer's own."""

import pytest
from django.test import Client

from accounts.errors import UserError
from accounts.models import User
from catalog import favourites
from catalog.models import Favourite, Service
from tests.conftest import MakeService
from tests.integration.pages.reading import Reader, read

HTMX = {"HX-Request": "true"}


def stars(page: Reader) -> dict[str, str]:
    """Return the buttons that a page has: whether each is pressed, by the id of its service."""
    return {
        tag["value"]: tag["aria-pressed"] for name, tag in page.tags if tag.get("form") == "star" and name == "button"
    }


def test_a_star_is_set_and_taken_away(customer: User, stranger: User, make_service: MakeService) -> None:
    service = make_service().pk
    assert favourites.toggle(customer.pk, service) is True
    assert (favourites.list_starred(customer.pk), favourites.list_starred(stranger.pk)) == ({service}, set())
    assert favourites.toggle(customer.pk, service) is False
    assert not Favourite.objects.exists()


def test_only_what_is_on_sale_can_be_starred_and_any_star_can_be_taken_away(
    customer: User, make_service: MakeService
) -> None:
    service = make_service()
    favourites.toggle(customer.pk, service.pk)
    Service.objects.update(enabled=False)
    assert favourites.toggle(customer.pk, service.pk) is False
    for wrong in (service.pk, 10**17):
        with pytest.raises(UserError, match="Service is not available"):
            favourites.toggle(customer.pk, wrong)
    assert not Favourite.objects.exists()


@pytest.mark.parametrize("page", ["/services/?refill=1", "/orders/new/?service={}"])
def test_without_a_script_a_star_leads_back_to_its_page(
    customer: User, customer_client: Client, make_service: MakeService, page: str
) -> None:
    service = make_service(refill=True)
    address = page.format(service.pk)
    opened = read(customer_client.get(address))
    assert stars(opened) == {str(service.pk): "false"}
    answer = customer_client.post("/favourites/", {**opened.forms["star"], "service": str(service.pk)})
    assert (answer.status_code, answer["Location"]) == (303, address)
    assert stars(read(customer_client.get(address))) == {str(service.pk): "true"}
    assert favourites.is_starred(customer.pk, service.pk)


def test_with_a_script_the_star_alone_is_answered(customer_client: Client, make_service: MakeService) -> None:
    service = make_service().pk
    for pressed in ("true", "false"):
        answer = customer_client.post("/favourites/", {"service": service}, headers=HTMX)
        assert answer.status_code == 200
        assert stars(read(answer)) == {str(service): pressed}
        assert "<html" not in answer.content.decode()


@pytest.mark.parametrize(
    "back", ["https://evil.example.org/", "//evil.example.org", "javascript:alert(1)", "", "\\\\evil"]
)
def test_a_star_never_leads_to_another_site(customer_client: Client, make_service: MakeService, back: str) -> None:
    answer = customer_client.post("/favourites/", {"service": make_service().pk, "back": back})
    assert answer["Location"] == "/services/"


def test_favourites_can_be_shown_alone(
    customer: User, stranger: User, customer_client: Client, make_service: MakeService
) -> None:
    mine, other = make_service(name="Mine"), make_service(name="Other")
    favourites.toggle(customer.pk, mine.pk)
    favourites.toggle(stranger.pk, other.pk)
    assert stars(read(customer_client.get("/services/"))) == {str(mine.pk): "true", str(other.pk): "false"}
    assert stars(read(customer_client.get("/services/?starred=1"))) == {str(mine.pk): "true"}


def test_a_star_needs_a_customer_and_a_form_of_ours(customer: User, client: Client, make_service: MakeService) -> None:
    service = make_service().pk
    assert client.post("/favourites/", {"service": service})["Location"].startswith("/account/login/")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(customer, backend="django.contrib.auth.backends.ModelBackend")
    assert strict.post("/favourites/", {"service": service}).status_code == 403
    assert strict.get("/favourites/").status_code == 405
    assert not Favourite.objects.exists()


@pytest.mark.parametrize("service", ["", "0", "9" * 18, "9" * 30, "-1", "x", "\x00"])
def test_a_star_for_nothing_says_so(customer_client: Client, db: None, service: str) -> None:
    answer = customer_client.post("/favourites/", {"service": service}, follow=True)
    assert "Service is not available" in read(answer).text
    assert customer_client.post("/favourites/", {"service": service}, headers=HTMX).status_code == 200
