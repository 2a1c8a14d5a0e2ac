"""Classing: what staff say that a provider's error text means, so that the next one settles by itself (PROTOCOL 4)."""

from collections.abc import Mapping

from django.utils import timezone

from accounts.errors import UserError
from catalog.models import RefusalText
from catalog.providers.refusals import Refusal, normalise

Meaning = RefusalText.Meaning
LONGEST_TEXT = 300  # its column

# Each stands beside the texts of the table that mean the same; only `classed` is nobody else's.
MEANINGS: Mapping[str, Refusal] = {
    Meaning.LINK: Refusal("invalid_link", "final"),
    Meaning.QUANTITY: Refusal("quantity_invalid", "final"),
    Meaning.FINAL: Refusal("classed", "final"),
    Meaning.SERVICE: Refusal("service_disabled", "failover"),
    Meaning.FUNDS: Refusal("upstream_funds", "operator_failover"),
    Meaning.KEY: Refusal("account_blocked", "operator"),
    Meaning.LATER: Refusal("maintenance", "later"),
    Meaning.WAIT: Refusal("duplicate_link", "wait"),
    Meaning.UNCLEAR: Refusal("server_error", "ambiguous"),
}


def class_text(provider_id: int, text: str, meaning: str, *, actor_id: int) -> RefusalText:
    """Say what a provider's error text means from now on; a text that is classed already changes its meaning.

    Raises UserError for a meaning that there is not and for a text that no answer can be compared with.
    """
    if meaning not in MEANINGS:
        raise UserError(f"'{meaning}' is not a meaning", field="meaning")
    values = {"text": text.strip(), "meaning": meaning, "classed_by_id": actor_id, "created_at": timezone.now()}
    row, _new = RefusalText.objects.update_or_create(provider_id=provider_id, normal=read_text(text), defaults=values)
    return row


def read_text(text: str) -> str:
    """Return the form in which a text is kept and compared; raise UserError for one that is empty or too long."""
    normal = normalise(text)
    if not normal:
        raise UserError("The text is empty", field="text")
    # Some letters become two where case does not count.
    if max(len(normal), len(text.strip())) > LONGEST_TEXT:
        raise UserError(f"The text is longer than {LONGEST_TEXT} characters", field="text")
    return normal


def read_refusals(provider_id: int | None) -> dict[str, Refusal]:
    """Return what staff say that a provider's texts mean; nothing for a provider that is not saved yet."""
    if provider_id is None:
        return {}
    rows = RefusalText.objects.filter(provider_id=provider_id).values_list("normal", "meaning")
    return {normal: MEANINGS[meaning] for normal, meaning in rows}
