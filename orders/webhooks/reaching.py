"""Where webhooks may go, and one POST there: never into our own network, whatever a name leads to.

An address is judged where it is connected to: the name is looked up once, all of what it leads to is judged, and one of
these very addresses is connected to, so a name that changes its mind in between (DNS rebinding) gains nothing. There is
no proxy, cookie, .netrc or redirect. One deadline holds over look-up, connection and answer (providers/sockets.py).
"""

import ipaddress
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import requests
from django.conf import settings
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from catalog.providers import sockets

CONNECT_SECONDS, READ_SECONDS = 5.0, 5.0  # together the deadline of the whole exchange
MOST_BYTES = 65536
MOST_KEPT = 300
LONGEST_URL = 500
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# The same for a name that does not exist: what our own network calls its machines is nobody's business.
NOT_PUBLIC = "The name leads to no public address"
NOT_ENCRYPTED = "The address must begin with https://"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class UnreachableError(OSError):
    """A webhook must not go there; the text says why, fit to show to its owner."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from one attempt: the HTTP status, None without one, the beginning of what was said, seconds."""

    status: int | None
    said: str
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


def clean_url(text: str) -> str:
    """Return an address as it is requested, after looking up where its name leads now.

    Raises UnreachableError. Waits for the network: no transaction may be open.
    """
    url = _normalise(text)
    parts = _read(url)
    try:
        found = sockets.look_up(str(parts.hostname), _port(parts), CONNECT_SECONDS)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(NOT_PUBLIC) from error
    _judge(_addresses(found), encrypted=parts.scheme == "https")
    return url


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one message and return what came back, never raising for anything that the network does."""
    began = time.monotonic()
    status, said = None, ""
    try:
        with sockets.deadline(CONNECT_SECONDS, READ_SECONDS):
            status, said = _exchange(_read(url), body, headers)
    except (HTTPError, OSError) as error:
        said = _trouble(error)
    return Answer(status, said, time.monotonic() - began)


def _exchange(parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    with _pool(parts) as pool:
        response = pool.urlopen(
            "POST",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=timeout,
            preload_content=False,
        )
        try:
            if 300 <= response.status < 400:
                return response.status, f"Redirects are not followed: {_show(response.headers.get('Location', ''))}"
            return response.status, _show(_read_beginning(response))
        finally:
            response.close()


def _read_beginning(response: BaseHTTPResponse) -> str:
    """Read what is kept of an answer; one that breaks off has said its status, and that decides."""
    said = bytearray()
    try:
        while len(said) < MOST_BYTES and (chunk := response.read(4096, decode_content=False)):
            said += chunk
    except (HTTPError, OSError):
        pass
    return said.decode("utf-8", "replace")


def _show(text: str) -> str:
    return UNPRINTABLE.sub(" ", text).strip()[:MOST_KEPT]


def _normalise(text: str) -> str:
    """Write an address in ASCII, its name as DNS knows it, and without a fragment."""
    text = text.strip()
    if not text or UNPRINTABLE.search(text):
        raise UnreachableError("The address cannot be read")
    try:
        url = str(requests.Request("POST", text).prepare().url).partition("#")[0]
    except (requests.RequestException, ValueError) as error:
        raise UnreachableError("The address cannot be read") from error
    if len(url) > LONGEST_URL or not url.isascii():
        raise UnreachableError("The address is too long")
    return url


def _read(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UnreachableError("The address cannot be read") from error
    if parts.scheme not in {"https", "http"}:
        raise UnreachableError(NOT_ENCRYPTED)
    if parts.username is not None or parts.password is not None:
        raise UnreachableError("The address must not hold a user name or password")
    if not parts.hostname:
        raise UnreachableError("The address names no host")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _addresses(found: Sequence[sockets.Address]) -> list[IPAddress]:
    # What comes after % is the interface by which a link-local address is reached.
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _judge(addresses: Iterable[IPAddress], *, encrypted: bool) -> None:
    """Raise UnreachableError unless every address may be reached: one that may not is reason to distrust them all."""
    for address in addresses:
        if any(address in network for network in settings.WEBHOOK_NETWORKS):
            continue
        if not is_public(address):
            raise UnreachableError(NOT_PUBLIC)
        if not (encrypted or settings.DEBUG):
            raise UnreachableError(NOT_ENCRYPTED)


def is_public(address: IPAddress) -> bool:
    """Tell whether an address belongs to the public internet; one that wraps an IPv4 address is judged by that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _trouble(error: Exception) -> str:
    """Say why no answer came, in words fit to show to the endpoint's owner."""
    cause = error.__cause__ if isinstance(error, NewConnectionError) else error
    if isinstance(cause, UnreachableError):
        return str(cause)
    if isinstance(cause, socket.gaierror | UnicodeError):
        return NOT_PUBLIC
    if isinstance(error, SSLError):
        return f"The connection could not be encrypted: {_show(str(error))}"
    if isinstance(error, ConnectTimeoutError):  # which a refused connection is to urllib3, too
        refused = isinstance(error, NewConnectionError)
        return "The connection was refused" if refused else "The connection could not be made in time"
    late = any(isinstance(one, TimeoutError | ReadTimeoutError) for one in (error, *error.args))
    return f"No answer came within {CONNECT_SECONDS + READ_SECONDS:g} seconds" if late else "The connection broke"


class _Connection(sockets.DeadlineConnection):
    def check(self, addresses: Sequence[sockets.Address]) -> None:
        _judge(_addresses(addresses), encrypted=False)


class _TLSConnection(sockets.DeadlineTLSConnection):
    def check(self, addresses: Sequence[sockets.Address]) -> None:
        _judge(_addresses(addresses), encrypted=True)


class _Pool(sockets.DeadlinePool):
    ConnectionCls = _Connection


class _TLSPool(sockets.DeadlineTLSPool):
    ConnectionCls = _TLSConnection


def _pool(parts: SplitResult) -> _Pool | _TLSPool:
    if parts.scheme == "https":
        return _TLSPool(str(parts.hostname), _port(parts), ssl_context=sockets.tls_context())
    return _Pool(str(parts.hostname), _port(parts))
