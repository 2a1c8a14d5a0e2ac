"""The import wizard, step by step and without JavaScript; nothing is written before the last one."""

import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Category, Markup, Provider, ProviderService, Service
from tests.conftest import MakeService, make_provider
from tests.integration.admin.conftest import allow

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Provider:
    """A provider whose list was read, and which nobody asks now."""
    shelf = make_provider("http://127.0.0.1:9/api/v2", name="Shelf")
    names = (("1", "Visits", "Web"), ("2", "Slow visits", "Web"), ("3", "Checks", "E-mail"), ("4", "Odd", ""))
    for remote_id, name, category in names:
        ProviderService.objects.create(
            provider=shelf,
            remote_id=remote_id,
            name=name,
            category=category,
            type="Default" if category else "Telepathy",
            rate=Decimal("0.9"),
            min=1,
            max=10,
        )
    return shelf


def told(response: Any) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.unescape(response.content.decode())))


def address(shelf: Provider, step: str = "") -> str:
    return f"/admin/catalog/provider/{shelf.pk}/import/{step}"


def row_id(shelf: Provider, remote_id: str) -> str:
    return str(shelf.services.get(remote_id=remote_id).pk)


def test_from_a_category_to_services_on_sale(shelf: Provider, staff_client: Client) -> None:
    text = told(staff_client.get(address(shelf)))
    assert "2 of 2 new" in text
    text = told(staff_client.post(address(shelf), {"category": ["Web", ""], "next": "1"}, follow=True))
    assert "3 services chosen" in text
    values = {"percent": "50", "fixed": "0.01", "round_to": "0.05"}
    text = told(staff_client.post(address(shelf, "prices/"), values | {"show": "1"}, follow=True))
    assert "$0.90" in text
    assert "$1.40" in text
    assert "35.7%" in text
    assert "Not on sale: nobody knows the type “Telepathy”" in text
    text = told(staff_client.post(address(shelf, "prices/"), values | {"next": "1"}, follow=True))
    assert "Their category, and ours" in text
    names = {"template": "{name} ({id})", "category_0": "Oddities", "category_1": "Traffic", "next": "1"}
    text = told(staff_client.post(address(shelf, "names/"), names, follow=True))
    assert "Slow visits (2)" in text
    assert "Nothing is written before you confirm" in text
    assert Service.objects.count() == Category.objects.count() == Markup.objects.count() == 0
    text = told(staff_client.post(address(shelf, "confirm/"), follow=True))
    assert "2 services put on sale, 1 imported, not on sale" in text
    made = Service.objects.order_by("name").values_list("name", "category__name", "enabled")
    assert list(made) == [
        ("Odd (4)", "Oddities", False),
        ("Slow visits (2)", "Traffic", True),
        ("Visits (1)", "Traffic", True),
    ]
    assert Markup.objects.filter(percent=50, fixed=Decimal("0.01"), round_to=Decimal("0.05")).count() == 3
    text = told(staff_client.get(address(shelf)))
    assert "0 services chosen" in text
    assert "0 of 2 new" in text


def test_ticks_of_several_pages_add_up_and_can_be_taken_back(shelf: Provider, staff_client: Client) -> None:
    first, second, third = (row_id(shelf, remote_id) for remote_id in "123")
    staff_client.post(address(shelf) + "?q=3", {"shown": third, "row": [third], "keep": "1"})
    response = staff_client.post(
        address(shelf) + "?category=Web", {"shown": f"{first},{second},", "row": [second]}, follow=True
    )
    assert "2 services chosen" in told(response)
    assert response.request["QUERY_STRING"] == "category=Web"
    ticked = re.findall(r'value="(\d+)" class="mt-1" checked', response.content.decode())
    assert ticked == [second]
    text = told(staff_client.post(address(shelf) + "?category=Web", {"shown": f"{first},{second},"}, follow=True))
    assert "1 service chosen" in text


def test_a_whole_category_is_taken_back_and_a_part_of_one_stays(shelf: Provider, staff_client: Client) -> None:
    first = row_id(shelf, "1")
    staff_client.post(address(shelf), {"category": ["E-mail"]})
    staff_client.post(address(shelf) + "?q=1", {"shown": first, "row": [first]})
    text = told(staff_client.get(address(shelf)))
    assert "2 of 2 new · 1 chosen" in text
    staff_client.post(address(shelf), {"whole": ["E-mail"]})
    assert staff_client.session[f"import:{shelf.pk}"]["rows"] == [int(first)]


