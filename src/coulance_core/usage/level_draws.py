"""Levels as they went on: what was stored or in use, from reading to reading.

A level times its time is drawn on as it passes, reading by reading. A peak, and the last level, are one of many
samples, each of which lasts until the next reading. Things that come (and stay) are drawn on when they come first.
"""

import numpy as np

from coulance_core.catalog.terms import Aggregation, GapPolicy
from coulance_core.usage import levels
from coulance_core.usage.drawn import Drawn
from coulance_core.usage.job import Job
from coulance_core.usage.percentile import combined
from coulance_core.usage.samples import Ints

_NONE = np.zeros(0, np.int64)


def drawn_levels(job: Job) -> list[Drawn]:
    """What each service had, by a measure of levels: rows ascend by their end."""
    s = job.samples
    if job.measure.aggregation is Aggregation.UNIQUE_COUNT:
        return [_items(job, owner) for owner in range(job.count)]
    level = combined(s.v_in, s.v_out, job.direction)
    assert level is not None  # figures of it could be taken
    hold = levels.HOLD_INTERVALS * job.meter.interval_s
    own: list[list[tuple[Ints, Ints]]] = [[] for _ in range(job.count)]
    for i, owner in enumerate(job.owners.tolist()):
        rows = slice(int(s.offsets[i]), int(s.offsets[i + 1]))
        own[owner].append((s.at[rows], level[rows]))
    match job.measure.aggregation:
        case Aggregation.TIME_WEIGHTED:
            return [_by_time(job, series, hold) for series in own]
        case Aggregation.LAST:
            return [_last(job, series, hold) for series in own]
    return [_moments(job, series, hold) for series in own]


def _by_time(job: Job, series: list[tuple[Ints, Ints]], hold: int) -> Drawn:
    """Each reading times the seconds it held within the period."""
    starts, ends, amounts = [_NONE], [_NONE], [_NONE]
    go_on = job.meter.gap is GapPolicy.SAME_HOUR_MEDIAN
    for at, level in series:
        following = levels.until_next(at, np.array([0, at.size], np.int64))
        stop = np.minimum(following if go_on else np.minimum(following, at + hold), job.end)
        begin = np.maximum(at, job.start)
        known = stop > begin
        starts.append(begin[known])
        ends.append(stop[known])
        amounts.append((level * np.maximum(stop - begin, 0))[known])
    start, end, amount = (np.concatenate(column) for column in (starts, ends, amounts))
    order = np.argsort(end, kind="stable")
    return Drawn(start[order], end[order], (amount[order],))


def _moments(job: Job, series: list[tuple[Ints, Ints]], hold: int) -> Drawn:
    """The sum of the series' levels from each reading to the next."""
    instants = [at[(at >= job.start) & (at < job.end)] for at, _ in series]
    moments = np.unique(np.concatenate([*instants, np.array([job.start], np.int64)]))
    total, known = np.zeros(moments.size, np.int64), np.zeros(moments.size, np.bool_)
    for at, level in series:
        if not at.size:
            continue
        place = np.searchsorted(at, moments, side="right") - 1
        near = np.maximum(place, 0)
        fresh = (place >= 0) & (moments - at[near] < hold)
        total += np.where(fresh, level[near], 0)
        known |= fresh
    end = np.append(moments[1:], job.end)
    return Drawn(moments[known], end[known], (total[known],), expected=int(known.sum()))


def _last(job: Job, series: list[tuple[Ints, Ints]], hold: int) -> Drawn:
    """The level in force when the period ends, since the readings that say so."""
    found = [(at, levels.last_level(at, level, job.start, job.end, hold)) for at, level in series]
    known = [(int(at[int(np.searchsorted(at, job.end)) - 1]), level) for at, level in found if level is not None]
    if not known:
        return Drawn(_NONE, _NONE, (_NONE,))
    since = max(min(at for at, _ in known), job.start)
    row = [np.array([value], np.int64) for value in (since, job.end, sum(level for _, level in known))]
    return Drawn(row[0], row[1], (row[2],), expected=1)


def _items(job: Job, owner: int) -> Drawn:
    """One for each different thing, when it came first; what was there before the period came with its begin."""
    s = job.samples
    mine = job.owners[s.rows()] == owner
    at, item, change = s.at[mine], s.v_in[mine], s.v_out[mine]
    order = np.lexsort((np.arange(at.size), at))
    first: dict[int, int] = {}
    there: set[int] = set()
    for when, what, by in zip(at[order].tolist(), item[order].tolist(), change[order].tolist(), strict=True):
        if when >= job.end:
            break
        if when <= job.start:
            (there.add if by > 0 else there.discard)(what)
        elif by > 0 and what not in there:
            first.setdefault(what, when)
    ends = np.array(sorted([job.start] * len(there) + list(first.values())), np.int64)
    return Drawn(ends, ends, (np.ones(ends.size, np.int64),))
