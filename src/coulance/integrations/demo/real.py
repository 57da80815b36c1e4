"""Real series from a directory, metered and billed in the months they are from: `make demo DATA=directory`.

Every `.csv` below the directory is one series. What is understood (docs/metering.md has examples):

* a first column with the instant at which each five-minute interval *begins* (ISO; without an offset it is UTC), and
  one of `in` and `out` (bytes), `bytes` or `value` (bytes out), or a column whose name ends in `(in bits)` (bits out);
* the GWA-T-12 Bitbrains form: `;` between columns, poll times in seconds, and throughput in KB/s.

What is not understood is named with its reason, and left out.
"""

import csv
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np
import pyarrow as pa

from coulance.catalog import operations as catalog_operations
from coulance.catalog.reader import read_provider_file
from coulance.customers import operations as customers_operations
from coulance.customers import queries as customers
from coulance.flows.closing.close_period import CloseReport
from coulance.integrations.demo.story import ACTOR, Tell, close, is_closed
from coulance.services import operations as services_operations
from coulance.services import queries as services
from coulance.usage import operations as usage
from coulance_core.usage.samples import Ints

INTERVAL = 300
_KB = 1000


class UnableToReadSeriesError(ValueError):
    """A file whose form is not understood, or a row of it that is wrong: says what was expected, and where."""


@dataclass(frozen=True, slots=True)
class RealSeries:
    """A series as read: intervals that end at `at` (epoch seconds), what went in and out, and in which unit (meter)."""

    name: str
    meter: str
    at: Ints
    v_in: Ints
    v_out: Ints

    @property
    def first_day(self) -> date:
        """The civil day (UTC) of its first interval."""
        return datetime.fromtimestamp(int(self.at[0]) - INTERVAL, UTC).date()

    @property
    def last_day(self) -> date:
        """The civil day (UTC) of its last interval."""
        return datetime.fromtimestamp(int(self.at[-1]) - 1, UTC).date()


def read_directory(folder: Path) -> tuple[list[RealSeries], list[tuple[str, str]]]:
    """Every series below `folder`, by name, and (file, reason) for those left out."""
    found: list[RealSeries] = []
    left_out: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*.csv")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            found.append(read_series(path, name))
        except UnableToReadSeriesError as error:
            left_out.append((name, str(error)))
    return found, left_out


