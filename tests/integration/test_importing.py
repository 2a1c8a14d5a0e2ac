import tracemalloc
from decimal import Decimal

import pytest

from accounts.models import User
from catalog import following, importing, kinds, pricing
from catalog.models import Category, Markup, Provider, ProviderService, Service
from catalog.providers.errors import Unavailable
from catalog.providers.replies import Catalogue, CatalogueRow
from catalog.providers.sandbox import Sandbox


def row(service: str, **fields: object) -> CatalogueRow:
    values: dict[str, object] = {
        "name": f"Service {service}",
        "type": "Default",
        "category": "Web",
        "rate": Decimal("0.9"),
        "min": 10,
        "max": 1000,
        "refill": True,
        "cancel": None,
        "dripfeed": None,
        "description": "",
    }
    return CatalogueRow(service=service, **values | fields)  # type: ignore[arg-type]  # a table of values


def read(*rows: CatalogueRow) -> Catalogue:
    return Catalogue(rows=rows, skipped=())


def test_the_sandboxs_catalogue_comes_in_whole(provider: Provider, sandbox: Sandbox) -> None:
    counts = importing.import_services(provider)
    listed = list(sandbox.services.values())
    assert counts.added == len(listed) == ProviderService.objects.count()
    assert Service.objects.filter(enabled=True).count() == len(listed) - len(counts.skipped)
    again = importing.import_services(provider)
    assert (again.added, again.changed, again.unchanged, again.vanished) == (0, 0, len(listed), 0)
    assert Service.objects.count() == len(listed)


def test_what_a_sync_has_read_before_counts_as_added_when_it_is_put_on_sale(provider: Provider) -> None:
    following.sync_provider(provider.pk)
    assert Service.objects.count() == 0
    first, again = importing.import_services(provider), importing.import_services(provider)
    assert (first.added, first.changed, first.unchanged) == (25, 0, 0)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 25)
    assert Service.objects.count() == 25


def test_a_markup_given_again_replaces_the_services_rule(provider: Provider) -> None:
    importing.apply_catalogue(provider, read(row("1")), markup_percent=Decimal(50))
    Markup.objects.update(fixed=Decimal(1), round_to=Decimal("0.01"))
    importing.apply_catalogue(provider, read(row("1"), row("2")), markup_percent=Decimal(20))
    rules = Markup.objects.order_by("service").values_list("percent", "fixed", "round_to")
    assert list(rules) == [(Decimal(20), Decimal(0), Decimal("0.01")), (Decimal(20), Decimal(0), None)]


def test_an_import_holds_one_batch_in_memory_beside_the_list(provider: Provider) -> None:
    def peak(first: int, number: int) -> int:
        listed = read(*(row(str(first + one), description="Slow. " * 100) for one in range(number)))
        tracemalloc.start()
        importing.apply_catalogue(provider, listed)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    importing.apply_catalogue(provider, read(row("1")))
    once = peak(10_000, importing.BATCH)
    assert peak(20_000, 3 * importing.BATCH) < once * 1.5


def test_every_field_is_taken_as_it_was_listed(provider: Provider) -> None:
    importing.apply_catalogue(
        provider,
        read(
            row(
                "7",
                name="Visits &amp; more \u2013 \u201csteady\u201d \U0001f680",
                rate=Decimal("0.004"),
                description="Slow",
            )
        ),
    )
    taken = ProviderService.objects.get()
    assert (taken.remote_id, taken.rate, taken.min, taken.max) == ("7", Decimal("0.004"), 10, 1000)
    assert (taken.refill, taken.cancel, taken.dripfeed) == (True, None, None)
    service = Service.objects.get()
    assert service.name == "Visits & more \u2013 \u201csteady\u201d \U0001f680"
    assert (service.category.name, service.description, service.refill, service.cancel) == ("Web", "Slow", True, False)


def test_what_cannot_be_sold_is_imported_but_not_on_sale(provider: Provider) -> None:
    counts = importing.apply_catalogue(provider, read(row("1", type="Telepathy"), row("2", rate=Decimal(0))))
    assert Service.objects.filter(enabled=True).count() == 0
    assert ProviderService.objects.get(remote_id="1").type == "Telepathy"
    assert [reason.split(":")[0] for _, reason in counts.skipped] == ["unknown type Telepathy", "rate 0"]


@pytest.mark.parametrize("limits", [(0, 10), (20, 10)])
def test_limits_that_cannot_be_are_skipped_with_the_reason(provider: Provider, limits: tuple[int, int]) -> None:
    counts = importing.apply_catalogue(provider, read(row("1", min=limits[0], max=limits[1])))
    assert counts.skipped == [("1", f"limits {limits[0]} to {limits[1]}")]
    assert ProviderService.objects.count() == 0


