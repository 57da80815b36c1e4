"""Plans in versions: base fee, usage charges with allowance, commitment and spend bounds; and pools across services."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from coulance_core.catalog.faults import Fault, refuse
from coulance_core.catalog.meters import Aggregation, Measure, Proration
from coulance_core.catalog.prices import Capacity, Dynamic, Percentage, PriceModel
from coulance_core.kernel import Dimension, Quantity, currency

INTERVALS = (1, 3, 6, *range(12, 121, 12))
"""Months of a cycle: up to a half year, or whole years up to ten, as domains have them."""


class CycleAlignment(StrEnum):
    """Where the first whole cycle of a service begins that starts between two billing days."""

    NEAREST = "nearest"
    """At the first billing day on or after the start, whatever the cycle's length."""
    START_MONTH = "start_month"
    """At the billing day of the month it starts in, or that day advanced by whole cycles until it is not before."""


class ShortMonths(StrEnum):
    """What billing days 29 to 31 do after a month that lacks them."""

    OWN_DAY = "own_day"
    """Each month its own: 31 January, 28 February, 31 March."""
    STICK = "stick"
    """A day once clamped stays: 31 January, 28 February, 28 March."""


def accumulates(measure: Measure) -> bool:
    """Whether a measure's figure grows with time (GB, GB-hours) rather than being a level (Mbit/s, seats).

    What grows is included in part for a part of a period; a level is included whole, and its price is for the whole
    period, so that it is the price that is prorated.
    """
    if measure.aggregation is Aggregation.TIME_WEIGHTED:
        return measure.unit.dimension in (Dimension.DATA_TIME, Dimension.TIME)
    return measure.aggregation is Aggregation.SUM


