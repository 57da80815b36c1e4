"""One look at a service: HTTP, TCP, ICMP, DNS or TLS; up or down, how long it took, and why it is down.

A look never raises: whatever goes wrong on the way to the service is why it is down. What is wrong with the agent
itself (no right to open a raw socket, say) is `Look.broken`: nothing is said about the service then.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

KINDS = ("http", "tcp", "icmp", "dns", "tls")
_MOST_BODY = 1_000_000


@dataclass(frozen=True)
class Check:
    """What is looked at, every so many seconds. `expect` differs by kind; see each function.

    `target` is a URL for http, host:port for tcp and tls, a host for icmp, a name for dns.
    """

    id: int
    kind: str
    target: str
    every_s: float = 30.0
    timeout_s: float = 10.0
    expect: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Check":
        """From the server's JSON. Raises `ValueError` that names the field."""
        for name, kind in (("id", int), ("kind", str), ("target", str)):
            if not isinstance(row.get(name), kind) or isinstance(row.get(name), bool):
                raise ValueError(f"check {row.get('id', '?')}: {name} is {row.get(name)!r}")
        if row["kind"] not in KINDS:
            raise ValueError(f"check {row['id']}: kind {row['kind']!r}, expected one of {', '.join(KINDS)}")
        every, timeout = float(row.get("every_s", 30)), float(row.get("timeout_s", 10))
        if not 0.2 <= every <= 86_400 or not 0.05 <= timeout <= every:
            raise ValueError(f"check {row['id']}: every {every} s with a timeout of {timeout} s")
        return cls(row["id"], row["kind"], row["target"], every, timeout, dict(row.get("expect") or {}))


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw. `ms` until the answer; `why` for people. `broken`: the agent couldn't look at all."""

    up: bool
    ms: int
    why: str = ""
    broken: bool = False


def look(check: Check) -> Look:
    """Look once, within the check's timeout."""
    start = time.monotonic()
    try:
        why = _LOOKS[check.kind](check)
    except _Broken as error:
        return Look(False, 0, str(error), broken=True)
    except Exception as error:
        why = _said(error)
    ms = round((time.monotonic() - start) * 1000)
    if not why and ms > check.timeout_s * 1000:
        why = f"answered after {ms} ms, later than {check.timeout_s:g} s"
    return Look(not why, ms, why[:300])


class _Broken(Exception):
    """The agent can't do this kind of look here."""


def _said(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return "timed out" if isinstance(error, TimeoutError) or "timed out" in text.lower() else text


def _http(check: Check) -> str:
    """`expect`: `status` (a list; default 200 to 399), `contains` (text in the body), `method`, `verify` (TLS, true).

    Redirects are followed unless `follow` is false. The whole answer must come within the timeout.
    """
    import httpx

    expect = check.expect
    deadline = time.monotonic() + check.timeout_s
    with (
        httpx.Client(
            timeout=check.timeout_s,
            verify=_trust(bool(expect.get("verify", True))),
            follow_redirects=bool(expect.get("follow", True)),
            headers={"user-agent": "coulance-probe"},
            trust_env=False,
        ) as client,
        client.stream(str(expect.get("method", "GET")), check.target) as answer,
    ):
        body = bytearray()
        for piece in answer.iter_bytes():
            body += piece
            if time.monotonic() > deadline:
                return "timed out"
            if len(body) > _MOST_BODY:
                break
        wanted = expect.get("status")
        fine = answer.status_code in wanted if wanted else 200 <= answer.status_code < 400
        if not fine:
            return f"status {answer.status_code}"
        text = expect.get("contains")
        if text and str(text) not in body.decode(answer.encoding or "utf-8", "replace"):
            return "the expected text is not in the answer"
    return ""


@lru_cache(maxsize=2)
def _trust(verify: bool) -> ssl.SSLContext:
    """One context for all looks: reading the trusted certificates takes longer than a look may."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _address(target: str) -> tuple[str, int]:
    """host:port, the host in brackets where it is an IPv6 address."""
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65_536:
        raise _Broken(f"{target!r}: expected host:port")
    return host.strip("[]"), int(port)


def _tcp(check: Check) -> str:
    """Connects. `expect`: `starts` (what the server says first)."""
    with socket.create_connection(_address(check.target), check.timeout_s) as connection:
        starts = check.expect.get("starts")
        if starts:
            wanted = str(starts).encode()
            said = b""
            while len(said) < len(wanted):
                piece = connection.recv(len(wanted) - len(said))
                if not piece:
                    break
                said += piece
            if said != wanted:
                return f"said {said[:60]!r}"
    return ""


def _tls(check: Check) -> str:
    """A handshake with a certificate that is trusted, named right, and good for `days` more (`expect`, default 0)."""
    host, port = _address(check.target)
    context = ssl.create_default_context(cafile=check.expect.get("ca") or None)
    name = str(check.expect.get("name", host))
    with (
        socket.create_connection((host, port), check.timeout_s) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        certificate = secured.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    left = (datetime.fromtimestamp(ends, UTC) - datetime.now(UTC)).total_seconds() / 86_400
    days = float(check.expect.get("days", 0))
    return f"the certificate ends in {left:.1f} days" if left < days else ""


def _icmp(check: Check) -> str:
    """An echo answered. Without the right to raw sockets, by the kernel's ping sockets."""
    import icmplib

    for privileged in (True, False):
        try:
            host = icmplib.ping(check.target, count=1, timeout=check.timeout_s, privileged=privileged)
        except icmplib.SocketPermissionError:
            continue
        except icmplib.NameLookupError as error:
            return str(error)
        return "" if host.is_alive else "no answer"
    raise _Broken("no right to send echo requests: allow ping sockets (net.ipv4.ping_group_range) or CAP_NET_RAW")


def _dns(check: Check) -> str:
    """`expect`: `server` (host or host:port; else the system's), `type` (A), `answer` (one that must be there)."""
    import dns.exception
    import dns.resolver

    expect = check.expect
    server = expect.get("server")
    resolver = dns.resolver.Resolver(configure=server is None)
    if server:
        host, colon, port = str(server).rpartition(":")
        numbered = bool(colon) and port.isdigit() and "]" not in port
        resolver.nameservers = [host if numbered else str(server)]
        resolver.port = int(port) if numbered else 53
    resolver.lifetime = check.timeout_s
    try:
        found = resolver.resolve(check.target, str(expect.get("type", "A")), search=False)
    except dns.exception.Timeout:
        return "timed out"
    answers = sorted(str(row).strip('"') for row in found)
    wanted = expect.get("answer")
    return "" if wanted is None or str(wanted) in answers else f"answered {', '.join(answers)[:200]}"


_LOOKS: Mapping[str, Callable[[Check], str]] = {"http": _http, "tcp": _tcp, "icmp": _icmp, "dns": _dns, "tls": _tls}
