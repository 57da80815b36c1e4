"""Pricing many quantities at once, in whole numbers: equal to `models.price` on every one, to the last digit.

Quantities come as int64 with a common denominator; amounts go out as whole numbers over a denominator of their own,
so that nothing is rounded on the way. Before any product is made its greatest size is reckoned in Python's own
numbers; where int64 could overflow, the same formulas run on those instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from coulance_core.catalog.terms import (
    Beyond,
    BlockMode,
    Capacity,
    Edges,
    Graduated,
    GraduatedPercentage,
    Package,
    PerUnit,
    PriceModel,
    TieredBlocks,
    Volume,
    ZeroUsageFlat,
)
from coulance_core.kernel import Rounding
from coulance_core.rating.models import price

Array = npt.NDArray[Any]
"""int64, or Python's whole numbers (dtype object) where int64 would not hold."""

_LIMIT = 2**62
_BLOCK = 1 << 15
_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class PricedMany:
    """Exact amounts in major units: `values[i] / denominator`."""

    values: Array
    denominator: int

    def exact(self, i: int) -> Fraction:
        """One amount."""
        return Fraction(int(self.values[i]), self.denominator)

    def minor(self, exponent: int, rule: Rounding = Rounding.HALF_UP) -> Array:
        """All amounts in minor units of a currency with that many decimals, by a named rounding rule.

        >>> PricedMany(np.array([1005, -1005, 1004]), 1000).minor(2).tolist()
        [101, -101, 100]
        """
        shared = gcd(10**exponent, self.denominator)
        factor, divisor = 10**exponent // shared, self.denominator // shared
        values: Array = _wide_enough(self.values, 2 * factor, 2 * divisor)
        if factor != 1:
            values = values * factor
        if divisor == 1:
            return values
        if rule is Rounding.HALF_UP and values.size and values.min() >= 0:  # the usual case, in one division
            half_up: Array = values * 2
            half_up += divisor
            half_up //= 2 * divisor
            return half_up
        floor: Array = values // divisor
        rest = values - floor * divisor
        match rule:
            case Rounding.FLOOR:
                up = np.zeros(len(values), dtype=bool)
            case Rounding.CEILING:
                up = rest > 0
            case Rounding.DOWN:
                up = (rest > 0) & (values < 0)
            case Rounding.UP:
                up = (rest > 0) & (values > 0)
            case Rounding.HALF_EVEN:
                up = (2 * rest > divisor) | ((2 * rest == divisor) & (floor % 2 == 1))
            case Rounding.HALF_UP:
                up = (2 * rest > divisor) | ((2 * rest == divisor) & (values >= 0))
        whole: Array = floor + up
        return whole


def _wide_enough(values: Array, factor: int, constant: int) -> Array:
    """The values as they are when `value * factor + constant` fits int64, else as Python's whole numbers."""
    if values.dtype == object or not values.size:
        return values
    greatest = max(abs(int(values.max())), abs(int(values.min())), 1)
    return values if greatest * factor + constant < _LIMIT else values.astype(object)


def price_many(model: PriceModel, quantities: npt.NDArray[np.int64], denominator: int = 1) -> PricedMany:
    """The exact amount of each quantity `quantities[i] / denominator` (in the measure's unit).

    Percentages with parts per event, and amounts brought along by events, need more than a quantity: `RatingError`.

    >>> package = Package(Fraction(100), Fraction(10), Fraction(10))
    >>> price_many(package, np.array([0, 10, 11, 121])).values.tolist()
    [0, 0, 100, 1200]
    """
    quantities = np.asarray(quantities)
    if quantities.dtype.kind not in "iu" or denominator < 1:
        raise TypeError("whole numbers over a positive whole denominator are needed; floats are not exact")
    match model:
        case PerUnit():
            return _linear([(_ZERO, model.unit_price, _ZERO)], Edges.CONTINUOUS, None, quantities, denominator)
        case Graduated():
            tiers = [(tier.up_to, tier.unit_price, tier.flat) for tier in model.tiers]
            return _linear(_from_below(tiers), model.edges, model.zero_usage_flat, quantities, denominator)
        case GraduatedPercentage():
            tiers = [(tier.up_to, tier.rate / 100, tier.flat) for tier in model.tiers]
            return _linear(_from_below(tiers), model.edges, model.zero_usage_flat, quantities, denominator)
        case Volume():
            return _volume(model, quantities, denominator)
        case Package():
            return _package(model, quantities, denominator)
        case TieredBlocks():
            return _blocks(model, quantities, denominator)
        case Capacity():
            return _capacity(model, quantities, denominator)
    return _one_by_one(model, quantities, denominator)


def overage_many(used: npt.NDArray[np.int64], included: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64]:
    """What is used above what is included, each; never less than nothing. Both over the same denominator."""
    return _at_least_zero(used - included)


