"""LibreNMS: the counters of its ports as it last polled them, and its bills to compare ours with.

A port's counters are of the instant `poll_time`, which is the instant of the reading here: asked twice between two
polls, the second is a duplicate. LibreNMS's own deltas and rates are not taken: it reuses the delta before a fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from coulance.integrations.collectors.harvest import Harvest, Now, Readings, UnableToCollectError
from coulance.integrations.collectors.http import Api, number
from coulance.usage.collecting import Progress
from coulance_core.catalog.collectors import Collector
from coulance_core.usage.polling import DeviceClock, restarted_at

COLUMNS = "port_id,device_id,ifName,ifAlias,ifDescr,ifInOctets,ifOutOctets,poll_time,deleted"


class _Device(msgspec.Struct):
    device_id: int | str
    hostname: str | None = None
    sysName: str | None = None
    uptime: int | float | str | None = None
    last_polled: str | None = None


class _Devices(msgspec.Struct):
    devices: list[_Device] = []
    status: str = ""
    message: str = ""


class _Port(msgspec.Struct):
    port_id: int | str
    device_id: int | str
    ifName: str | None = None
    ifAlias: str | None = None
    ifDescr: str | None = None
    ifInOctets: int | float | str | None = None
    ifOutOctets: int | float | str | None = None
    poll_time: int | float | str | None = None
    deleted: int | str | bool = 0


class _Ports(msgspec.Struct):
    ports: list[_Port] = []
    status: str = ""
    message: str = ""


class _Bill(msgspec.Struct):
    bill_id: int | str
    bill_name: str = ""
    bill_ref: str | None = None
    bill_type: str = ""
    bill_custid: str | None = None
    rate_95th: int | float | str | None = None
    rate_95th_in: int | float | str | None = None
    rate_95th_out: int | float | str | None = None
    dir_95th: str | None = None
    total_data: int | float | str | None = None
    total_data_in: int | float | str | None = None
    total_data_out: int | float | str | None = None


class _Bills(msgspec.Struct):
    bills: list[_Bill] = []
    status: str = ""
    message: str = ""


class _History(msgspec.Struct):
    bill_id: int | str
    bill_datefrom: str = ""
    bill_dateto: str = ""
    rate_95th: int | float | str | None = None
    rate_95th_in: int | float | str | None = None
    rate_95th_out: int | float | str | None = None
    dir_95th: str | None = None
    traf_total: int | float | str | None = None
    traf_in: int | float | str | None = None
    traf_out: int | float | str | None = None


class _Histories(msgspec.Struct):
    bill_history: list[_History] = []
    status: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class TheirBill:
    """A period of a bill as LibreNMS has it: bits a second, and bytes; `None` where it says nothing."""

    bill: str
    name: str
    reference: str
    start: datetime
    end: datetime
    rate_95th: int | None
    direction_95th: str
    total: int | None
    total_in: int | None
    total_out: int | None


def _api(collector: Collector, now: Now, secrets: Mapping[str, str]) -> Api:
    headers = {"X-Auth-Token": secrets[collector.secret]}
    return Api(collector, headers, now, secret=collector.secret)


def _sound(status: str, message: str, what: str) -> None:
    if status != "ok":
        raise UnableToCollectError(f"{what}: LibreNMS says {status or 'nothing'}: {message or 'no reason'}")


class LibreNms:
    """Asks one LibreNMS for all ports of all devices: two questions, whatever their number."""

    def targets(self, collector: Collector) -> tuple[str, ...]:
        """The server's address."""
        return (collector.url,)

    def ask(
        self,
        collector: Collector,
        target: str,  # noqa: ARG002 - there is one, its url
        before: Progress,
        now: Now,
        secrets: Mapping[str, str],
    ) -> Harvest:
        """The counters of all ports as they were last polled."""
        with _api(collector, now, secrets) as api:
            devices = api.get("/api/v0/devices", _Devices)
            _sound(devices.status, devices.message, "devices")
            ports = api.get("/api/v0/ports", _Ports, columns=COLUMNS)
            _sound(ports.status, ports.message, "ports")
        at = int(now().timestamp())
        readings = Readings(collector)
        hosts = {str(one.device_id): one for one in devices.devices}
        known: Mapping[str, Any] = before.state.get("devices", {})
        remembered: dict[str, list[int]] = {}
        restarts: dict[str, int | None] = {}
        unread = 0
        newest = before.cursor or 0
        for port in ports.ports:
            v_in, v_out, polled = number(port.ifInOctets), number(port.ifOutOctets), number(port.poll_time)
            if str(port.deleted) not in ("0", "False"):
                continue
            if v_in is None or v_out is None or not polled:
                unread += 1
                continue
            if polled > at + 300:
                raise UnableToCollectError(
                    f"port {port.port_id}: polled at {polled}, which is yet to come: whose clock is wrong?"
                )
            device = str(port.device_id)
            host = hosts.get(device)
            if host is not None and device not in restarts:
                uptime = number(host.uptime)
                restarts[device] = None
                if uptime:  # 0 is a device that does not say
                    seen = DeviceClock(polled, uptime_s=uptime)
                    if (old := known.get(device)) is not None and old[0] < polled:
                        restarts[device] = restarted_at(DeviceClock(old[0], uptime_s=old[1]), seen)
                    remembered[device] = [polled, uptime]
            readings.add(
                {
                    "hostname": (host.hostname if host else None) or "",
                    "sysname": (host.sysName if host else None) or "",
                    "device_id": device,
                    "port_id": str(port.port_id),
                    "ifname": port.ifName or "",
                    "ifalias": port.ifAlias or "",
                    "ifdescr": port.ifDescr or "",
                },
                polled,
                v_in,
                v_out,
                restarts.get(device),
            )
            newest = max(newest, polled)
        if unread:
            readings.notes.append(f"{unread} ports have no counters, or were never polled")
        return readings.harvest(cursor=newest or at, state={"devices": remembered})


def bills(collector: Collector, now: Now, secrets: Mapping[str, str]) -> list[TheirBill]:
    """Every closed period of every bill, oldest first. Raises `UnableToCollectError`."""
    out = []
    with _api(collector, now, secrets) as api:
        found = api.get("/api/v0/bills", _Bills)
        _sound(found.status, found.message, "bills")
        for bill in found.bills:
            history = api.get(f"/api/v0/bills/{bill.bill_id}/history", _Histories)
            _sound(history.status, history.message, f"history of bill {bill.bill_id}")
            for one in history.bill_history:
                rate = number(one.rate_95th)
                out.append(
                    TheirBill(
                        bill=str(bill.bill_id),
                        name=bill.bill_name,
                        reference=bill.bill_ref or "",
                        start=_instant(one.bill_datefrom, bill.bill_id),
                        end=_instant(one.bill_dateto, bill.bill_id),
                        rate_95th=rate,
                        direction_95th=one.dir_95th or "",
                        total=number(one.traf_total),
                        total_in=number(one.traf_in),
                        total_out=number(one.traf_out),
                    )
                )
    return sorted(out, key=lambda bill: (bill.start, bill.bill))


def _instant(text: str, bill: object) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as fault:
        raise UnableToCollectError(f"bill {bill}: {text!r} is no date") from fault
    return found if found.tzinfo else found.replace(tzinfo=UTC)