@pytest.mark.parametrize(
    "word", ["default", " Default ", "", "Custom_comments", "custom-comments", "PACKAGE", "Subscriptions "]
)
def test_type_spellings_are_folded(word: str) -> None:
    assert kinds.read_type(word) != Service.Type.UNKNOWN


def test_a_change_is_counted_and_follows_into_the_price(provider: Provider, customer: User) -> None:
    importing.apply_catalogue(provider, read(row("1"), row("2")))
    counts = importing.apply_catalogue(provider, read(row("1", rate=Decimal(2), max=5000), row("2")))
    assert (counts.changed, counts.unchanged) == (1, 1)
    service = Service.objects.get(routes__provider_service__remote_id="1")
    assert service.max == 5000
    assert pricing.sell_rate(pricing.load_terms(customer.pk)[service.pk]) == 2


def test_what_staff_changed_stays(provider: Provider) -> None:
    importing.apply_catalogue(provider, read(row("1")))
    Service.objects.update(name="Ours", enabled=False)
    importing.apply_catalogue(provider, read(row("1", name="Theirs")))
    assert (Service.objects.get().name, Service.objects.get().enabled) == ("Ours", False)


def test_a_vanished_service_is_stamped_and_cannot_be_bought(provider: Provider, customer: User) -> None:
    kept = [row(remote_id) for remote_id in "234"]
    importing.apply_catalogue(provider, read(row("1"), *kept))
    counts = importing.apply_catalogue(provider, read(*kept))
    assert counts.vanished == 1
    assert ProviderService.objects.get(remote_id="1").vanished_at is not None
    assert len(pricing.load_terms(customer.pk)) == 3
    assert importing.apply_catalogue(provider, read(*kept)).vanished == 0


def test_half_a_list_takes_nothing_off_sale(provider: Provider, customer: User) -> None:
    importing.apply_catalogue(provider, read(*(row(remote_id) for remote_id in "1234")))
    counts = importing.apply_catalogue(provider, read(row("1", rate=Decimal(2)), row("2")))
    assert (counts.changed, counts.vanished) == (1, 0)
    assert [remote_id for remote_id, why in counts.skipped if "2 of the 4 that we sell" in why] == ["3", "4"]
    assert len(pricing.load_terms(customer.pk)) == 4


@pytest.mark.parametrize("fields", [{"rate": Decimal(0)}, {"min": 0}])
def test_what_is_listed_as_it_cannot_be_sold_counts_as_vanished(provider: Provider, fields: dict[str, object]) -> None:
    kept = [row(remote_id) for remote_id in "234"]
    importing.apply_catalogue(provider, read(row("1"), *kept))
    assert importing.apply_catalogue(provider, read(row("1", **fields), *kept)).vanished == 1
    assert list(ProviderService.objects.filter(vanished_at=None).values_list("remote_id", flat=True)) == [*"234"]
    assert ProviderService.objects.get(remote_id="1").rate == Decimal("0.9")


def test_an_empty_list_changes_nothing(provider: Provider) -> None:
    importing.apply_catalogue(provider, read(row("1")))
    assert importing.apply_catalogue(provider, read()).vanished == 0
    assert ProviderService.objects.get().vanished_at is None


def test_a_markup_is_that_of_the_services_imported(provider: Provider, customer: User) -> None:
    importing.apply_catalogue(
        provider, read(row("1"), row("2", category="Text")), category="text", markup_percent=Decimal(50)
    )
    assert Service.objects.get().category.name == "Text"
    assert Markup.objects.get().percent == 50
    assert Category.objects.count() == 1
    importing.apply_catalogue(provider, read(row("1"), row("2", category="Text")))
    assert Markup.objects.count() == 1


def test_a_catalogue_that_cannot_be_read_changes_nothing(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.misbehave("services", "html")
    with pytest.raises(Unavailable):
        importing.import_services(provider)
    assert ProviderService.objects.count() == 0


def test_drip_feed_is_on_where_the_provider_says_so_and_off_where_it_does_not(provider: Provider) -> None:
    importing.apply_catalogue(
        provider,
        read(
            row("1", dripfeed=True),
            row("2", dripfeed=False),
            row("3", dripfeed=None),
            row("4", dripfeed=True, type="Package"),
        ),
    )
    flags = Service.objects.order_by("routes__provider_service__remote_id").values_list("dripfeed", flat=True)
    assert list(flags) == [True, False, False, False]
    Service.objects.update(dripfeed=True)
    importing.apply_catalogue(provider, read(row("2", dripfeed=False, max=20)))
    assert Service.objects.get(max=20).dripfeed


def test_subscriptions_come_in_with_the_limits_of_a_post(provider: Provider) -> None:
    importing.apply_catalogue(provider, read(row("1", type="subscriptions", min=10, max=500)))
    service = Service.objects.get()
    assert (service.type, service.min, service.max, service.enabled) == (Service.Type.SUBSCRIPTIONS, 10, 500, True)
