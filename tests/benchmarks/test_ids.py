"""Whether the time of an answer tells a stranger's id from one of nobody: both in turn, and how they compare."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from catalog.models import Service
from tests.benchmarks.measuring import compare
from tests.conftest import Fund, Place

pytestmark = pytest.mark.django_db(transaction=True)

UNKNOWN = 987_654_321
# More than two classes of things would differ by, and less than a busy machine makes of one.
SAME = 1.25


@pytest.mark.parametrize("action", ["status", "refill", "cancel", "refill_status"])
def test_a_strangers_id_takes_as_long_as_one_of_nobody(
    action: str, api: Callable[..., Any], stranger: User, service: Service, fund: Fund, place: Place
) -> None:
    fund(stranger, "100000")
    foreign = [place(stranger, service).pk for _ in range(200)][100]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    name = "refill" if action == "refill_status" else "orders"
    ratio = compare(
        f"{action}: a stranger's id",
        lambda: api(action=action, **{name: foreign}),
        lambda: api(action=action, **{name: UNKNOWN}),
        times=100,
    )
    assert 1 / SAME < ratio < SAME
