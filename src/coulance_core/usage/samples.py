"""Samples of many series as columns, and exact sums over them.

One shape serves one series and a hundred thousand: rows sorted by series and then by instant, with `offsets` saying
where each series starts. A kernel that takes it does no Python work per sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
FlagBytes = NDArray[np.uint8]

_SAFE = 1 << 62
_LOW = np.int64(0xFFFFFFFF)


class SamplesError(ValueError):
    """Columns of different lengths, offsets that do not fit them, or instants that do not ascend."""


def ints(values: object) -> Ints:
    """`values` as a one-dimensional int64 array. Refuses floats, which are no exact amounts."""
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.dtype == np.uint64:
        array = array.view(np.int64)
    if array.dtype.kind not in "iu":
        raise SamplesError(f"expected whole numbers, got {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.int64).reshape(-1)


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one or more series: series i is rows `offsets[i]:offsets[i + 1]`, instants strictly ascending in it.

    `at` is epoch seconds, UTC; a delta's interval ends there. `v_in` and `v_out` are stored integers (value x
    10^scale); a counter's are uint64 patterns viewed as int64; a one-valued meter uses `v_in` alone. `uptime` and
    `discontinuity` are SNMP's sysUpTime and ifCounterDiscontinuityTime in hundredths of a second, where known.

    >>> s = Samples.one([300, 600], [5, 7])
    >>> s.series, s.v_out.tolist()
    (1, [0, 0])
    """

    at: Ints
    v_in: Ints
    v_out: Ints
    offsets: Ints
    uptime: Ints | None = None
    discontinuity: Ints | None = None

    def __post_init__(self) -> None:
        check_offsets(self.at, self.offsets)
        for name in ("v_in", "v_out", "uptime", "discontinuity"):
            column = getattr(self, name)
            if column is not None and column.shape != self.at.shape:
                raise SamplesError(f"{name} has {column.size} rows where at has {self.at.size}")

    @classmethod
    def one(
        cls,
        at: object,
        v_in: object,
        v_out: object | None = None,
        *,
        uptime: object | None = None,
        discontinuity: object | None = None,
    ) -> Self:
        """The samples of a single series; without `v_out` it is a one-valued meter's."""
        instants, first = ints(at), ints(v_in)
        return cls(
            instants,
            first,
            np.zeros_like(first) if v_out is None else ints(v_out),
            np.array([0, instants.size], np.int64),
            None if uptime is None else ints(uptime),
            None if discontinuity is None else ints(discontinuity),
        )

    @classmethod
    def of_rows(cls, series: object, at: object, v_in: object, v_out: object, *, count: int | None = None) -> Self:
        """From rows that carry a series number 0, 1, ... each, in any order; `count` adds series without rows."""
        number, instants = ints(series), ints(at)
        order = np.lexsort((instants, number))
        number = number[order]
        total = int(number[-1]) + 1 if number.size else 0
        if count is not None:
            if total > count:
                raise SamplesError(f"series number {total - 1} is outside 0 .. {count - 1}")
            total = count
        if number.size and number[0] < 0:
            raise SamplesError("series numbers start at 0")
        offsets = np.searchsorted(number, np.arange(total + 1)).astype(np.int64)
        return cls(instants[order], ints(v_in)[order], ints(v_out)[order], offsets)

    @property
    def series(self) -> int:
        """How many series."""
        return self.offsets.size - 1

    def rows(self) -> Ints:
        """The number of the series that each row belongs to."""
        return rows_of(self.offsets)

    def part(self, low: int, high: int) -> "Samples":
        """Series `low` to `high` (without it); the columns are views, not copies."""
        begin, end = int(self.offsets[low]), int(self.offsets[high])
        hints = [None if column is None else column[begin:end] for column in (self.uptime, self.discontinuity)]
        columns = [column[begin:end] for column in (self.at, self.v_in, self.v_out)]
        return Samples(columns[0], columns[1], columns[2], self.offsets[low : high + 1] - begin, hints[0], hints[1])


def check_offsets(at: Ints, offsets: Ints) -> None:
    """Raise `SamplesError` unless `offsets` cut `at` into series with strictly ascending instants."""
    if offsets.size < 1 or offsets[0] != 0 or offsets[-1] != at.size or bool((np.diff(offsets) < 0).any()):
        raise SamplesError(f"offsets must ascend from 0 to {at.size}, the number of rows")
    if at.size < 2:
        return
    bad = np.flatnonzero(~first_rows(offsets, at.size)[1:] & (np.diff(at) <= 0))
    if bad.size:
        row = int(bad[0]) + 1
        raise SamplesError(
            f"row {row}: instants of a series must ascend: {int(at[row])} follows {int(at[row - 1])}; "
            "sort and de-duplicate first"
        )


def rows_of(offsets: Ints) -> Ints:
    """Which series each row belongs to.

    >>> rows_of(np.array([0, 2, 2, 3])).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(offsets.size - 1, dtype=np.int64), np.diff(offsets))


def first_rows(offsets: Ints, size: int) -> Bools:
    """Whether a row is the first of its series."""
    first = np.zeros(size, np.bool_)
    starts = offsets[:-1]
    first[starts[starts < size]] = True
    return first


def segment_sums(values: Ints, offsets: Ints) -> list[int]:
    """The exact sum of each segment, as Python integers: no overflow, however great the values.

    >>> big = np.array([2**62, 2**62, 2**62, -5])
    >>> segment_sums(big, np.array([0, 3, 3, 4])) == [3 * 2**62, 0, -5]
    True
    """
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    if values.size == 0:
        return [0] * lengths.size
    greatest = max(int(values.max()), -int(values.min()))
    if greatest * max(longest, 1) < _SAFE:
        return _int64_sums(values, offsets)
    low, high = _int64_sums(values & _LOW, offsets), _int64_sums(values >> np.int64(32), offsets)
    return [(h << 32) + part for h, part in zip(high, low, strict=True)]


def _int64_sums(values: Ints, offsets: Ints) -> list[int]:
    filled = np.flatnonzero(np.diff(offsets))
    sums = np.zeros(offsets.size - 1, np.int64)
    if filled.size:
        sums[filled] = np.add.reduceat(values, offsets[filled])
    return list(sums.tolist())


def group_sums(sums: Sequence[int], groups: Ints, count: int) -> list[int]:
    """Add up the figures of series that belong together: `groups[i]` is where series i belongs.

    >>> group_sums([1, 2, 3], np.array([0, 0, 1]), 3)
    [3, 3, 0]
    """
    total = [0] * count
    for value, group in zip(sums, groups.tolist(), strict=True):
        total[group] += value
    return total
