"""A small SNMP v2c agent of recorded values (snmpsim's .snmprec), which a test changes as no device here would."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

_V2C = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
_KINDS: dict[str, Callable[[str], Any]] = {
    "2": lambda text: _V2C.Integer32(int(text)),
    "4": _V2C.OctetString,
    "4x": lambda text: _V2C.OctetString(hexValue=text),
    "6": _V2C.ObjectIdentifier,
    "64": _V2C.IpAddress,
    "65": lambda text: _V2C.Counter32(int(text)),
    "66": lambda text: _V2C.Unsigned32(int(text)),
    "67": lambda text: _V2C.TimeTicks(int(text)),
    "70": lambda text: _V2C.Counter64(int(text)),
}
Oid = tuple[int, ...]


def oid(text: str) -> Oid:
    """An OID from its text."""
    return tuple(map(int, text.split(".")))


class Agent:
    """Answers GET and GETBULK from `values`; `(kind, text)` by OID."""

    def __init__(self, community: str = "public") -> None:
        self.community = community
        self.values: dict[Oid, tuple[str, str]] = {}
        self.target = ""
        self.instead: Callable[[bytes], bytes | None] | None = None

    def load(self, path: Path) -> None:
        """Take a recording's values in place of all."""
        self.values = {}
        for line in path.read_text().splitlines():
            name, kind, text = line.split("|", 2)
            if kind == "4x" and bytes.fromhex(text).isascii() and bytes.fromhex(text).decode().isprintable():
                kind, text = "4", bytes.fromhex(text).decode()
            self.values[oid(name)] = (kind, text)

    def set(self, name: str, kind: str, value: object) -> None:
        """Set one value."""
        self.values[oid(name)] = (kind, str(value))

    def column(self, name: str) -> dict[Oid, str]:
        """A column's texts by index."""
        start = oid(name)
        return {key[len(start) :]: text for key, (_, text) in self.values.items() if key[: len(start)] == start}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer on a free loopback port; gives host:port."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0.05)
            stop = threading.Event()

            def serve() -> None:
                while not stop.is_set():
                    try:
                        data, peer = sock.recvfrom(65_536)
                    except TimeoutError:
                        continue
                    answer = self.instead(data) if self.instead else self._answer(data)
                    if answer is not None:
                        sock.sendto(answer, peer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            self.target = f"127.0.0.1:{sock.getsockname()[1]}"
            try:
                yield self.target
            finally:
                stop.set()
                thread.join()

    def _answer(self, data: bytes) -> bytes | None:
        message, _ = decoder.decode(data, asn1Spec=_V2C.Message())
        if bytes(_V2C.apiMessage.get_community(message)).decode() != self.community:
            return None  # as agents do: a stranger hears nothing
        answer = _V2C.apiMessage.get_response(message)
        asked, told = _V2C.apiMessage.get_pdu(message), _V2C.apiMessage.get_pdu(answer)
        names = [tuple(name) for name, _ in _V2C.apiPDU.get_varbinds(asked)]
        if asked.isSameTypeWith(_V2C.GetRequestPDU()):
            found = [(name, self._value(name)) for name in names]
        else:
            found = []
            ordered = sorted(self.values)
            for _ in range(int(_V2C.apiBulkPDU.get_max_repetitions(asked))):
                nexts = []
                for name in names:
                    after = next((one for one in ordered if one > name), None)
                    nexts.append((after or name, _V2C.EndOfMibView() if after is None else self._value(after)))
                found += nexts
                names = [name for name, _ in nexts]
        _V2C.apiPDU.set_varbinds(told, found)
        return bytes(encoder.encode(answer))

    def _value(self, name: Oid) -> Any:
        if name not in self.values:
            return _V2C.NoSuchInstance()
        kind, text = self.values[name]
        return _KINDS[kind](text)
