"""No test talks to the outside: sockets reach unix paths and this machine's loopback, nothing else."""

import ipaddress
import socket
from typing import Any

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo


class NetworkForbiddenError(AssertionError):
    """A test tried to leave this machine."""


def _is_here(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.split("%")[0]).is_loopback or text in {"0.0.0.0", "::"}
    except ValueError:
        return text == socket.gethostname()


def _judge(sock: socket.socket, address: Any) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
        raise NetworkForbiddenError(f"a test tried to connect to {address[0]}:{address[1]}")


def forbid() -> None:
    """From now on a connection to anywhere but here raises NetworkForbiddenError."""

    def connect(self: socket.socket, address: Any) -> None:
        _judge(self, address)
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        _judge(self, address)
        return _connect_ex(self, address)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_here(host):
            raise NetworkForbiddenError(f"a test tried to look up {host!r}")
        return _getaddrinfo(host, *args, **kwargs)

    socket.socket.connect = connect
    socket.socket.connect_ex = connect_ex
    socket.getaddrinfo = getaddrinfo
