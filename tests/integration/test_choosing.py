"""Choosing from a provider's list: what was shown is what is put on sale, at the price that was shown."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, connections
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.errors import UserError
from catalog import choosing, pricing
from catalog.choosing import Choice, Group, Price, PutOnSale
from catalog.models import Category, Markup, Provider, ProviderService, Route, Service
from tests.conftest import MakeService, make_provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Provider:
    """A provider whose list was read; nobody answers at its address, since choosing never asks."""
    return make_provider("http://127.0.0.1:9/api/v2")


def list_service(provider: Provider, remote_id: str, **fields: Any) -> ProviderService:
    values: dict[str, Any] = {
        "name": f"Visits {remote_id}",
        "type": "Default",
        "category": "Web",
        "rate": Decimal("0.9"),
        "min": 10,
        "max": 1000,
        **fields,
    }
    return ProviderService.objects.create(provider=provider, remote_id=remote_id, **values)


def choice_of(provider: Provider, *rows: ProviderService, **fields: Any) -> Choice:
    return Choice(provider, {row.pk for row in rows}, **fields)


def test_what_vanished_waits_or_cannot_be_ordered_is_not_offered(shelf: Provider) -> None:
    good = list_service(shelf, "1")
    list_service(shelf, "2", vanished_at=timezone.now())
    list_service(shelf, "3", waiting="reused")
    list_service(shelf, "4", min=0)
    list_service(shelf, "5", min=5, max=4)
    list_service(make_provider("http://127.0.0.1:9/api/v2"), "6")
    assert list(choosing.list_rows(shelf)) == [good]


def test_categories_say_what_is_left_to_choose(
    shelf: Provider, make_service: MakeService, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first, _second, ours = (list_service(shelf, number) for number in "123")
    list_service(shelf, "4", category="")
    Route.objects.create(service=make_service(), provider_service=ours, position=2)
    Route.objects.create(service=make_service(), provider_service=ours, position=2)
    with django_assert_num_queries(2):
        groups = choosing.list_groups(shelf, {first.pk, ours.pk})
    assert groups == [Group("", 1, 1, 0), Group("Web", 3, 2, 1)]
    row = vars(choosing.list_rows(shelf).get(pk=ours.pk))
    assert (row["used"], row["service_id"]) == (True, ours.routes.order_by("pk")[0].service_id)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", ["1"]),
        ("1, 22 999", ["1", "22"]),
        ("slow visits", ["22"]),
        ("AB-7", ["ab-7"]),
        ("mail", ["ab-7"]),
        ("nothing like it", []),
        ("", ["1", "22", "ab-7"]),
    ],
)
def test_a_search_finds_ids_or_words(shelf: Provider, text: str, found: list[str]) -> None:
    list_service(shelf, "1", name="Visits 22")
    list_service(shelf, "22", name="Visits, slow")
    list_service(shelf, "ab-7", name="Checks", category="E-mail")
    rows = choosing.search(choosing.list_rows(shelf), text).order_by("pk")
    assert [row.remote_id for row in rows] == found


def test_only_what_can_be_put_on_sale_is_chosen(shelf: Provider, make_service: MakeService) -> None:
    free, ours = list_service(shelf, "1"), list_service(shelf, "2")
    Route.objects.create(service=make_service(), provider_service=ours, position=2)
    other = list_service(make_provider("http://127.0.0.1:9/api/v2"), "3")
    assert choosing.pick(shelf, [free.pk, ours.pk, other.pk, 0]) == {free.pk: "Web"}
    assert choosing.choose_groups(shelf, {"Web"}) == {free.pk}


@pytest.mark.parametrize(
    ("price", "rate"),
    [
        (Price(Decimal(25)), "2.25"),
        (Price(Decimal(0), Decimal("0.1")), "1.9"),
        (Price(Decimal(10), Decimal("0.001"), Decimal("0.05")), "2"),
        (None, "1.8"),
    ],
)
def test_the_rate_that_was_shown_is_the_one_that_is_sold_at(shelf: Provider, price: Price | None, rate: str) -> None:
    Provider.objects.update(exchange_rate=2)
    shelf.refresh_from_db()
    row = list_service(shelf, "1")
    choice = choice_of(shelf, row, price=price)
    (shown,) = choosing.draft(choice, [row])
    assert (shown.rate, shown.cost) == (Decimal(rate), Decimal("1.8"))
    assert shown.margin == (shown.rate - shown.cost) / shown.rate
    assert choosing.put_on_sale(choice) == PutOnSale(1, 0, 0)
    (terms,) = pricing.load_terms(None).values()
    assert (pricing.list_rate(terms), pricing.cost_rate(terms)) == (shown.rate, shown.cost)
    assert Markup.objects.count() == (0 if price is None else 1)


@pytest.mark.parametrize(
    ("scopes", "rate"),
    [
        ([], "0.9"),
        (["site"], "1.8"),
        (["site", "provider"], "2.7"),
        (["site", "provider", "category"], "3.6"),
    ],
)
def test_without_a_price_the_most_specific_rule_counts_as_it_will_when_sold(
    shelf: Provider, scopes: list[str], rate: str
) -> None:
    category = Category.objects.create(name="WEB")
    rules: dict[str, Markup] = {
        "site": Markup(percent=100),
        "provider": Markup(percent=200, provider=shelf),
        "category": Markup(percent=300, category=category),
    }
    Markup.objects.create(percent=900, provider=make_provider("http://127.0.0.1:9/api/v2"))
    for scope in scopes:
        rules[scope].save()
    row = list_service(shelf, "1")
    choice = choice_of(shelf, row, categories={"Web": "Web"})
    (shown,) = choosing.draft(choice, [row])
    choosing.put_on_sale(choice)
    (terms,) = pricing.load_terms(None).values()
    assert shown.rate == pricing.list_rate(terms) == Decimal(rate)
    assert Service.objects.get().category == category


def test_services_are_named_by_the_template_and_sorted_into_our_categories(shelf: Provider) -> None:
    Category.objects.create(name="Visits")
    rows = [
        list_service(shelf, "1", name="Fast {id}", category="Web &"),
        list_service(shelf, "2", category="Mail"),
        list_service(shelf, "3", category=""),
    ]
    choice = choice_of(shelf, *rows, categories={"Web &": "visits"}, template="{category}: {name} #{id}")
    shown = choosing.draft(choice, rows)
    choosing.put_on_sale(choice)
    made = list(Service.objects.order_by("pk").values_list("name", "category__name"))
    assert sorted(made) == [
        ("Mail: Visits 2 #2", "Mail"),
        ("Other: Visits 3 #3", "Other"),
        ("Web &: Fast {id} #1", "Visits"),
    ]
    assert [one.name for one in shown] == ["Web &: Fast {id} #1", "Mail: Visits 2 #2", "Other: Visits 3 #3"]


@pytest.mark.parametrize("template", ["", "Visits", "{category}", "{name.__class__}", "{name} {price}", "{name} }"])
def test_a_template_that_names_all_alike_or_holds_other_tokens_is_refused(template: str) -> None:
    with pytest.raises(UserError):
        choosing.check_template(template)
    assert choosing.check_template("  {name}   ({id}) ") == "{name} ({id})"


def test_an_unknown_type_and_a_rate_of_zero_are_imported_but_never_on_sale(shelf: Provider) -> None:
    rows = [list_service(shelf, "1", type="Telepathy"), list_service(shelf, "2", rate=0), list_service(shelf, "3")]
    choice = choice_of(shelf, *rows, price=Price(Decimal(10)))
    notes = [str(one.note) for one in choosing.draft(choice, rows)]
    assert notes == ["Not on sale: nobody knows the type “Telepathy”", "Not on sale: it lists no rate", ""]
    assert choosing.put_on_sale(choice) == PutOnSale(on_sale=1, off_sale=2, left_out=0)
    assert Service.objects.get(enabled=True).routes.get().provider_service == rows[2]


def test_flags_follow_and_drip_feed_only_where_it_can_be_sent(shelf: Provider) -> None:
    rows = [
        list_service(shelf, "1", refill=True, cancel=True, dripfeed=True),
        list_service(shelf, "2", refill=None, cancel=False, dripfeed=True, type="Package", min=1, max=1),
    ]
    choosing.put_on_sale(choice_of(shelf, *rows))
    made = Service.objects.order_by("routes__provider_service").values_list("refill", "cancel", "dripfeed", "min")
    assert list(made) == [(True, True, True, 10), (False, False, False, 1)]


def test_what_changed_meanwhile_is_left_out(shelf: Provider) -> None:
    rows = [list_service(shelf, number) for number in "123"]
    choice = choice_of(shelf, *rows)
    assert choosing.put_on_sale(choice_of(shelf, rows[0])) == PutOnSale(1, 0, 0)
    ProviderService.objects.filter(pk=rows[1].pk).update(vanished_at=timezone.now())
    assert choosing.put_on_sale(choice) == PutOnSale(on_sale=1, off_sale=0, left_out=2)
    assert Service.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_people_who_confirm_at_once_make_each_service_once(shelf: Provider) -> None:
    choice = choice_of(shelf, *(list_service(shelf, str(number)) for number in range(50)), price=Price(Decimal(5)))

    def confirm(_number: int) -> PutOnSale:
        try:
            return choosing.put_on_sale(choice)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(confirm, range(4)))
    assert sorted(one.on_sale for one in done) == [0, 0, 0, 50]
    assert Service.objects.count() == Route.objects.count() == Markup.objects.count() == 50


def test_thousands_take_a_handful_of_queries(
    shelf: Provider, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    ProviderService.objects.bulk_create(
        ProviderService(
            provider=shelf, remote_id=str(number), name="Row", type="Default", category="Web", rate=1, min=1, max=2
        )
        for number in range(3000)
    )
    rows = choosing.choose_groups(shelf, {"Web"})
    with django_assert_max_num_queries(3 * 10):
        done = choosing.put_on_sale(Choice(shelf, rows, Price(Decimal(5))))
    assert done == PutOnSale(3000, 0, 0)


def test_more_than_a_statement_has_parameters_can_be_chosen(shelf: Provider) -> None:
    row = list_service(shelf, "1")
    many = {row.pk, *range(10**9, 10**9 + 66_000)}
    assert choosing.list_groups(shelf, many) == [Group("Web", 1, 1, 1)]
    assert choosing.propose_categories(shelf, many) == {"Web": "Web"}
    assert choosing.put_on_sale(Choice(shelf, many)) == PutOnSale(1, 0, 66_000)


@pytest.mark.django_db(transaction=True)
def test_what_is_done_stays_done_when_the_rest_fails(shelf: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sorted((list_service(shelf, number) for number in "123"), key=lambda row: row.pk)
    monkeypatch.setattr(choosing, "BATCH", 1)
    ProviderService.objects.filter(pk=rows[2].pk).update(category="x" * 200)
    too_long = {"x" * 200: "y" * 300}
    choice = choice_of(shelf, *rows, categories=too_long)
    with pytest.raises(DataError):
        choosing.put_on_sale(choice)
    assert Service.objects.count() == Route.objects.count() == 2
    assert choosing.put_on_sale(choice_of(shelf, *rows)) == PutOnSale(on_sale=1, off_sale=0, left_out=2)
