"""A bundle's price by element, to the cent, and what is left of it when one ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.contracts.bundles import Bundle, Element, Lines, Part, WhenOneEnds, allocate
from coulance_core.kernel import Money


def bundle(*alone: int, ends: WhenOneEnds = WhenOneEnds.PART) -> Bundle:
    """Elements that cost so many cents alone; the first is the work."""
    parts = [Element(f"e{n}", f"E{n}", Money(cents, "EUR"), Part.SERVICE) for n, cents in enumerate(alone)]
    parts[0] = Element("e0", "E0", Money(alone[0], "EUR"), Part.WORK)
    return Bundle(tuple(parts), Lines.ONE, ends)


@settings(max_examples=30, derandomize=True)
@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=5).filter(sum),
    st.integers(0, 900),
    st.sampled_from(WhenOneEnds),
    st.data(),
)
def test_no_cent_is_lost_and_none_is_dearer_than_before(
    alone: list[int], price: int, ends: WhenOneEnds, data: st.DataObject
) -> None:
    whole = bundle(*alone, ends=ends)
    first = allocate(whole, Money(price, "EUR"))
    assert sum(part.minor for part in first.parts.values()) == price == first.price.minor
    gone = data.draw(st.sets(st.sampled_from([one.key for one in whole.elements]), max_size=len(alone) - 1))
    left = allocate(whole, Money(price, "EUR"), gone)
    assert left.parts.keys() == {one.key for one in whole.elements} - gone
    assert sum(part.minor for part in left.parts.values()) == left.price.minor <= price


@pytest.mark.parametrize(("ends", "now"), [(WhenOneEnds.PART, 4_500), (WhenOneEnds.ALONE, 9_000)])
def test_what_stays_costs_what_it_costs_alone_and_never_more_than_the_bundle_did(ends: WhenOneEnds, now: int) -> None:
    """Two things of 100.00 for 90.00: the one that stays costs 45.00, or 90.00, and not 100.00."""
    assert allocate(bundle(10_000, 10_000, ends=ends), Money(9_000, "EUR"), ["e1"]).price.minor == now