def read_series(path: Path, name: str) -> RealSeries:
    """One file. Raises `UnableToReadSeriesError`."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        rows = csv.reader(file, delimiter=";" if first.count(";") > first.count(",") else ",", skipinitialspace=True)
        header = [cell.strip() for cell in next(rows, [])]
        lower = [cell.lower() for cell in header]
        if "network received throughput [kb/s]" in lower:
            series = _bitbrains(name, lower, rows)
        else:
            series = _plain(name, lower, rows)
    step = int(np.median(np.diff(series.at))) if series.at.size > 1 else 0
    if not 240 <= step <= 360:
        raise UnableToReadSeriesError(f"its samples are {step} s apart, expected about {INTERVAL} s")
    return series


def _plain(name: str, header: list[str], rows: Iterable[list[str]]) -> RealSeries:
    bits = next((i for i, cell in enumerate(header) if cell.endswith("(in bits)")), None)
    columns = {cell: i for i, cell in enumerate(header)}
    out = bits if bits is not None else columns.get("out", columns.get("bytes", columns.get("value")))
    into = columns.get("in")
    if "request" in name:
        raise UnableToReadSeriesError("by its name it counts requests, not traffic")
    if out is None or not header or out == 0:
        raise UnableToReadSeriesError(
            "no column of volumes: expected in and out, bytes, value or '... (in bits)', "
            f"found {', '.join(header) or 'none'}"
        )
    at, v_in, v_out = [], [], []
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        try:
            instant = datetime.fromisoformat(row[0])
            at.append(int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()) + INTERVAL)
            v_out.append(int(Decimal(row[out])))
            v_in.append(int(Decimal(row[into])) if into is not None else 0)
        except (ValueError, IndexError, InvalidOperation, OverflowError) as error:
            raise UnableToReadSeriesError(f"line {number}: expected an instant and a number: {error}") from error
    return _series(name, "bits" if bits is not None else "bytes", at, v_in, v_out)


def _bitbrains(name: str, header: list[str], rows: Iterable[list[str]]) -> RealSeries:
    received = header.index("network received throughput [kb/s]")
    sent = header.index("network transmitted throughput [kb/s]")
    at, v_in, v_out = [], [], []
    before: int | None = None
    for number, row in enumerate(rows, 2):
        try:
            instant = int(row[0])  # the header says milliseconds; the values are seconds
            # A rate stands for the interval since the poll before; after missed polls for one interval only.
            seconds = INTERVAL if before is None else min(instant - before, INTERVAL * 3 // 2)
            v_in.append(int(Decimal(row[received]) * seconds * _KB))
            v_out.append(int(Decimal(row[sent]) * seconds * _KB))
        except (ValueError, IndexError, InvalidOperation) as error:
            raise UnableToReadSeriesError(f"line {number}: expected a poll and its throughput: {error}") from error
        at.append(instant)
        before = instant
    return _series(name, "bytes", at, v_in, v_out)


def _series(name: str, meter: str, at: list[int], v_in: list[int], v_out: list[int]) -> RealSeries:
    if not at:
        raise UnableToReadSeriesError("it has no rows")
    order = np.argsort(np.array(at, np.int64), kind="stable")
    columns = (np.array(column, np.int64)[order] for column in (at, v_in, v_out))
    return RealSeries(name, meter, *columns)


def tell(
    folder: Path,
    provider_file: Path,
    *,
    say: Callable[[str], None],
    closed: Callable[[CloseReport], None],
    bar: Callable[[str], AbstractContextManager[Tell]],
    workers: int = 1,
) -> None:
    """Read, feed, and close every month that has samples; a second time it changes nothing."""
    series, left_out = read_directory(folder)
    for name, reason in left_out:
        say(f"left out {name}: {reason}")
    if not series:
        raise UnableToReadSeriesError(f"no series in {folder}: expected .csv files, as docs/metering.md describes them")
    say(f"read {sum(s.at.size for s in series):,} samples of {len(series)} series in {folder}")
    file = read_provider_file(provider_file)
    if file.faults:
        raise RuntimeError(f"{provider_file} has faults: run coulance check {provider_file}")
    began = datetime.combine(min(s.first_day for s in series), time(0), UTC)
    catalog_operations.apply_catalog(file=file, actor=ACTOR, at=began, closed_until=None, plans_in_use={})
    known = {row.external_id for row in customers.accounts()}
    for number, one in enumerate(series, 1):
        if f"S{number:03d}" not in known:
            _register(number, one)
    with bar("feeding samples") as told:
        for number, one in enumerate(series, 1):
            _feed(one)
            told(number, len(series))
    usage.seal(now=datetime.combine(max(s.last_day for s in series) + timedelta(days=2), time(0), UTC))
    for year, month in sorted({m for one in series for m in _months(one)}):
        if is_closed(year, month):
            continue
        last = date(year + month // 12, month % 12 + 1, 1)
        with bar(f"closing {year}-{month:02d}") as told:
            closed(close(year, month, datetime.combine(last + timedelta(days=4), time(6), UTC), told, workers))


def _register(number: int, one: RealSeries) -> None:
    account = f"S{number:03d}"
    customers_operations.create_account(
        external_id=account,
        name=f"Owner of {one.name}"[:200],
        kind="business",
        country="NL",
        currency="EUR",
        zone="UTC",
        language="en",
    )
    services_operations.start_service(
        account=account,
        external_id=f"port-{number:03d}",
        name=one.name[:200],
        kind="colo",
        started_on=one.first_day,
        plan=one.meter,
    )
    services_operations.end_service(service=f"port-{number:03d}", on=one.last_day + timedelta(days=1))
    services_operations.assign_series(key=f"file/{one.name}", service=f"port-{number:03d}", meter=one.meter)


def _feed(one: RealSeries) -> None:
    if services.series_refs([f"file/{one.name}"]):
        keys = pa.array([f"file/{one.name}"] * one.at.size).dictionary_encode()
        table = pa.table({"series": keys, "at": one.at, "in": one.v_in, "out": one.v_out})
        at = datetime.fromtimestamp(int(one.at[-1]), UTC) + timedelta(hours=1)
        usage.ingest_batch(columns=usage.from_arrow(table), source="directory", key=one.name, recorded_at=at)


def _months(one: RealSeries) -> list[tuple[int, int]]:
    out, day = [], one.first_day.replace(day=1)
    while day <= one.last_day:
        out.append((day.year, day.month))
        day = (day + timedelta(days=32)).replace(day=1)
    return out
