"""What a provider's error text means.

Texts match without regard to case, spacing and a final period. A row of the table holds for the actions it names only:
the same words may mean something else elsewhere. A text that is not in the table is never guessed at.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from catalog.providers.refusal_table import ROWS, Row

CLASSES = frozenset({"final", "failover", "operator", "operator_failover", "later", "wait", "ambiguous"})

# Refusals that our copy of the provider's catalogue could have foreseen.
STALE_CATALOGUE = frozenset(
    {"service_unknown", "quantity_too_low", "quantity_too_high", "quantity_invalid", "product_not_found"},
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The condition that a text reports and its class; raises ValueError for a class that PROTOCOL 4 does not know."""

    condition: str
    refusal_class: str

    def __post_init__(self) -> None:
        if self.refusal_class not in CLASSES:
            raise ValueError(f"'{self.refusal_class}' is no class of refusals; known: {', '.join(sorted(CLASSES))}")


def normalise(text: str) -> str:
    """Return the form in which error texts are compared."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split()).rstrip(". ")


EXACT: Mapping[str, Row] = {normalise(text): row for row in ROWS for text in row.texts}
PREFIXES: tuple[tuple[str, Row], ...] = tuple(
    (normalise(text), row) for row in ROWS if row.prefix for text in row.texts
)


def classify(text: str, action: str, own: Mapping[str, Refusal] | None = None) -> Refusal | None:
    """Return what an error text means for an action, or None when nobody has classed it (PROTOCOL 4).

    `own` holds the texts that staff classed for this provider; they come before the table.
    """
    spoken = normalise(text)
    if not spoken:
        return None
    for known, refusal in (own or {}).items():
        if normalise(known) == spoken:
            return refusal
    rows = [EXACT[spoken]] if spoken in EXACT else []
    rows += [row for start, row in PREFIXES if spoken.startswith(start)]
    for row in rows:
        if not row.actions or action in row.actions:
            return Refusal(row.condition, row.refusal_class)
    return None
