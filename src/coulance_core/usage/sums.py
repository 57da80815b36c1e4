"""Sums over a period: what was used, what was estimated, and how much of the time was seen."""

from fractions import Fraction

import numpy as np

from coulance_core.catalog.terms import Direction, GapPolicy, MeterKind
from coulance_core.usage import estimate
from coulance_core.usage.counters import Deltas, Flag, byte, flag_counts
from coulance_core.usage.figures import Joined, UsageFigure, conversion
from coulance_core.usage.job import Job
from coulance_core.usage.samples import Ints, group_sums, segment_sums
from coulance_core.usage.slots import share, to_slots


def sums(job: Job) -> list[UsageFigure]:
    """What each service used in the period, in the direction that counts."""
    into, out = job.deltas()
    names, joined = _columns(job.direction)
    measured = _by_column(names, _in_period(job, into), _in_period(job, out) if out is not into else None)
    totals = {name: group_sums(segment_sums(column, into.offsets), job.owners, job.count) for name, column in measured}
    guessed, guessed_slots = _estimates(job, into, out, names)
    flags, n, seen = _seen(job, into, out)
    how, expected = conversion(job.meter, job.measure), job.expected()
    words = job.conventions("a sample belongs to the period in which its interval ends")
    figures = []
    for i in range(job.count):
        if job.meter.kind is MeterKind.DELTA and seen[i] < expected[i]:
            flags[i]["gap"] = expected[i] - seen[i]
        if guessed_slots[i]:
            flags[i]["estimated"] = flags[i].get("estimated", 0) + guessed_slots[i]
        plain = {name: totals[name][i] for name in names}
        more = {name: guessed[name][i] for name in names if guessed}
        parts, one, guess, notes = _parts(job, plain, more, joined)
        figures.append(
            job.result(parts, one, how, n[i], expected[i], seen[i], flags[i], words, estimated=guess, notes=notes)
        )
    return figures


def summed_intervals(job: Job) -> tuple[Ints, Ints, Ints, list[Ints], Joined]:
    """What is summed: (start, end, series, columns, how they join) of every interval, cut to the period."""
    into, out = job.deltas()
    names, joined = _columns(job.direction)
    measured = _by_column(names, _in_period(job, into), _in_period(job, out) if out is not into else None)
    start = np.clip(into.start, job.start, job.end)
    return start, np.clip(into.at, start, job.end), into.rows(), [column for _, column in measured], joined


def _columns(direction: Direction) -> tuple[list[str], Joined]:
    """The columns that are summed, and how their sums become one."""
    match direction:
        case Direction.IN | Direction.OUT:
            return [direction.value], Joined.ALONE
        case Direction.SAMPLE_MAX:
            return ["greater"], Joined.ALONE
        case Direction.GREATER:
            return ["in", "out"], Joined.GREATEST
    return ["in", "out"], Joined.ADDED


def _by_column(names: list[str], into: Ints, out: Ints | None) -> list[tuple[str, Ints]]:
    other = into if out is None else out
    columns = {"in": into, "out": other}
    return [(name, np.maximum(into, other) if name == "greater" else columns[name]) for name in names]


def _parts(
    job: Job, plain: dict[str, int], more: dict[str, int], joined: Joined
) -> tuple[tuple[tuple[str, Fraction, str], ...], Joined, Fraction, tuple[str, ...]]:
    """(parts, how they join, what of it is estimated, notes) of one service."""
    if not any(more.values()):
        parts = tuple((f"sum_{name}", Fraction(total), job.stored) for name, total in plain.items())
        return parts, joined, Fraction(0), ()
    if joined is Joined.GREATEST:  # the estimate belongs to each side before the greater is taken
        both = {name: total + more[name] for name, total in plain.items()}
        parts = tuple((f"sum_{name}", Fraction(total), job.stored) for name, total in both.items())
        notes = tuple(f"of sum_{name}, {more[name]} {job.stored} are estimated" for name in plain)
        return parts, joined, Fraction(max(both.values()) - max(plain.values())), notes
    parts = tuple((f"sum_{name}", Fraction(total), job.stored) for name, total in plain.items())
    parts += tuple((f"estimated_{name}", Fraction(total), job.stored) for name, total in more.items())
    return parts, Joined.ADDED, Fraction(sum(more.values())), ()


def _in_period(job: Job, deltas: Deltas) -> Ints:
    """What of each interval falls into the period: by its stamp; a spread gap by its seconds."""
    inside = (deltas.at > job.start) & (deltas.at <= job.end)
    value = np.where(inside, deltas.value, 0)
    spread = (deltas.flags & byte(Flag.SPREAD)) != 0
    cut = np.flatnonzero(spread & (deltas.at > job.start) & (deltas.start < job.end))
    if cut.size:
        begin, at, total = deltas.start[cut], deltas.at[cut], deltas.value[cut]
        length = at - begin
        upto = share(total, np.minimum(at, job.end) - begin, length)
        value[cut] = upto - share(total, np.maximum(begin, job.start) - begin, length)
    return value


def _seen(job: Job, into: Deltas, out: Deltas) -> tuple[list[dict[str, int]], list[int], list[int]]:
    """(flag counts, intervals, slots' worth of seconds plainly seen) of each service in the period."""
    flags = into.flags | out.flags
    inside = (into.at > job.start) & (into.start < job.end)
    plain = inside & ((flags & byte(Flag.UNKNOWN, Flag.SPREAD, Flag.ESTIMATED)) == 0)
    length = np.minimum(into.at, job.end) - np.maximum(into.start, job.start)
    seconds = group_sums(segment_sums(np.where(plain, length, 0), into.offsets), job.owners, job.count)
    stamped = (inside & (into.at <= job.end)).astype(np.int64)
    n = group_sums(segment_sums(stamped, into.offsets), job.owners, job.count)
    found: list[dict[str, int]] = [{} for _ in range(job.count)]
    marked = np.flatnonzero(inside & (flags != 0))
    if marked.size:
        owners = job.owners[np.searchsorted(into.offsets, marked, side="right") - 1]
        for i in np.unique(owners).tolist():
            found[i] = flag_counts(flags[marked[owners == i]])
    step = job.meter.interval_s
    return found, n, [(total + step // 2) // step for total in seconds]


def _estimates(job: Job, into: Deltas, out: Deltas, names: list[str]) -> tuple[dict[str, list[int]], list[int]]:
    """What is estimated for unseen slots, by column, and for how many slots; nothing unless the terms say so."""
    if job.meter.gap is not GapPolicy.SAME_HOUR_MEDIAN:
        return {}, [0] * job.count
    grid, first = job.grid_with_past()
    filled_in, guess_in = estimate.fill_missing(to_slots(into, grid), first, job.zone)
    filled_out, guess_out = (
        (filled_in, guess_in) if out is into else estimate.fill_missing(to_slots(out, grid), first, job.zone)
    )
    slots = ((filled_in.flags | filled_out.flags) & byte(Flag.ESTIMATED)) != 0
    amounts = _by_column(names, guess_in, guess_out)
    found = {name: group_sums(column.sum(axis=1).tolist(), job.owners, job.count) for name, column in amounts}
    return found, group_sums(slots[:, first:].sum(axis=1).tolist(), job.owners, job.count)
