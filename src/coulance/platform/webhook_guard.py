"""How a webhook's request leaves: to a public address only, pinned after the look-up, verified, and never for long.

The person who names an endpoint need not be one who may reach the provider's inner network, and a name may answer with
another address each time it is asked. So the name is looked up once, every address it has is judged, and the connection
goes to one of those very addresses; the certificate is still checked against the name. Redirects are not followed.
"""

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

VARIABLE = "COULANCE_WEBHOOK_NETWORKS"
"""Networks that endpoints may be in although they are not public: "10.20.0.0/16 fd00::/8". Empty: none."""
CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 15.0
MOST_READ = 16 * 1024
"""Of an answer no more than this is read: only its status counts."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]


class RefusedAddressError(Exception):
    """The endpoint is at an address where nothing may be sent."""


class UnableToSendError(Exception):
    """No answer: the look-up, the connection, the certificate or the answer failed, or it took too long."""


class UnableToAllowNetworksError(ValueError):
    """The setting names something that is no network."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered: its status, and after how many seconds it wants to be asked again, if it said so."""

    status: int
    retry_after_s: int | None = None
    body: bytes = b""
    """What was read of it: at most `MOST_READ`, and a little more."""


def allowed_networks() -> tuple[Network, ...]:
    """The networks of the setting. Raises `UnableToAllowNetworksError`."""
    found: list[Network] = []
    for word in os.environ.get(VARIABLE, "").replace(",", " ").split():
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as fault:
            raise UnableToAllowNetworksError(f"{VARIABLE}: {fault}; write networks such as 10.20.0.0/16") from fault
    return tuple(found)


def may_send_to(address: str, networks: Iterable[Network] = ()) -> bool:
    """Whether something may be sent to this address: it is public, or in one of the networks allowed.

    >>> may_send_to("93.184.216.34"), may_send_to("169.254.169.254"), may_send_to("::ffff:10.0.0.1")
    (True, False, False)
    """
    try:
        found: Address = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    inner = _embedded(found)
    return any(found in network or inner in network for network in networks) or (
        inner.is_global
        and not (inner.is_multicast or inner.is_reserved)
        and not (isinstance(inner, ipaddress.IPv6Address) and inner.is_site_local)
    )


def _embedded(address: Address) -> Address:
    """Where an address leads: the IPv4 address within a mapped, 6to4, Teredo, NAT64 or compatible one, or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.teredo:
        return address.teredo[1]
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    for prefix in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"):
        if address in ipaddress.ip_network(prefix):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def fault_of_url(url: str, *, networks: tuple[Network, ...] | None = None) -> str:
    """What is wrong with an endpoint's URL; nothing when it will do. Says nothing of where its name leads.

    `networks` are as in `post`.
    """
    if len(url) > 2000 or any(ord(c) <= 32 or ord(c) > 126 for c in url):
        return "a URL of at most 2000 printable ASCII characters without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "a URL such as https://example.org/hooks"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "a URL such as https://example.org/hooks"
    if parts.username is not None or parts.password is not None:
        return "a URL without a user and password: requests are signed, check that"
    if parts.fragment or port == 0:
        return "a URL without a fragment, and with a port that can be"
    if networks is None:
        try:
            networks = allowed_networks()
        except UnableToAllowNetworksError as fault:
            return str(fault)
    if parts.scheme == "http" and not networks:
        return f"https; plain http only within a network of your own ({VARIABLE})"
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return "" if all(0 < len(label) < 64 for label in parts.hostname.rstrip(".").split(".")) else "a host's name"
    return "" if may_send_to(parts.hostname, networks) else f"a public address, or one allowed by {VARIABLE}"


def look_up(host: str, port: int) -> list[str]:
    """Every address of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class _Stream(httpcore.NetworkStream):
    """A connection that ends at its deadline, however slowly the other side drips."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self.inner, self.deadline = inner, deadline

    def _left(self, timeout: float | None) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout(f"no whole answer within {WHOLE_S:.0f} s")
        return min(left, timeout) if timeout is not None else left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self._left(timeout)), self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


class _Pinned(httpcore.NetworkBackend):
    """Looks a name up once, refuses it if any of its addresses may not be sent to, and connects to one it judged."""

    def __init__(
        self, *, plain: bool, resolve: Resolve, whole_s: float, networks: tuple[Network, ...] | None = None
    ) -> None:
        self.plain, self.resolve, self.deadline = plain, resolve, time.monotonic() + whole_s
        self.networks = networks

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        networks = allowed_networks() if self.networks is None else self.networks
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError) as fault:
            raise httpcore.ConnectError(f"{host} has no address: {fault}") from fault
        for address in addresses:
            if not may_send_to(address, networks):
                raise RefusedAddressError(
                    f"{host} is at {address}, which is not a public address; allow it with {VARIABLE} if it is meant"
                )
            # Without TLS nothing proves who is there, so plain http stays within networks that were named.
            if self.plain and not any(ipaddress.ip_address(address.split("%")[0]) in one for one in networks):
                raise RefusedAddressError(f"{host} is at {address}: plain http goes only to networks of {VARIABLE}")
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses[:3]:
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, timeout, local_address, socket_options)
                return _Stream(stream, self.deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as fault:
                last = fault
        raise last


_context: ssl.SSLContext | None = None


def _ssl_context() -> ssl.SSLContext:
    global _context
    if _context is None:
        _context = httpx.create_ssl_context()  # certifi's roots, or SSL_CERT_FILE; takes 20 ms to load
    return _context


def post(
    *,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    resolve: Resolve = look_up,
    context: ssl.SSLContext | None = None,
    whole_s: float = WHOLE_S,
    networks: tuple[Network, ...] | None = None,
) -> Answer:
    """POST the body and give the answer's status; a redirect is an answer like any other.

    `networks` are those it may go to although they are not public; none given: those of the setting.
    Raises `RefusedAddressError` and `UnableToSendError`; an answer of any status is no error here.
    """
    backend = _Pinned(plain=url.startswith("http:"), resolve=resolve, whole_s=whole_s, networks=networks)
    timeouts = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": CONNECT_S}
    try:
        with (
            httpcore.ConnectionPool(ssl_context=context or _ssl_context(), network_backend=backend) as pool,
            pool.stream(
                "POST",
                url,
                headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                content=body,
                extensions={"timeout": timeouts},
            ) as answer,
        ):
            read = bytearray()
            for part in answer.iter_stream():
                read += part
                if len(read) >= MOST_READ:
                    break
            wait = {name.lower(): value for name, value in answer.headers}.get(b"retry-after", b"")
            after = min(int(wait), 86_400) if wait.isdigit() and len(wait) < 10 else None
            return Answer(answer.status, after, bytes(read))
    except RefusedAddressError:
        raise
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as fault:
        words = str(fault) or {"ConnectTimeout": "no connection in time", "ReadTimeout": "no answer in time"}.get(
            type(fault).__name__, type(fault).__name__
        )
        raise UnableToSendError(words) from fault
