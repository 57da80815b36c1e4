"""Composites: the three numbers of a textbook, exact independence, and bounds that hold every simulated dependence."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.sla.composite import Composite, Kind, down, quote, read_composite
from coulance_core.sla.intervals import Spans

F = Fraction
PARTS = ("a", "b", "c", "d")
part = Composite.part


def is_up(whole: Composite, up: frozenset[str]) -> bool:
    """A judge that knows nothing of probability."""
    if whole.kind is Kind.PART:
        return whole.name in up
    up_now = [is_up(p, up) for p in whole.parts]
    return {Kind.SERIES: all(up_now), Kind.PARALLEL: any(up_now), Kind.K_OF_N: sum(up_now) >= whole.k}[whole.kind]


WHOLES = st.recursive(
    st.sampled_from(PARTS).map(part),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda p: Composite.series(*p)),
        st.lists(inner, min_size=1, max_size=3).map(lambda p: Composite.parallel(*p)),
        st.lists(inner, min_size=2, max_size=3).map(lambda p: Composite.k_of_n(2, *p)),
    ),
    max_leaves=6,
)

WORKED = [
    # parts, availabilities in percent, worst, independent, best in percent
    (Composite.series(part("a"), part("b")), ("99", "99.6"), "98.6", "98.604", "99"),
    (Composite.parallel(part("a"), part("b")), ("99", "99"), "99", "99.99", "100"),
    (Composite.series(part("a"), part("b"), part("c")), ("40", "40", "40"), "0", "6.4", "40"),
    (Composite.k_of_n(2, part("a"), part("b"), part("c")), ("90", "90", "90"), "85", "97.2", "100"),
    (Composite.series(part("a"), Composite.parallel(part("b"), part("c"))), ("99.9", "99", "99"),
     "98.9", "99.89001", "99.9"),
]  # fmt: skip


@pytest.mark.parametrize(("whole", "percent", "worst", "independent", "best"), WORKED)
def test_worked(whole: Composite, percent: tuple[str, ...], worst: str, independent: str, best: str) -> None:
    found = quote(whole, dict(zip(PARTS, (F(p) / 100 for p in percent), strict=False)))
    assert [100 * a for a in (found.worst, found.independent, found.best)] == [F(worst), F(independent), F(best)]


@settings(max_examples=60)
@given(WHOLES, st.lists(st.fractions(0, 1, max_denominator=8), min_size=4, max_size=4))
def test_independence_is_exact_also_for_a_part_used_twice(whole: Composite, chances: list[Fraction]) -> None:
    each = dict(zip(PARTS, chances, strict=True))
    total = F(0)
    for states in product((True, False), repeat=4):
        weight = F(1)
        for name, up in zip(PARTS, states, strict=True):
            weight *= each[name] if up else 1 - each[name]
        if is_up(whole, frozenset(n for n, up in zip(PARTS, states, strict=True) if up)):
            total += weight
    assert quote(whole, each).independent == total


@settings(max_examples=60)
@given(WHOLES, st.lists(st.integers(0, 15), min_size=1, max_size=40))
def test_bounds_hold_under_every_dependence(whole: Composite, moments: list[int]) -> None:
    """A dependence is any list of moments, each with the parts that were up in it."""
    each = {name: F(sum(m >> i & 1 for m in moments), len(moments)) for i, name in enumerate(PARTS)}
    real = F(sum(is_up(whole, frozenset(n for i, n in enumerate(PARTS) if m >> i & 1)) for m in moments), len(moments))
    found = quote(whole, each)
    assert found.worst <= real <= found.best
    assert 0 <= found.worst <= found.independent <= found.best <= 1


@settings(max_examples=60)
@given(WHOLES, st.lists(st.integers(0, 15), min_size=1, max_size=40))
def test_the_real_figure_from_real_outages(whole: Composite, moments: list[int]) -> None:
    outages = {
        name: Spans.of((t, t + 1) for t, m in enumerate(moments) if not m >> i & 1) for i, name in enumerate(PARTS)
    }
    found = down(whole, outages)
    wanted = [not is_up(whole, frozenset(n for i, n in enumerate(PARTS) if m >> i & 1)) for m in moments]
    assert found.covers(np.arange(len(moments))).tolist() == wanted


def test_what_is_no_composite() -> None:
    with pytest.raises(ValueError, match="a named part, or a whole"):
        Composite(Kind.SERIES)
    with pytest.raises(ValueError, match="3 of 2 parts"):
        Composite.k_of_n(3, part("a"), part("b"))
    with pytest.raises(ValueError, match="part 'b'"):
        quote(Composite.series(part("a"), part("b")), {"a": F(1)})


def test_a_composite_is_written_and_read_the_same() -> None:
    for text in ("web", "all of (web, one of (db-1, db-2))", "2 of (a, b, all of (c, d))", "one of (of, all)"):
        assert str(read_composite(text)) == text
    for text, why in {
        "": "expected a part",
        "all of (web": "a comma or a closing bracket",
        "all of ()": "expected a part",
        "most of (a, b)": "a number of",
        "web, db": "nothing after",
        "3 of (a, b)": "between 1 and all",
    }.items():
        with pytest.raises(ValueError, match=why):
            read_composite(text)
