"""The sandbox on the wire: an HTTP/1.1 server on the standard library that can also break off, dribble and reset.

Waiting is done on one event, so that the server stops at once however many calls hang; a call that was waiting then is
cut off and not answered early, because an early answer would be a fault that nobody asked for.
"""

import contextlib
import json
import socket
import socketserver
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from catalog.providers.sandbox import actions, control
from catalog.providers.sandbox.faults import CANNED, HTML, JSON, MALFORMED, PHP_NOTICE, Misbehaviour, with_wrong_types
from catalog.providers.sandbox.params import read_params
from catalog.providers.sandbox.world import Sandbox

BODY_LIMIT = 8 * 1024 * 1024
PAGE = """This is the sandbox of a reseller panel: a make-believe provider that speaks API v2 and delivers nothing.

Send POST requests to /api/v2 with key, action and the fields of the action.
Orders move by themselves; how they end can be chosen by the fragment of the link, for products of `require`:
#completed #partial #canceled #stuck #fail #hang #reset #refuse-link #refuse-service #no-funds
"""


class SandboxServer(ThreadingHTTPServer):
    """Serve one sandbox on one address; raises OSError when the address is taken."""

    request_queue_size = 256
    daemon_threads = False

    def __init__(self, sandbox: Sandbox, host: str, port: int) -> None:
        self.sandbox = sandbox
        self.stopping = threading.Event()
        self.open_lock = threading.Lock()
        self.open_sockets: set[socket.socket] = set()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without the name look-up of HTTPServer, which can take seconds where a resolver is slow."""
        socketserver.TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    @property
    def url(self) -> str:
        host = str(self.server_name)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/api/v2"

    def stop(self) -> None:
        """Stop listening, wake what waits, close idle connections and join every thread."""
        self.shutdown()
        self.stopping.set()
        with self.open_lock:
            for connection in self.open_sockets:
                silence(connection)
        self.server_close()

    def opened(self, connection: socket.socket) -> None:
        with self.open_lock:
            self.open_sockets.add(connection)
            if self.stopping.is_set():
                silence(connection)

    def closed(self, connection: socket.socket) -> None:
        with self.open_lock:
            self.open_sockets.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that went away, and everything about mistakes of our own."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answer the calls of one connection."""

    server: SandboxServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # An idle connection is closed after this, as real servers do.
    timeout = 30.0

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Keep quiet: what arrived is in `received`."""

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, "text/plain; charset=utf-8", PAGE.encode())
        else:
            self.do_POST()

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path.partition("?")[0].rstrip("/") == control.PATH:
            status, reply = control.handle(self.server.sandbox, self.client_address[0], body)
            self._send(status, JSON, json.dumps(reply).encode())
            return
        params = read_params(self.path, self.headers.get("Content-Type", ""), body)
        fault, reply = actions.handle(self.server.sandbox, params)
        self._answer(fault, reply)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0").strip()
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower() or not length.isdecimal():
            self.close_connection = True
            self._send(411, JSON, b'{"error": "Content-Length is required"}')
            return None
        if int(length) > BODY_LIMIT:
            self.close_connection = True
            self._send(413, JSON, b'{"error": "Request is too large"}')
            return None
        return self.rfile.read(int(length))

    def _answer(self, fault: Misbehaviour | None, reply: Any) -> None:
        kind = fault.kind if fault else ""
        if fault is None or kind == "error":
            self._send(200, JSON, json.dumps(reply).encode())
        elif kind in CANNED:
            status, content_type, text = CANNED[kind]
            headers = {"Retry-After": f"{fault.seconds:.0f}"} if status in (429, 503) else {}
            self._send(status, content_type, (fault.body or text).encode(), headers)
        elif kind == "redirect":
            moved = fault.body or f"http://{self.headers.get('Host', self.server.url)}/moved/api/v2"
            self._send(302, HTML, b"", {"Location": moved})
        elif kind in ("cut_before", "reset"):
            self._hang_up(reset=kind == "reset")
        else:
            self._answer_oddly(fault, reply)

    def _answer_oddly(self, fault: Misbehaviour, reply: Any) -> None:
        kind = fault.kind
        write = MALFORMED.get(kind, json.dumps)
        body = write(with_wrong_types(reply) if kind == "wrong_types" else reply).encode()
        if kind == "notice":
            body = PHP_NOTICE.encode() + body
        head = self._head(200, JSON, len(body))
        if kind == "hang":
            self._send_slowly(b"", [head + body], fault.seconds)
        elif kind == "slow":
            self._send_slowly(head, [body], fault.seconds)
        elif kind == "dribble":
            self._send_slowly(head, single_bytes(body), fault.seconds)
        elif kind == "dribble_head":
            self._send_slowly(b"", single_bytes(head + body), fault.seconds)
        elif kind == "cut":
            self.wfile.write(head + body[: len(body) // 2])
            self._hang_up(reset=False)
        else:
            self.wfile.write(head + body)

    def _send_slowly(self, now: bytes, later: list[bytes], seconds: float) -> None:
        """Send the first part now and the pieces spread over the seconds; hang up when the server stops before."""
        self.wfile.write(now)
        for piece in later:
            if self.server.stopping.wait(seconds / len(later)):
                self._hang_up(reset=False)
                return
            self.wfile.write(piece)

    def _send(self, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.wfile.write(self._head(status, content_type, len(body), headers) + body)

    def _head(self, status: int, content_type: str, length: int, headers: dict[str, str] | None = None) -> bytes:
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {content_type}",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
            *(["Connection: close"] if self.close_connection else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _hang_up(self, *, reset: bool) -> None:
        """Close the connection; as a reset the client sees an error instead of an end."""
        self.close_connection = True
        if reset:
            # Lingering for zero seconds makes the kernel send RST as soon as the last file on the socket is closed.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def silence(connection: socket.socket) -> None:
    """End the reading of a connection, so that its thread sees no further request but may finish its answer."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def single_bytes(text: bytes) -> list[bytes]:
    return [text[place : place + 1] for place in range(len(text))]
