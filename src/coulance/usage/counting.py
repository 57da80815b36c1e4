"""From samples to the running counters: what each sample adds to which civil day of which series.

A delta's or a gauge's value is added as it is. A counter's use is the step from the reading before, judged pair by
pair by the core's counter kernel, so that adding readings one at a time or all at once comes to the same. (At closing
the kernel sees whole periods and may know more; running counters are the quick figure, and the proof that no sample
was lost.) An interval belongs to the day it ends in: one that ends at midnight belongs to the day before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coulance.usage.blobs import Rows
from coulance.usage.days import days_of
from coulance.usage.registry import COUNTER, GAUGE, SeriesTable
from coulance_core.usage.counters import to_deltas

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tally:
    """Amounts to add: series id, civil day, samples, use in, use out."""

    series: Int64s
    day: Int64s
    n: Int64s
    v_in: Int64s
    v_out: Int64s

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True, slots=True)
class Starts:
    """Known instants from which counters of series count anew, sorted by series."""

    series: Int64s
    at: Int64s


NO_STARTS = Starts(np.empty(0, np.int64), np.empty(0, np.int64))


def civil_days(table: SeriesTable, positions: NDArray[np.integer], at: Int64s) -> Int64s:
    """The civil day each sample counts for, in its series' contract zone."""
    instants = at - (table.kind[positions] != GAUGE)
    zones = table.zone[positions]
    if len(table.zones) == 1 or not len(zones) or (zones == zones[0]).all():
        return days_of(instants, table.zones[zones[0]]) if len(zones) else np.empty(0, np.int64)
    out = np.empty(len(at), np.int64)
    for zone in np.unique(zones):
        mine = zones == zone
        out[mine] = days_of(instants[mine], table.zones[zone])
    return out


def use_of_pairs(
    table: SeriesTable, positions: NDArray[np.integer], before: Rows, after: Rows, starts: Starts = NO_STARTS
) -> tuple[Int64s, Int64s]:
    """(in, out) used between each reading of `before` and the one of `after` that follows it, of counter series."""
    v_in, v_out = np.zeros(len(after), np.int64), np.zeros(len(after), np.int64)
    restarted = _restarted(before, after, starts)
    meters = table.meter[positions]
    for meter in np.unique(meters):
        mine = np.flatnonzero(meters == meter)
        policy = table.policies[meter]
        if policy is None:
            continue
        at = np.column_stack((before.at[mine], after.at[mine])).reshape(-1)
        offsets = np.arange(0, len(at) + 1, 2, dtype=np.int64)
        evidence = None
        if restarted is not None:
            evidence = np.column_stack((np.zeros(len(mine), np.int64), restarted[mine].astype(np.int64))).reshape(-1)
        for out, old, new in ((v_in, before.v_in, after.v_in), (v_out, before.v_out, after.v_out)):
            raw = np.column_stack((old[mine], new[mine])).reshape(-1)
            out[mine] = to_deltas(at, raw, policy, offsets=offsets, discontinuity=evidence).value
    return v_in, v_out


def _restarted(before: Rows, after: Rows, starts: Starts) -> Bools | None:
    """Which pairs have a known start of the counter after the first reading and not after the second."""
    if not len(starts.series):
        return None
    marks = np.zeros(len(after), np.bool_)
    order = np.argsort(after.series, kind="stable")
    ids = after.series[order]
    for series, at in zip(starts.series.tolist(), starts.at.tolist(), strict=True):
        low, high = np.searchsorted(ids, (series, series + 1))
        mine = order[low:high]
        marks[mine] |= (before.at[mine] < at) & (after.at[mine] >= at)
    return marks


def tally_of(
    table: SeriesTable,
    positions: NDArray[np.integer],
    rows: Rows,
    first: Bools,
    prior: Rows,
    starts: Starts = NO_STARTS,
    days: Int64s | None = None,
) -> Tally:
    """What `rows` (sorted by series and instant) add.

    `first` marks the first row of each series, and `prior` has, row for row, the stored reading before it (only looked
    at for the first rows of counters; an instant far in the past means none).
    """
    if days is None:
        days = civil_days(table, positions, rows.at)
    v_in, v_out = rows.v_in, rows.v_out
    counters = table.kind[positions] == COUNTER
    if counters.any():
        before = np.maximum(np.arange(len(rows)) - 1, 0)
        previous = Rows(
            rows.series,
            np.where(first, prior.at, rows.at[before]),
            np.where(first, prior.v_in, rows.v_in[before]),
            np.where(first, prior.v_out, rows.v_out[before]),
        )
        alone = previous.at < -(2**60)
        use = np.flatnonzero(counters & ~alone)
        step_in, step_out = use_of_pairs(table, positions[use], previous.take(use), rows.take(use), starts)
        v_in, v_out = np.where(counters, 0, v_in), np.where(counters, 0, v_out)
        v_in[use], v_out[use] = step_in, step_out
    return Tally(rows.series, days, np.ones(len(rows), np.int64), v_in, v_out)


def first_rows(series: Int64s) -> Bools:
    """Which rows of sorted ids are the first of theirs."""
    return np.concatenate(([True], series[1:] != series[:-1])) if len(series) else np.empty(0, np.bool_)


def grouped(*tallies: Tally) -> Tally:
    """One row for each series and day, sorted; sums wrap as int64 does."""
    series, day, n, v_in, v_out = (
        np.concatenate([getattr(t, name) for t in tallies]) for name in ("series", "day", "n", "v_in", "v_out")
    )
    if not len(series):
        return Tally(series, day, n, v_in, v_out)
    same = (series[1:] == series[:-1]) & (day[1:] >= day[:-1])
    if not ((series[1:] > series[:-1]) | same).all():
        order = np.lexsort((day, series))
        series, day, n, v_in, v_out = series[order], day[order], n[order], v_in[order], v_out[order]
    edges = np.flatnonzero(np.concatenate(([True], (series[1:] != series[:-1]) | (day[1:] != day[:-1]))))
    if len(edges) == len(series):
        return Tally(series, day, n, v_in, v_out)
    return Tally(
        series[edges],
        day[edges],
        np.add.reduceat(n, edges),
        np.add.reduceat(v_in, edges),
        np.add.reduceat(v_out, edges),
    )


def negative(tally: Tally) -> Tally:
    """The same amounts to take away."""
    return Tally(tally.series, tally.day, -tally.n, -tally.v_in, -tally.v_out)
