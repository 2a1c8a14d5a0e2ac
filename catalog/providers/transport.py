"""One HTTP exchange with a provider, and how far it got. What the answer means is judged elsewhere.

Traps 1 to 4 and 8 of ARCHITECTURE 3 are closed here. There is no `requests.Session`: an adapter alone follows no
redirect, keeps no cookie, and knows neither the environment's proxies nor a .netrc, which is what allow_redirects=False
and trust_env=False would ask of a session.
"""

import logging
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NameResolutionError, NewConnectionError
from urllib3.util import Retry
from urllib3.util.ssl_match_hostname import CertificateError

from catalog.providers import sockets

# Only a connection that was never made is tried again: whatever comes later may have been read.
RETRIES = Retry(
    connect=2,
    read=0,
    status=0,
    redirect=0,
    other=0,
    raise_on_status=False,
    raise_on_redirect=False,
    respect_retry_after_header=False,
)
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, and how the exchange ended.

    `trouble` is empty when all of it came. "unreached": there was no connection, so nothing was sent. "timeout", "cut"
    and "too_large": the request may have been read, and `body` is what came until then. `status` is None without a
    status line.
    """

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    trouble: str = ""
    detail: str = ""


class _WithoutQuery(logging.Filter):
    """Cuts query strings out of urllib3's log lines: for some dialects the key is in there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True


for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_WithoutQuery())


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=sockets.tls_context(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": sockets.DeadlinePool, "https": sockets.DeadlineTLSPool}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Leave verification to the context, which requires it and holds the certificates already."""


class Transport:
    """Sends commands on fresh connections and reads on kept ones; may be used by several threads."""

    def __init__(self) -> None:
        # Each waits here for one read at a time, so no two threads ever share a connection.
        self._idle: deque[_Adapter] = deque()

    def command(self, request: requests.PreparedRequest, *, connect: float, read: float, cap: int) -> Reply:
        """Send a request on a connection of its own: a kept one may be dead, and its failure tells nothing (trap 2)."""
        adapter = _adapter()
        try:
            return _exchange(adapter, request, connect=connect, read=read, cap=cap)
        finally:
            adapter.close()

    def read(self, request: requests.PreparedRequest, *, connect: float, read: float, cap: int) -> Reply:
        """Send a request that is harmless twice, on a kept connection where there is one."""
        try:
            adapter = self._idle.pop()
        except IndexError:
            adapter = _adapter()
        try:
            return _exchange(adapter, request, connect=connect, read=read, cap=cap)
        finally:
            self._idle.append(adapter)

    def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            self._idle.pop().close()


def _adapter() -> _Adapter:
    return _Adapter(pool_connections=1, pool_maxsize=1, max_retries=RETRIES)


def _exchange(adapter: _Adapter, request: requests.PreparedRequest, *, connect: float, read: float, cap: int) -> Reply:
    status: int | None = None
    headers: Mapping[str, str] = {}
    body = bytearray()
    trouble = detail = ""
    try:
        with sockets.deadline(connect, read):
            response = adapter.send(request, stream=True, timeout=(connect, connect + read))
            try:
                status, headers = response.status_code, response.headers
                while len(body) <= cap and (chunk := response.raw.read1(CHUNK, decode_content=True)):
                    body += chunk
            finally:
                response.close()
    except (requests.RequestException, HTTPError, OSError) as error:
        trouble, detail = _trouble(error)
    if len(body) > cap:
        trouble, detail = "too_large", f"The answer is larger than {cap} bytes"
    return Reply(status, headers, bytes(body[:cap]), trouble, detail)


def _trouble(error: Exception) -> tuple[str, str]:
    """Tell by urllib3's cause whether a connection was ever made; everything not known to be safe is not (trap 1)."""
    cause = _cause(error)
    never_made = _never_made(cause)
    if never_made:
        return "unreached", never_made
    if isinstance(error, requests.exceptions.InvalidURL):
        return "unreached", "The URL cannot be connected to"
    if _holds_timeout(error) or _holds_timeout(cause):
        return "timeout", "No whole answer came in time"
    return "cut", f"The connection broke ({type(error).__name__})"


def _never_made(cause: Any) -> str:
    if isinstance(cause, NameResolutionError):
        return "The name was not found"
    if isinstance(cause, NewConnectionError):
        return _os_error(cause) or "The connection was refused"
    if isinstance(cause, ConnectTimeoutError):
        return "The connection could not be made in time"
    if isinstance(cause, urllib3.exceptions.SSLError) and _is_about_the_certificate(cause):
        return f"The certificate is not valid: {cause.args[0]}"
    return ""


def _cause(error: Exception) -> Any:
    cause = error.args[0] if error.args else error
    return cause.reason if isinstance(cause, MaxRetryError) else cause


def _is_about_the_certificate(error: urllib3.exceptions.SSLError) -> bool:
    return bool(error.args) and isinstance(error.args[0], ssl.SSLCertVerificationError | CertificateError)


def _os_error(error: NewConnectionError) -> str:
    return getattr(error.__cause__, "strerror", None) or ""


def _holds_timeout(error: Any) -> bool:
    if isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return True
    return isinstance(error, BaseException) and any(_holds_timeout(inner) for inner in error.args)
