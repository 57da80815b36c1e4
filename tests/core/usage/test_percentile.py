"""Every convention against brute force, the kernels against each other, and against numpy and DuckDB."""

from fractions import Fraction

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.terms import Direction, MissingSamples, PercentileTerms, RankConvention
from coulance_core.usage.percentile import ABSENT, combined, percentile, percentile_many, percentile_rows, rank_of
from coulance_core.usage.samples import SamplesError

samples = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=200)
percents = st.one_of(st.just(Fraction(95)), st.fractions(Fraction(1, 100), 100, max_denominator=1000))


def brute(values: list[int], convention: RankConvention, p: Fraction) -> Fraction:
    """Written from the conventions' descriptions, counting one by one, with none of the product's code."""
    up, n = sorted(values), len(values)
    if convention in (RankConvention.DROP_FLOOR, RankConvention.CACTI_1_2_20):
        dropped = 0
        while (dropped + 1) * 100 <= n * (100 - p):
            dropped += 1
        if convention is RankConvention.CACTI_1_2_20:
            dropped -= 1
        return Fraction(up[n - 1 - max(dropped, 0)])
    if convention is RankConvention.NEAREST_RANK:
        rank = 1
        while rank * 100 < n * p:
            rank += 1
        return Fraction(up[rank - 1])
    if convention is RankConvention.LIBRENMS:
        import math

        return Fraction(up[max(math.floor(n / 100 * float(p) + 0.5) - 1, 0)])
    place = p * (n - 1) / 100
    low = 0
    while low + 1 <= place:
        low += 1
    rest = place - low
    if convention is RankConvention.RRDTOOL:
        return Fraction(up[low + 1] if rest * 2 >= 1 else up[low])
    return Fraction(up[low]) + (rest * (up[low + 1] - up[low]) if rest else 0)


@settings(max_examples=75)
@given(samples, st.sampled_from(list(RankConvention)), percents)
def test_every_convention_equals_brute_force(values: list[int], convention: RankConvention, p: Fraction) -> None:
    assert percentile(np.array(values), PercentileTerms(convention, p)) == brute(values, convention, p)


# The table of the design's metering facts: n, and the place from the highest that each convention takes.
MONTHS = [
    (8064, 404, 404, 404),
    (8352, 418, 419, 418),
    (8640, 433, 433, 433),
    (8928, 447, 447, 447),
    (8916, 446, 447, 446),
]


@pytest.mark.parametrize(("n", "drop", "librenms", "nearest"), MONTHS)
def test_months_take_the_sample_the_table_says(n: int, drop: int, librenms: int, nearest: int) -> None:
    def from_top(convention: RankConvention) -> int:
        return rank_of(n, convention).dropped + 1

    assert from_top(RankConvention.DROP_FLOOR) == drop
    assert from_top(RankConvention.LIBRENMS) == librenms
    assert from_top(RankConvention.RRDTOOL) == librenms
    assert from_top(RankConvention.NEAREST_RANK) == nearest
    assert from_top(RankConvention.CACTI_1_2_20) == drop - 1


def test_librenms_reckons_in_doubles() -> None:
    """4030 / 100 * 95 is a hair below 3828.5 in a double: LibreNMS rounds down where exact arithmetic rounds up."""
    assert rank_of(4030, RankConvention.LIBRENMS).ascending == 3828
    assert rank_of(8630, RankConvention.LIBRENMS).ascending == 8199


