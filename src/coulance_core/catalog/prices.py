"""Price models: how a quantity becomes an amount. Where platforms disagree, the disagreement is a named policy here.

Amounts are exact and in major units of the plan's currency; quantities in the measure's unit; rates in percent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

from coulance_core.catalog.faults import Fault, refuse

_ZERO = Fraction(0)


class ZeroUsageFlat(StrEnum):
    """Whether the first tier's flat amount is due when nothing was used."""

    CHARGE = "charge"
    WAIVE = "waive"


class Edges(StrEnum):
    """Where a quantity between two whole units belongs: 100.5, when one tier ends at 100 and the next is from 101."""

    CONTINUOUS = "continuous"
    """The next tier begins right after the edge: what lies above 100 is in it."""
    WHOLE_UNITS = "whole_units"
    """A tier counts whole units: the one begun after 100 stays in the lower tier until it is full."""


class BlockMode(StrEnum):
    """How tiers of blocks apply."""

    ALL_TIERS = "all_tiers"
    """Each tier's blocks at its own price."""
    TOP_TIER = "top_tier"
    """All of it in blocks of the highest tier reached, at that tier's price."""


class Beyond(StrEnum):
    """What happens above the last tier that has an end."""

    LAST_TIER = "last_tier"
    """The last tier goes on."""
    UNBILLED = "unbilled"
    """It is not billed; the explanation says so."""


class _Bounded(Protocol):
    @property
    def up_to(self) -> Fraction | None: ...


def _tier_faults(tiers: Sequence[_Bounded]) -> Iterator[Fault]:
    if not tiers:
        yield Fault("tiers", "expected at least one tier")
        return
    below = _ZERO
    for i, tier in enumerate(tiers):
        last = i == len(tiers) - 1
        if tier.up_to is None:
            if not last:
                yield Fault(f"tiers[{i}].up_to", "only the last tier is open; this one needs an end")
            continue
        if last:
            yield Fault(f"tiers[{i}].up_to", "the last tier is open: leave up_to out, or use price 0 above it")
        if tier.up_to <= below:
            yield Fault(f"tiers[{i}].up_to", f"tiers rise: expected more than {below}, not {tier.up_to}")
        below = tier.up_to


def _at_least_zero(**values: Fraction | int | None) -> Iterator[Fault]:
    for name, value in values.items():
        if value is not None and value < 0:
            yield Fault(name, f"expected 0 or more, not {value}")


