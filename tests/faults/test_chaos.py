"""A short run of the chaos harness (tests/chaos); `make chaos` runs it long."""

from pathlib import Path

import pytest

from tests.chaos import plan, running, telling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker]

SEED = 12


def test_whatever_dies_or_lies_every_order_is_sent_once_or_given_back_or_waits_with_a_reason(tmp_path: Path) -> None:
    drawn = plan.draw(SEED, orders=180, seconds=18, patience=30, blows=8)
    outcome = running.run(drawn, tmp_path)
    assert not outcome.violations, telling.table(outcome)
    # Otherwise the run has proved less than it says.
    assert outcome.bought_without_broker
    assert sum(outcome.blows.values()) == len(drawn.blows)
    assert all(outcome.accepted.values())


def test_the_same_seed_draws_the_same_run() -> None:
    assert plan.draw(SEED, 50, 60, patience=1, blows=9) == plan.draw(SEED, 50, 60, patience=1, blows=9)
    assert plan.draw(SEED, 50, 60, patience=1, blows=9) != plan.draw(SEED + 1, 50, 60, patience=1, blows=9)
