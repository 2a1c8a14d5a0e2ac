"""The three ways in which a call to a provider can fail; the type says what the caller must do (ARCHITECTURE 3)."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a call was surely not carried out."""

    NETWORK = "network"
    RATE_LIMITED = "rate_limited"
    MAINTENANCE = "maintenance"
    FUNDS = "funds"
    KEY = "key"
    REDIRECT = "redirect"
    WAIT = "wait"
    # The last two are for reads only: a command that ends so is Unclear.
    UNREADABLE = "unreadable"
    SERVER = "server"


class ProviderError(Exception):
    """What every failed call carries: a short text and the first 2 KB of what came, both without the key."""

    def __init__(self, text: str = "", *, evidence: str = "", http_status: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.evidence = evidence
        self.http_status = http_status


class Unavailable(ProviderError):  # noqa: N818 -- ARCHITECTURE 3 names the outcome, not the fault
    """The call was surely not carried out: try again later, or elsewhere."""

    def __init__(
        self,
        text: str = "",
        *,
        reason: Reason,
        retry_after: float | None = None,
        evidence: str = "",
        http_status: int | None = None,
    ) -> None:
        super().__init__(text, evidence=evidence, http_status=http_status)
        self.reason = reason
        self.retry_after = retry_after


class Rejected(ProviderError):  # noqa: N818 -- as above
    """The provider refused for good; `failover` says that another may accept, `resync` that our catalogue is stale."""

    def __init__(  # noqa: PLR0913 -- each is one fact about the refusal, named at the call
        self,
        text: str = "",
        *,
        condition: str,
        failover: bool = False,
        resync: bool = False,
        evidence: str = "",
        http_status: int | None = None,
    ) -> None:
        super().__init__(text, evidence=evidence, http_status=http_status)
        self.condition = condition
        self.failover = failover
        self.resync = resync


class Unclear(ProviderError):  # noqa: N818 -- as above
    """The call may have been carried out: nobody may send it again, or give the money back, without evidence."""

    def __init__(self, text: str = "", *, reason: str, evidence: str = "", http_status: int | None = None) -> None:
        super().__init__(text, evidence=evidence, http_status=http_status)
        self.reason = reason
