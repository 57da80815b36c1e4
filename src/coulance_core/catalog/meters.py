"""Meters (what is counted, and how to read it) and measures (which figure of a meter a period is judged by)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.kernel import Dimension, Rounding, Unit


class MeterKind(StrEnum):
    """How a series' values are to be read."""

    DELTA = "delta"
    """Each value is what was used in the interval that ends at its instant."""
    COUNTER = "counter"
    """Each value is a total since some start; use is the difference of neighbours."""
    GAUGE = "gauge"
    """Each value is a level that holds until the next."""


class Direction(StrEnum):
    """Which of in and out counts, or how the two become one."""

    OUT = "out"
    IN = "in"
    BOTH = "both"
    """In plus out, sample by sample; the figure is of that sum."""
    GREATER = "greater"
    """The greater of the figure of in and the figure of out."""
    SUM_OF_BOTH = "sum_of_both"
    """The figure of in plus the figure of out. For a sum the same as both; for a percentile it is not."""
    SAMPLE_MAX = "sample_max"
    """The greater of in and out, sample by sample; the figure is of that."""


class Aggregation(StrEnum):
    """How a period's samples become one figure."""

    SUM = "sum"
    PERCENTILE = "percentile"
    PEAK = "peak"
    LAST = "last"
    TIME_WEIGHTED = "time_weighted"
    """The level times the time it held: priced by unit-time, or averaged over the period."""
    UNIQUE_COUNT = "unique_count"


class RankConvention(StrEnum):
    """Which sample is the percentile. They differ for 29-day months and months with a clock change."""

    DROP_FLOOR = "drop_floor"
    """Drop floor((1 - p) n) of the highest, take the next."""
    NEAREST_RANK = "nearest_rank"
    """The ceil(p n)-th from below."""
    LIBRENMS = "librenms"
    """Zero-based index round(p n) - 1 from below, halves up."""
    RRDTOOL = "rrdtool"
    """As rrdtool's PERCENT: index round(p n) - 1 from below."""
    INTERPOLATED = "interpolated"
    """Linear between neighbours at (n - 1) p, as spreadsheets do."""
    CACTI_1_2_20 = "cacti_1_2_20"
    """One sample higher than drop_floor, as Cacti 1.2.20 took."""


class MissingSamples(StrEnum):
    """What a percentile does about samples that never came."""

    LOWEST = "lowest"
    """Count as the lowest of all (rrdtool PERCENT): they lower the bill."""
    DROPPED = "dropped"
    """Leave them out, n shrinks (rrdtool PERCENTNAN)."""
    AVERAGED = "averaged"
    """A gap becomes one sample of its average rate (LibreNMS), n shrinks."""


class GapPolicy(StrEnum):
    """How use in unknown time is resolved, flagged, never invented at the customer's cost."""

    ZERO = "zero"
    """Nothing is charged for it."""
    SPREAD = "spread"
    """What a counter shows was used in it, spread evenly over it."""
    SAME_HOUR_MEDIAN = "same_hour_median"
    """For a meter the customer runs: estimated at their own median of the same hour; contestable."""


class ResetPolicy(StrEnum):
    """What a counter's interval counts in which it was reset or made an impossible step."""

    UNKNOWN = "unknown"
    """Nothing is known about it: a gap, which the gap policy resolves."""
    SINCE_ZERO = "since_zero"
    """The new reading, which is what was counted since the reset; never more than was used. Impossible steps: a gap."""
    PREVIOUS_DELTA = "previous_delta"
    """The interval before, repeated (LibreNMS). It invents use; named to reproduce others' bills only."""


class Proration(StrEnum):
    """How a part of a period counts."""

    NONE = "none"
    """A part counts as the whole."""
    CALENDAR_DAYS = "calendar_days"
    """Civil days in the contract's zone, out of the period's own."""
    FIXED_30 = "fixed_30"
    """Days of thirty-day months, as bonds are reckoned."""
    SECONDS = "seconds"
    """Elapsed seconds, out of the period's own: a month with a clock change has 3600 more or fewer."""


