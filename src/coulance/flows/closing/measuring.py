"""The figures that closing wants, for many services at once, with the few points that a picture of each shows.

Requests with the same measure over the same stretch of time are read and reduced together, in lots that fit in
memory; there is no query and no numpy call for a single service.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from coulance.invoicing.chart_points import day_starts, level_points, rate_points
from coulance.usage import queries as usage
from coulance.usage.queries import Disagreement, SampleWindow
from coulance_core.catalog.terms import Aggregation, Catalog, Direction, GapPolicy, Measure, Meter, MeterKind
from coulance_core.kernel import Dimension, Period
from coulance_core.kernel import unit as unit_named
from coulance_core.rating.segments import ChargePart
from coulance_core.usage.aggregate import figures_many
from coulance_core.usage.draws import Drawn, draws_many
from coulance_core.usage.figures import UsageFigure
from coulance_core.usage.job import direction_of, read_deltas
from coulance_core.usage.levels import HOLD_INTERVALS
from coulance_core.usage.samples import Ints, Samples

LOT = 256
"""Services reduced together: a month of five-minute samples of a lot is some 100 MB while it is worked on."""
_DAY = 86_400
AROUND = 2 * _DAY
"""How far before and after a period a counter's next reading is looked for: what comparing its counters reads, too."""


@dataclass(frozen=True, slots=True)
class Request:
    """A figure that is wanted: of which part, from which series (ids)."""

    part: ChargePart
    series: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and its picture: a `chart` value of a snapshot's usage item, or none when nothing was seen."""

    figure: UsageFigure
    chart: dict[str, Any] | None


class Proof:
    """Compares the running counters of series with their samples over a period, each series once, reading once.

    `faults` are the differences found so far.
    """

    def __init__(self, period: Period) -> None:
        self.period = period
        self.faults: list[Disagreement] = []
        self._seen: set[int] = set()

    def window(self, series: Ints) -> SampleWindow | None:
        """The samples of these series, compared with their counters; none when that was done before."""
        ids = series.tolist()
        if self._seen.issuperset(ids):
            return None
        self._seen.update(ids)
        found = usage.window(series=series, period=self.period)
        self.faults.extend(usage.counters_agree(series=series, period=self.period, within=found))
        return found

    def rest(self, series: Iterable[int]) -> None:
        """Compare those of these series that nothing was measured from."""
        left = sorted(set(series) - self._seen)
        for lot in batched_lists(left, LOT):
            self.window(np.array(lot, np.int64))


def measure(
    requests: Sequence[Request], catalog: Catalog, zone: ZoneInfo, *, charts: bool = True, proof: "Proof | None" = None
) -> list[Measured]:
    """The figures of `requests`, in their order. All of them are of accounts in `zone`.

    With `proof`, running counters are compared with the very samples that are reduced here.
    """
    groups: dict[tuple[Measure, Period, str], list[int]] = {}
    for i, request in enumerate(requests):
        part = request.part
        groups.setdefault((part.charge.measure, part.active, part.charge.key), []).append(i)
    out: dict[int, Measured] = {}
    for (what, active, _), members in groups.items():
        # Series are stored by id, so neighbours are read together.
        members.sort(key=lambda i: requests[i].series)
        for lot in batched_lists(members, LOT):
            wanted = [requests[i].series for i in lot]
            done = _measure_lot(what, catalog.meter(what.meter), active, wanted, zone, charts, proof)
            out.update(zip(lot, done, strict=True))
    return [out[i] for i in range(len(requests))]


def drawn(wanted: Sequence[tuple[Request, UsageFigure]], catalog: Catalog, zone: ZoneInfo) -> list[Drawn]:
    """What went on in each of these parts, whose figures were measured, in their order; for the few that need it."""
    groups: dict[tuple[Measure, Period], list[int]] = {}
    for i, (request, _) in enumerate(wanted):
        groups.setdefault((request.part.charge.measure, request.part.active), []).append(i)
    out: dict[int, Drawn] = {}
    for (what, active), members in groups.items():
        members.sort(key=lambda i: wanted[i][0].series)
        for lot in batched_lists(members, LOT):
            meter = catalog.meter(what.meter)
            samples, owners = _samples(what, meter, active, [wanted[i][0].series for i in lot], None)
            done = draws_many(what, meter, samples, active, zone, owners=owners, figures=[wanted[i][1] for i in lot])
            out.update(zip(lot, done, strict=True))
    return [out[i] for i in range(len(wanted))]