class OnChange(StrEnum):
    """How usage is rated in a period in which the plan or its terms change."""

    SEGMENTS = "segments"
    """Each part of the period by itself, on the terms of that part with its part of the allowance."""
    END_TERMS = "end_terms"
    """The whole period on the terms in force at its end: a percentile of a part means little."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is included: a quantity a period, prorated for a part of one, per unit of the subscription if so.

    With `accrual_hours` it accrues by the hour of running service, to the whole after that many hours (DigitalOcean:
    672), and `proration` is not used.
    """

    quantity: Quantity
    proration: Proration = Proration.CALENDAR_DAYS
    per_unit: bool = False
    accrual_hours: int | None = None

    def __post_init__(self) -> None:
        refuse("allowance", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.quantity.value < 0:
            yield Fault("quantity", f"expected 0 or more, not {self.quantity}")
        if self.accrual_hours is not None and not 1 <= self.accrual_hours <= 744:
            yield Fault("accrual_hours", f"expected 1 to 744 hours, not {self.accrual_hours}")


@dataclass(frozen=True, slots=True)
class BaseFee:
    """A fee in advance for every `interval_months` (1, 3, 6 or whole years), per unit of the subscription if so."""

    amount: Fraction
    interval_months: int = 1
    proration: Proration = Proration.CALENDAR_DAYS
    per_unit: bool = True
    alignment: CycleAlignment = CycleAlignment.NEAREST
    short_months: ShortMonths = ShortMonths.OWN_DAY

    def __post_init__(self) -> None:
        refuse("base fee", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.amount < 0:
            yield Fault("amount", f"expected 0 or more, not {self.amount}")
        if self.interval_months not in INTERVALS:
            yield Fault("interval_months", f"expected 1, 3, 6, or 12 to 120 by whole years, not {self.interval_months}")


@dataclass(frozen=True, slots=True)
class Commitment:
    """A quantity bought in advance for a fee; only what is used above it is priced, in arrears.

    `fee` is for the whole commitment, a month; with `per_unit`, both count per unit of the subscription.
    """

    quantity: Quantity
    fee: Fraction
    proration: Proration = Proration.CALENDAR_DAYS
    per_unit: bool = False

    def __post_init__(self) -> None:
        refuse("commitment", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if self.quantity.value <= 0:
            yield Fault("quantity", f"expected more than 0, not {self.quantity}")
        if self.fee < 0:
            yield Fault("fee", f"expected 0 or more, not {self.fee}")

    def as_base(self) -> BaseFee:
        """The base fee that this commitment is billed as, monthly in advance."""
        return BaseFee(self.fee, 1, self.proration, self.per_unit)


@dataclass(frozen=True, slots=True)
class UsageCharge:
    """How one measure of usage is charged: included, committed, priced, bounded.

    `minimum_spend` and `maximum_spend` bound what the period's usage costs: a true-up line, or a visible discount
    line. `proration` says how a part of a period counts for these bounds, and for the price of a level (a percentile,
    a peak, a number of seats), which is a price for the whole period. A charge in a `pool` brings its allowance
    there, and the pool's price applies.
    """

    key: str
    name: str
    measure: Measure
    price: PriceModel
    allowance: Allowance | None = None
    commitment: Commitment | None = None
    minimum_spend: Fraction | None = None
    maximum_spend: Fraction | None = None
    proration: Proration = Proration.CALENDAR_DAYS
    on_change: OnChange = OnChange.SEGMENTS
    pool: str | None = None
    tax_class: str = ""

    def __post_init__(self) -> None:
        refuse(f"charge {self.key!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it, alone."""
        if not self.key:
            yield Fault("key", "a charge needs a key")
        dimension = self.measure.unit.dimension
        for name, part in (("allowance", self.allowance), ("commitment", self.commitment)):
            if part is not None and part.quantity.unit.dimension is not dimension:
                unit = part.quantity.unit.name
                yield Fault(
                    f"{name}.quantity",
                    f"expected {dimension} like the measure's {self.measure.unit.name}, not {unit}",
                )
        if self.allowance is not None and self.commitment is not None:
            yield Fault("commitment", "a charge has an allowance or a commitment, not both")
        yield from _spend_faults(self.minimum_spend, self.maximum_spend)
        if isinstance(self.price, Capacity | Percentage | Dynamic) and (self.allowance or self.commitment):
            kind = type(self.price).__name__.lower()
            yield Fault("price", f"a {kind} price has no allowance or commitment: nothing would be left of its tiers")
        if isinstance(self.price, Capacity) and any(name for tier in self.price.tiers for name, _ in tier.limits):
            yield Fault("price.tiers", "a charge measures one thing: limits without a name")
        if self.pool is not None:
            if self.commitment is not None:
                yield Fault("pool", "a commitment stays with its own service; expected an allowance")
            if self.minimum_spend is not None or self.maximum_spend is not None:
                yield Fault("pool", "the pool has the minimum and maximum spend, not its members")
            if self.measure.aggregation is not Aggregation.SUM:
                yield Fault("pool", f"only sums pool; a {self.measure.aggregation} does not add up")


def _spend_faults(minimum: Fraction | None, maximum: Fraction | None) -> Iterator[Fault]:
    if minimum is not None and minimum < 0:
        yield Fault("minimum_spend", f"expected 0 or more, not {minimum}")
    if maximum is not None and maximum < (minimum or 0):
        yield Fault("maximum_spend", f"expected at least {minimum or 0}, not {maximum}")


def _currency_faults(code: str) -> Iterator[Fault]:
    try:
        currency(code)
    except ValueError as error:
        yield Fault("currency", str(error))


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A plan's terms from a date. Never edited: a change is another version, from a later date."""

    plan: str
    name: str
    valid_from: date
    currency: str
    base: BaseFee | None = None
    charges: tuple[UsageCharge, ...] = ()
    tax_class: str = "standard"
    description: str = ""

    def __post_init__(self) -> None:
        refuse(f"plan {self.version}", self.faults())

    @property
    def version(self) -> str:
        """Its identity, as it prints: `vps-s@2026-01-01`."""
        return f"{self.plan}@{self.valid_from.isoformat()}"

    def charge(self, key: str) -> UsageCharge:
        """The charge of that key; raises `LookupError` when the version has none."""
        for charge in self.charges:
            if charge.key == key:
                return charge
        raise LookupError(f"{self.version} has no charge {key!r}: it has {[c.key for c in self.charges]}")

    def tax_class_of(self, charge: UsageCharge | None) -> str:
        """The charge's own tax class, or the plan's; the plan's for the base fee (none)."""
        return (charge.tax_class if charge else "") or self.tax_class

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it, alone."""
        if not self.plan:
            yield Fault("plan", "a plan needs a key")
        yield from _currency_faults(self.currency)
        seen: set[str] = set()
        for i, charge in enumerate(self.charges):
            if charge.key in seen:
                yield Fault(f"charges[{i}].key", f"{charge.key!r} is there twice")
            seen.add(charge.key)


@dataclass(frozen=True, slots=True)
class Pool:
    """Services of one account whose charges name the pool share their allowances; one overage line for all.

    Like a plan it has versions from a date.
    """

    key: str
    name: str
    valid_from: date
    currency: str
    measure: Measure
    price: PriceModel
    minimum_spend: Fraction | None = None
    maximum_spend: Fraction | None = None
    proration: Proration = Proration.NONE
    tax_class: str = "standard"

    def __post_init__(self) -> None:
        refuse(f"pool {self.version}", self.faults())

    @property
    def version(self) -> str:
        """Its identity, as it prints: `pool:transfer@2026-01-01`."""
        return f"pool:{self.key}@{self.valid_from.isoformat()}"

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it, alone."""
        if not self.key:
            yield Fault("key", "a pool needs a key")
        yield from _currency_faults(self.currency)
        yield from _spend_faults(self.minimum_spend, self.maximum_spend)
        if self.measure.aggregation is not Aggregation.SUM:
            yield Fault("measure.aggregation", f"only sums pool; a {self.measure.aggregation} does not add up")
        if isinstance(self.price, Capacity | Percentage | Dynamic):
            yield Fault("price", "a pool prices what exceeds its allowances: by unit, tiers, packages or blocks")
