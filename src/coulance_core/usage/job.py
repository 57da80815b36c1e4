"""One request for figures: a measure, the columns, the period, and which service each series feeds."""

from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.catalog.terms import Direction, GapPolicy, Measure, Meter, MeterKind, Proration
from coulance_core.kernel import Dimension, Period
from coulance_core.usage import estimate
from coulance_core.usage.counters import CounterPolicy, Deltas, checked_deltas, to_deltas
from coulance_core.usage.figures import Conversion, Joined, PercentileDetail, UsageFigure, priced
from coulance_core.usage.samples import Ints, Samples
from coulance_core.usage.slots import Grid, expected_slots, grid_of

DIRECTION_WORDS = {
    Direction.OUT: "out only",
    Direction.IN: "in only",
    Direction.BOTH: "in plus out, sample by sample",
    Direction.GREATER: "the greater of the figure of in and the figure of out",
    Direction.SUM_OF_BOTH: "the figure of in plus the figure of out",
    Direction.SAMPLE_MAX: "the greater of in and out, sample by sample",
}
_GAP_WORDS = {
    GapPolicy.ZERO: "unknown time counts nothing",
    GapPolicy.SPREAD: "what a counter shows for a gap is spread evenly over it",
    GapPolicy.SAME_HOUR_MEDIAN: estimate.CONVENTION,
}


def direction_of(measure: Measure, meter: Meter) -> Direction:
    """The direction that counts. A meter that counts no data has one value, which every direction means.

    One-valued are gauges other than rates, and meters of anything but data; their value is in the first column.
    """
    two_valued = meter.unit.dimension is Dimension.RATE or (
        meter.unit.dimension is Dimension.DATA and meter.kind is not MeterKind.GAUGE
    )
    return measure.direction if two_valued else Direction.IN


def read_deltas(meter: Meter, samples: Samples, column: Ints) -> Deltas:
    """The deltas of one column of `samples`, by the meter's own policies."""
    policy = CounterPolicy.of(meter)
    if meter.kind is not MeterKind.COUNTER:
        return checked_deltas(samples.at, column, policy, offsets=samples.offsets)
    return to_deltas(
        samples.at,
        column,
        policy,
        offsets=samples.offsets,
        uptime=samples.uptime,
        discontinuity=samples.discontinuity,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What `figures_many` was asked, and what all aggregations share."""

    measure: Measure
    meter: Meter
    samples: Samples
    period: Period
    zone: ZoneInfo
    owners: Ints
    count: int
    items: Proration
    terms: str

    def deltas(self) -> tuple[Deltas, Deltas]:
        """In and out; where only one of them counts, that one twice, so that the other costs nothing."""
        s = self.samples
        if self.direction is Direction.IN:
            one = read_deltas(self.meter, s, s.v_in)
            return one, one
        out = read_deltas(self.meter, s, s.v_out)
        if self.direction is Direction.OUT:
            return out, out
        return read_deltas(self.meter, s, s.v_in), out

    @property
    def start(self) -> int:
        return int(self.period.start.timestamp())

    @property
    def end(self) -> int:
        return int(self.period.end.timestamp())

    @property
    def direction(self) -> Direction:
        return direction_of(self.measure, self.meter)

    @property
    def stored(self) -> str:
        """The unit of a stored integer, as a fact shows it."""
        return self.meter.unit.name if not self.meter.scale else f"{self.meter.unit.name}/10^{self.meter.scale}"

    def expected(self) -> list[int]:
        """Slots that should have been seen, for each owner: once for each of its series."""
        slots = expected_slots(self.period, self.meter.interval_s)
        series = np.bincount(self.owners, minlength=self.count).tolist() if self.owners.size else [0] * self.count
        return [slots * max(n, 1) for n in series]

    def conventions(self, *more: str) -> tuple[str, ...]:
        words = [f"direction: {DIRECTION_WORDS[self.direction]}"] if self.measure.direction is self.direction else []
        return (*words, *more, f"gaps: {_GAP_WORDS[self.meter.gap]}")

    def result(
        self,
        parts: tuple[tuple[str, Fraction, str], ...],
        joined: Joined,
        how: Conversion,
        n: int,
        expected: int,
        seen: int,
        flags: dict[str, int],
        conventions: tuple[str, ...],
        *,
        estimated: Fraction = Fraction(0),
        detail: PercentileDetail | None = None,
        notes: tuple[str, ...] = (),
    ) -> UsageFigure:
        amounts = [amount for _, amount, _ in parts]
        amount = max(amounts) if joined is Joined.GREATEST else sum(amounts, Fraction(0))
        return UsageFigure(
            self.measure,
            self.meter,
            self.period,
            priced(amount * how.factor, self.measure),
            n,
            expected,
            min(seen, expected),
            flags,
            parts,
            joined,
            how,
            estimated * how.factor,
            detail,
            conventions,
            notes,
            self.terms,
        )

    def columns(self) -> tuple[list[str], Joined]:
        """Which of in, out or a column made of both is taken, and how several become one."""
        match self.direction:
            case Direction.GREATER:
                return ["in", "out"], Joined.GREATEST
            case Direction.SUM_OF_BOTH:
                return ["in", "out"], Joined.ADDED
            case Direction.BOTH | Direction.SAMPLE_MAX:
                return ["both" if self.direction is Direction.BOTH else "greater"], Joined.ALONE
        return [self.direction.value], Joined.ALONE

    def grid_with_past(self) -> tuple[Grid, int]:
        """The period's slots with up to four weeks before them, and the number of the period's first slot."""
        grid = grid_of(self.period, self.meter.interval_s)
        if not self.samples.at.size:
            return grid, 0
        earliest = max(int(self.samples.at.min()), grid.first - estimate.HISTORY_S)
        past = max(0, -(-(grid.first - earliest) // grid.step))
        return Grid(grid.first - past * grid.step, grid.count + past, grid.step), past
