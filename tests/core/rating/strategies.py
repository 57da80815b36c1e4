"""Random terms and quantities for property tests."""

from fractions import Fraction as F

from hypothesis import strategies as st

from coulance_core.catalog.terms import (
    Beyond,
    BlockMode,
    BlockTier,
    Capacity,
    CapacityTier,
    Edges,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    PriceModel,
    Tier,
    TieredBlocks,
    Volume,
    ZeroUsageFlat,
)

money = st.integers(0, 5000).map(lambda n: F(n, 100))
fine_money = st.one_of(money, st.integers(0, 10**7).map(lambda n: F(n, 10**6)))
quantities = st.one_of(
    st.integers(0, 400).map(F),
    st.integers(0, 4 * 10**6).map(lambda n: F(n, 10**4)),
    st.fractions(0, 400, max_denominator=300),
)
zero_flat = st.sampled_from(ZeroUsageFlat)


@st.composite
def ends(draw: st.DrawFn, *, whole: bool) -> list[F]:
    widths = draw(st.lists(st.integers(1, 80), max_size=4))
    parts = 1 if whole else draw(st.sampled_from([1, 2, 10]))
    out, total = [], F(0)
    for width in widths:
        total += F(width, parts)
        out.append(total)
    return out


@st.composite
def tiers(draw: st.DrawFn, *, whole: bool, flats: bool = True) -> tuple[Tier, ...]:
    bounds = draw(ends(whole=whole))
    return tuple(Tier(end, draw(fine_money), draw(money) if flats else F(0)) for end in [*bounds, None])


@st.composite
def graduated(draw: st.DrawFn, *, flats: bool = True, edges: Edges | None = None) -> Graduated:
    edge = edges or draw(st.sampled_from(Edges))
    return Graduated(draw(tiers(whole=edge is Edges.WHOLE_UNITS, flats=flats)), draw(zero_flat), edge)


@st.composite
def volume(draw: st.DrawFn) -> Volume:
    edge = draw(st.sampled_from(Edges))
    return Volume(draw(tiers(whole=edge is Edges.WHOLE_UNITS)), draw(zero_flat), edge)


@st.composite
def graduated_percentage(draw: st.DrawFn) -> GraduatedPercentage:
    edge = draw(st.sampled_from(Edges))
    bounds = draw(ends(whole=edge is Edges.WHOLE_UNITS))
    return GraduatedPercentage(
        tuple(PercentTier(end, draw(money), draw(money)) for end in [*bounds, None]), draw(zero_flat), edge
    )


@st.composite
def blocks(draw: st.DrawFn) -> TieredBlocks:
    sizes = draw(st.lists(st.sampled_from([F(1), F(5), F(10), F(5, 2)]), min_size=1, max_size=4))
    most = [draw(st.integers(1, 20)) for _ in sizes[:-1]] + [draw(st.one_of(st.none(), st.integers(1, 20)))]
    return TieredBlocks(
        tuple(BlockTier(size, draw(fine_money), many) for size, many in zip(sizes, most, strict=True)),
        draw(st.sampled_from(BlockMode)),
        draw(st.sampled_from(Beyond)),
    )


@st.composite
def capacity(draw: st.DrawFn) -> Capacity:
    limits = draw(ends(whole=False))
    steps = [CapacityTier((("", limit),), draw(money)) for limit in limits]
    return Capacity((*steps, CapacityTier((), draw(money))))


packages = st.builds(Package, fine_money, st.sampled_from([F(1), F(10), F(100), F(5, 2)]), st.integers(0, 50).map(F))
per_unit = st.builds(PerUnit, fine_money)
percentages = st.builds(Percentage, money)

by_quantity: st.SearchStrategy[PriceModel] = st.one_of(
    per_unit, graduated(), volume(), packages, graduated_percentage(), blocks(), capacity(), percentages
)
"""Every model that a quantity alone can price."""