def batched_lists(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """`items` in consecutive runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def lead_seconds(meter: Meter, what: Measure) -> int:
    """How long before a period samples matter: the reading before it, a level that still holds, a customer's past."""
    if what.aggregation is Aggregation.UNIQUE_COUNT:
        return 800 * _DAY
    if meter.gap is GapPolicy.SAME_HOUR_MEDIAN:
        return 28 * _DAY
    if meter.kind is MeterKind.GAUGE:
        return max(7 * _DAY, HOLD_INTERVALS * meter.interval_s)
    return AROUND if meter.kind is MeterKind.COUNTER else meter.interval_s


def trail_seconds(meter: Meter) -> int:
    """How long after a period samples matter: a counter's next reading tells what went through before the end."""
    return AROUND if meter.kind is MeterKind.COUNTER else 0


def _measure_lot(
    what: Measure,
    meter: Meter,
    active: Period,
    wanted: Sequence[tuple[int, ...]],
    zone: ZoneInfo,
    charts: bool,
    proof: "Proof | None",
) -> list[Measured]:
    samples, owners = _samples(what, meter, active, wanted, proof)
    figures = figures_many(what, meter, samples, active, zone, owners=owners, count=len(wanted))
    if not charts:
        return [Measured(figure, None) for figure in figures]
    drawn = _charts(what, meter, samples, active, zone, owners, len(wanted))
    return [Measured(figure, chart) for figure, chart in zip(figures, drawn, strict=True)]


def _samples(
    what: Measure, meter: Meter, active: Period, wanted: Sequence[tuple[int, ...]], proof: "Proof | None"
) -> tuple[Samples, Ints]:
    """The samples of a lot, and whose each series is."""
    pairs = sorted((series, owner) for owner, ids in enumerate(wanted) for series in ids)
    series = np.array([s for s, _ in pairs], np.int64)
    owners = np.array([o for _, o in pairs], np.int64)
    if series.size:
        samples = usage.series_samples(
            series=series,
            period=active,
            lead_s=lead_seconds(meter, what),
            trail_s=trail_seconds(meter),
            within=None if proof is None else proof.window(series),
        ).samples
    else:
        empty = np.zeros(0, np.int64)
        samples = Samples(empty, empty, empty, np.zeros(1, np.int64))
    return samples, owners


def _charts(
    what: Measure, meter: Meter, samples: Samples, active: Period, zone: ZoneInfo, owners: Ints, count: int
) -> Iterable[dict[str, Any] | None]:
    """A picture for each owner: days of amounts, the envelope of rates, or of levels."""
    if not samples.at.size:
        return [None] * count
    one_valued = direction_of(what, meter) is Direction.IN and what.direction is not Direction.IN
    instants, v_in, v_out, offsets = samples.at, samples.v_in, samples.v_out, samples.offsets
    if meter.kind is MeterKind.COUNTER:
        into, out = read_deltas(meter, samples, samples.v_in), read_deltas(meter, samples, samples.v_out)
        instants, v_in, v_out, offsets = into.at, into.value, out.value, into.offsets
    start, end = int(active.start.timestamp()), int(active.end.timestamp())
    keep = (instants > start) & (instants <= end)
    owner = np.repeat(owners, np.diff(offsets))[keep]
    at, v_in, v_out = instants[keep], v_in[keep], v_out[keep]
    if one_valued:
        v_out = np.zeros_like(v_out)
    if meter.kind is not MeterKind.GAUGE and what.aggregation in (Aggregation.SUM, Aggregation.UNIQUE_COUNT):
        return _daily(what, meter, at, v_in, v_out, owner, count, start, end, zone)
    order = np.lexsort((at, owner))
    owner, at, v_in, v_out = owner[order], at[order], v_in[order], v_out[order]
    edges = np.searchsorted(owner, np.arange(count + 1))
    return [
        _envelope(what, meter, at[low:high], v_in[low:high], v_out[low:high]) if high > low else None
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]


def _daily(
    what: Measure,
    meter: Meter,
    at: Ints,
    v_in: Ints,
    v_out: Ints,
    owner: Ints,
    count: int,
    start: int,
    end: int,
    zone: ZoneInfo,
) -> list[dict[str, Any] | None]:
    days = day_starts(start, end, zone)
    # An interval that ends at midnight belongs to the day before.
    day = np.searchsorted(np.asarray(days), at - 1, side="right") - 1
    cell = owner * len(days) + np.maximum(day, 0)
    factor = float(meter.unit.size / what.unit.size / 10**meter.scale)
    size = count * len(days)
    seen = np.bincount(cell, minlength=size).reshape(count, -1)
    # Four significant figures: finer than a picture shows, and a third of the bytes.
    totals = [
        _rounded(np.asarray(np.bincount(cell, weights=column, minlength=size) * factor, np.float64))
        .reshape(count, -1)
        .tolist()
        for column in (v_in, v_out)
    ]
    present = (seen > 0).tolist()
    out: list[dict[str, Any] | None] = []
    for i in range(count):
        points = [
            [day_start, a, b]
            for day_start, there, a, b in zip(days, present[i], totals[0][i], totals[1][i], strict=True)
            if there
        ]
        out.append({"kind": "daily", "unit": what.unit.name, "points": points} if points else None)
    return out


def _rounded(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    with np.errstate(divide="ignore"):
        scale = 10.0 ** (3 - np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values))))
    return np.asarray(np.round(values * scale) / scale)


def _envelope(what: Measure, meter: Meter, at: Ints, v_in: Ints, v_out: Ints) -> dict[str, Any]:
    unit = what.unit
    if meter.unit.dimension is Dimension.DATA and unit.dimension is Dimension.RATE:
        return {
            "kind": "rate",
            "unit": unit.name,
            "points": rate_points(at, v_in, v_out, meter.interval_s, float(unit.size) * 10**meter.scale),
        }
    level = unit
    if unit.dimension is Dimension.DATA_TIME:  # what is stored is shown, not stored times time
        level = unit_named(unit.name.partition("-")[0])
    ratio = Fraction(level.size) / meter.unit.size * 10**meter.scale
    return {"kind": "level", "unit": level.name, "points": level_points(at, v_in, meter.interval_s, float(ratio))}
