"""Connections whose every step ends at one deadline: lookup, connect, handshake, send, headers, body (ARCHITECTURE 3).

A time-out of `requests` is per read, so a server that sends a byte a second outlasts it for ever (trap 8). These
sockets ask the clock before each step instead. The deadline belongs to the running call, not to the connection, which
may serve many.
"""

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

_deadline: ContextVar[float] = ContextVar("deadline")
_read_seconds: ContextVar[float] = ContextVar("read_seconds")

# What getaddrinfo gives: family, type, protocol, canonical name, address.
Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


@contextmanager
def deadline(connect: float, read: float) -> Iterator[None]:
    """Give everything that these sockets do inside the block connect + read seconds together.

    What a connection did not need to open is not added to the wait for its answer: once open, `read` is left.
    """
    tokens = _deadline.set(time.monotonic() + connect + read), _read_seconds.set(read)
    try:
        yield
    finally:
        _deadline.reset(tokens[0])
        _read_seconds.reset(tokens[1])


def begin_reading() -> None:
    """Leave the running call its read seconds from now on, and never more than it had."""
    _deadline.set(min(_deadline.get(), time.monotonic() + _read_seconds.get()))


def seconds_left() -> float:
    """Return what is left until the deadline of the running call; raises TimeoutError when nothing is."""
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("The deadline has passed")
    return left


class DeadlineSocket(socket.socket):
    """A plain socket; urllib3 sends by sendall and reads by recv_into."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(seconds_left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        # Python's sendall takes the time-out for the whole of the data.
        self.settimeout(seconds_left())
        super().sendall(*args, **kwargs)


class DeadlineTLSSocket(ssl.SSLSocket):
    """The same over TLS, where recv_into ends in read, and sendall in many a send."""

    def read(self, *args: Any, **kwargs: Any) -> Any:
        self.settimeout(seconds_left())
        return super().read(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(seconds_left())
        return super().send(*args, **kwargs)

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 -- the signature of ssl.SSLSocket
        self.settimeout(seconds_left())
        super().do_handshake(block)


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all connections; the authorities' certificates are read once, not for each of them."""
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = DeadlineTLSSocket
    return context


def _connect(connection: "DeadlineConnection | DeadlineTLSConnection", host: str) -> socket.socket:
    """Open a socket within the connection's connect time-out; raises urllib3's errors of connections never made."""
    try:
        ends = time.monotonic() + min(float(connection.timeout or 0), seconds_left())
        addresses = look_up(host, connection.port, ends - time.monotonic())
        connection.check(addresses)
        opened = _open_first(addresses, ends, connection.socket_options or [])
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, "The connection could not be made in time") from error
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except (OSError, UnicodeError) as error:
        raise NewConnectionError(connection, f"The connection could not be made: {error}") from error
    begin_reading()
    return opened


def _open_first(addresses: Sequence[Address], ends: float, options: Any) -> socket.socket:
    failure: OSError = OSError("The name has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        # One silent address, often the IPv6 one, must leave time for the others.
        share = (ends - time.monotonic()) / (len(addresses) - tried)
        if share <= 0:
            break
        opened = DeadlineSocket(family, kind, protocol)
        try:
            for option in options:
                opened.setsockopt(*option)
            opened.settimeout(share)
            opened.connect(address)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure


def look_up(host: str, port: int, seconds: float) -> Sequence[Address]:
    """Resolve a name in a thread of its own: nothing can stop getaddrinfo, so it is left behind with a TimeoutError."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    answer: queue.SimpleQueue[Sequence[Address] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, name=f"look-up-{host}", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("The name could not be looked up in time") from None
    if isinstance(found, OSError | UnicodeError):
        raise found
    return found


class _Checked:
    def check(self, addresses: Sequence[Address]) -> None:
        """Raise OSError when a name leads where this connection must not go; these very addresses are connected to."""


class DeadlineConnection(_Checked, HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, self._dns_host)


class DeadlineTLSConnection(_Checked, HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self, self._dns_host)


class DeadlinePool(HTTPConnectionPool):
    ConnectionCls = DeadlineConnection


class DeadlineTLSPool(HTTPSConnectionPool):
    ConnectionCls = DeadlineTLSConnection