def charge_many(
    model: PriceModel,
    used: npt.NDArray[np.int64],
    included: npt.NDArray[np.int64] | int,
    *,
    denominator: int,
    exponent: int,
    rule: Rounding = Rounding.HALF_UP,
) -> Array:
    """What each of many services owes, in minor units: its use above what it includes, priced and rounded.

    Done in blocks that stay in the processor's cache: fresh memory for whole columns would take longer than the sums.

    >>> charge_many(PerUnit(Fraction(1, 10)), np.array([900, 1500]), 1000, denominator=1, exponent=2).tolist()
    [0, 5000]
    """
    out: Array = np.empty(len(used), dtype=np.int64)
    for start in range(0, len(used), _BLOCK):
        block = slice(start, start + _BLOCK)
        free = included if isinstance(included, int) else included[block]
        minor = price_many(model, overage_many(used[block], free), denominator).minor(exponent, rule)
        if minor.dtype == object and out.dtype != object and any(abs(value) >= _LIMIT for value in minor):
            out = out.astype(object)
        out[block] = minor
    return out


def _at_least_zero(values: Array) -> Array:
    """`max(value, 0)`, in place where possible.

    `np.maximum` of int64 branches on each value, and signs are as good as random here: masking with the sign's bits
    takes a tenth of the time.
    """
    if values.dtype == object:
        return np.maximum(values, 0)
    sign = values >> 63
    np.invert(sign, out=sign)
    values &= sign
    return values


_Tier = tuple[Fraction, Fraction, Fraction]
"""Above this quantity: this price per unit, and this flat amount."""


def _from_below(tiers: Sequence[tuple[Fraction | None, Fraction, Fraction]]) -> list[_Tier]:
    below, out = _ZERO, []
    for up_to, unit_price, flat in tiers:
        out.append((below, unit_price, flat))
        below = up_to if up_to is not None else below
    return out


@dataclass(frozen=True, slots=True)
class _Scale:
    """Whole numbers for everything: quantities times `quantity`, prices times `money`; amounts are over `amount`."""

    factor: int
    quantity: int
    money: int

    @classmethod
    def of(cls, denominator: int, quantities: Sequence[Fraction], money: Sequence[Fraction]) -> "_Scale":
        factor = lcm(*((value * denominator).denominator for value in quantities))
        return cls(factor, denominator * factor, lcm(*(value.denominator for value in money)))

    @property
    def amount(self) -> int:
        return self.quantity * self.money

    def units(self, value: Fraction) -> int:
        return int(value * self.quantity)

    def price(self, value: Fraction) -> int:
        return int(value * self.money)

    def flat(self, value: Fraction) -> int:
        return int(value * self.amount)


def _scaled(quantities: Array, scale: _Scale, per_quantity: int, constant: int) -> Array:
    """The quantities in the scale, wide enough for `quantity * per_quantity + constant`."""
    wide = _wide_enough(quantities, scale.factor * max(per_quantity, 1), constant)
    return wide if scale.factor == 1 else wide * scale.factor


def _first_flat(zero: ZeroUsageFlat | None, flat: int, quantities: Array, values: Array) -> None:
    """At no use the first tier's flat amount is due or not; below, nothing is."""
    values[quantities < 0] = 0
    values[quantities == 0] = flat if zero is ZeroUsageFlat.CHARGE else 0


def _linear(
    tiers: Sequence[_Tier], edges: Edges, zero: ZeroUsageFlat | None, quantities: Array, denominator: int
) -> PricedMany:
    """Tiers one on top of the other: each adds the change of price above its edge, and its flat amount."""
    one = Fraction(1)
    scale = _Scale.of(denominator, [one, *(edge for edge, _, _ in tiers)], [p for t in tiers for p in t[1:]])
    prices = [scale.price(unit_price) for _, unit_price, _ in tiers]
    flats = [scale.flat(flat) for _, _, flat in tiers]
    changes = [p - before for p, before in zip(prices, [0, *prices], strict=False)]
    ends = [scale.units(edge) for edge, _, _ in tiers]
    # No partial sum is greater than this: every edge is below the greatest quantity, or adds nothing.
    constant = sum(flats) + sum(abs(change) * end for change, end in zip(changes, ends, strict=True))
    q = _scaled(quantities, scale, sum(map(abs, changes)), constant)
    values = _at_least_zero(q.copy())
    values *= prices[0]
    for change, end, flat in zip(changes[1:], ends[1:], flats[1:], strict=True):
        if edges is Edges.WHOLE_UNITS:
            values += np.where(q >= end + scale.quantity, (q - end) * change + flat, 0)
            continue
        above = _at_least_zero(q - end)
        if flat:
            values += np.where(above > 0, flat, 0)
        above *= change
        values += above
    if flats[0]:
        values += flats[0]
        _first_flat(zero, flats[0], quantities, values)
    return PricedMany(values, scale.amount)


