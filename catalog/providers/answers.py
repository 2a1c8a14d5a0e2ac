"""What an answer means for us: the order of judgement of ARCHITECTURE 3, for commands and for reads.

The body is parsed first, whatever the HTTP status: neither 200 nor 4xx proves anything (trap 5).
"""

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.providers.decoding import Undecodable, decode, readable
from catalog.providers.errors import ProviderError, Reason, Rejected, Unavailable, Unclear
from catalog.providers.fields import error_text, text_of
from catalog.providers.redaction import Redactor
from catalog.providers.refusals import STALE_CATALOGUE, Refusal, classify
from catalog.providers.replies import ItemError
from catalog.providers.transport import Reply

REASONS: Mapping[str, Reason] = {
    "operator": Reason.KEY,
    "operator_failover": Reason.FUNDS,
    "wait": Reason.WAIT,
    "ambiguous": Reason.SERVER,
}
LATER: Mapping[str, Reason] = {"rate_limited": Reason.RATE_LIMITED, "maintenance": Reason.MAINTENANCE}
# An epoch is told from a number of seconds by its size.
EPOCHS_BEGIN = 10**9

EXPLAINED: Mapping[str, str] = {
    "empty": "The answer is empty",
    "html": "The answer is a web page",
    "not_json": "The answer is not JSON",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, decoded as far as it goes; `fault` is empty only when the whole of it came and holds JSON."""

    action: str
    reply: Reply
    value: Any
    whole: bool
    fault: str
    error: str | None
    refusal: Refusal | None
    redact: Redactor
    own: Mapping[str, Refusal]

    @property
    def ok(self) -> bool:
        """Tell whether the HTTP status leaves the word to the body."""
        return (
            self.reply.status is not None
            and (200 <= self.reply.status < 300 or 400 <= self.reply.status < 500)
            and (self.reply.status != 429)
        )

    @property
    def evidence(self) -> str:
        """Return the first 2 KB of what came, without the key."""
        return self.redact.evidence(readable(self.reply.body))

    def item_error(self, text: str) -> ItemError:
        """Return the error of one id inside this answer."""
        refusal = classify(text, self.action, self.own)
        if refusal is None:
            return ItemError(self.redact.text(text), "unknown")
        return ItemError(self.redact.text(text), refusal.condition, refusal.refusal_class)

    def unavailable(self, reason: Reason, text: str) -> Unavailable:
        """Return the error for a call that was surely not carried out."""
        return Unavailable(
            self.redact.text(text),
            reason=reason,
            retry_after=retry_after(self.reply.headers),
            evidence=self.evidence,
            http_status=self.reply.status,
        )

    def unclear(self, reason: str, text: str) -> Unclear:
        """Return the error for a command that may have been carried out."""
        return Unclear(self.redact.text(text), reason=reason, evidence=self.evidence, http_status=self.reply.status)

    def rejected(self, refusal: Refusal, text: str) -> Rejected:
        """Return the error for a definite refusal."""
        return Rejected(
            self.redact.text(text),
            condition=refusal.condition,
            failover=refusal.refusal_class == "failover",
            resync=refusal.condition in STALE_CATALOGUE,
            evidence=self.evidence,
            http_status=self.reply.status,
        )


def read_answer(reply: Reply, action: str, redact: Redactor, own: Mapping[str, Refusal]) -> Answer:
    """Decode a reply and look for an error envelope in it."""
    value: Any = None
    whole, fault = False, reply.trouble
    try:
        decoded = decode(reply.body)
    except Undecodable as error:
        fault = fault or error.kind
    else:
        value, whole = decoded.value, decoded.whole and not fault
    spoken = error_text(value)
    refusal = classify(spoken, action, own) if spoken is not None else None
    return Answer(action, reply, value, whole, fault, spoken, refusal, redact, own)


def failed_command(answer: Answer) -> ProviderError | None:
    """Return how a command failed before an error text has a say: steps 2 to 4 of the order, and broken bodies."""
    status = answer.reply.status
    if answer.fault == "unreached":
        return answer.unavailable(Reason.NETWORK, answer.reply.detail)
    if status is None:
        return answer.unclear(answer.fault, answer.reply.detail)
    if status >= 500:
        return _server_failure(answer)
    if status == 429 or 300 <= status < 400:
        return _turned_away(answer)
    if answer.fault:
        return answer.unclear(answer.fault, _with_status(answer))
    return None


def judge_command(answer: Answer) -> ProviderError:
    """Return what a command without an id in its answer came to: steps 2 to 7 of the order of judgement."""
    failure = failed_command(answer)
    if failure is not None:
        return failure
    if answer.error is None:
        return answer.unclear("no_id", "The answer holds neither an id nor an error")
    if not (answer.whole and answer.ok):
        return answer.unclear("not_json", f"Not all of the answer is the error “{answer.error}”")
    if answer.refusal is None:
        return answer.unclear("unknown_refusal", answer.error)
    return refused(answer, answer.refusal, answer.error)


def refused(answer: Answer, refusal: Refusal, text: str) -> ProviderError:
    """Return the error that a classed refusal is for a command."""
    if refusal.refusal_class in {"final", "failover"}:
        return answer.rejected(refusal, text)
    if refusal.refusal_class == "ambiguous":
        return answer.unclear("server_error", text)
    return answer.unavailable(_reason(refusal), text)


def failed_read(answer: Answer) -> Unavailable | None:
    """Return how a read failed before its body had a say, or None."""
    status = answer.reply.status
    if answer.reply.trouble or status is None:
        reason = Reason.UNREADABLE if answer.reply.trouble == "too_large" else Reason.NETWORK
        return answer.unavailable(reason, answer.reply.detail)
    if status == 429 or 300 <= status < 400:
        return _turned_away(answer)
    if not answer.ok:
        reason = _reason(answer.refusal) if answer.refusal else Reason.SERVER
        return answer.unavailable(reason, _with_status(answer))
    # An empty list under 403 or 404 is no list.
    if answer.fault or (status >= 400 and not answer.value):
        return answer.unavailable(Reason.UNREADABLE, _with_status(answer))
    return None


def refused_read(answer: Answer) -> Unavailable:
    """Return the error that an error envelope is for a read."""
    reason = _reason(answer.refusal) if answer.refusal else Reason.UNREADABLE
    return answer.unavailable(reason, answer.error or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a provider asks us to wait, from Retry-After or X-RateLimit-Reset, or None."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", asked, re.ASCII):
        return float(asked)
    if asked:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if not re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII):
        return None
    seconds = float(reset)
    return max(0.0, seconds - time.time()) if seconds >= EPOCHS_BEGIN else seconds


def _reason(refusal: Refusal) -> Reason:
    if refusal.refusal_class == "later":
        return LATER.get(refusal.condition, Reason.MAINTENANCE)
    return REASONS.get(refusal.refusal_class, Reason.UNREADABLE)


def _server_failure(answer: Answer) -> ProviderError:
    refusal = answer.refusal
    if answer.reply.status == 503 and answer.whole and refusal is not None and refusal.condition in LATER:
        return answer.unavailable(LATER[refusal.condition], answer.error or "")
    return answer.unclear("http_5xx", _with_status(answer))


def _with_status(answer: Answer) -> str:
    return f"HTTP {answer.reply.status}: {answer.error or _explained(answer)}"


def _explained(answer: Answer) -> str:
    return answer.reply.detail or EXPLAINED.get(answer.fault, "The answer cannot be read")


def _turned_away(answer: Answer) -> Unavailable:
    if answer.reply.status == 429:
        return answer.unavailable(Reason.RATE_LIMITED, answer.error or "HTTP 429")
    location = text_of(answer.reply.headers.get("Location")) or "nowhere"
    return answer.unavailable(Reason.REDIRECT, f"HTTP {answer.reply.status}: the provider redirects to {location}")
