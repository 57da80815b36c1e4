"""Percentiles and peaks: what went through in each slot of the period."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np

from coulance_core.catalog.terms import Aggregation, Direction, GapPolicy, MeterKind, MissingSamples, PercentileTerms
from coulance_core.kernel import show
from coulance_core.usage import estimate, levels
from coulance_core.usage.counters import Deltas, Flag, byte, flag_counts
from coulance_core.usage.figures import PercentileDetail, UsageFigure, conversion
from coulance_core.usage.job import Job
from coulance_core.usage.percentile import Rank, combined, percentile, rank_of
from coulance_core.usage.samples import Bools, Ints
from coulance_core.usage.slots import ASSIGNMENT, Grid, Slots, grid_of, to_slots

_COLUMN = {"in": Direction.IN, "out": Direction.OUT, "both": Direction.BOTH, "greater": Direction.SAMPLE_MAX}


@dataclass(frozen=True, slots=True)
class _Table:
    """Every series' slots: of in and of out (the same where only one counts), from the period's slot `first` on.

    `gaps` are, for missing samples `averaged`, the samples that each series' gaps become: (in, out).
    """

    into: Slots
    out: Slots
    first: int
    gaps: dict[int, list[tuple[int, int]]]

    @property
    def width(self) -> int:
        return self.into.grid.count - self.first

    @property
    def used(self) -> tuple[Slots, ...]:
        return (self.into,) if self.into is self.out else (self.into, self.out)


def by_slots(job: Job) -> list[UsageFigure]:
    """The percentile or the peak of each service."""
    table = _table(job)
    flags, seen = _flags_and_seen(job, table)
    names, joined = job.columns()
    how, expected = conversion(job.meter, job.measure), job.expected()
    words = job.conventions(ASSIGNMENT, *_rank_words(job))
    label, unit = job.measure.aggregation.value, f"{job.stored} a slot"
    terms = job.measure.percentile if job.measure.aggregation is Aggregation.PERCENTILE else None
    order = np.argsort(job.owners, kind="stable")
    cuts = np.searchsorted(job.owners[order], np.arange(job.count + 1)).tolist()
    present = np.logical_or.reduce([slots.present[:, table.first :] for slots in table.used])
    complete = present.all(axis=1)
    figures = []
    for i in range(job.count):
        into, out, extra = _cells(table, order[cuts[i] : cuts[i + 1]], present, complete)
        values = {name: _column(into, out, name) for name in names}
        amounts = {name: _amount(column, terms, table.width) for name, column in values.items()}
        parts = tuple((f"{label}_{name}", amount, unit) for name, amount in amounts.items())
        rank = _rank(into.size, terms, table.width)
        detail = None
        if rank is not None:
            sides = [amounts[side] * how.factor if side in amounts else None for side in ("in", "out")]
            detail = PercentileDetail(rank, into.size, extra, sides[0], sides[1])
        n = into.size if rank is None else rank.n
        figures.append(job.result(parts, joined, how, n, expected[i], seen[i], flags[i], words, detail=detail))
    return figures


def ranked_samples(job: Job) -> list[tuple[Ints, tuple[Ints, ...], int, int]]:
    """(ends of the slots that have a value, the columns that are ranked, how many of their last rows are gaps' samples,
    slots in the period) of each service: what its percentile is taken of."""
    table = _table(job)
    names, _ = job.columns()
    order = np.argsort(job.owners, kind="stable")
    cuts = np.searchsorted(job.owners[order], np.arange(job.count + 1)).tolist()
    present = np.logical_or.reduce([slots.present[:, table.first :] for slots in table.used])
    complete = present.all(axis=1)
    ends = table.into.grid.ends()[table.first :]
    out = []
    for i in range(job.count):
        rows = order[cuts[i] : cuts[i + 1]]
        into, other, extra = _cells(table, rows, present, complete)
        here = ends if complete[rows].any() else ends[present[rows].any(axis=0)]
        out.append((here, tuple(_column(into, other, name) for name in names), extra, table.width))
    return out


def _amount(values: Ints, terms: PercentileTerms | None, width: int) -> Fraction:
    """The percentile, or without terms the greatest, of one service's samples; 0 of none."""
    if not values.size:
        return Fraction(0)
    if terms is None:
        return Fraction(int(values.max()))
    return percentile(values, terms, expected=max(width, values.size))


def _rank(present: int, terms: PercentileTerms | None, width: int) -> Rank | None:
    """The rank that was taken, `None` for a peak or where there was nothing to rank."""
    if terms is None:
        return None
    n = max(width, present) if terms.missing is MissingSamples.LOWEST else present
    return rank_of(n, terms.rank, terms.p) if n else None


def _rank_words(job: Job) -> tuple[str, ...]:
    terms = job.measure.percentile
    if job.measure.aggregation is not Aggregation.PERCENTILE or terms is None:
        return ()
    return (f"percentile: {show(terms.p)}, rank {terms.rank.value}", f"missing samples: {terms.missing.value}")


def _column(into: Ints, out: Ints, name: str) -> Ints:
    values = combined(into, out, _COLUMN[name])
    assert values is not None  # all four names are one column
    return values


