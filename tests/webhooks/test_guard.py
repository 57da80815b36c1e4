"""Where webhooks may go, and where never."""

import datetime as dt
import ipaddress
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coulance.platform import webhook_endpoints, webhook_guard
from coulance.platform.webhook_guard import RefusedAddressError, UnableToSendError, fault_of_url, may_send_to, post
from tests.webhooks.receiver import Receiver

NEVER = """
127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 198.18.0.1
192.0.0.1 192.0.2.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
:: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 fe80::1 fe80::1%eth0 fc00::1 fd12:3456::1
fec0::1 ff02::1 2001:db8::1 2002:7f00:1:: 2002:a00:1:: 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1
2001:0:4136:e378:8000:63bf:f5ff:fffe 100::1 not-an-address 127.1 0x7f000001 2130706433
""".split()
PUBLIC = "8.8.8.8 93.184.216.34 1.1.1.1 2606:4700:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::".split()


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    assert not may_send_to(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert may_send_to(address)


def test_a_network_of_ones_own_is_allowed_by_name() -> None:
    own = (ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("fd00::/8"))
    assert may_send_to("10.20.3.4", own)
    assert may_send_to("::ffff:10.20.3.4", own)
    assert may_send_to("fd00::5", own)
    assert not may_send_to("10.21.0.1", own)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org/", "https://", "https:///x", "https://u:p@example.org/",
        "https://u@example.org/", "https://example.org/#part", "https://example.org:0/", "https://example.org:99999/",
        "https://exa mple.org/", "https://example.org/\n", "http://example.org/", "https://127.0.0.1/",
        "https://[::1]/", "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "javascript:alert(1)",
        "https://exämple.org/", "https://a..b/", f"https://example.org/{'x' * 2000}", "file:///etc/passwd",
        "https://[fe80::1", "https://10.1.2.3:8443/hook",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(webhook_guard.VARIABLE)
    assert fault_of_url(url)


@pytest.mark.parametrize("url", ["https://example.org/hooks?x=1", "https://example.org:8443/", "https://8.8.8.8/"])
def test_urls_that_will_do(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(webhook_guard.VARIABLE)
    assert fault_of_url(url) == ""


def test_a_setting_that_is_no_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook_guard.VARIABLE, "10.0.0.1/8")
    assert "host bits" in fault_of_url("http://10.0.0.1/")
    with pytest.raises(webhook_endpoints.UnableToKeepEndpointError, match="COULANCE_WEBHOOK_NETWORKS"):
        webhook_endpoints._check("http://10.0.0.1/", [], "")


def reach(url: str, *addresses: str) -> webhook_guard.Answer:
    return post(url=url, headers={}, body=b"{}", resolve=lambda host, port: list(addresses), whole_s=2)


def test_a_name_that_leads_inside_is_refused_after_the_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(webhook_guard.VARIABLE)
    with pytest.raises(RefusedAddressError, match="is not a public address"):
        reach("https://example.org/", "127.0.0.1")


def test_one_inner_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(webhook_guard.VARIABLE)
    with pytest.raises(RefusedAddressError):
        reach("https://example.org/", "10.0.0.1", "93.184.216.34")


def test_plain_http_leaves_no_network_of_ones_own() -> None:
    with pytest.raises(RefusedAddressError, match="plain http"):
        reach("http://example.org/", "93.184.216.34")


def test_the_connection_goes_to_the_address_that_was_judged(receiver: Receiver) -> None:
    """Looked up once: a name that answers otherwise a moment later changes nothing."""
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["93.184.216.34"]

    url = receiver.url.replace("127.0.0.1", "hooks.example")
    assert post(url=url, headers={}, body=b"{}", resolve=resolve).status == 204
    assert asked == ["hooks.example"]
    assert receiver.got[0][0]["host"].startswith("hooks.example:")


def test_no_address_and_nobody_there() -> None:
    with pytest.raises(UnableToSendError, match="no address"):
        reach("https://example.org/")
    with pytest.raises(UnableToSendError):
        reach("http://127.0.0.1:1/", "127.0.0.1")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1))
        .not_valid_after(dt.datetime(2120, 1, 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "both.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(pem))
    return path


def test_the_certificate_is_checked_against_the_name(certificate: Path) -> None:
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(http.server.HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    trusting = ssl.create_default_context(cafile=str(certificate))
    port = server.server_address[1]

    def send(name: str, **more: ssl.SSLContext) -> int:
        url = f"https://{name}:{port}/"
        return post(url=url, headers={}, body=b"{}", resolve=lambda host, port: ["127.0.0.1"], **more).status  # type: ignore[arg-type]

    try:
        assert send("hooks.example", context=trusting) == 204
        with pytest.raises(UnableToSendError, match="certificate verify failed"):
            send("other.example", context=trusting)
        with pytest.raises(UnableToSendError, match="certificate verify failed"):
            send("hooks.example")
    finally:
        server.shutdown()
        server.server_close()