def test_all_that_is_new_or_nothing_is_chosen_at_once(
    shelf: Provider, make_service: MakeService, staff_client: Client
) -> None:
    Service.objects.create(category=Category.objects.create(name="Ours"), name="Ours").routes.create(
        provider_service=shelf.services.get(remote_id="1")
    )
    assert "3 services chosen" in told(staff_client.post(address(shelf), {"all": "1"}, follow=True))
    assert "0 services chosen" in told(staff_client.post(address(shelf), {"none": "1"}, follow=True))


def test_what_is_imported_already_is_flagged_and_never_ticked(shelf: Provider, staff_client: Client) -> None:
    ours = Service.objects.create(category=Category.objects.create(name="Ours"), name="Ours")
    ours.routes.create(provider_service=shelf.services.get(remote_id="1"))
    response = staff_client.get(address(shelf) + "?category=Web")
    assert "Imported already" in told(response)
    assert f"/admin/catalog/service/{ours.pk}/change/" in response.content.decode()
    row = row_id(shelf, "1")
    staff_client.post(address(shelf), {"shown": row, "row": [row]})
    assert staff_client.session[f"import:{shelf.pk}"]["rows"] == []


def test_a_search_and_an_empty_category_find_their_rows(shelf: Provider, staff_client: Client) -> None:
    assert "4 · Odd" in told(staff_client.get(address(shelf) + "?category="))
    text = told(staff_client.get(address(shelf) + "?q=slow+web"))
    assert "2 · Slow visits" in text
    assert "1 · Visits" not in text
    assert "Nothing found." in told(staff_client.get(address(shelf) + "?q=nowhere"))


def test_steps_without_a_choice_lead_back_to_the_first(shelf: Provider, staff_client: Client) -> None:
    for step in ("prices/", "names/", "confirm/"):
        assert "Choose something first." in told(staff_client.get(address(shelf, step), follow=True))
    staff_client.post(address(shelf, "confirm/"))
    assert Service.objects.count() == 0


@pytest.mark.parametrize(
    ("step", "values", "words"),
    [
        ("prices/", {"percent": "-1"}, "greater than or equal to 0"),
        ("prices/", {"percent": "lots"}, "Enter a number"),
        ("prices/", {"round_to": "0"}, "It must be above zero"),
        ("names/", {"template": "{price}", "category_0": "Web"}, "It needs {name} or {id}"),
        ("names/", {"template": "{name}", "category_0": " "}, "This field is required"),
    ],
)
def test_what_cannot_be_is_refused_in_its_step(
    shelf: Provider, staff_client: Client, step: str, values: dict[str, str], words: str
) -> None:
    staff_client.post(address(shelf), {"category": ["Web"]})
    assert words in told(staff_client.post(address(shelf, step), values | {"next": "1"}))


def test_an_existing_category_is_proposed_whatever_its_case(shelf: Provider, staff_client: Client) -> None:
    Category.objects.create(name="WEB")
    staff_client.post(address(shelf), {"category": ["Web"]})
    response = staff_client.get(address(shelf, "names/"))
    assert response.context["form"]["category_0"].value() == "WEB"


def test_a_list_that_was_never_read_asks_for_that_first(staff_client: Client) -> None:
    text = told(staff_client.get(address(make_provider("http://127.0.0.1:9/api/v2"))))
    assert "Its list has not been read yet" in text
    assert "Read its list now" in text


def test_a_long_list_comes_in_pages(shelf: Provider, staff_client: Client) -> None:
    ProviderService.objects.bulk_create(
        ProviderService(
            provider=shelf, remote_id=str(number), name="Row", type="Default", category="Long", rate=1, min=1, max=2
        )
        for number in range(1000, 1450)
    )
    text = told(staff_client.get(address(shelf) + "?category=Long&page=3"))
    assert "Page 3 of 3" in text
    assert "1449 · Row" in text
    assert "1399 · Row" not in text
    staff_client.post(address(shelf), {"category": ["Long"]})
    assert "Page 1 of 3" in told(staff_client.get(address(shelf, "prices/")))


def test_the_wizard_is_for_whoever_may_change_providers_and_add_services(
    shelf: Provider, helper: User, helper_client: Client
) -> None:
    allow(helper, "catalog.view_provider", "catalog.change_provider")
    for step in ("", "prices/", "names/", "confirm/"):
        assert helper_client.get(address(shelf, step)).status_code == 403
        assert helper_client.post(address(shelf, step)).status_code == 403
    allow(helper, "catalog.add_service")
    assert "Shelf" in told(helper_client.get(address(shelf)))
