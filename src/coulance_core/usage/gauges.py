"""Gauges by time, last and peak; and things that come and go."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from coulance_core.catalog.terms import GapPolicy
from coulance_core.usage import levels
from coulance_core.usage.figures import Joined, UsageFigure, conversion
from coulance_core.usage.job import Job
from coulance_core.usage.percentile import combined
from coulance_core.usage.samples import Ints, SamplesError, group_sums


def _hold_s(job: Job) -> int:
    return levels.HOLD_INTERVALS * job.meter.interval_s


def _level(job: Job) -> Ints:
    """The one column that a gauge's figure is of (two-valued rates by their direction)."""
    level = combined(job.samples.v_in, job.samples.v_out, job.direction)
    if level is None:
        raise SamplesError(
            f"direction {job.direction.value} is for sums, percentiles and peaks of amounts; "
            f"meter {job.meter.key!r} is a gauge: use in, out, both or sample_max"
        )
    return level


def _held(job: Job) -> levels.Held:
    s = job.samples
    go_on = job.meter.gap is GapPolicy.SAME_HOUR_MEDIAN
    return levels.held(s.at, _level(job), s.offsets, job.start, job.end, _hold_s(job), go_on=go_on)


def _gauge_cover(job: Job, held: levels.Held) -> tuple[list[int], list[dict[str, int]], list[int]]:
    """(seen slots, flags, readings) of each owner."""
    step, s = job.meter.interval_s, job.samples
    seconds = group_sums(held.seconds, job.owners, job.count)
    stale = group_sums(held.stale, job.owners, job.count)
    inside = (s.at >= job.start) & (s.at < job.end)
    n = np.bincount(job.owners[s.rows()][inside], minlength=job.count).tolist()
    name = "estimated" if job.meter.gap is GapPolicy.SAME_HOUR_MEDIAN else "unknown"
    flags = [{"gap": -(-over // step), name: -(-over // step)} if over else {} for over in stale]
    return [(sec + step // 2) // step for sec in seconds], flags, n


def time_weighted(job: Job) -> list[UsageFigure]:
    """Level times time, or the level's average over the period, of each service."""
    held = _held(job)
    seen, flags, n = _gauge_cover(job, held)
    totals = group_sums(held.level_seconds, job.owners, job.count)
    how = conversion(job.meter, job.measure, seconds=max(job.period.seconds, 1), level_seconds=True)
    words = job.conventions(f"a level holds until the next reading, at most {levels.HOLD_INTERVALS} intervals")
    expected = job.expected()
    return [
        job.result(
            (("level_seconds", Fraction(totals[i]), f"{job.stored} x s"),),
            Joined.ALONE, how, n[i], expected[i], seen[i], flags[i], words,
        )
        for i in range(job.count)
    ]  # fmt: skip


def lasts(job: Job) -> list[UsageFigure]:
    """The level in force when the period ends, of each service."""
    return _levels_by_owner(job, "last", lambda series: _last_of(job, series))


def peaks(job: Job) -> list[UsageFigure]:
    """The highest level at any instant of the period, of each service."""
    return _levels_by_owner(job, "peak", lambda series: _peak_of(job, series))


def _last_of(job: Job, series: list[tuple[Ints, Ints]]) -> int | None:
    found = [levels.last_level(at, level, job.start, job.end, _hold_s(job)) for at, level in series]
    known = [level for level in found if level is not None]
    return sum(known) if known else None


def _peak_of(job: Job, series: list[tuple[Ints, Ints]]) -> int | None:
    return levels.peak_level(series, job.start, job.end, _hold_s(job))


def _levels_by_owner(job: Job, label: str, take: Callable[[list[tuple[Ints, Ints]]], int | None]) -> list[UsageFigure]:
    s, level = job.samples, _level(job)
    series: list[list[tuple[Ints, Ints]]] = [[] for _ in range(job.count)]
    for i, owner in enumerate(job.owners.tolist()):
        rows = slice(int(s.offsets[i]), int(s.offsets[i + 1]))
        series[owner].append((s.at[rows], level[rows]))
    seen, flags, n = _gauge_cover(job, _held(job))
    how, expected = conversion(job.meter, job.measure), job.expected()
    figures = []
    for i in range(job.count):
        value = take(series[i]) if series[i] else None
        notes = () if value is not None else ("no reading in the period: counted as 0",)
        part = ((label, Fraction(value or 0), job.stored),)
        words = job.conventions()
        figures.append(job.result(part, Joined.ALONE, how, n[i], expected[i], seen[i], flags[i], words, notes=notes))
    return figures


def unique(job: Job) -> list[UsageFigure]:
    """How many different things each service had, each whole or by its share of the period."""
    s = job.samples
    owner = job.owners[s.rows()]
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(job.count + 1)).tolist()
    how = conversion(job.meter, job.measure)
    words = job.conventions(f"proration of things: {job.items.value}")
    figures = []
    for i in range(job.count):
        mine = order[cuts[i] : cuts[i + 1]]
        at = s.at[mine]
        found = levels.items_in(at, s.v_in[mine], s.v_out[mine], job.period, job.zone)
        n = int(((at >= job.start) & (at < job.end)).sum())
        notes = (f"{found.distinct} different, {found.days} item-days of {found.period_days} days",)
        part = (("items", found.figure(job.items), job.stored),)
        # Events are told, not polled: there is no number of samples that should have come.
        figures.append(job.result(part, Joined.ALONE, how, n, 0, 0, {}, words, notes=notes))
    return figures