def _table(job: Job) -> _Table:
    if job.meter.kind is MeterKind.GAUGE:
        grid = grid_of(job.period, job.meter.interval_s)
        return _Table(_sampled(job, job.samples.v_in, grid), _sampled(job, job.samples.v_out, grid), 0, {})
    into, out = job.deltas()
    gaps: dict[int, list[tuple[int, int]]] = {}
    averaged = job.measure.percentile is not None and job.measure.percentile.missing is MissingSamples.AVERAGED
    if averaged and job.meter.gap is not GapPolicy.SAME_HOUR_MEDIAN:  # there, gaps are filled slot by slot
        gaps = _gap_samples(job, into, out)
        into, out = _both(_without_spread, into, out)
    if job.meter.gap is not GapPolicy.SAME_HOUR_MEDIAN:
        grid = grid_of(job.period, job.meter.interval_s)
        return _Table(*_both(lambda d: to_slots(d, grid), into, out), 0, gaps)
    grid, first = job.grid_with_past()
    return _Table(
        *_both(lambda d: estimate.fill_missing(to_slots(d, grid), first, job.zone)[0], into, out), first, gaps
    )


_A = TypeVar("_A")
_B = TypeVar("_B")


def _both(do: Callable[[_A], _B], into: _A, out: _A) -> tuple[_B, _B]:
    """`do` of in and of out; once, where they are the same."""
    first = do(into)
    return first, first if into is out else do(out)


def _sampled(job: Job, level: Ints, grid: Grid) -> Slots:
    """A gauge on the grid: the level at each slot's end, where a reading is fresh enough."""
    s = job.samples
    shape = (s.series, grid.count)
    value, covered = np.zeros(shape, np.int64), np.zeros(shape, np.int32)
    fresh = job.meter.interval_s * 3 // 2
    for i, (a, b) in enumerate(zip(s.offsets[:-1].tolist(), s.offsets[1:].tolist(), strict=True)):
        value[i], covered[i] = levels.sampled(s.at[a:b], level[a:b], grid, fresh)
    return Slots(grid, value, covered, np.zeros(shape, np.int32), np.zeros(shape, np.uint8))


def _gap_samples(job: Job, into: Deltas, out: Deltas) -> dict[int, list[tuple[int, int]]]:
    """Each gap whose total is known as one sample of its average, rounded down: (in, out) by series."""
    spread = ((into.flags & out.flags) & byte(Flag.SPREAD)) != 0
    rows = np.flatnonzero(spread & (into.at > job.start) & (into.at <= job.end))
    found: dict[int, list[tuple[int, int]]] = {}
    step, series = job.meter.interval_s, into.rows()
    for row in rows.tolist():
        length = int(into.at[row] - into.start[row])
        pair = (int(into.value[row]) * step // length, int(out.value[row]) * step // length)
        found.setdefault(int(series[row]), []).append(pair)
    return found


def _without_spread(deltas: Deltas) -> Deltas:
    """The same intervals, those that would be spread made unknown: they come back as one averaged sample each."""
    spread = (deltas.flags & byte(Flag.SPREAD)) != 0
    flags = np.where(spread, (deltas.flags & ~byte(Flag.SPREAD)) | byte(Flag.UNKNOWN), deltas.flags).astype(np.uint8)
    return Deltas(deltas.start, deltas.at, np.where(spread, 0, deltas.value), flags, deltas.offsets)


def _cells(table: _Table, rows: Ints, present: Bools, complete: Bools) -> tuple[Ints, Ints, int]:
    """(in, out, how many of them are gaps' samples) of one service: its series added, slots without a value left out.

    A slot has a value when any of the service's series has one there.
    """
    sides = [_added(slots.value, rows, table.first) for slots in table.used]
    if not complete[rows].any():
        here = present[rows].any(axis=0)
        sides = [side[here] for side in sides]
    # Gaps of several series can't be matched slot by slot: they become samples only where there is one series.
    extra = table.gaps.get(int(rows[0]), []) if rows.size == 1 else []
    if extra:
        columns = [np.array(column, np.int64) for column in zip(*extra, strict=True)]
        sides = [np.concatenate((side, column)) for side, column in zip(sides, columns[-len(sides) :], strict=True)]
    return sides[0], sides[-1], len(extra)


def _added(value: Ints, rows: Ints, first: int) -> Ints:
    """The rows of one service added up, slot by slot, from the period's first slot on."""
    if rows.size == 1:
        return value[int(rows[0]), first:]
    total: Ints = value[rows, first:].sum(axis=0)
    return total


def _flags_and_seen(job: Job, table: _Table) -> tuple[list[dict[str, int]], list[int]]:
    """For each service: how many slots carry each flag (one that was not seen is a gap), and how many were seen."""
    first = table.first
    seen = table.used[0].seen[:, first:]
    merged = table.used[0].flags[:, first:].copy()
    for slots in table.used[1:]:
        seen = seen & slots.seen[:, first:]
        merged |= slots.flags[:, first:]
    merged[~seen] |= byte(Flag.GAP)
    counts = np.zeros(job.count, np.int64)
    np.add.at(counts, job.owners, seen.sum(axis=1))
    found: list[dict[str, int]] = [{} for _ in range(job.count)]
    for row in np.flatnonzero(merged.any(axis=1)).tolist():
        mine = found[int(job.owners[row])]
        for name, many in flag_counts(merged[row]).items():
            mine[name] = mine.get(name, 0) + many
    return found, counts.tolist()