class RunBy(StrEnum):
    """Who runs the meter, which decides how gaps are resolved."""

    PROVIDER = "provider"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Meter:
    """What is counted: its key, how its samples read, and what happens to gaps and resets.

    `unit` is what a stored value counts after scaling: value = stored / 10**scale. A counter needs `counter_bits`
    (32 or 64) to tell a wrap from a reset; `max_rate` is the fastest it can run, in `unit` a second, and a step above
    it is impossible (flagged, resolved by `reset`). A series that should send and has not for more than `silent_after`
    intervals is silent: somebody is told, before the month is over.
    """

    key: str
    name: str
    kind: MeterKind
    unit: Unit
    scale: int = 0
    interval_s: int = 300
    run_by: RunBy = RunBy.PROVIDER
    gap: GapPolicy = GapPolicy.ZERO
    counter_bits: int | None = None
    max_rate: Fraction | None = None
    reset: ResetPolicy = ResetPolicy.UNKNOWN
    silent_after: int = 12

    def __post_init__(self) -> None:
        refuse(f"meter {self.key!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.key:
            yield Fault("key", "a meter needs a key")
        if not 0 <= self.scale <= 12:
            yield Fault("scale", f"expected 0 to 12 decimals, not {self.scale}")
        if not 1 <= self.interval_s <= 86400:
            yield Fault("interval_s", f"expected 1 to 86400 seconds, not {self.interval_s}")
        if not 1 <= self.silent_after <= 100_000:
            yield Fault("silent_after", f"expected 1 to 100000 intervals, not {self.silent_after}")
        if self.kind is MeterKind.COUNTER and self.counter_bits not in (32, 64):
            said = "none is said" if self.counter_bits is None else f"not {self.counter_bits}"
            yield Fault(
                "counter_bits", f"a counter needs 32 or 64 as counter_bits, to tell a wrap from a reset; {said}"
            )
        if self.kind is not MeterKind.COUNTER and self.counter_bits is not None:
            yield Fault("counter_bits", f"only a counter has them; this meter is a {self.kind}")
        if self.max_rate is not None and self.max_rate <= 0:
            yield Fault("max_rate", "expected more than 0 a second, or none")
        if self.unit.dimension in (Dimension.RATE, Dimension.DATA_TIME) and self.kind is not MeterKind.GAUGE:
            yield Fault("unit", f"{self.unit.name} is a level; a {self.kind} counts amounts such as B, or events")
        if self.gap is GapPolicy.SAME_HOUR_MEDIAN and self.run_by is not RunBy.CUSTOMER:
            yield Fault("gap", "same_hour_median is for a meter the customer runs; expected zero or spread")
        if self.gap is GapPolicy.SPREAD and self.kind is not MeterKind.COUNTER:
            yield Fault("gap", "only a counter shows what was used in a gap, to spread; expected zero")


@dataclass(frozen=True, slots=True)
class PercentileTerms:
    """A percentile's convention: which rank, which part (`p` in percent), what missing samples do."""

    rank: RankConvention = RankConvention.DROP_FLOOR
    p: Fraction = Fraction(95)
    missing: MissingSamples = MissingSamples.LOWEST

    def __post_init__(self) -> None:
        refuse("percentile", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not 0 < self.p <= 100:
            yield Fault("p", "expected more than 0 and at most 100 percent")


@dataclass(frozen=True, slots=True)
class Measure:
    """Which figure of a meter a charge is priced by, in which unit, rounded to which step.

    `round_step` (in `unit`) rounds the figure before it is compared with an allowance; none keeps it exact.
    """

    meter: str
    aggregation: Aggregation
    unit: Unit
    direction: Direction = Direction.OUT
    percentile: PercentileTerms | None = None
    round_step: Fraction | None = None
    round_rule: Rounding = Rounding.DOWN

    def __post_init__(self) -> None:
        refuse(f"measure of {self.meter!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it, alone; `faults_with` looks at its meter too."""
        if not self.meter:
            yield Fault("meter", "a measure names its meter")
        if self.aggregation is Aggregation.PERCENTILE:
            if self.percentile is None:
                yield Fault("percentile", "a percentile names its convention (rank, p, missing)")
            if self.unit.dimension not in (Dimension.RATE, Dimension.COUNT):
                yield Fault("unit", f"a percentile is of rates: expected Mbit/s or the like, not {self.unit.name}")
        elif self.percentile is not None:
            yield Fault("percentile", f"only for aggregation percentile, not {self.aggregation}")
        if self.aggregation is Aggregation.UNIQUE_COUNT and self.unit.dimension is not Dimension.COUNT:
            yield Fault("unit", f"things are counted: expected seat, 1 or the like, not {self.unit.name}")
        if self.aggregation is Aggregation.SUM and self.unit.dimension is Dimension.RATE:
            yield Fault("unit", f"rates do not sum to a rate: expected GB or the like, not {self.unit.name}")
        if self.round_step is not None and self.round_step <= 0:
            yield Fault("round_step", "expected more than 0, or none")

    def faults_with(self, meter: Meter) -> Iterator[Fault]:
        """What is wrong between this measure and the meter it names."""
        allowed = {meter.unit.dimension}
        if meter.unit.dimension is Dimension.DATA:
            if self.aggregation in (Aggregation.PERCENTILE, Aggregation.PEAK) and meter.kind is not MeterKind.GAUGE:
                allowed = {Dimension.RATE}  # what went through in an interval, as a rate
            elif self.aggregation is Aggregation.TIME_WEIGHTED:
                allowed = {Dimension.DATA, Dimension.DATA_TIME}  # averaged over the period, or multiplied by time
        elif meter.unit.dimension is Dimension.COUNT and self.aggregation is Aggregation.TIME_WEIGHTED:
            allowed = {Dimension.COUNT, Dimension.TIME}  # an average count, or running hours
        if self.unit.dimension not in allowed:
            expected = " or ".join(sorted(allowed))
            yield Fault(
                "unit",
                f"a {self.aggregation} of meter {meter.key!r} ({meter.kind} of {meter.unit.name}) is a {expected}, "
                f"not a {self.unit.dimension} such as {self.unit.name}",
            )
        if self.aggregation in (Aggregation.TIME_WEIGHTED, Aggregation.LAST) and meter.kind is not MeterKind.GAUGE:
            yield Fault("aggregation", f"{self.aggregation} is of levels: meter {meter.key!r} is a {meter.kind}")
        if self.aggregation is Aggregation.SUM and meter.kind is MeterKind.GAUGE:
            yield Fault("aggregation", f"levels do not sum: meter {meter.key!r} is a gauge; expected time_weighted")
