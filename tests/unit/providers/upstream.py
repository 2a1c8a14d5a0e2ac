"""A provider made of one listening socket: tests say byte by byte what it does."""

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest

from catalog.providers.client import Client, Connection
from catalog.providers.dialects import Dialect
from catalog.providers.errors import Unavailable, Unclear

ORDER = {"service": "1", "link": "https://example.org/a", "quantity": "100"}
KEY = "up/stream key+1"


@dataclass(frozen=True)
class Request:
    head: str
    body: bytes
    connection: int

    @property
    def params(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


Behaviour = Callable[[socket.socket, Request], None]


def http(body: str | bytes, status: int = 200, **headers: str) -> bytes:
    """Write a whole answer."""
    raw = body.encode() if isinstance(body, str) else body
    fields = {"Content-Type": "application/json", "Content-Length": str(len(raw))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + raw


def reset(connection: socket.socket) -> None:
    """Close so that the other side sees the connection reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Not close(), which waits for the reader made from the socket.
    os.close(connection.detach())


@dataclass
class Upstream:
    """Answers every request by `behaviour`, and remembers what arrived on which connection."""

    tls: ssl.SSLContext | None = None
    behaviour: Behaviour = lambda connection, _: connection.sendall(http("{}"))
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}/api/v2"
        self._threads[0].start()

    def answers(self, body: str | bytes, status: int = 200, **headers: str) -> None:
        """Answer every request alike from now on."""
        answer = http(body, status, **headers)
        self.behaviour = lambda connection, _: connection.sendall(answer)

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.stopped.wait(30)

    def client(
        self,
        dialect: Dialect | None = None,
        *,
        seconds: float = 5,
        connect: float = 5,
        key: str = KEY,
    ) -> Client:
        return Client(Connection(self.url, key, dialect or Dialect(), connect_timeout=connect, read_timeout=seconds))

    def stop(self) -> None:
        if self.stopped.is_set():
            return
        self.stopped.set()
        # Closing alone does not wake a thread that is inside accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, self.connections))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(plain.close)
            connection = plain
            if self.tls is not None:
                connection = stack.enter_context(self.tls.wrap_socket(plain, server_side=True))
            reader = stack.enter_context(connection.makefile("rb"))
            while request := self._read(reader.readline, reader.read, number):
                self.requests.append(request)
                self.behaviour(connection, request)

    def _read(self, line: Callable[[], bytes], take: Callable[[int], bytes], number: int) -> Request | None:
        head, length = "", 0
        while (text := line().decode("latin-1")) not in {"", "\r\n"}:
            head += text
            name, _, value = text.partition(":")
            length = int(value) if name.lower() == "content-length" else length
        return Request(head, take(length), number) if head else None


@contextlib.contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """Run an upstream for the length of a block."""
    upstream = Upstream(tls)
    try:
        yield upstream
    finally:
        upstream.stop()


def unavailable(client: Client) -> Unavailable:
    """Return the error of an `add` that was surely not carried out."""
    with client, pytest.raises(Unavailable) as caught:
        client.add(ORDER)
    return caught.value


def unclear(client: Client) -> Unclear:
    """Return the error of an `add` that may have been carried out."""
    with client, pytest.raises(Unclear) as caught:
        client.add(ORDER)
    return caught.value


def free_port_url() -> str:
    """Return the address of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed_at_once:
        return f"http://127.0.0.1:{closed_at_once.getsockname()[1]}/api/v2"
