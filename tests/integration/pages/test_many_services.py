"""The list of ten thousand services: a first paint that stays small, and no more queries than for one."""

from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog.models import Category, Provider
from tests.integration.pages.reading import read

# Through the models it would take most of the time of all these tests.
MANY = """
WITH made AS (
    INSERT INTO catalog_service (category_id, name, description, type, min, max, refill, cancel, dripfeed, loss_policy,
        enabled, position)
    SELECT category.id, %(name)s || ' ' || n, repeat(%(words)s, n %% 60), 'Default', 1, 500000, n %% 2 = 0, false,
        false, 'hold', true, 0
    FROM generate_series(0, %(number)s - 1) n JOIN catalog_category category ON category.position = n * 240 / %(number)s
    RETURNING id
), provided AS (
    INSERT INTO catalog_providerservice (provider_id, remote_id, name, type, category, rate, min, max, description)
    SELECT %(provider)s, id, 'x', 'Default', '', id, 1, 2, '' FROM made
    RETURNING id, rate
), changed AS (
    INSERT INTO catalog_servicechange (service_id, kind, before, after) SELECT id, 'up', '0.1', '1' FROM made
)
INSERT INTO catalog_route (service_id, provider_service_id, position, enabled)
SELECT rate::bigint, id, 1, true FROM provided
"""


def fill(provider: Provider, number: int) -> None:
    """Put so many services on sale in 240 categories, in long words of an alphabet that takes two bytes a letter."""
    Category.objects.bulk_create(
        Category(name=f"Площадка{n % 12} с названием обычной длины {n}", position=n) for n in range(240)
    )
    name = "Услуга с названием обычной длины | до 500 тысяч | 50 тысяч в день ⚡"
    with connection.cursor() as cursor:
        cursor.execute(
            MANY, {"number": number, "name": name, "words": "Начало 0–1 час. Слова. ", "provider": provider.pk}
        )


def test_ten_thousand_services_have_a_small_first_paint_and_few_queries(
    customer_client: Client, provider: Provider, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(provider, 10_000)
    customer_client.get("/services/?sort=cheap")  # makes the price list once
    # Session, user, services, terms, stars, moves, categories, balance; where rates decide also the version of the
    # price list and which services.
    for address, queries in (
        ("/services/", 8),
        ("/services/?q=услуга&refill=1&changed=1", 8),
        ("/services/?sort=cheap&least=1", 10),
    ):
        with django_assert_num_queries(queries):
            answer = customer_client.get(address)
        assert len(answer.content) < 150_000, address
        assert read(answer).having(hx_trigger="revealed"), address
