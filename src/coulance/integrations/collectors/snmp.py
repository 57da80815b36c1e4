"""SNMP: the interface counters of one device, by bulk requests; v2c, and v3 authenticated and encrypted.

An interface is its ifName: its ifIndex may be another after a restart. In, out and ifCounterDiscontinuityTime are asked
for in one request, so that they are of one instant. What began anew is told by the device's clocks (see
`coulance_core.usage.polling`) and by each interface's discontinuity time. An interface without 64-bit counters
gets a key of its own (`...#32bit`), so that its readings never mix with the 64-bit ones it may have had before or will
have again; with `bits = 32` they are what is wanted.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as hlapi

from coulance.integrations.collectors.harvest import Harvest, Now, Readings, UnableToCollectError
from coulance.usage.collecting import Progress
from coulance_core.catalog.collectors import Collector, SnmpAuth, SnmpPrivacy, SnmpVersion
from coulance_core.usage.polling import DeviceClock, restarted_at

NARROW = "#32bit"
"""After the key of an interface that has 32-bit counters only."""

_SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
_SYS_NAME = "1.3.6.1.2.1.1.5.0"
_ENGINE_BOOTS = "1.3.6.1.6.3.10.2.1.2.0"
_ENGINE_TIME = "1.3.6.1.6.3.10.2.1.3.0"
_HOST_UPTIME = "1.3.6.1.2.1.25.1.1.0"
_COUNTERS = {
    "in": "1.3.6.1.2.1.31.1.1.1.6",
    "out": "1.3.6.1.2.1.31.1.1.1.10",
    "discontinuity": "1.3.6.1.2.1.31.1.1.1.19",
}
_NARROW_COUNTERS = {"in": "1.3.6.1.2.1.2.2.1.10", "out": "1.3.6.1.2.1.2.2.1.16"}
_NAMES = {
    "ifname": "1.3.6.1.2.1.31.1.1.1.1",
    "ifalias": "1.3.6.1.2.1.31.1.1.1.18",
    "ifdescr": "1.3.6.1.2.1.2.2.1.2",
}
_ROWS = 12
"""Rows a bulk request asks for; with three columns each, an answer stays within what one packet holds."""
_MOST_ROWS = 100_000
_TICKS = 1 << 32

_AUTH = {
    SnmpAuth.MD5: hlapi.USM_AUTH_HMAC96_MD5,
    SnmpAuth.SHA: hlapi.USM_AUTH_HMAC96_SHA,
    SnmpAuth.SHA256: hlapi.USM_AUTH_HMAC192_SHA256,
    SnmpAuth.SHA512: hlapi.USM_AUTH_HMAC384_SHA512,
}
_PRIVACY = {
    SnmpPrivacy.DES: hlapi.USM_PRIV_CBC56_DES,
    SnmpPrivacy.AES: hlapi.USM_PRIV_CFB128_AES,
    SnmpPrivacy.AES256: hlapi.USM_PRIV_CFB256_AES,
}


@dataclass(slots=True)
class _Device:
    """What a device answered: single values, columns by ifIndex, and when its counters were read."""

    values: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    read_at: dict[str, int] = field(default_factory=dict)
    at: int = 0


class Snmp:
    """Asks devices one by one."""

    def targets(self, collector: Collector) -> tuple[str, ...]:
        """The devices."""
        return collector.targets

    def ask(self, collector: Collector, target: str, before: Progress, now: Now, secrets: Mapping[str, str]) -> Harvest:
        """The counters of a device's interfaces, now."""
        try:
            device = asyncio.run(_Asking(collector, target, now, secrets).ask())
        except PySnmpError as fault:
            raise UnableToCollectError(f"{target}: {_plain(fault)}") from fault
        return _harvest(collector, target, before, device)


