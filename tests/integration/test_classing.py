"""Texts that staff have classed for one provider, so that the next one settles by itself."""

from typing import Any, cast

import pytest

from accounts.errors import UserError
from accounts.models import User
from catalog import classing, connecting
from catalog.models import Provider, RefusalText
from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable, Unclear
from catalog.providers.refusal_table import ROWS
from catalog.providers.sandbox import Sandbox
from tests.conftest import make_provider, remote_service

TEXT = "Mercury is in retrograde"
Meaning = RefusalText.Meaning


def ordered(provider: Provider, sandbox: Sandbox, text: str) -> Any:
    """Return what an order comes to that the provider refuses with a text."""
    sandbox.misbehave("add", "raw", body=f'{{"error": "{text}"}}')
    service = remote_service(sandbox, "Default")
    params = {"service": str(service["service"]), "link": "https://example.org/", "quantity": str(service["min"])}
    with connecting.connect(provider) as client, pytest.raises(ProviderError) as raised:
        client.add(params)
    return raised.value


@pytest.mark.parametrize(
    ("meaning", "kind", "facts"),
    [
        (Meaning.LINK, Rejected, {"condition": "invalid_link", "failover": False}),
        (Meaning.QUANTITY, Rejected, {"condition": "quantity_invalid", "failover": False, "resync": True}),
        (Meaning.FINAL, Rejected, {"condition": "classed", "failover": False, "resync": False}),
        (Meaning.SERVICE, Rejected, {"condition": "service_disabled", "failover": True}),
        (Meaning.FUNDS, Unavailable, {"reason": Reason.FUNDS}),
        (Meaning.KEY, Unavailable, {"reason": Reason.KEY}),
        (Meaning.LATER, Unavailable, {"reason": Reason.MAINTENANCE}),
        (Meaning.WAIT, Unavailable, {"reason": Reason.WAIT}),
        (Meaning.UNCLEAR, Unclear, {"reason": "server_error"}),
    ],
)
def test_a_text_means_what_staff_say(
    provider: Provider, sandbox: Sandbox, staff: User, meaning: Meaning, kind: type, facts: dict[str, object]
) -> None:
    before = ordered(provider, sandbox, TEXT)
    assert (type(before), before.reason) == (Unclear, "unknown_refusal")
    classing.class_text(provider.pk, TEXT, meaning, actor_id=staff.pk)
    after = ordered(provider, sandbox, f"  {TEXT.upper()}. ")
    assert type(after) is kind
    assert {name: getattr(after, name) for name in facts} == facts


def test_every_meaning_is_one_that_the_table_knows() -> None:
    assert set(classing.MEANINGS) == set(Meaning)
    known = {(row.condition, row.refusal_class) for row in ROWS} | {("classed", "final")}
    assert {(refusal.condition, refusal.refusal_class) for refusal in classing.MEANINGS.values()} <= known


def test_what_one_provider_means_says_nothing_about_another(provider: Provider, sandbox: Sandbox, staff: User) -> None:
    classing.class_text(provider.pk, TEXT, Meaning.LINK, actor_id=staff.pk)
    other = make_provider(sandbox.url, key=sandbox.key)
    assert isinstance(ordered(other, sandbox, TEXT), Unclear)


def test_staff_overrule_the_table(provider: Provider, sandbox: Sandbox, staff: User) -> None:
    assert isinstance(ordered(provider, sandbox, "Invalid link"), Rejected)
    classing.class_text(provider.pk, "Invalid link", Meaning.LATER, actor_id=staff.pk)
    assert isinstance(ordered(provider, sandbox, "Invalid link"), Unavailable)


def test_classing_again_changes_what_a_text_means_and_who_said_so(
    provider: Provider, staff: User, stranger: User
) -> None:
    first = classing.class_text(provider.pk, f" {TEXT} ", Meaning.LINK, actor_id=staff.pk)
    assert (first.text, first.normal) == (TEXT, TEXT.lower())
    second = classing.class_text(provider.pk, f"{TEXT.upper()}.", Meaning.WAIT, actor_id=stranger.pk)
    kept = RefusalText.objects.get()
    assert kept.pk == first.pk == second.pk
    assert (kept.meaning, kept.classed_by, kept.text) == ("wait", stranger, f"{TEXT.upper()}.")
    assert kept.created_at > cast("Any", first.created_at)


@pytest.mark.parametrize("text", ["", "  ", "...", "x" * 301, "ß" * 151])
def test_a_text_that_no_answer_can_be_compared_with_is_refused(provider: Provider, staff: User, text: str) -> None:
    with pytest.raises(UserError) as raised:
        classing.class_text(provider.pk, text, Meaning.LINK, actor_id=staff.pk)
    assert raised.value.field == "text"
    assert not RefusalText.objects.exists()


def test_the_longest_text_is_kept(provider: Provider, staff: User) -> None:
    assert len(classing.class_text(provider.pk, "x" * 300, Meaning.LINK, actor_id=staff.pk).normal) == 300


def test_a_meaning_that_there_is_not_is_refused(provider: Provider, staff: User) -> None:
    with pytest.raises(UserError):
        classing.class_text(provider.pk, TEXT, "maybe", actor_id=staff.pk)
