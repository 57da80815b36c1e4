"""Looks at real servers on this machine: each kind up, and down in the ways that happen, with a reason."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coulance_probe.checks import Check, Look, look


class Page(BaseHTTPRequestHandler):
    """/: 200 with a text; /gone: 404; /away: a redirect to /; /hang: never the whole answer."""

    def do_GET(self) -> None:
        if self.path == "/hang":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b"x")
            self.wfile.flush()
            self.server.hang.wait(5)  # type: ignore[attr-defined]
            return
        status = {"/gone": 404, "/away": 302}.get(self.path, 200)
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/")
        self.send_header("content-length", "11")
        self.end_headers()
        self.wfile.write(b"all is well")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web(secured: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.hang = threading.Event()  # type: ignore[attr-defined]
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if secured:
        server.socket = secured.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.hang.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


def seen(kind: str, target: str, **expect: Any) -> Look:
    return look(Check(1, kind, target, 30, 0.4, expect))


def free() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def test_http() -> None:
    with web() as address:
        page = f"http://{address}"
        assert seen("http", page).up
        assert seen("http", f"{page}/away").up
        assert seen("http", page, contains="well").up
        assert seen("http", f"{page}/gone", status=[404]).up
        down = {
            seen("http", f"{page}/gone").why: "status 404",
            seen("http", f"{page}/away", follow=False, status=[200]).why: "status 302",
            seen("http", page, contains="ill").why: "the expected text is not in the answer",
            seen("http", f"{page}/hang").why: "timed out",
        }
        assert all(found == expected for found, expected in down.items())
    assert "refused" in seen("http", f"http://{free()}").why.lower()
    assert not seen("http", "http://").up


def test_tcp_and_what_it_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            for _ in range(2):
                connection, _peer = server.accept()
                connection.sendall(b"SSH-2.0-OpenSSH_9\r\n")
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        assert seen("tcp", f"127.0.0.1:{port}", starts="SSH-2.0").up
        assert "said b'SSH-2'" in seen("tcp", f"127.0.0.1:{port}", starts="220 m").why
    assert "refused" in seen("tcp", free()).why
    assert seen("tcp", "nowhere").broken


def certificate(folder: Path, days: float) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own for 127.0.0.1, good for so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=30))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("web.test"), x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"c{days}.pem", folder / f"k{days}.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


def test_tls_and_how_long_the_certificate_is_good(tmp_path: Path) -> None:
    context, pem = certificate(tmp_path, 20)
    with web(context) as address:
        assert seen("tls", address, name="web.test", ca=str(pem)).up
        assert "ends in" in seen("tls", address, name="web.test", ca=str(pem), days=30).why
        assert "match" in seen("tls", address, name="other.test", ca=str(pem)).why
        assert "verify" in seen("tls", address, name="web.test").why
        assert seen("http", f"https://{address}", verify=False).up
        assert not seen("http", f"https://{address}").up
    expired, pem = certificate(tmp_path, -1)
    with web(expired) as address:
        assert "expired" in seen("tls", address, name="web.test", ca=str(pem)).why


def test_dns() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{server.getsockname()[1]}"

    def answer() -> None:
        for _ in range(3):
            data, peer = server.recvfrom(4096)
            asked = dns.message.from_wire(data)
            reply = dns.message.make_response(asked)
            name = asked.question[0].name
            if str(name) == "www.example.net.":
                reply.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.7"))
            else:
                reply.set_rcode(3)
            server.sendto(reply.to_wire(), peer)

    threading.Thread(target=answer, daemon=True).start()
    assert seen("dns", "www.example.net", server=address, answer="192.0.2.7").up
    assert seen("dns", "www.example.net", server=address, answer="192.0.2.8").why == "answered 192.0.2.7"
    assert "does not exist" in seen("dns", "gone.example.net", server=address).why
    assert seen("dns", "www.example.net", server=free()).why == "timed out"
    server.close()


def test_icmp_says_down_broken_or_up_and_never_raises() -> None:
    found = seen("icmp", "127.0.0.1")
    assert found.up or found.broken
    assert not seen("icmp", "no.such.host.invalid").up


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"id": 1, "kind": "gopher", "target": "x"}, "kind 'gopher'"),
        ({"id": "1", "kind": "tcp", "target": "x"}, "id is '1'"),
        ({"id": 1, "kind": "tcp"}, "target is None"),
        ({"id": 1, "kind": "tcp", "target": "x", "every_s": 0}, "every 0"),
        ({"id": 1, "kind": "tcp", "target": "x", "every_s": 5, "timeout_s": 10}, "timeout of 10"),
    ],
)
def test_a_check_that_can_not_be_says_which_field(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Check.read(row)
