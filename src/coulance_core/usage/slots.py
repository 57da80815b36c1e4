"""Samples with jitter and missed polls become regular slots, and no unit is lost or doubled on the way.

Slot k of a grid is (first + k x step, first + (k + 1) x step]. The assignment rule is `by_time`: an interval's amount
is divided over the slots it touches by elapsed seconds, in integers that sum to the amount. So a poll at 299 or 303
seconds leaves no false gap and doubles no slot, and polls on the grid fall into their slot whole.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from coulance_core.kernel import Dimension, Period, Unit
from coulance_core.usage.counters import Deltas, Flag, byte
from coulance_core.usage.samples import Bools, FlagBytes, Ints, SamplesError

Seconds = NDArray[np.int32]
ASSIGNMENT = "an interval's amount is divided over its slots by elapsed seconds"


@dataclass(frozen=True, slots=True)
class Grid:
    """`count` slots of `step` seconds from epoch second `first`, which is a multiple of `step`."""

    first: int
    count: int
    step: int

    @property
    def end(self) -> int:
        """Where the last slot ends."""
        return self.first + self.count * self.step

    def ends(self) -> Ints:
        """The instant at which each slot ends."""
        return self.first + self.step * np.arange(1, self.count + 1, dtype=np.int64)


def grid_of(period: Period, step: int) -> Grid:
    """The slots of a period: those that start in it, so that periods that follow each other share none.

    >>> from coulance_core.kernel import anchored_period
    >>> zone = ZoneInfo("Europe/Amsterdam")
    >>> [grid_of(anchored_period(2026, month, 1, zone), 300).count for month in (2, 3, 4, 10)]
    [8064, 8916, 8640, 8940]
    """
    if step <= 0:
        raise SamplesError(f"a slot lasts at least a second, not {step}")
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    first, last = -(-start // step), -(-end // step)
    return Grid(first * step, last - first, step)


def expected_slots(period: Period, step: int) -> int:
    """How many samples a meter that never missed one has in the period; for part of a period, in that part."""
    return grid_of(period, step).count


@dataclass(frozen=True, slots=True)
class Slots:
    """Amounts on a grid, one row a series.

    `value` is int64; `covered` the seconds of each slot that plain readings cover; `filled` the seconds known only by
    spreading a total or by an estimate; `flags` the flags of every interval that touched the slot.
    """

    grid: Grid
    value: Ints
    covered: Seconds
    filled: Seconds
    flags: FlagBytes

    @property
    def seen(self) -> Bools:
        """The slots that plain readings cover for at least half their time."""
        seen: Bools = 2 * self.covered >= self.grid.step
        return seen

    @property
    def present(self) -> Bools:
        """The slots that have a value: seen, or filled to at least half."""
        present: Bools = 2 * (self.covered + self.filled) >= self.grid.step
        return present


def to_slots(deltas: Deltas, grid: Grid) -> Slots:
    """Deltas on a grid, by the rule `by_time`. What lies outside the grid is left to its neighbours, exactly.

    Shapes are (series, slots). Unknown intervals leave their slots uncovered; a spread gap fills, it doesn't cover.

    >>> d = Deltas(np.array([-1, 299]), np.array([299, 601]), np.array([300, 302]), np.zeros(2, np.uint8),
    ...            np.array([0, 2]))
    >>> to_slots(d, Grid(0, 2, 300)).value.tolist()
    [[300, 300]]
    """
    series = deltas.offsets.size - 1
    shape = (series, grid.count)
    if grid.count == 0 or deltas.at.size == 0:
        none = np.zeros(shape, np.int32)
        return Slots(grid, np.zeros(shape, np.int64), none, none, np.zeros(shape, np.uint8))
    exact = _on_the_grid(deltas, grid, shape)
    if exact is not None:
        none = np.zeros(shape, np.int32)
        return Slots(grid, exact, np.full(shape, grid.step, np.int32), none, np.zeros(shape, np.uint8))
    return _by_time(deltas, grid, shape)


def _on_the_grid(deltas: Deltas, grid: Grid, shape: tuple[int, int]) -> Ints | None:
    """The values, where every series has exactly one plain interval for each slot; else `None`. By far the quickest."""
    inside = (deltas.at > grid.first) & (deltas.at <= grid.end)
    if np.count_nonzero(inside) != shape[0] * shape[1]:
        return None
    start, at, value, flags = deltas.start, deltas.at, deltas.value, deltas.flags
    if not inside.all():
        start, at, value, flags = start[inside], at[inside], value[inside], flags[inside]
    if flags.any() or not (at.reshape(shape) == grid.ends()).all() or not (start == at - grid.step).all():
        return None
    return value.reshape(shape)


def _by_time(deltas: Deltas, grid: Grid, shape: tuple[int, int]) -> Slots:
    """Running totals at each edge between slots; what lies between two edges is the slot's.

    A total at an edge is what all earlier intervals hold and the share of the interval that the edge cuts. Totals
    wrap at 2^64, their differences don't.
    """
    series, count = shape
    edges = grid.first + grid.step * np.arange(count + 1, dtype=np.int64)
    # Which interval an edge cuts: the first of the series that ends at or after it, found by counting ends a slot.
    ends = np.clip((deltas.at - grid.first) // grid.step, -1, count) + 1
    tally = np.bincount(deltas.rows() * (count + 2) + ends, minlength=series * (count + 2))
    place = np.cumsum(tally.reshape(series, count + 2), axis=1)[:, : count + 1] + deltas.offsets[:-1, None]
    cut = place < deltas.offsets[1:, None]
    which = np.minimum(place, deltas.at.size - 1)
    elapsed = np.where(cut, np.maximum(edges - deltas.start[which], 0), 0)
    length = deltas.at - deltas.start
    parts = share(deltas.value[which], elapsed, length[which])
    value = np.diff(_before(deltas.value)[place] + parts, axis=1)
    unknown = (deltas.flags & byte(Flag.UNKNOWN)) != 0
    spread = ~unknown & ((deltas.flags & byte(Flag.SPREAD, Flag.ESTIMATED)) != 0)
    covered = _seconds(~unknown & ~spread, length, place, which, elapsed)
    filled = _seconds(spread, length, place, which, elapsed) if spread.any() else np.zeros(shape, np.int32)
    return Slots(grid, value, covered, filled, _flags(deltas, grid, shape))


def _seconds(mask: Bools, length: Ints, place: Ints, which: Ints, elapsed: Ints) -> Seconds:
    """Seconds of each slot that lie in the intervals of `mask`."""
    return np.diff(_before(np.where(mask, length, 0))[place] + elapsed * mask[which], axis=1).astype(np.int32)


def _before(values: Ints) -> Ints:
    """The sum of all values before each place, and of all at the end."""
    sums = np.zeros(values.size + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _flags(deltas: Deltas, grid: Grid, shape: tuple[int, int]) -> FlagBytes:
    """Every slot's flags: those of the intervals that touch it. Few intervals have any."""
    flags = np.zeros(shape, np.uint8)
    rows = np.flatnonzero(deltas.flags)
    if not rows.size:
        return flags
    low = np.maximum((deltas.start[rows] - grid.first) // grid.step, 0)
    high = np.minimum((deltas.at[rows] - 1 - grid.first) // grid.step, grid.count - 1)
    pieces = np.maximum(high - low + 1, 0)
    nth = np.arange(int(pieces.sum())) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    series = np.searchsorted(deltas.offsets, rows, side="right") - 1
    place = np.repeat(series * grid.count + low, pieces) + nth
    np.bitwise_or.at(flags.reshape(-1), place, np.repeat(deltas.flags[rows], pieces))
    return flags


def share(total: Ints, elapsed: Ints, length: Ints) -> Ints:
    """floor(total x elapsed / length) without overflow: the part of a total that falls in its first `elapsed` seconds.

    Differences of shares at rising instants are integers that sum to the total.

    >>> cut = np.array([0, 100, 200, 300])
    >>> np.diff(share(np.full(4, 1000), cut, np.full(4, 300))).tolist()
    [333, 333, 334]
    """
    whole = total // length
    return whole * elapsed + (total - whole * length) * elapsed // length


def rates_to_deltas(at: Ints, rate: Ints, *, interval_s: int, gap_after_s: int) -> Deltas:
    """Readings of an average rate (units a second) since the reading before become the amounts they stand for.

    A reading after a gap stands for one regular interval. The amounts are exact: rate x seconds.

    >>> rates_to_deltas(np.array([300, 602, 1502]), np.array([2, 3, 4]), interval_s=300, gap_after_s=450).value.tolist()
    [600, 906, 1200]
    """
    start = at - interval_s
    if at.size > 1:
        follows = np.flatnonzero(np.diff(at) <= gap_after_s) + 1
        start[follows] = at[follows - 1]
    return Deltas(start, at, rate * (at - start), np.zeros(at.size, np.uint8), np.array([0, at.size], np.int64))


def rate_factor(meter: Unit, measured: Unit, scale: int, step: int) -> Fraction:
    """What one stored integer in a slot of `step` seconds is in `measured`: bytes to bit/s, other amounts as they are.

    >>> from coulance_core.kernel import unit
    >>> rate_factor(unit("B"), unit("Mbit/s"), 0, 300) * 37_500_000
    Fraction(1, 1)
    """
    size = Fraction(meter.size / measured.size / 10**scale)
    if meter.dimension is Dimension.DATA and measured.dimension is Dimension.RATE:
        return size * 8 / step
    return size


def civil_hours(at: Ints, zone: ZoneInfo) -> Ints:
    """The civil hour of the week, 0 (Monday, midnight) to 167, of each instant in `zone`.

    >>> civil_hours(np.array([1774744200, 1774747800]), ZoneInfo("Europe/Amsterdam")).tolist()  # clocks go forward
    [145, 147]
    """
    hours, inverse = np.unique(at // 900, return_inverse=True)
    local = [datetime.fromtimestamp(int(h) * 900, UTC).astimezone(zone) for h in hours]
    names = np.array([moment.weekday() * 24 + moment.hour for moment in local], np.int64)
    return names[inverse]
