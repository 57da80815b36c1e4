"""Use as it went on: what each service drew, interval by interval, and the samples that a percentile ranks.

The same reading as the figures': summed, or ranked, what is given here comes to the figure (`test_draws`).
"""

from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.catalog.terms import Aggregation, Measure, Meter, MeterKind, Proration
from coulance_core.kernel import Period
from coulance_core.usage.by_slots import ranked_samples
from coulance_core.usage.drawn import Drawn
from coulance_core.usage.figures import Joined, UsageFigure
from coulance_core.usage.job import Job
from coulance_core.usage.level_draws import drawn_levels
from coulance_core.usage.samples import Ints, Samples
from coulance_core.usage.sums import summed_intervals

__all__ = ["Drawn", "draws_many", "is_level", "is_ranked"]


def is_level(measure: Measure) -> bool:
    """Whether it measures what is there (stored data, seats, a peak), which no pause of a network ends."""
    return measure.aggregation not in (Aggregation.SUM, Aggregation.PERCENTILE)


def is_ranked(measure: Measure) -> bool:
    """Whether its figure is one sample of many (a percentile, a peak, the last), and not their sum."""
    return measure.aggregation in (Aggregation.PERCENTILE, Aggregation.PEAK, Aggregation.LAST)


def draws_many(
    measure: Measure,
    meter: Meter,
    samples: Samples,
    period: Period,
    zone: ZoneInfo,
    *,
    owners: Ints,
    figures: list[UsageFigure],
) -> list[Drawn]:
    """What each service drew, by the figures that were taken of the same samples (one a service, in their order).

    Estimated use has no instant: it comes last, as one interval over the whole period.
    """
    job = Job(measure, meter, samples, period, zone, owners, len(figures), Proration.NONE, "")
    if measure.aggregation is Aggregation.PERCENTILE or (
        measure.aggregation is Aggregation.PEAK and meter.kind is not MeterKind.GAUGE
    ):
        return [_ranked(job, one) for one in ranked_samples(job)]
    if is_level(measure):
        return drawn_levels(job)
    start, end, series, columns, joined = summed_intervals(job)
    owner = owners[series]
    inside = np.logical_or.reduce([value > 0 for value in columns])
    start, end, owner = start[inside], end[inside], owner[inside]
    values = [value[inside] for value in columns]
    order = np.lexsort((end, owner))
    start, end, owner = start[order], end[order], owner[order]
    values = [value[order] for value in values]
    cuts = np.searchsorted(owner, np.arange(len(figures) + 1)).tolist()
    out = []
    for low, high, figure in zip(cuts[:-1], cuts[1:], figures, strict=True):
        own = [value[low:high] for value in values]
        totals = [int(value.sum(dtype=object)) if value.size else 0 for value in own]
        if joined is Joined.ADDED:
            amount: Ints = np.add(own[0], own[1])
        else:
            amount = own[totals.index(max(totals))]
        out.append(_with_estimate(job, Drawn(start[low:high], end[low:high], (amount,)), figure))
    return out


def _with_estimate(job: Job, drawn: Drawn, figure: UsageFigure) -> Drawn:
    """What the figure counts and no interval shows, as an interval over the whole period."""
    amounts = [amount for _, amount, _ in figure.parts]
    stated = max(amounts) if figure.joined is Joined.GREATEST else sum(amounts, Fraction(0))
    left = int(stated) - (int(drawn.columns[0].sum(dtype=object)) if drawn.columns[0].size else 0)
    if left <= 0:
        return drawn
    return Drawn(
        np.append(drawn.start, job.start),
        np.append(drawn.end, max(job.end, int(drawn.end[-1]) if drawn.end.size else 0)),
        (np.append(drawn.columns[0], left),),
    )


def _ranked(job: Job, one: "tuple[Ints, tuple[Ints, ...], int, int]") -> Drawn:
    ends, columns, extra, width = one
    start, end = ends - job.meter.interval_s, ends
    if extra:  # a gap's average has no instant of its own
        start = np.append(start, np.full(extra, job.start, np.int64))
        end = np.append(end, np.full(extra, job.end, np.int64))
    return Drawn(start, end, columns, max(width, columns[0].size), job.columns()[1] is Joined.ADDED)
