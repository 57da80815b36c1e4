"""Samples of a period become the figure that a measure asks for; one figure, or those of many services at once.

Everything but the last step is columns: there is no Python work per sample. A figure may come from several series (a
pool of ports, two interfaces of a server): their amounts add up, slot by slot where the measure looks at slots.

Which sample belongs to a period: a delta's interval is (start, at], so a sample stamped at the period's first instant
belongs to the period before. A sum takes a plain interval whole, by its stamp, so that running totals by stamp agree;
a gap's total that is spread is divided at the period's edge. A gauge's reading belongs to its instant.
"""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.catalog.terms import Aggregation, Measure, Meter, MeterKind, Proration
from coulance_core.kernel import Period
from coulance_core.usage.by_slots import by_slots
from coulance_core.usage.figures import UsageFigure
from coulance_core.usage.gauges import lasts, peaks, time_weighted, unique
from coulance_core.usage.job import Job
from coulance_core.usage.samples import Ints, Samples, SamplesError
from coulance_core.usage.sums import sums

_PIECE = 1 << 17
"""Rows of samples that are worked on at once."""


def figure(
    measure: Measure,
    meter: Meter,
    samples: Samples,
    period: Period,
    zone: ZoneInfo,
    *,
    items: Proration = Proration.NONE,
    terms: str = "",
) -> UsageFigure:
    """The figure of one service: all the series in `samples` feed it.

    Give samples from before the period too: the last reading before it for a counter (better a day, for its recent
    peak) or a gauge, four weeks for a meter whose gaps are estimated, all events of things counted; and the first
    reading after it, from which a gap across its end is known. For a service that ran for part of a period, `period`
    is that part. `items` says how things that come and go are prorated.
    Raises `SamplesError` for a measure that this meter cannot give.

    >>> from datetime import UTC, datetime, timedelta
    >>> from coulance_core.kernel import unit
    >>> start = datetime(2026, 4, 1, tzinfo=UTC)
    >>> samples = Samples.one(int(start.timestamp()) + 300 * np.array([1, 2, 4]), [0, 0, 0], [700, 900, 400])
    >>> meter = Meter("transfer", "Transfer", MeterKind.DELTA, unit("B"))
    >>> measure = Measure("transfer", Aggregation.SUM, unit("kB"))
    >>> used = figure(measure, meter, samples, Period(start, start + timedelta(minutes=20)), ZoneInfo("UTC"))
    >>> used.quantity, used.seen, used.expected, used.flags
    (Fraction(2, 1), 3, 4, {'gap': 1})
    >>> print(used.explanation.render())
    usage.sum
      meter = transfer [Transfer]
      period_start = 2026-04-01T00:00:00+00:00
      period_end = 2026-04-01T00:20:00+00:00
      slots_expected = 4
      slots_seen = 3
      sum_out = 2000 B
      in_unit_by = 1000 [B in kB]
      intervals_gap = 1
      in_unit = sum_out / in_unit_by = 2
      quantity = in_unit x 1 = 2 kB
      convention: direction: out only
      convention: a sample belongs to the period in which its interval ends
      convention: gaps: unknown time counts nothing
    """
    owners = np.zeros(samples.series, np.int64)
    return figures_many(measure, meter, samples, period, zone, owners=owners, count=1, items=items, terms=terms)[0]


def figures_many(
    measure: Measure,
    meter: Meter,
    samples: Samples,
    period: Period,
    zone: ZoneInfo,
    *,
    owners: Ints | None = None,
    count: int | None = None,
    items: Proration = Proration.NONE,
    terms: str = "",
) -> list[UsageFigure]:
    """The figures of many services for one period, equal to `figure` of each.

    `owners[i]` is the number (0, 1, ... `count` - 1) of the service that series i feeds; without it each series is a
    service of its own. A service without series gets a figure of nothing seen. The work goes through the samples in
    pieces that fit the processor's cache, so that little memory is needed beyond the samples themselves.
    """
    if owners is None:
        owners = np.arange(samples.series, dtype=np.int64)
    if owners.size != samples.series:
        raise SamplesError(f"{owners.size} owners for {samples.series} series")
    total = count if count is not None else int(owners.max(initial=-1)) + 1
    if owners.size and not 0 <= int(owners.min()) <= int(owners.max()) < total:
        raise SamplesError(f"owners are numbers from 0 to {total - 1}")
    faults = list(measure.faults_with(meter))
    if faults:
        raise SamplesError(f"measure of {meter.key!r}: " + "; ".join(map(str, faults)))
    figures: list[UsageFigure] = []
    for part, owner, first, last in _pieces(samples, owners, total):
        figures += _piece(Job(measure, meter, part, period, zone, owner - first, last - first, items, terms))
    return figures


def _pieces(samples: Samples, owners: Ints, count: int) -> Iterator[tuple[Samples, Ints, int, int]]:
    """(samples, owners, first owner, past the last) of runs of services with about `_PIECE` rows together."""
    if samples.at.size <= _PIECE or bool((np.diff(owners) < 0).any()):
        yield samples, owners, 0, count
        return
    rows_before = samples.offsets[np.searchsorted(owners, np.arange(count + 1))]  # of each owner
    first = 0
    while first < count:
        last = int(np.searchsorted(rows_before, rows_before[first] + _PIECE, side="right")) - 1
        last = min(max(last, first + 1), count)
        low, high = np.searchsorted(owners, (first, last)).tolist()
        yield samples.part(low, high), owners[low:high], first, last
        first = last


def _piece(job: Job) -> list[UsageFigure]:
    measure, meter = job.measure, job.meter
    match measure.aggregation:
        case Aggregation.SUM:
            return sums(job)
        case Aggregation.PERCENTILE:
            return by_slots(job)
        case Aggregation.PEAK:
            return peaks(job) if meter.kind is MeterKind.GAUGE else by_slots(job)
        case Aggregation.TIME_WEIGHTED:
            return time_weighted(job)
        case Aggregation.LAST:
            return lasts(job)
        case Aggregation.UNIQUE_COUNT:
            return unique(job)


def figures_by_period(
    measure: Measure,
    meter: Meter,
    samples: Samples,
    periods: list[Period],
    zone: ZoneInfo,
    *,
    items: Proration = Proration.NONE,
    terms: str = "",
) -> list[UsageFigure]:
    """One figure for each of the periods (a plan changed in mid-period, or a daily series of figures)."""
    return [figure(measure, meter, samples, period, zone, items=items, terms=terms) for period in periods]
