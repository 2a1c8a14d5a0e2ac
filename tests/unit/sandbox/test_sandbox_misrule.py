"""Misrule is a lot that each call draws for itself: the same in any order of arrival, and in any other run."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from catalog.providers.sandbox import Sandbox, actions

SHARES = {"add": {"http500": 0.2, "error": 0.1, "hang": 0.05}, "status": {"html": 0.3}}
TEXTS = ("Server is busy", "Mot inconnu", "Try the other door")


def ask(world: Sandbox, action: str, **params: str) -> tuple[str, str]:
    """Return the kind and the text of the misbehaviour that a call meets."""
    fault, _ = actions.handle(world, {"key": world.key, "action": action, **params})
    return (fault.kind, fault.body) if fault else ("", "")


def add(world: Sandbox, number: int) -> tuple[str, str]:
    return ask(world, "add", service="1", link=f"https://example.com/{number}", quantity="100")


def ruled(seed: int = 1, rules: Mapping[str, Mapping[str, float]] = SHARES) -> Sandbox:
    world = Sandbox(pace=0)
    world.misrule(seed, rules, refusals=TEXTS)
    return world


def test_each_kind_gets_its_share_and_the_rest_behaves() -> None:
    world = ruled()
    drawn = Counter(add(world, number)[0] for number in range(4000))
    assert set(drawn) == {"", "http500", "error", "hang"}
    shares = {kind: count / 4000 for kind, count in drawn.items()}
    assert shares == pytest.approx({"": 0.65, "http500": 0.2, "error": 0.1, "hang": 0.05}, abs=0.03)
    assert len(world.orders) == drawn[""] + drawn["hang"]


def test_what_a_call_draws_does_not_depend_on_when_it_comes() -> None:
    numbers = [number for number in range(200) for _ in range(3)]
    shuffled = random.Random(5).sample(numbers, len(numbers))
    met: list[dict[int, list[Any]]] = []
    for order in (numbers, shuffled):
        world = ruled()
        seen: dict[int, list[Any]] = {}
        for number in order:
            seen.setdefault(number, []).append(add(world, number))
            ask(world, "balance")
        met.append(seen)
    assert met[0] == met[1]
    assert any(len(set(draws)) > 1 for draws in met[0].values())


def test_another_seed_is_another_fate() -> None:
    one, other = ruled(1), ruled(2)
    assert [add(one, number) for number in range(50)] != [add(other, number) for number in range(50)]


def test_the_text_of_an_error_is_drawn_as_well() -> None:
    world = ruled(rules={"add": {"error": 1}})
    drawn = [add(world, number) for number in range(60)]
    assert {kind for kind, _ in drawn} == {"error"}
    assert {text for _, text in drawn} == set(TEXTS)
    assert world.orders == {}


@pytest.mark.parametrize("name", ["order", "orders"])
def test_a_read_draws_by_the_ids_it_asks_for(name: str) -> None:
    world = ruled()
    drawn = Counter(ask(world, "status", **{name: f"{number},{number + 1}"})[0] for number in range(1000))
    assert drawn["html"] / 1000 == pytest.approx(0.3, abs=0.05)
    assert set(drawn) == {"", "html"}


def test_the_seconds_are_those_of_the_misrule() -> None:
    world = Sandbox(pace=0)
    world.misrule(1, {"balance": {"refuse_429": 1.0}}, seconds=4)
    fault, _ = actions.handle(world, {"key": world.key, "action": "balance"})
    assert fault is not None
    assert (fault.kind, fault.seconds) == ("refuse_429", 4)


def test_a_script_comes_first_and_no_rules_end_it() -> None:
    world = ruled(rules={"add": {"http500": 1.0}})
    world.misbehave("add", "empty")
    assert [add(world, 1)[0] for _ in range(2)] == ["empty", "http500"]
    world.behave()
    assert add(world, 1)[0] == "http500"
    world.misrule(1, {})
    assert add(world, 1)[0] == ""


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({"add": {"explode": 0.1}}, "explode"),
        ({"add": {"http500": 0.6, "html": 0.5}}, "at most 1"),
        ({"add": {"http500": -0.1}}, "probabilities"),
        ({"add": {"error": 0.1}}, "refusals"),
    ],
)
def test_rules_that_cannot_be_are_refused(world: Sandbox, rules: dict[str, dict[str, float]], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        world.misrule(1, rules)
