"""vnStat's JSON: version 1 counts KiB, version 2 bytes.

vnStat keeps the same traffic several times over: in five minutes, hours, days and months, each for as far back as it
is told to. The finest wins: a coarser interval counts only for the part that no finer one covers, as one sample that
ends where the finer ones begin. An interval that is not over yet is left out; it comes with a later dump. Where
samples inside an interval are stored already, finer ones came with an earlier dump, and the interval is left out too:
so dumps may be imported again and again, whatever vnStat has forgotten in between.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from coulance.integrations.files.blocks import Block, UnableToReadFileError
from coulance.usage.columns import from_lists
from coulance_core.kernel import civil_midnight

Stored = Callable[[str, int, int], list[int]]
"""Sorted instants of stored samples of a series in (start, end]: they tell what came finer before."""

_KINDS = (("fiveminute", "fiveminutes"), ("hour", "hours"), ("day", "days"), ("month", "months"))
"""Finest first: the name in version 2, and in version 1."""


@dataclass(frozen=True, slots=True)
class _Interval:
    start: int
    end: int
    v_in: int
    v_out: int
    place: str


def read_vnstat(path: Path, *, zone: ZoneInfo, prefix: str = "", stored: Stored | None = None) -> Iterator[Block]:
    """The samples of each interface in a dump; their series key is `prefix` and the interface's name.

    vnStat writes civil times of the machine it ran on: `zone`. Raises `UnableToReadFileError`.
    """
    try:
        dump = json.loads(path.read_bytes())
    except OSError as fault:
        raise UnableToReadFileError(path.name, f"can't be opened: {fault.strerror}") from fault
    except (ValueError, RecursionError) as fault:
        raise UnableToReadFileError(path.name, f"not JSON: {fault}") from fault
    version = str(dump.get("jsonversion")) if isinstance(dump, dict) else None
    if version not in ("1", "2"):
        raise UnableToReadFileError(
            f"{path.name}: jsonversion", f'expected "1" or "2" (vnstat --json), not {version!r}'
        )
    interfaces = dump.get("interfaces")
    if not isinstance(interfaces, list):
        raise UnableToReadFileError(f"{path.name}: interfaces", "expected a list")
    for number, interface in enumerate(interfaces):
        where = f"{path.name}: interfaces[{number}]"
        try:
            name = str(interface["name" if version == "2" else "id"])
            yield _interface(interface, where, prefix + name, version, zone, stored)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            what = f"{fault.args[0]!r} is missing" if isinstance(fault, KeyError) else str(fault)
            raise UnableToReadFileError(where, f"not as vnStat writes it: {what}") from fault


def _interface(
    interface: dict[str, Any], where: str, key: str, version: str, zone: ZoneInfo, stored: Stored | None
) -> Block:
    factor = 1 if version == "2" else 1024
    updated = _moment(interface["updated"], zone)
    traffic = interface["traffic"]
    taken: list[_Interval] = []
    left_out: dict[str, int] = {}
    have: list[int] | None = None
    seen: list[tuple[int, int]] = []  # what finer intervals cover, with the time that is not over yet
    for kind, old_name in _KINDS:
        name = kind if version == "2" else old_name
        fresh: list[_Interval] = []
        spans: list[tuple[int, int]] = []
        for number, entry in enumerate(traffic.get(name) or []):
            place = f"{where}.traffic.{name}[{number}]"
            start, end = _span(kind, entry, zone)
            v_in, v_out = _amount(entry, "rx", place) * factor, _amount(entry, "tx", place) * factor
            if end > updated:
                left_out["not over yet"] = left_out.get("not over yet", 0) + 1
                continue
            spans.append((start, end))
            finer = [one for one in taken if start < one.end and one.start < end]
            covered = [span for span in seen if start < span[1] and span[0] < end]
            begin = min((span[0] for span in covered), default=end)
            if begin <= start:
                left_out["covered by finer intervals"] = left_out.get("covered by finer intervals", 0) + 1
                continue
            v_in -= sum(one.v_in for one in finer)
            v_out -= sum(one.v_out for one in finer)
            if v_in < 0 or v_out < 0:
                # Rounding (KiB), or a clock that was set back: the finer figures stand.
                left_out["less than its finer intervals"] = left_out.get("less than its finer intervals", 0) + 1
                continue
            if have is None:
                have = [] if stored is None else stored(key, 0, updated)
            inside = have[bisect_right(have, start) : bisect_right(have, begin)]
            if any(at != begin for at in inside):
                left_out["stored from an earlier dump"] = left_out.get("stored from an earlier dump", 0) + 1
                continue
            fresh.append(_Interval(start, begin, v_in, v_out, place))
        taken += fresh
        seen += spans
    taken.sort(key=lambda one: one.end)
    columns = from_lists(
        {
            "series": [key] * len(taken),
            "at": [one.end for one in taken],
            "in": [one.v_in for one in taken],
            "out": [one.v_out for one in taken],
        }
    )
    places = [one.place for one in taken]
    return Block(columns, lambda row: places[row], left_out=left_out)


def _amount(entry: dict[str, Any], name: str, place: str) -> int:
    value = entry[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{place}.{name}: expected a whole number, not {value!r}")
    return value


def _day(entry: dict[str, Any]) -> date:
    given = entry["date"]
    return date(int(given["year"]), int(given["month"]), int(given.get("day", 1)))


def _moment(entry: dict[str, Any], zone: ZoneInfo) -> int:
    if "timestamp" in entry:
        return int(entry["timestamp"])
    time = entry.get("time", {})
    minute = time.get("minute", time.get("minutes", 0))
    day = _day(entry)
    civil = datetime(day.year, day.month, day.day, int(time.get("hour", 0)), int(minute), tzinfo=zone)
    return int(civil.astimezone(UTC).timestamp())


def _span(kind: str, entry: dict[str, Any], zone: ZoneInfo) -> tuple[int, int]:
    """[start, end) of an entry, in epoch seconds."""
    day = _day(entry)
    if kind == "month":
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        return _epoch(day.replace(day=1), zone), _epoch(following, zone)
    if kind == "day":
        return _epoch(day, zone), _epoch(day + timedelta(days=1), zone)
    if kind == "hour" and "time" not in entry:  # version 1 numbers its entries by the hour
        entry = {**entry, "time": {"hour": entry["id"]}}
    start = _moment(entry, zone)
    return start, start + (3600 if kind == "hour" else 300)


def _epoch(day: date, zone: ZoneInfo) -> int:
    return int(civil_midnight(day, zone).timestamp())
