"""Where a provider is and how it is spoken to, and the requests written for it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from catalog.providers.dialects import Dialect
from catalog.providers.refusals import Refusal

USER_AGENT = "reseller-panel/1.0"


@dataclass(frozen=True, slots=True)
class Connection:
    """A provider's full API address, key and habits; time-outs in seconds.

    Raises ValueError, fit to show to staff, for an address that is not http or https, has no host or path or carries a
    password, for time-outs that are not positive, and for keys that no request can carry. `refusals` are the error
    texts that staff classed for this provider.
    """

    url: str
    key: str = field(repr=False)
    dialect: Dialect = field(default_factory=Dialect)
    connect_timeout: float = 10
    read_timeout: float = 60
    user_agent: str = USER_AGENT
    refusals: Mapping[str, Refusal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_url(self.url)
        for seconds in (self.connect_timeout, self.read_timeout):
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"A time-out of {seconds} seconds is not possible")
        in_header = self.dialect.key_in.startswith("header:")
        if not self.key.isprintable() or (in_header and not self.key.isascii()):
            raise ValueError("The key holds characters that a request cannot carry")
        if not (self.user_agent.isprintable() and self.user_agent.isascii()):
            raise ValueError("The user agent holds characters that a request cannot carry")

    def request(self, action: str, params: Mapping[str, str]) -> requests.PreparedRequest:
        """Write the request of an action in the provider's encoding; the key and the action cannot be overridden."""
        place, _, name = self.dialect.key_in.partition(":")
        headers = {"User-Agent": self.user_agent, "Accept": "application/json, */*", "Accept-Encoding": "gzip, deflate"}
        values = {**params, "action": action}
        if place == "body":
            values[name] = self.key.strip()
        elif name == "Authorization":
            headers[name] = f"Bearer {self.key.strip()}"
        else:
            headers[name] = self.key.strip()
        return self._prepared(values, headers)

    def _prepared(self, values: Mapping[str, str], headers: dict[str, str]) -> requests.PreparedRequest:
        pairs = {name: value.encode("utf-8", "replace") for name, value in values.items()}
        if self.dialect.method == "GET":
            return requests.Request("GET", self.url, headers=headers, params=pairs).prepare()
        if self.dialect.encoding == "query":
            return requests.Request("POST", self.url, headers=headers, params=pairs).prepare()
        if self.dialect.encoding == "json":
            headers["Content-Type"] = "application/json"
            return requests.Request("POST", self.url, headers=headers, data=json.dumps(dict(values))).prepare()
        if self.dialect.encoding == "multipart":
            parts = {name: (None, value) for name, value in pairs.items()}
            return requests.Request("POST", self.url, headers=headers, files=parts).prepare()
        return requests.Request("POST", self.url, headers=headers, data=pairs).prepare()


def _check_url(url: str) -> None:
    if any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("The URL holds spaces or characters that do not belong there")
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError as error:
        raise ValueError(f"The URL cannot be read: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise ValueError("The URL must begin with http:// or https://")
    if not parts.hostname:
        raise ValueError("The URL names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The URL must not hold a user name or password")
    if not parts.path:
        raise ValueError("The URL has no path; it is the full address of the API and mostly ends in /api/v2")
    if parts.fragment:
        raise ValueError("The URL must not have a fragment (#)")
    try:
        requests.Request("POST", url).prepare()
    except requests.RequestException as error:
        raise ValueError(f"The URL cannot be used: {error}") from error
