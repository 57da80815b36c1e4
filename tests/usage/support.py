"""What the usage tests share: a table of made-up series, batches in a line, and an independent count of the totals."""

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pyarrow as pa

from coulance.usage import operations
from coulance.usage.registry import SeriesTable, build
from coulance_core.catalog.meters import GapPolicy, Meter, MeterKind
from coulance_core.kernel import unit

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
T0 = 1_790_000_100  # 2026-09-21, on a multiple of 300

METERS = {
    "traffic": Meter("traffic", "Traffic", MeterKind.DELTA, unit("B")),
    "octets": Meter(
        "octets",
        "Interface octets",
        MeterKind.COUNTER,
        unit("B"),
        counter_bits=32,
        max_rate=Fraction(12_500_000),
        gap=GapPolicy.SPREAD,
    ),
    "disk": Meter("disk", "Disk", MeterKind.GAUGE, unit("GB"), scale=3),
    "users": Meter("users", "Users", MeterKind.DELTA, unit("user")),
}

SERIES = {
    **{f"t{i}": (i + 1, "traffic", "Europe/Amsterdam") for i in range(200)},
    **{f"c{i}": (301 + i, "octets", "Europe/Amsterdam") for i in range(20)},
    **{f"u{i}": (331 + i, "octets", "America/New_York") for i in range(5)},
    "g0": (401, "disk", "UTC"),
    "g1": (402, "disk", "Asia/Kathmandu"),
    "seen": (403, "users", "UTC"),
    "orphan": (404, "meter-not-there", "UTC"),
}


def table() -> SeriesTable:
    """All of `SERIES` with `METERS`."""
    return build(SERIES, METERS)


Row = tuple[str, int, int, int]


def send(
    rows: Iterable[Row], *, source: str = "test", key: str | None = None, now: datetime = NOW
) -> operations.BatchAnswer:
    """Ingest rows of (key, at, in, out)."""
    listed = list(rows)
    columns = operations.from_arrow(
        pa.table(
            {
                "series": pa.array([r[0] for r in listed], pa.string()),
                "at": pa.array([r[1] for r in listed], pa.int64()),
                "in": pa.array([r[2] for r in listed], pa.int64()),
                "out": pa.array([r[3] for r in listed], pa.int64()),
            }
        )
    )
    return operations.ingest_batch(columns=columns, source=source, recorded_at=now, key=key)


def stored(keys: Iterable[str] = ()) -> dict[tuple[str, int], tuple[int, int]]:
    """Everything that is stored (of some series), read back."""
    from coulance.usage import reading

    names = {number: key for key, (number, *_) in SERIES.items()}
    wanted = set(keys)
    rows = reading.read_rows(series=None, low=0, high=2**40).rows
    return {
        (names[s], t): (a, b)
        for s, t, a, b in zip(
            *(column.tolist() for column in (rows.series, rows.at, rows.v_in, rows.v_out)), strict=True
        )
        if not wanted or names[s] in wanted
    }


def day_totals(key: str) -> tuple[int, int, int]:
    """(samples, in, out) over all days of a series' running counters."""
    from coulance.usage import queries
    from coulance_core.kernel import Period

    period = Period(datetime(2010, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    found = queries.daily_counters(series=np.array([SERIES[key][0]]), period=period)
    return int(found.n.sum()), int(found.v_in.sum()), int(found.v_out.sum())


def faults() -> list[str]:
    """What `verify` finds."""
    from coulance.usage import queries

    return list(queries.verify())