@dataclass(frozen=True, slots=True)
class PerUnit:
    """The same price for every unit."""

    unit_price: Fraction

    def __post_init__(self) -> None:
        refuse("price per unit", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        yield from _at_least_zero(unit_price=self.unit_price)


@dataclass(frozen=True, slots=True)
class Tier:
    """From the tier below up to and including `up_to` (none: without end): a price per unit, and a flat amount."""

    up_to: Fraction | None
    unit_price: Fraction = _ZERO
    flat: Fraction = _ZERO


def _priced_tier_faults(tiers: Sequence[Tier]) -> Iterator[Fault]:
    yield from _tier_faults(tiers)
    for i, tier in enumerate(tiers):
        for fault in _at_least_zero(unit_price=tier.unit_price, flat=tier.flat):
            yield fault.under(f"tiers[{i}]")


@dataclass(frozen=True, slots=True)
class Graduated:
    """Each unit at the price of the tier it falls in; a tier's flat amount is due once the tier is entered."""

    tiers: tuple[Tier, ...]
    zero_usage_flat: ZeroUsageFlat = ZeroUsageFlat.WAIVE
    edges: Edges = Edges.CONTINUOUS

    def __post_init__(self) -> None:
        refuse("graduated price", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        yield from _priced_tier_faults(self.tiers)
        yield from _edge_faults(self.edges, self.tiers)


@dataclass(frozen=True, slots=True)
class Volume:
    """Every unit at the price of the one tier that the whole quantity falls in, with that tier's flat amount."""

    tiers: tuple[Tier, ...]
    zero_usage_flat: ZeroUsageFlat = ZeroUsageFlat.WAIVE
    edges: Edges = Edges.CONTINUOUS

    def __post_init__(self) -> None:
        refuse("volume price", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        yield from _priced_tier_faults(self.tiers)
        yield from _edge_faults(self.edges, self.tiers)


def _edge_faults(edges: Edges, tiers: Sequence[_Bounded]) -> Iterator[Fault]:
    if edges is Edges.WHOLE_UNITS:
        for i, tier in enumerate(tiers):
            if tier.up_to is not None and tier.up_to.denominator != 1:
                yield Fault(f"tiers[{i}].up_to", f"edges in whole units need whole numbers, not {tier.up_to}")


@dataclass(frozen=True, slots=True)
class Package:
    """Blocks of `size` at `amount` each, a block begun counts whole; `free_units` come first, free."""

    amount: Fraction
    size: Fraction
    free_units: Fraction = _ZERO

    def __post_init__(self) -> None:
        refuse("package price", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        yield from _at_least_zero(amount=self.amount, free_units=self.free_units)
        if self.size <= 0:
            yield Fault("size", f"expected more than 0, not {self.size}")


@dataclass(frozen=True, slots=True)
class Percentage:
    """A share of an amount that passes through, and a fixed part per event.

    `rate` in percent. Free: the first `free_events`, or the first `free_amount`, whichever is used up first. With
    `event_minimum` or `event_maximum` each event is priced by itself, between the two.
    """

    rate: Fraction
    fixed: Fraction = _ZERO
    free_events: int | None = None
    free_amount: Fraction | None = None
    event_minimum: Fraction | None = None
    event_maximum: Fraction | None = None

    def __post_init__(self) -> None:
        refuse("percentage price", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        yield from _at_least_zero(
            rate=self.rate,
            fixed=self.fixed,
            free_events=self.free_events,
            free_amount=self.free_amount,
            event_minimum=self.event_minimum,
            event_maximum=self.event_maximum,
        )
        low, high = self.event_minimum, self.event_maximum
        if low is not None and high is not None and high < low:
            yield Fault("event_maximum", f"expected at least the minimum {low}, not {high}")


@dataclass(frozen=True, slots=True)
class PercentTier:
    """Up to and including `up_to` (none: without end): a rate in percent, and a flat amount."""

    up_to: Fraction | None
    rate: Fraction = _ZERO
    flat: Fraction = _ZERO


@dataclass(frozen=True, slots=True)
class GraduatedPercentage:
    """Each part of an amount at the rate of the tier it falls in; a tier's flat amount once it is entered."""

    tiers: tuple[PercentTier, ...]
    zero_usage_flat: ZeroUsageFlat = ZeroUsageFlat.WAIVE
    edges: Edges = Edges.CONTINUOUS

    def __post_init__(self) -> None:
        refuse("graduated percentage price", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        yield from _tier_faults(self.tiers)
        yield from _edge_faults(self.edges, self.tiers)
        for i, tier in enumerate(self.tiers):
            for fault in _at_least_zero(rate=tier.rate, flat=tier.flat):
                yield fault.under(f"tiers[{i}]")


@dataclass(frozen=True, slots=True)
class BlockTier:
    """Blocks of `size` units at `price` each, at most `max_blocks` of them (none: without end)."""

    size: Fraction
    price: Fraction
    max_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class TieredBlocks:
    """Tiers of blocks, a block begun counts whole; each tier may have its own size of block."""

    tiers: tuple[BlockTier, ...]
    mode: BlockMode = BlockMode.ALL_TIERS
    beyond: Beyond = Beyond.LAST_TIER

    def __post_init__(self) -> None:
        refuse("price in tiers of blocks", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.tiers:
            yield Fault("tiers", "expected at least one tier")
        for i, tier in enumerate(self.tiers):
            if tier.size <= 0:
                yield Fault(f"tiers[{i}].size", f"expected more than 0, not {tier.size}")
            for fault in _at_least_zero(price=tier.price):
                yield fault.under(f"tiers[{i}]")
            if tier.max_blocks is None:
                if i < len(self.tiers) - 1:
                    yield Fault(f"tiers[{i}].max_blocks", "only the last tier is without end")
            elif tier.max_blocks <= 0:
                yield Fault(f"tiers[{i}].max_blocks", f"expected more than 0, not {tier.max_blocks}")


@dataclass(frozen=True, slots=True)
class CapacityTier:
    """A flat `price` while every peak is within its limit. No limits: the open, last tier.

    `limits` pairs a name with the most that fits; a charge that measures one thing uses the empty name.
    """

    limits: tuple[tuple[str, Fraction], ...]
    price: Fraction


@dataclass(frozen=True, slots=True)
class Capacity:
    """The flat price of the lowest tier that every peak fits in."""

    tiers: tuple[CapacityTier, ...]

    def __post_init__(self) -> None:
        refuse("price by capacity", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        if not self.tiers:
            yield Fault("tiers", "expected at least one tier")
        below: dict[str, Fraction] = {}
        for i, tier in enumerate(self.tiers):
            last = i == len(self.tiers) - 1
            for fault in _at_least_zero(price=tier.price):
                yield fault.under(f"tiers[{i}]")
            if bool(tier.limits) is last:
                expected = "the last tier has no limits" if last else "a tier before the last needs its limits"
                yield Fault(f"tiers[{i}].limits", expected)
            for name, limit in tier.limits:
                if name in below and limit < below[name]:
                    yield Fault(f"tiers[{i}].limits", f"limits rise: expected at least {below[name]}, not {limit}")
                below[name] = limit


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Each event brings its own amount; what is due is their sum. Nothing used, nothing due."""

    def faults(self) -> Iterator[Fault]:
        """Nothing can be wrong with it."""
        return iter(())


PriceModel = (
    PerUnit | Graduated | Volume | Package | Percentage | GraduatedPercentage | TieredBlocks | Capacity | Dynamic
)
"""Any of the price models."""