@settings(max_examples=50)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 1000)), min_size=1, max_size=120),
    st.sampled_from([c for c in RankConvention if c is not RankConvention.INTERPOLATED]),
    st.sampled_from(list(MissingSamples)),
)
def test_missing_samples_lowest_or_left_out(
    row: list[int | None], convention: RankConvention, missing: MissingSamples
) -> None:
    present = [v for v in row if v is not None]
    terms = PercentileTerms(convention, Fraction(95), missing)
    got = percentile(np.array(present, np.int64), terms, expected=len(row))
    dense = np.array([[ABSENT if v is None else v for v in row]], np.int64)
    assert percentile_rows(dense, terms) == [got]
    if missing is MissingSamples.LOWEST:  # the absent ones really sorted below the others, and worth nothing
        assert got == max(brute([-1 if v is None else v for v in row], convention, Fraction(95)), Fraction(0))
    elif present:
        assert got == brute(present, convention, Fraction(95))
    else:
        assert got == 0


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 10**12), max_size=40), min_size=1, max_size=12),
    st.sampled_from([c for c in RankConvention if c is not RankConvention.INTERPOLATED]),
    st.sampled_from(list(MissingSamples)),
)
def test_the_batch_kernel_equals_one_by_one(
    series: list[list[int]], convention: RankConvention, missing: MissingSamples
) -> None:
    offsets = np.concatenate(([0], np.cumsum([len(s) for s in series]))).astype(np.int64)
    values = np.array([v for s in series for v in s], np.int64)
    terms = PercentileTerms(convention, Fraction(95), missing)
    for expected in (None, 50):
        many = percentile_many(values, offsets, terms, expected=expected)
        alone = [percentile(np.array(s, np.int64), terms, expected=expected) for s in series]
        assert many.tolist() == alone


def test_kernels_leave_their_input_alone() -> None:
    values = np.random.default_rng(3).integers(0, 1000, 400)
    before = values.copy()
    percentile(values, PercentileTerms())
    percentile_many(values, np.array([0, 200, 400]), PercentileTerms())
    percentile_rows(values.reshape(2, 200), PercentileTerms())
    assert np.array_equal(values, before)


@pytest.mark.parametrize("n", [20, 100, 288, 8064, 8352, 8640, 8916, 8928, 8940])
def test_duckdb_and_numpy_agree_with_the_kernels(n: int) -> None:
    """quantile_disc and inverted_cdf are drop_floor; quantile_cont and numpy's default are interpolated."""
    rng = np.random.default_rng(n)
    values = rng.integers(0, 2**45, (3, n))
    offsets = n * np.arange(4)
    ours = percentile_many(values.reshape(-1), offsets, PercentileTerms())
    sums = values.sum(axis=1)
    series, v = np.repeat(np.arange(3), n), values.reshape(-1)  # DuckDB finds arrays by their names here
    rows = duckdb.sql(
        "select quantile_disc(v, 0.95), sum(v) from (select unnest($1) as s, unnest($2) as v) group by s order by s",
        params=[series.tolist(), v.tolist()],
    ).fetchall()
    assert [row[0] for row in rows] == ours.tolist()
    assert [row[1] for row in rows] == sums.tolist()
    assert np.quantile(values, 0.95, axis=1, method="inverted_cdf").tolist() == ours.tolist()
    between = [percentile(row, PercentileTerms(RankConvention.INTERPOLATED)) for row in values]
    assert np.allclose(np.quantile(values, 0.95, axis=1), [float(b) for b in between], rtol=1e-12)


def test_directions_that_make_one_column() -> None:
    into, out = np.array([1, 9]), np.array([5, 2])
    assert {d: None if (c := combined(into, out, d)) is None else c.tolist() for d in Direction} == {
        Direction.OUT: [5, 2],
        Direction.IN: [1, 9],
        Direction.BOTH: [6, 11],
        Direction.SAMPLE_MAX: [5, 9],
        Direction.GREATER: None,
        Direction.SUM_OF_BOTH: None,
    }


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(SamplesError, match="at least one sample"):
        rank_of(0, RankConvention.DROP_FLOOR)
    with pytest.raises(SamplesError, match="above 0 and at most 100"):
        rank_of(5, RankConvention.DROP_FLOOR, Fraction(101))
    with pytest.raises(SamplesError, match="at most 2 were expected"):
        percentile(np.arange(3), PercentileTerms(), expected=2)
    with pytest.raises(SamplesError, match="use percentile_rows"):
        percentile_many(np.arange(3), np.array([0, 3]), PercentileTerms(RankConvention.INTERPOLATED))
    assert percentile(np.zeros(0, np.int64), PercentileTerms()) == 0
