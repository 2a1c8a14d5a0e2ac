"""Keeping secrets out of every text that people or logs get to see: a provider's key, and goods that were bought.

Servers echo what they were sent, and what cannot be read may be a delivery.
"""

import html
import json
import re
import urllib.parse
from dataclasses import dataclass, field

from catalog.providers.decoding import storable

MARK = "[key]"
EVIDENCE_LENGTH = 2048
TEXT_LENGTH = 300
GOODS_MARK = "[goods]"
# Where the goods of a product order begin (PROTOCOL 3.9): the field that holds them, a list of texts, or a bare text.
# Where they end nobody can say of an answer that is broken, so nothing behind is kept.
_GOODS = re.compile(r'("results?"\s*:\s*|\[\s*(?=")|\A\s*(?=")).*', re.DOTALL | re.IGNORECASE)


def _forms(key: str) -> tuple[str, ...]:
    escaped = json.dumps(key)[1:-1]
    percent = {urllib.parse.quote(key, safe=""), urllib.parse.quote_plus(key), urllib.parse.quote(key)}
    forms = {key, escaped, escaped.replace("/", "\\/"), key.replace("/", "\\/"), html.escape(key), html.escape(escaped)}
    forms |= percent | {form.replace("%", "%25") for form in percent}
    # Percent signs may be followed by capitals or not; the rest of a key keeps its case.
    forms |= {_lower_hex(form) for form in forms}
    return tuple(sorted(forms - {""}, key=len, reverse=True))


def _lower_hex(form: str) -> str:
    head, *pieces = form.split("%")
    return "%".join([head, *(piece[:2].lower() + piece[2:] for piece in pieces)])


@dataclass(frozen=True, slots=True)
class Redactor:
    """Replaces a key in all the writings in which an answer may echo it, and the goods in evidence where there are."""

    forms: tuple[str, ...] = field(repr=False)
    goods: bool = False

    def text(self, text: str) -> str:
        """Return a short text for people, on one line."""
        return self._clean(" ".join(text.split()))[:TEXT_LENGTH]

    def evidence(self, text: str) -> str:
        """Return the first 2 KB; cut after the key is gone, so that the cut leaves no half of one."""
        kept = _GOODS.sub(rf"\1{GOODS_MARK}", text) if self.goods else text
        return self._clean(kept)[:EVIDENCE_LENGTH]

    def _clean(self, text: str) -> str:
        for form in self.forms:
            text = text.replace(form, MARK)
        return storable(text)


def redactor(key: str, *, goods: bool = False) -> Redactor:
    """Return the redactor for a key, of answers that may hold goods or may not."""
    return Redactor(_forms(key.strip()) if key.strip() else (), goods)
