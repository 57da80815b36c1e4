"""Percentiles by named conventions, exact, for one series or a hundred thousand.

A convention says which of n sorted samples is taken; they differ for 29-day months, months with a clock change and
short lists. Samples are integers and stay so; only `interpolated` lies between two of them, as an exact fraction.
What missing samples do is a second named rule. See docs/adr/0005-percentile-conventions.md.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from coulance_core.catalog.terms import Direction, MissingSamples, PercentileTerms, RankConvention
from coulance_core.kernel import Rounding, show
from coulance_core.kernel.rounding import round_int
from coulance_core.usage.samples import Bools, Ints, SamplesError

ABSENT = np.int64(np.iinfo(np.int64).min)
"""Marks a slot without a value: it sorts below every sample."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Which of n ascending samples: `index` counts from 0; `above` is the part of the way to the next one."""

    n: int
    index: int
    above: Fraction = Fraction(0)

    @property
    def ascending(self) -> int:
        """The rank counted from the lowest, from 1."""
        return self.index + 1

    @property
    def dropped(self) -> int:
        """How many higher samples do not count."""
        return self.n - 1 - self.index


@lru_cache(maxsize=4096)
def rank_of(n: int, convention: RankConvention, p: Fraction = Fraction(95)) -> Rank:
    """The sample that `convention` takes among `n` for the `p`-th percentile.

    Raises `SamplesError` for n < 1 or p outside (0, 100]. Where a rule falls below the first sample or above the last,
    that one is taken.

    >>> [rank_of(8916, c).n - rank_of(8916, c).index for c in list(RankConvention)[:4]]
    [446, 446, 447, 447]
    >>> rank_of(8640, RankConvention.CACTI_1_2_20).dropped
    431
    """
    if n < 1:
        raise SamplesError(f"a percentile needs at least one sample, not {n}")
    if not 0 < p <= 100:
        raise SamplesError(f"a percentile is above 0 and at most 100, not {show(p)}")
    part = p / 100
    match convention:
        case RankConvention.DROP_FLOOR:
            index = n - 1 - int((1 - part) * n)
        case RankConvention.NEAREST_RANK:
            index = -int(-part * n // 1) - 1
        case RankConvention.LIBRENMS:
            # In doubles and in this order, as LibreNMS does: its half is a hair less than a half for some n.
            index = int(n / 100 * float(p) + 0.5) - 1
        case RankConvention.RRDTOOL:
            index = round_int(part * (n - 1), Rounding.HALF_UP)
        case RankConvention.CACTI_1_2_20:
            index = n - int((1 - part) * n)
        case RankConvention.INTERPOLATED:
            place = part * (n - 1)
            index = int(place)
            return Rank(n, index, place - index)
    return Rank(n, min(max(index, 0), n - 1))


def percentile(values: Ints, terms: PercentileTerms, *, expected: int | None = None) -> Fraction:
    """The percentile of these samples, of which `expected` should have come (default: all came).

    With `missing` lowest the absent ones count below all others; a rank that falls on an absent one gives 0. With
    dropped or averaged n is the number of samples given; averaging a gap is done before (see `aggregate`).

    >>> five = np.arange(5, 101, 5)
    >>> percentile(five, PercentileTerms(RankConvention.NEAREST_RANK))
    Fraction(95, 1)
    >>> percentile(five, PercentileTerms(RankConvention.INTERPOLATED))
    Fraction(381, 4)
    >>> percentile(five, PercentileTerms(RankConvention.DROP_FLOOR), expected=40)
    Fraction(90, 1)
    """
    n = values.size if expected is None or terms.missing is not MissingSamples.LOWEST else expected
    if n < values.size:
        raise SamplesError(f"{values.size} samples came where at most {n} were expected")
    if n == 0 or values.size == 0:
        return Fraction(0)
    return _select(np.array(values, np.int64), rank_of(n, terms.rank, terms.p), n - values.size)


def _select(scratch: Ints, rank: Rank, absent: int) -> Fraction:
    """The sample at `rank` when `absent` more lie below those in `scratch`, which is partitioned in place."""
    place = rank.index - absent
    if place < 0:
        if rank.above and place == -1:
            return rank.above * int(scratch.min())  # between an absent sample (0) and the lowest
        return Fraction(0)
    scratch.partition(place)
    low = int(scratch[place])
    if not rank.above:
        return Fraction(low)
    return low + rank.above * (int(scratch[place + 1 :].min()) - low)


def percentile_rows(dense: Ints, terms: PercentileTerms, *, expected: int | None = None) -> list[Fraction]:
    """The percentile of each row of a (series, slots) array in which absent slots hold `ABSENT`.

    Exactly `percentile` of each row's present samples. `expected` defaults to the number of slots.
    """
    width = dense.shape[1] if expected is None else expected
    return [_row(row, terms, width) for row in dense]


def _row(row: Ints, terms: PercentileTerms, width: int) -> Fraction:
    scratch = row.copy()
    lowest = scratch.min(initial=0)
    if lowest == ABSENT:
        scratch = scratch[scratch != ABSENT]
    n = width if terms.missing is MissingSamples.LOWEST else scratch.size
    if n == 0 or scratch.size == 0:
        return Fraction(0)
    return _select(scratch, rank_of(n, terms.rank, terms.p), n - scratch.size)


def percentile_many(values: Ints, offsets: Ints, terms: PercentileTerms, *, expected: int | None = None) -> Ints:
    """The percentile of each series of a ragged batch: series i is `values[offsets[i]:offsets[i + 1]]`.

    The batch kernel: one selection a series and nothing else, in whole stored units, 0 for a series without samples.
    `expected` is the number of samples each should have had, for `missing` lowest. Raises `SamplesError` for
    `interpolated`, whose figures are fractions: use `percentile` or `percentile_rows`.

    >>> percentile_many(np.arange(40), np.array([0, 20, 40]), PercentileTerms()).tolist()
    [18, 38]
    """
    if terms.rank is RankConvention.INTERPOLATED:
        raise SamplesError("interpolated percentiles are fractions: use percentile_rows")
    result = np.zeros(offsets.size - 1, np.int64)
    lengths = np.diff(offsets)
    padded = expected is not None and terms.missing is MissingSamples.LOWEST
    for length in np.unique(lengths).tolist():  # as a rule one or a few
        n = expected if padded and expected is not None else length
        if length == 0:
            continue
        if n < length:
            raise SamplesError(f"{length} samples came where at most {n} were expected")
        place = rank_of(n, terms.rank, terms.p).index - (n - length)
        if place < 0:
            continue
        scratch = np.empty(length, np.int64)  # one row stays in the processor's cache, whatever the batch
        for i in np.flatnonzero(lengths == length).tolist():
            np.copyto(scratch, values[offsets[i] : offsets[i + 1]])
            scratch.partition(place)
            result[i] = scratch[place]
    return result


def combined(v_in: Ints, v_out: Ints, direction: Direction) -> Ints | None:
    """In and out as one column, where the direction makes one of them sample by sample; else `None`.

    >>> combined(np.array([1, 5]), np.array([4, 2]), Direction.SAMPLE_MAX).tolist()
    [4, 5]
    """
    match direction:
        case Direction.IN:
            return v_in
        case Direction.OUT:
            return v_out
        case Direction.BOTH:
            return v_in + v_out
        case Direction.SAMPLE_MAX:
            return np.maximum(v_in, v_out)
    return None


def absent_where(values: Ints, present: Bools) -> Ints:
    """`values` with `ABSENT` where nothing is present."""
    return np.where(present, values, ABSENT)
