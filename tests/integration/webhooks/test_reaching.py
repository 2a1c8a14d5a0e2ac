"""Where webhooks may go: the public internet by TLS, judged at saving and again on the very address connected to."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accounts.errors import UserError
from accounts.models import User
from catalog.providers import sockets
from orders.models import WebhookEndpoint
from orders.webhooks import endpoints, reaching
from tests.receiving import Receiver

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",  # what clouds tell their machines
    "100.64.0.1",
    "0.0.0.0",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101", "2002:101:101::1", "::ffff:1.1.1.1"]
Resolve = Callable[..., list[Any]]


def resolving(*answers: str) -> tuple[Resolve, list[str]]:
    """Return a getaddrinfo that gives these addresses in turn, the last one for ever, and what it was asked for."""
    left, asked = list(answers), []

    def look_up(host: str, port: int, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        found = (left.pop(0) if len(left) > 1 else left[0]).split()
        kinds = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in found]
        return [(kind, socket.SOCK_STREAM, 6, "", (one, port)) for kind, one in zip(kinds, found, strict=True)]

    return look_up, asked


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_into_a_network_of_ours_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving(address)[0])
    with pytest.raises(reaching.UnreachableError, match="no public address"):
        reaching.clean_url("https://hooks.example.org/")
    answer = reaching.post("https://hooks.example.org/", b"{}", {})
    assert (answer.status, answer.said) == (None, reaching.NOT_PUBLIC)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_name_that_leads_to_a_public_address_is_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving(address)[0])
    assert reaching.clean_url("https://hooks.example.org/in?x=1") == "https://hooks.example.org/in?x=1"


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving("1.1.1.1 10.0.0.1")[0])
    with pytest.raises(reaching.UnreachableError):
        reaching.clean_url("https://hooks.example.org/")


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://localhost./",
        "http://1.1.1.1/",
        "https://user@1.1.1.1/",
        "https://user:pass@1.1.1.1/",
        "https://127.0.0.1#@1.1.1.1/",
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "gopher://1.1.1.1/",
        "//1.1.1.1/",
        "1.1.1.1",
        "https://",
        "https:///path",
        "https://1.1.1.1:99999/",
        "https://1.1.1.1/a b",
        "https://1.1.1.1/\r\nHost: x",
        "https://1.1.1.1/" + "x" * 500,
        "",
    ],
)
def test_an_address_that_must_not_be_reached_is_refused(url: str) -> None:
    with pytest.raises(reaching.UnreachableError):
        reaching.clean_url(url)


def test_a_name_that_does_not_exist_looks_like_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(reaching.UnreachableError, match="no public address"):
        reaching.clean_url("https://postgres/")
    assert reaching.post("https://postgres/", b"", {}).said == reaching.NOT_PUBLIC


def test_a_name_in_another_script_is_kept_as_dns_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up, asked = resolving("1.1.1.1")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert reaching.clean_url("https://bücher.example/ä#part") == "https://xn--bcher-kva.example/%C3%A4"
    assert asked == ["xn--bcher-kva.example"]


def test_a_name_that_changes_its_mind_finds_nothing(
    receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is saved, ours when it is called, and never looked up twice for one call."""
    settings.WEBHOOK_NETWORKS = []
    port = receiver.url.split(":")[2].split("/")[0]
    look_up, asked = resolving("1.1.1.1", "127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    url = reaching.clean_url(f"https://rebind.example:{port}/")
    assert reaching.post(url, b"{}", {}).said == reaching.NOT_PUBLIC
    assert asked == ["rebind.example"] * 2
    assert receiver.calls == []


@pytest.mark.django_db
def test_what_lies_in_our_network_cannot_be_saved(customer: User, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = []
    with pytest.raises(UserError) as refused:
        endpoints.add_endpoint(customer.pk, receiver.url, ["placed"])
    assert refused.value.field == "url"
    assert not WebhookEndpoint.objects.exists()


def test_an_intranet_that_is_allowed_may_be_reached_even_without_tls(receiver: Receiver) -> None:
    assert reaching.clean_url(receiver.url) == receiver.url
    answer = reaching.post(receiver.url, b"{}", {"X-Test": "1"})
    assert (answer.status, answer.said, answer.ok) == (200, "ok", True)
    assert receiver.calls[0].headers["host"] == receiver.url.split("/")[2]


def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert reaching.post(receiver.url, b"{}", {}).ok


@contextmanager
def answering(reply: bytes, *, every: float = 0.0, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer each connection with these bytes, one by one where `every` is given, and yield the port."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while True:
            try:
                peer = server.accept()[0]
            except OSError:
                return
            talk: socket.socket = peer
            try:
                talk = context.wrap_socket(peer, server_side=True) if context else peer
                asked = b""
                while not asked.endswith(b"{}"):
                    asked += talk.recv(65536) or b"{}"
                for part in [reply[i : i + 1] for i in range(len(reply))] if every else [reply]:
                    talk.sendall(part)
                    if every and over.wait(every):
                        break
            except OSError:
                pass
            talk.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.fixture
def loopback(settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


def test_a_server_that_dribbles_is_left_at_the_deadline(loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "READ_SECONDS", 0.5)
    with answering(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000, every=0.05) as port:
        began = time.monotonic()
        answer = reaching.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert time.monotonic() - began < 3
    assert (answer.status, answer.ok) == (None, False)
    assert answer.said.startswith("No answer came within")


def test_a_body_that_never_ends_does_not_undo_a_status_that_came(
    loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "READ_SECONDS", 0.5)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nthanks" + b"." * 600, every=0.002) as port:
        answer = reaching.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert (answer.status, answer.ok) == (200, True)


@pytest.mark.parametrize(
    ("reply", "said"),
    [(b"", "The connection broke"), (b"SSH-2.0-OpenSSH_9.9\r\n", "The connection broke")],
)
def test_what_is_no_answer_is_a_failure(reply: bytes, said: str, loopback: None) -> None:
    with answering(reply) as port:
        assert reaching.post(f"http://127.0.0.1:{port}/", b"{}", {}).said == said


def test_a_closed_port_is_a_failure(loopback: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert reaching.post(f"http://127.0.0.1:{port}/", b"{}", {}).said == "The connection was refused"


@pytest.fixture
def hooks_certificate(tmp_path: Path) -> Iterator[ssl.SSLContext]:
    """A certificate for the name hooks.test, trusted while the test runs; give its server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.test")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.test")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "hooks.pem"
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    sockets.tls_context.cache_clear()
    sockets.tls_context().load_verify_locations(path)
    yield context
    sockets.tls_context.cache_clear()


@pytest.mark.parametrize(("name", "ok"), [("hooks.test", True), ("other.test", False)])
def test_the_certificate_must_be_that_of_the_name(
    name: str,
    ok: bool,  # noqa: FBT001 -- pytest gives it by name
    loopback: None,
    hooks_certificate: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving("127.0.0.1")[0])
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n", context=hooks_certificate) as port:
        answer = reaching.post(f"https://{name}:{port}/", b"{}", {})
    assert answer.ok is ok
    assert ok or answer.said.startswith("The connection could not be encrypted")