class _Asking:
    """One conversation with a device."""

    def __init__(self, collector: Collector, target: str, now: Now, secrets: Mapping[str, str]) -> None:
        self.collector, self.target, self.now = collector, target, now
        self.auth = _auth(collector, secrets)
        self.engine: Any = None
        self.transport: Any = None

    async def ask(self) -> _Device:
        host, port = _address(self.target)
        self.engine = hlapi.SnmpEngine()
        try:
            kind = hlapi.Udp6TransportTarget if ":" in host else hlapi.UdpTransportTarget
            # Three tries in all; a device that answers at all does so in a fraction of this.
            self.transport = await kind.create((host, port), timeout=max(self.collector.timeout_s / 3, 0.5), retries=2)
            device = _Device()
            await self._single(device)
            names = _NAMES
            await self._walk(device, names)
            if self.collector.bits == 64:
                await self._walk(device, _COUNTERS)
            if self.collector.bits == 32 or len(device.columns["in"]) < len(device.columns["ifdescr"]):
                narrow = {f"narrow_{name}": oid for name, oid in _NARROW_COUNTERS.items()}
                await self._walk(device, narrow)
            return device
        finally:
            self.engine.close_dispatcher()

    async def _single(self, device: _Device) -> None:
        oids = (_SYS_UPTIME, _SYS_NAME, _ENGINE_BOOTS, _ENGINE_TIME, _HOST_UPTIME)
        found = await self._answer(
            hlapi.get_cmd(
                self.engine, self.auth, self.transport, hlapi.ContextData(), *map(_oid, oids), lookupMib=False
            )
        )
        device.at = int(self.now().timestamp())
        device.values = {str(oid): value for oid, value in found}
        if _int(device.values.get(_SYS_UPTIME)) is None:
            raise UnableToCollectError(f"{self.target}: it tells no sysUpTime; may this community or user see it?")

    async def _walk(self, device: _Device, columns: Mapping[str, str]) -> None:
        """Columns of a table side by side, each to its own end; rows belong together by their index."""
        next_oid = dict(columns)
        for name in columns:
            device.columns[name] = {}
        rows = 0
        while next_oid:
            asked = list(next_oid.items())
            found = await self._answer(
                hlapi.bulk_cmd(
                    self.engine, self.auth, self.transport, hlapi.ContextData(), 0, _ROWS,
                    *(_oid(oid) for _, oid in asked), lookupMib=False,
                )
            )  # fmt: skip
            at = int(self.now().timestamp())
            if not found:
                raise UnableToCollectError(f"{self.target}: an empty answer in the middle of a table")
            for i, (oid, value) in enumerate(found):
                name, before = asked[i % len(asked)]
                if name not in next_oid or (begun := next_oid[name]) is None:
                    continue
                prefix, text = columns[name] + ".", str(oid)
                if not text.startswith(prefix) or isinstance(value, hlapi.EndOfMibView):
                    del next_oid[name]
                    continue
                if _sorted(text) <= _sorted(begun):
                    raise UnableToCollectError(f"{self.target}: {text} after {before}: its table goes in circles")
                index = text[len(prefix) :]
                device.columns[name][index] = value
                device.read_at[index] = at
                next_oid[name] = text
                rows += 1
                if rows > _MOST_ROWS:
                    raise UnableToCollectError(f"{self.target}: more than {_MOST_ROWS} values in a table")

    async def _answer(self, asking: Awaitable[Any]) -> list[tuple[Any, Any]]:
        indication, status, index, found = await asking
        if indication:
            raise UnableToCollectError(f"{self.target}: {_plain(indication)}{_hint(str(indication), self.collector)}")
        if status and int(status):
            raise UnableToCollectError(f"{self.target}: it refuses: {status.prettyPrint()} (value {int(index)})")
        return [(one[0], one[1]) for one in found]


