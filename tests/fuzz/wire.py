"""A bare client: bytes out, an answer in; it promises nothing about the bytes, as http.client would have to."""

import socket
from contextlib import suppress
from dataclasses import dataclass, field

PATIENCE = 30.0  # seconds


@dataclass(frozen=True)
class Answer:
    """What came back; status 0: the connection was closed without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    head: bytes = b""


NONE = Answer(0)


class Wire:
    """One connection, kept open between calls while both sides like to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self.rest = b""

    def ask(self, sent: bytes, *, is_head: bool, is_alone: bool, hangs_up: bool) -> Answer:
        """Send one call and return its answer; raises TimeoutError when there is none in time.

        `is_alone` gives it a connection of its own, `hangs_up` says on it that nothing follows.
        """
        if is_alone:
            self.close()
        answer = self._ask(sent, is_head=is_head, hangs_up=hangs_up)
        if is_alone or answer is NONE or answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self.socket is not None:
            self.socket.close()
        self.socket, self.rest = None, b""

    def _ask(self, sent: bytes, *, is_head: bool, hangs_up: bool) -> Answer:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A server may refuse a call before it has heard all of it.
        with suppress(ConnectionError):
            self.socket.sendall(sent)
            if hangs_up:
                self.socket.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            return self._read(is_head=is_head)
        return NONE

    def _read(self, *, is_head: bool) -> Answer:
        head = self._until(b"\r\n\r\n")
        if not head:
            return NONE
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        if status < 200:
            return self._read(is_head=is_head)
        fields = [line.partition(":") for line in lines if line]
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        size = 0 if is_head else int(headers.get("content-length", 0))
        while len(self.rest) < size and self._more():
            pass
        body, self.rest = self.rest[:size], self.rest[size:]
        return Answer(status, headers, body, head)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            if not self._more():
                return b""
        head, _, self.rest = self.rest.partition(mark)
        return head

    def _more(self) -> bool:
        read = self.socket.recv(65536) if self.socket is not None else b""
        self.rest += read
        return bool(read)
