from decimal import Decimal
from threading import Thread

import pytest
from django.db import connection, transaction

from catalog import publishing
from catalog.models import Markup, Provider, ProviderService, Published, Service, ServiceChange
from tests.conftest import MakeService

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, str, str]]:
    """Return what was written since the last call."""
    changes = list(ServiceChange.objects.order_by("pk").values_list("kind", "before", "after"))
    ServiceChange.objects.all().delete()
    return changes


def test_the_first_time_only_notes_what_is_on_sale(make_service: MakeService) -> None:
    make_service()
    make_service(enabled=False)
    assert publishing.publish() == 0
    assert told() == []
    row = Published.objects.get()
    assert (row.rate, row.min, row.max) == (Decimal("0.90"), 10, 100_000)
    assert publishing.publish() == 0


def test_every_change_that_a_customer_can_see_is_told_once_whatever_caused_it(make_service: MakeService) -> None:
    make_service()
    publishing.publish()
    service = make_service(rate=Decimal(2))
    assert publishing.publish() == 1
    assert told() == [("new", "", "2")]
    ProviderService.objects.filter(routes__service=service).update(rate=Decimal("2.5"))
    publishing.publish()
    assert told() == [("up", "2", "2.5")]
    Markup.objects.create(service=service, percent=Decimal(100))
    publishing.publish()
    assert told() == [("up", "2.5", "5")]
    Service.objects.filter(pk=service.pk).update(own_rate=Decimal(4), min=5)
    publishing.publish()
    assert told() == [("down", "5", "4"), ("limits", "10-100000", "5-100000")]
    Service.objects.filter(pk=service.pk).update(enabled=False, max=50)
    publishing.publish()
    assert told() == [("disabled", "4", "")]
    Service.objects.filter(pk=service.pk).update(min=6)
    publishing.publish()
    assert told() == []
    Service.objects.filter(pk=service.pk).update(enabled=True)
    publishing.publish()
    assert told() == [("enabled", "", "4")]
    publishing.publish()
    assert told() == []


def test_a_provider_that_is_switched_off_takes_its_services_off_sale(
    make_service: MakeService, provider: Provider
) -> None:
    make_service()
    publishing.publish()
    Provider.objects.update(enabled=False)
    publishing.publish()
    assert told() == [("disabled", "0.9", "")]


def test_what_was_never_on_sale_is_new_when_it_is(make_service: MakeService) -> None:
    make_service()
    publishing.publish()
    service = make_service(enabled=False)
    publishing.publish()
    assert told() == []
    Service.objects.filter(pk=service.pk).update(enabled=True)
    publishing.publish()
    assert told() == [("new", "", "0.9")]


@pytest.mark.django_db(transaction=True)
def test_two_publishers_at_once_tell_a_change_once(make_service: MakeService) -> None:
    make_service()
    publishing.publish()
    ProviderService.objects.update(rate=Decimal(3))
    results: list[int] = []

    def publish() -> None:
        results.append(publishing.publish())
        connection.close()

    with transaction.atomic():
        assert publishing.publish() == 1
        other = Thread(target=publish)
        other.start()
        other.join()
    assert results == [0]
    assert publishing.publish() == 0
    assert told() == [("up", "0.9", "3")]


def test_the_number_of_queries_does_not_grow(make_service: MakeService, django_assert_num_queries: object) -> None:
    for _ in range(5):
        make_service()
    publishing.publish()
    ProviderService.objects.update(rate=Decimal(3))
    with django_assert_num_queries(8):  # type: ignore[operator]  # the fixture's own type is private
        assert publishing.publish() == 5