def _harvest(collector: Collector, target: str, before: Progress, device: _Device) -> Harvest:
    clock = DeviceClock(
        device.at,
        ticks=_int(device.values.get(_SYS_UPTIME)),
        boots=_int(device.values.get(_ENGINE_BOOTS)),
        engine_s=_int(device.values.get(_ENGINE_TIME)),
        host_ticks=_int(device.values.get(_HOST_UPTIME)),
    )
    old = before.state.get("clock")
    restart = None if old is None else restarted_at(DeviceClock(**old), clock)
    known: Mapping[str, int] = before.state.get("discontinuities", {})
    readings = Readings(collector)
    if restart is not None:
        readings.notes.append(f"it began anew {device.at - restart} s before it was asked")
    sysname = _text(device.values.get(_SYS_NAME))
    discontinuities: dict[str, int] = {}
    narrow: list[str] = []
    silent = 0
    for index, raw in device.columns["ifdescr"].items():
        names = {name: _text(device.columns[name].get(index)) for name in _NAMES}
        ifname = names["ifname"] or names["ifdescr"] or _text(raw)
        v_in, v_out = (_int(device.columns.get(name, {}).get(index)) for name in ("in", "out"))
        mark, since = "", restart
        if v_in is None or v_out is None:
            v_in, v_out = (_int(device.columns.get(f"narrow_{name}", {}).get(index)) for name in ("in", "out"))
            mark = NARROW if collector.bits == 64 else ""
        if v_in is None or v_out is None or not ifname:
            silent += 1
            continue
        at = device.read_at[index]
        said = _int(device.columns.get("discontinuity", {}).get(index))
        if said is not None:
            discontinuities[ifname] = said
            if since is None and ifname in known and known[ifname] != said and clock.ticks is not None:
                since = at - ((clock.ticks - said) % _TICKS) // 100
        labels = {"target": _address(target)[0], "sysname": sysname, **names, "ifname": ifname}
        key = readings.add(labels, at, v_in, v_out, since, mark)
        if key is not None and mark:
            narrow.append(ifname)
    if narrow:
        shown = ", ".join(narrow[:3])
        readings.notes.append(
            f"{len(narrow)} interfaces have no 64-bit counters ({shown}): their series end in {NARROW}"
        )
    if silent:
        readings.notes.append(f"{silent} interfaces have no counters or no name")
    state = {
        "clock": {
            "at": clock.at, "ticks": clock.ticks, "boots": clock.boots, "engine_s": clock.engine_s,
            "host_ticks": clock.host_ticks,
        },
        "discontinuities": discontinuities,
    }  # fmt: skip
    return readings.harvest(cursor=device.at, state=state)


def _auth(collector: Collector, secrets: Mapping[str, str]) -> Any:
    if collector.version is SnmpVersion.V2C:
        return hlapi.CommunityData(secrets[collector.secret], mpModel=1)  # noqa: S508 - said in docs; v3 is there
    return hlapi.UsmUserData(
        collector.user,
        authKey=secrets[collector.auth_secret],
        privKey=secrets[collector.privacy_secret],
        authProtocol=_AUTH[collector.auth_protocol],
        privProtocol=_PRIVACY[collector.privacy_protocol],
    )


def _address(target: str) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[v6]:port`.

    >>> _address("switch1"), _address("10.0.0.1:1161"), _address("[2001:db8::1]:1161")
    (('switch1', 161), ('10.0.0.1', 1161), ('2001:db8::1', 1161))
    """
    if target.startswith("["):
        host, _, port = target[1:].partition("]")
        return host, int(port[1:] or 161)
    host, _, port = target.partition(":")
    return host, int(port or 161)


def _oid(text: str) -> Any:
    return hlapi.ObjectType(hlapi.ObjectIdentity(text))


def _sorted(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.split(".")))


def _int(value: Any) -> int | None:
    """A number, or `None` for what a device says instead of one (noSuchObject, noSuchInstance)."""
    if value is None or isinstance(value, hlapi.NoSuchObject | hlapi.NoSuchInstance | hlapi.EndOfMibView):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    if value is None or isinstance(value, hlapi.NoSuchObject | hlapi.NoSuchInstance | hlapi.EndOfMibView):
        return ""
    try:
        return bytes(value).decode("utf-8", "replace").strip("\0 ")
    except TypeError:
        return str(value)


def _plain(fault: object) -> str:
    return " ".join(str(fault).split())[:300]


def _hint(said: str, collector: Collector) -> str:
    if "No SNMP response" in said:
        which = "community" if collector.version is SnmpVersion.V2C else "user"
        return f" (is it on, may we reach its UDP port, is the {which} right?)"
    return ""
