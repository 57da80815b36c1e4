"""Interval algebra against the slowest judge there is: a set of whole instants."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coulance_core.sla.intervals import EMPTY, Spans, at_least

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=8)


def instants(pairs: list[tuple[int, int]]) -> set[int]:
    return {t for start, end in pairs for t in range(start, end)}


def normal(spans: Spans) -> set[int]:
    """Its instants; and that it is normal: no span empty, none touching the next."""
    pairs = spans.pairs()
    assert all(start < end for start, end in pairs)
    assert all(one[1] < two[0] for one, two in pairwise(pairs))
    return instants(pairs)


@given(PAIRS, PAIRS)
def test_two_sets(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    a, b = Spans.of(one), Spans.of(two)
    x, y = instants(one), instants(two)
    assert normal(a) == x
    assert (normal(a | b), normal(a & b), normal(a - b)) == (x | y, x & y, x - y)
    assert (a.total, bool(a)) == (len(x), bool(x))
    assert (a == b) == (x == y)
    assert normal(a.clip(10, 30)) == x & set(range(10, 30))
    at = np.arange(75)
    assert a.covers(at).tolist() == [t in x for t in range(75)]
    assert a.within(at).tolist() == [len([u for u in x if u < t]) for t in range(75)]


@given(st.lists(PAIRS, min_size=1, max_size=5), st.integers(1, 5))
def test_at_least_k_of_n(sets: list[list[tuple[int, int]]], k: int) -> None:
    each = [instants(pairs) for pairs in sets]
    wanted = {t for t in range(80) if sum(t in one for one in each) >= k}
    assert normal(at_least(k, *map(Spans.of, sets))) == wanted


@given(PAIRS, st.randoms(use_true_random=False), st.integers(0, 5))
def test_order_and_doubles_leave_no_trace(pairs: list[tuple[int, int]], random: object, least: int) -> None:
    shuffled = [*pairs, *pairs[:2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a, b = Spans.of(pairs), Spans.of(shuffled)
    assert a == b
    assert hash(a) == hash(b)
    assert a.longer_than(least).pairs() == [p for p in a.pairs() if p[1] - p[0] > least]


def test_empty_and_backwards() -> None:
    assert at_least(1) == EMPTY
    assert (EMPTY | EMPTY, EMPTY - EMPTY, EMPTY.total) == (EMPTY, EMPTY, 0)
    with pytest.raises(ValueError, match="ends before it starts"):
        Spans.of([(5, 3)])
    with pytest.raises(ValueError, match="expected 1 or more"):
        at_least(0, EMPTY)
