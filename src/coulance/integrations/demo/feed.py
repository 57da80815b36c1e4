"""What the demo's collectors send: a file a day, with what goes wrong in real life between a meter and a bill.

A `Batch` is one file: rows of (series, instant, in, out) with the series given by position in `keys`. `arrives_on` says
when it comes: a day later as a rule, weeks later for the collector that was cut off, twice for the one that resends.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from coulance.integrations.demo import traffic
from coulance.integrations.demo.fleet import DemoService, Fleet
from coulance.integrations.demo.traffic import Ints, Polls
from coulance_core.kernel import civil_midnight

METER = {
    "vps": "traffic",
    "fleet": "traffic",
    "managed": "traffic",
    "colo": "port",
    "mgmt": "port32",
    "objects": "objects",
    "mail": "mailboxes",
    "web": "site-traffic",
    "shop": "visitors",
}
"""Which meter of examples/provider.toml each kind of service feeds; kinds that are not metered are left out."""

_SOURCE = {
    "vps": "hypervisor",
    "fleet": "hypervisor",
    "managed": "hypervisor",
    "colo": "switch-3",
    "mgmt": "switch-1",
    "objects": "s3",
    "mail": "mail",
    "web": "access-log",
    "shop": "customer-counter",
}


@dataclass(frozen=True, slots=True)
class Batch:
    """One collector's file: `keys[series[i]]` is the series of row i; `name` identifies it for ever."""

    name: str
    arrives_on: date
    keys: tuple[str, ...]
    series: Ints
    at: Ints
    v_in: Ints
    v_out: Ints

    def __len__(self) -> int:
        return len(self.at)


def series_key(service: DemoService) -> str:
    """The key under which collectors report a service."""
    return f"{_SOURCE[service.kind]}/{service.external_id}"


def readings(service: DemoService, seed: int, start: datetime, end: datetime, zone: ZoneInfo) -> Polls:
    """Everything that the meter of one service reads in [start, end), before anything goes wrong on the way."""
    rng = traffic.rng_for(seed, service.external_id)
    ends = traffic.interval_ends(start, end)
    if service.kind == "objects":
        return _alive(service, traffic.gauge_storage(ends, rng, service.scale), zone)
    if service.kind == "mail":
        return _alive(service, traffic.gauge_seats(ends, rng, max(2, round(service.scale))), zone)
    if service.kind == "shop":
        return _alive(service, traffic.visits(ends, zone, rng, service.scale), zone)
    v_in, v_out = traffic.volumes(traffic.PROFILES[service.profile], ends, zone, rng, service.scale)
    mid = len(ends) // 2
    resets: tuple[int, ...] = ()
    match service.incident:
        case "flood":  # twelve hours of 900 Mbit/s, inbound, in the second month
            v_in = traffic.flood(v_in, mid, 12, 900, rng)
        case "runaway":  # a steady 80 Mbit/s from the middle of the second month, for nine days
            wild = traffic.runaway(v_out, mid, 80.0)
            v_out = np.where(np.arange(len(ends)) < mid + 9 * 288, wild, v_out)
        case "3 TB once":  # about 400 GB a month, and 3 TB in the third
            third = len(ends) * 2 // 3
            v_out[third:] = v_out[third:] * 8
        case "counter reset":
            resets = (len(ends) // 5, mid)
    if service.kind == "web":  # from access logs: what was served in each interval, no counter
        return _alive(service, Polls(ends, v_in, v_out), zone)
    return _alive(
        service, traffic.polled(ends, v_in, v_out, rng, bits=32 if service.kind == "mgmt" else 64, resets=resets), zone
    )


def _alive(service: DemoService, polls: Polls, zone: ZoneInfo) -> Polls:
    """While the service runs: a counter is first read as it starts; an amount is of the time before its instant."""
    first = int(civil_midnight(service.plans[0][2], zone).timestamp())
    last = int(civil_midnight(service.ended_on, zone).timestamp()) if service.ended_on else None
    keep = polls.at > first if service.kind in ("web", "shop") else polls.at >= first
    if last is not None:
        keep &= polls.at <= last
    return Polls(polls.at[keep], polls.v_in[keep], polls.v_out[keep])


def batches(fleet: Fleet, seed: int, start: date, end: date, zone: ZoneInfo) -> list[Batch]:
    """Every file that arrives for the civil days [start, end), sorted by when it arrives.

    Besides the plain ones: a file sent twice (same name), one that overlaps the day before, the days of a collector
    that was cut off, which came after the month was closed, and the correction of a log that was read eight times.
    """
    begin, until = civil_midnight(start, zone), civil_midnight(end, zone)
    services = [service for service in fleet.services if service.kind in METER]
    keys = tuple(series_key(service) for service in services)
    reads = [readings(service, seed, begin, until, zone) for service in services]
    days = [start + timedelta(days=i) for i in range((end - start).days)]
    edges = np.array([int(civil_midnight(d, zone).timestamp()) for d in [*days, end]])
    cuts = [np.searchsorted(r.at, edges, side="right") for r in reads]
    for cut in cuts:
        cut[0] = 0  # the first reading of all is where counting starts
    held = {i for i, s in enumerate(services) if s.incident == "late files"}
    again = {i for i, s in enumerate(services) if s.incident == "counted again"}
    cut_off = {start + timedelta(days=i) for i in range(18, 24)}
    counted_again = start + timedelta(days=24)

    def rows(
        day: int, chosen: Iterator[int] | range | set[int], *, overlap: int = 0, times: int = 1
    ) -> tuple[Ints, ...]:
        at, series, v_in, v_out = [], [], [], []
        for i in chosen:
            low, high = max(0, int(cuts[i][day]) - overlap), int(cuts[i][day + 1])
            at.append(reads[i].at[low:high])
            series.append(np.full(high - low, i, dtype=np.int64))
            v_in.append(reads[i].v_in[low:high] * times)
            v_out.append(reads[i].v_out[low:high] * times)
        return tuple(np.concatenate(column) for column in (series, at, v_in, v_out))

    out: list[Batch] = []
    everyone = range(len(services))
    for d, day in enumerate(days):
        next_day = day + timedelta(days=1)
        plain = (i for i in everyone if not ((i in held and day in cut_off) or (i in again and day == counted_again)))
        columns = rows(d, plain, overlap=6 if day.day == 11 else 0)
        out.append(Batch(f"collector-{day.isoformat()}", next_day, keys, *columns))
        if day.day == 5:  # the answer got lost, so the collector sends the same file again
            out.append(out[-1])
        if day in cut_off:
            out.append(Batch(f"late-{day.isoformat()}", start + timedelta(days=37), keys, *rows(d, held)))
        if day == counted_again:
            out.append(Batch(f"log-{day.isoformat()}", next_day, keys, *rows(d, again, times=8)))
            out.append(Batch(f"log-{day.isoformat()}-corrected", start + timedelta(days=38), keys, *rows(d, again)))
    return sorted(out, key=lambda batch: batch.arrives_on)
