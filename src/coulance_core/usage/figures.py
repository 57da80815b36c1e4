"""A period's figure of a measure: the quantity to be priced, how much of it was really seen, and why it is that.

The explanation is built when it is asked for, from the very integers the figure was computed from, so that a close
over many services pays for it only where somebody looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.terms import Measure, Meter
from coulance_core.kernel import Dimension, Explanation, Period, Quantity, round_to
from coulance_core.usage.percentile import Rank


class Joined(StrEnum):
    """How the figures of in and out become one; each is an operation of an explanation."""

    ALONE = ""
    ADDED = "add"
    GREATEST = "max"


@dataclass(frozen=True, slots=True)
class Conversion:
    """From stored integers to the unit of the measure, as steps that people can follow.

    `steps` are (name, multiply or divide, by, why); `factor` is all of them together.
    """

    steps: tuple[tuple[str, str, Fraction, str], ...]
    factor: Fraction

    @classmethod
    def of(cls, steps: list[tuple[str, str, Fraction, str]]) -> "Conversion":
        """These steps, without those by 1."""
        kept = tuple(step for step in steps if step[2] != 1)
        factor = Fraction(1)
        for _, op, by, _ in kept:
            factor = factor * by if op == "multiply" else factor / by
        return cls(kept, factor)


def conversion(meter: Meter, measure: Measure, *, seconds: int = 1, level_seconds: bool = False) -> Conversion:
    """How stored integers of `meter` become the measure's unit.

    Amounts a slot become rates when the meter counts data and the measure is a rate. With `level_seconds` the integer
    is a level times seconds: it stays a product (GB-h, running hours) when the measure is of such a unit, else it is
    averaged over the period's `seconds`.

    >>> from coulance_core.catalog.terms import Aggregation, MeterKind, PercentileTerms
    >>> from coulance_core.kernel import unit
    >>> port = Meter("port", "Port", MeterKind.DELTA, unit("B"))
    >>> burst = Measure("port", Aggregation.PERCENTILE, unit("Mbit/s"), percentile=PercentileTerms())
    >>> conversion(port, burst).factor * 37_500_000
    Fraction(1, 1)
    """
    of, to = meter.unit, measure.unit
    steps: list[tuple[str, str, Fraction, str]] = []
    if meter.scale:
        steps.append(("unscaled", "divide", Fraction(10**meter.scale), f"{meter.scale} decimals are stored"))
    if of.dimension is Dimension.DATA and to.dimension is Dimension.RATE:
        steps.append(("bits", "multiply", Fraction(8), "bits a byte"))
        steps.append(("per_second", "divide", Fraction(meter.interval_s), "seconds a slot"))
    elif level_seconds and to.dimension is of.dimension:
        steps.append(("average", "divide", Fraction(seconds), "seconds in the period"))
    ratio = of.size / to.size
    if ratio.numerator != 1:
        steps.append(("in_parts", "multiply", Fraction(ratio.numerator), f"{of.name} in {to.name}"))
    if ratio.denominator != 1:
        steps.append(("in_unit", "divide", Fraction(ratio.denominator), f"{of.name} in {to.name}"))
    return Conversion.of(steps)


@dataclass(frozen=True, slots=True)
class PercentileDetail:
    """Which sample was taken: rank, what each direction's own percentile is (in the measure's unit), and the slots."""

    rank: Rank
    present: int
    gap_samples: int
    value_in: Fraction | None
    value_out: Fraction | None


@dataclass(frozen=True, slots=True)
class UsageFigure:
    """One figure: `quantity` in the measure's unit, from `n` samples, of which `seen` of `expected` slots were plain.

    `parts` are the stored integers it comes from (name, amount, unit of the stored integer), `estimated` the part of
    `quantity` before rounding that no meter showed, `flags` how many intervals carry each flag.
    """

    measure: Measure
    meter: Meter
    period: Period
    quantity: Fraction
    n: int
    expected: int
    seen: int
    flags: Mapping[str, int]
    parts: tuple[tuple[str, Fraction, str], ...]
    joined: Joined
    conversion: Conversion
    estimated: Fraction = Fraction(0)
    percentile: PercentileDetail | None = None
    conventions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    terms: str = field(default="")

    @property
    def value(self) -> Quantity:
        """The figure as a quantity."""
        return Quantity(self.quantity, self.measure.unit)

    @property
    def coverage(self) -> Fraction:
        """Seen of expected, 1 when nothing was expected."""
        return Fraction(self.seen, self.expected) if self.expected else Fraction(1)

    @property
    def explanation(self) -> Explanation:
        """Facts, arithmetic and conventions; its last step, `quantity`, recomputes to the figure's quantity."""
        e = Explanation.build(f"usage.{self.measure.aggregation}", terms=self.terms)
        e.fact("meter", self.meter.key, "", self.meter.name)
        e.fact("period_start", self.period.start.isoformat()).fact("period_end", self.period.end.isoformat())
        e.fact("slots_expected", self.expected).fact("slots_seen", self.seen)
        if self.percentile is not None:
            rank = self.percentile.rank
            e.fact("samples", rank.n).fact("rank", rank.ascending, "", "counted from the lowest")
            e.step("dropped", "subtract", "samples", "rank")
        names = []
        for name, amount, unit in self.parts:
            e.fact(name, amount, unit)
            names.append(name)
        last = names[0]
        if len(names) > 1:
            last = "stored"
            e.step(last, self.joined.value or "add", *names)
        for name, op, by, why in self.conversion.steps:
            e.fact(f"{name}_by", by, "", why)
            e.step(name, op, last, f"{name}_by")
            last = name
        step = self.measure.round_step
        if step is not None:
            e.fact("round_step", step, self.measure.unit.name)
            e.step("steps_exact", "divide", last, "round_step")
            e.step("steps", "round", "steps_exact", 0, self.measure.round_rule.value)
            e.step("quantity", "multiply", "steps", "round_step", unit=self.measure.unit.name)
        else:
            e.step("quantity", "multiply", last, 1, unit=self.measure.unit.name)
        if self.estimated:
            e.fact("estimated", self.estimated, self.measure.unit.name, "contestable")
        for flag, count in self.flags.items():
            e.fact(f"intervals_{flag}", count)
        for text in self.conventions:
            e.convention(text)
        for text in self.notes:
            e.note(text)
        return e.freeze()


def priced(amount: Fraction, measure: Measure) -> Fraction:
    """The exact figure rounded to the measure's step, where it has one.

    >>> from coulance_core.catalog.terms import Aggregation
    >>> from coulance_core.kernel import unit
    >>> priced(Fraction(29, 10), Measure("m", Aggregation.SUM, unit("GB"), round_step=Fraction(1, 2)))
    Fraction(5, 2)
    """
    if measure.round_step is None:
        return amount
    return round_to(amount / measure.round_step, 0, measure.round_rule) * measure.round_step