def _ceil_divide(values: Array, size: int) -> Array:
    """Whole blocks for values of 0 or more, one begun counted; the result is the caller's own to change."""
    blocks: Array = values + (size - 1)
    blocks //= size
    return blocks


def _entered(quantities: Array, ends: Sequence[int], edges: Edges, unit: int) -> npt.NDArray[np.intp]:
    """How many ends each quantity has passed: the number of its tier."""
    tier = np.zeros(len(quantities), dtype=np.intp)
    for end in ends:
        tier += (quantities >= end + unit) if edges is Edges.WHOLE_UNITS else (quantities > end)
    return tier


def _volume(model: Volume, quantities: Array, denominator: int) -> PricedMany:
    ends = [tier.up_to for tier in model.tiers if tier.up_to is not None]
    money = [value for tier in model.tiers for value in (tier.unit_price, tier.flat)]
    scale = _Scale.of(denominator, [Fraction(1), *ends], money)
    prices = [scale.price(tier.unit_price) for tier in model.tiers]
    flats = [scale.flat(tier.flat) for tier in model.tiers]
    constant = max(flats) + max([0, *map(scale.units, ends)]) + scale.quantity
    q = _scaled(quantities, scale, max(prices), constant)
    tier = _entered(q, [scale.units(end) for end in ends], model.edges, scale.quantity)
    kind = q.dtype
    values = q * np.array(prices, dtype=kind)[tier] + np.array(flats, dtype=kind)[tier]
    _first_flat(model.zero_usage_flat, flats[0], quantities, values)
    return PricedMany(values, scale.amount)


def _package(model: Package, quantities: Array, denominator: int) -> PricedMany:
    scale = _Scale.of(denominator, [model.size, model.free_units], [model.amount])
    size, free, each = scale.units(model.size), scale.units(model.free_units), scale.price(model.amount)
    q = _scaled(quantities, scale, each + 1, free + size + each)
    packages = _ceil_divide(_at_least_zero(q - free), size)
    packages *= each
    return PricedMany(packages, scale.money)


def _blocks(model: TieredBlocks, quantities: Array, denominator: int) -> PricedMany:
    scale = _Scale.of(denominator, [tier.size for tier in model.tiers], [tier.price for tier in model.tiers])
    sizes = [scale.units(tier.size) for tier in model.tiers]
    prices = [scale.price(tier.price) for tier in model.tiers]
    spans = [0 if t.max_blocks is None else t.max_blocks * size for t, size in zip(model.tiers, sizes, strict=True)]
    most = sum(p * (t.max_blocks or 1) for p, t in zip(prices, model.tiers, strict=True))
    q = _scaled(quantities, scale, sum(prices) + 1, most + sum(spans) + max(sizes))
    q = _at_least_zero(q.copy())
    values = np.zeros_like(q)
    left, last = q.copy(), len(model.tiers) - 1
    open_still = np.ones(len(q), dtype=bool)
    for i, tier in enumerate(model.tiers):
        needed = _ceil_divide(left, sizes[i])
        endless = tier.max_blocks is None or (
            i == last and (model.beyond is Beyond.LAST_TIER or model.mode is BlockMode.TOP_TIER)
        )
        if model.mode is BlockMode.TOP_TIER:
            here = open_still if endless else open_still & (needed <= (tier.max_blocks or 0))
            values[here] = _ceil_divide(q[here], sizes[i]) * prices[i]
            open_still &= ~here
            left = _at_least_zero(left - spans[i])
        else:
            blocks = needed if endless else np.minimum(needed, tier.max_blocks or 0)
            values += blocks * prices[i]
            left = np.zeros_like(left) if endless else _at_least_zero(left - spans[i])
    return PricedMany(values, scale.money)


def _capacity(model: Capacity, quantities: Array, denominator: int) -> PricedMany:
    if any(name for tier in model.tiers for name, _ in tier.limits):
        return _one_by_one(model, quantities, denominator)
    ends = [limit for tier in model.tiers for _, limit in tier.limits]
    scale = _Scale.of(denominator, ends, [tier.price for tier in model.tiers])
    prices = [scale.price(tier.price) for tier in model.tiers]
    q = _scaled(quantities, scale, 1, max([0, *map(scale.units, ends)]))
    tier = _entered(q, [scale.units(end) for end in ends], Edges.CONTINUOUS, 0)
    kind = np.int64 if max(prices) < _LIMIT else object
    return PricedMany(np.array(prices, dtype=kind)[tier], scale.money)


def _one_by_one(model: PriceModel, quantities: Array, denominator: int) -> PricedMany:
    amounts = [price(model, Fraction(int(quantity), denominator)) for quantity in quantities]
    common = lcm(*(amount.denominator for amount in amounts)) if amounts else 1
    return PricedMany(np.array([int(amount * common) for amount in amounts], dtype=object), common)
