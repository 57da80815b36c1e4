"""Price models: tables by hand, and what must hold for every model and quantity."""

from fractions import Fraction as F
from itertools import accumulate

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.rating import strategies as some

from coulance_core.catalog.terms import (
    Beyond,
    BlockMode,
    BlockTier,
    Capacity,
    CapacityTier,
    Dynamic,
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
from coulance_core.kernel import Explanation
from coulance_core.rating.models import RatingError, Use, price, price_changes
from coulance_core.rating.sheet import Sheet

TIERS = (Tier(F(10), F(1), F(2)), Tier(F(20), F("0.5")), Tier(None, F("0.25"), F(3)))
CHARGE = ZeroUsageFlat.CHARGE


@pytest.mark.parametrize(
    ("model", "quantity", "amount"),
    [
        # graduated: 10 at 1 with 2 on top, 10 at 0.5, the rest at 0.25 with 3 on top
        (Graduated(TIERS), "0", "0"),
        (Graduated(TIERS, CHARGE), "0", "2"),
        (Graduated(TIERS), "-4", "0"),
        (Graduated(TIERS), "0.5", "2.5"),
        (Graduated(TIERS), "10", "12"),
        (Graduated(TIERS), "10.5", "12.25"),
        (Graduated(TIERS, edges=Edges.WHOLE_UNITS), "10.5", "12.5"),
        (Graduated(TIERS, edges=Edges.WHOLE_UNITS), "11", "12.5"),
        (Graduated(TIERS), "20", "17"),
        (Graduated(TIERS), "24", "21"),
        # volume: one tier prices all
        (Volume(TIERS), "0", "0"),
        (Volume(TIERS, CHARGE), "0", "2"),
        (Volume(TIERS), "10", "12"),
        (Volume(TIERS), "10.5", "5.25"),
        (Volume(TIERS, edges=Edges.WHOLE_UNITS), "10.5", "12.5"),
        (Volume(TIERS), "24", "9"),
        # packages of 10 at 3, the first 5 units free
        (Package(F(3), F(10), F(5)), "5", "0"),
        (Package(F(3), F(10), F(5)), "5.01", "3"),
        (Package(F(3), F(10), F(5)), "15", "3"),
        (Package(F(3), F(10), F(5)), "16", "6"),
        # a percentage in tiers
        (GraduatedPercentage((PercentTier(F(100), F(2), F(1)), PercentTier(None, F(1)))), "150", "3.5"),
        # two blocks of 5 at 1, then blocks of 10 at 1.5
        (TieredBlocks((BlockTier(F(5), F(1), 2), BlockTier(F(10), F("1.5")))), "10", "2"),
        (TieredBlocks((BlockTier(F(5), F(1), 2), BlockTier(F(10), F("1.5")))), "10.1", "3.5"),
        (TieredBlocks((BlockTier(F(5), F(1), 2), BlockTier(F(10), F("1.5"))), BlockMode.TOP_TIER), "10", "2"),
        (TieredBlocks((BlockTier(F(5), F(1), 2), BlockTier(F(10), F("1.5"))), BlockMode.TOP_TIER), "10.1", "3"),
        (TieredBlocks((BlockTier(F(5), F(1), 2),)), "50", "10"),
        (TieredBlocks((BlockTier(F(5), F(1), 2),), beyond=Beyond.UNBILLED), "50", "2"),
        # capacity: up to 100 for 10, else 30
        (Capacity((CapacityTier((("", F(100)),), F(10)), CapacityTier((), F(30)))), "100", "10"),
        (Capacity((CapacityTier((("", F(100)),), F(10)), CapacityTier((), F(30)))), "100.1", "30"),
        (PerUnit(F("0.012")), "1000.5", "12.006"),
    ],
)
def test_amounts(model: PriceModel, quantity: str, amount: str) -> None:
    assert price(model, F(quantity)) == F(amount)


def test_percentage_free_part_ends_with_the_first_bound_used_up() -> None:
    events = [F(50), F(100), F(250), F(400)]
    cases = [
        (Percentage(F(2), F(1)), 800, 4),
        (Percentage(F(2), F(1), free_events=3), 400, 1),
        (Percentage(F(2), F(1), free_amount=F(250)), 550, 2),
        (Percentage(F(2), F(1), free_events=3, free_amount=F(250)), 550, 2),
        (Percentage(F(2), F(1), free_events=3, free_amount=F(500)), 400, 1),
        (Percentage(F(2), F(1), free_events=9), 0, 0),
        (Percentage(F(2), F(1), free_amount=F(800)), 0, 0),
    ]
    for model, paid, paid_events in cases:
        amount = price(model, Use(sum(events, F(0)), events=events))
        assert amount == F(paid) * 2 / 100 + paid_events, model
        told = Use(sum(events, F(0)), event_count=4, running_totals=list(accumulate(events)))
        assert price(model, told) == amount, model


def test_percentage_bounds_hold_for_each_event() -> None:
    model = Percentage(F("2.99"), event_minimum=F("1.75"), event_maximum=F(12))
    assert price(model, Use(F(10090), events=[F(10), F(80), F(10000)])) == F("1.75") + F("2.392") + 12


@pytest.mark.parametrize(
    ("model", "use", "said"),
    [
        (Percentage(F(1), F(1)), Use(F(5)), "needs the number of events"),
        (Percentage(F(1), free_events=2), Use(F(5)), "needs the number of events"),
        (Percentage(F(1), free_events=2), Use(F(5), event_count=3), "running totals of that many"),
        (Percentage(F(1), event_maximum=F(2)), Use(F(5)), "needs the amount of each event"),
        (Dynamic(), Use(F(5)), "amounts that the events brought"),
    ],
)
def test_a_use_that_cannot_be_priced_says_what_is_missing(model: PriceModel, use: Use, said: str) -> None:
    with pytest.raises(RatingError, match=said):
        price(model, use)


def test_a_volume_tier_may_be_chosen_by_the_whole_units() -> None:
    assert price(Volume(TIERS), Use(F("12.4"), tier_by=F(24))) == F("12.4") / 4 + 3


def test_capacity_takes_the_lowest_tier_that_every_peak_fits() -> None:
    model = Capacity((CapacityTier((("cpu", F(4)), ("GB", F(16))), F(20)), CapacityTier((), F(50))))
    assert price(model, Use(F(1), peaks={"cpu": F(4), "GB": F(16)})) == 20
    assert price(model, Use(F(1), peaks={"cpu": F(2), "GB": F(17)})) == 50


def test_nothing_used_brings_nothing_along() -> None:
    assert price(Dynamic(), Use(F(0), brought=F(12))) == 0
    assert price(Dynamic(), Use(F(3), brought=F(12))) == 12


@settings(max_examples=75, deadline=None)
@given(some.by_quantity, some.quantities)
def test_what_is_explained_is_what_is_charged(model: PriceModel, quantity: F) -> None:
    sheet = Sheet()
    sheet.fact("quantity", quantity, "GB")
    amount = price(model, quantity, sheet, unit="GB", currency="EUR")
    again = Explanation.from_json(sheet.freeze("x").to_json()).recompute()
    assert again["amount"] == amount
    assert amount >= 0


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(some.per_unit, some.graduated(edges=Edges.CONTINUOUS), some.packages, some.graduated_percentage()),
    some.quantities,
    some.quantities,
)
def test_more_never_costs_less(model: PriceModel, one: F, other: F) -> None:
    if isinstance(model, GraduatedPercentage):
        assume(model.edges is Edges.CONTINUOUS)
    low, high = sorted((one, other))
    assert price(model, low) <= price(model, high)


@settings(max_examples=40, deadline=None)
@given(some.graduated(flats=False, edges=Edges.CONTINUOUS), st.integers(1, 10**9))
def test_graduated_prices_do_not_jump_at_edges(model: Graduated, fineness: int) -> None:
    for tier, above in zip(model.tiers, model.tiers[1:], strict=False):
        assert tier.up_to is not None
        width = F(1) if above.up_to is None else above.up_to - tier.up_to
        step = min(F(1, fineness), width)  # within the next tier: beyond it another price holds
        assert price(model, tier.up_to + step) - price(model, tier.up_to) <= step * above.unit_price


@settings(max_examples=40, deadline=None)
@given(some.graduated(flats=False, edges=Edges.CONTINUOUS), some.quantities)
def test_tiers_add_up_to_the_amount_and_their_parts_to_the_quantity(model: Graduated, quantity: F) -> None:
    assume(quantity > 0)
    sheet = Sheet()
    sheet.fact("quantity", quantity)
    amount = price(model, quantity, sheet)
    steps = {step.name: F(step.result) for step in sheet.steps}
    assert sum(value for name, value in steps.items() if name.endswith(" part")) == quantity
    assert sum(value for name, value in steps.items() if name.startswith("tier") and name[-1].isdigit()) == amount


@settings(max_examples=30, deadline=None)
@given(some.graduated(edges=Edges.CONTINUOUS), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_changes_that_last_the_whole_period_cost_what_their_sum_costs(model: Graduated, units: list[int]) -> None:
    whole = [(F(one), F(one)) for one in units]
    assert price_changes(model, whole) == price(model, F(sum(units)))


def test_changes_leave_the_tiers_they_were_in() -> None:
    model = Graduated((Tier(F(5), F(10), F(100)), Tier(None, F(5), F(50))))
    there = [(F(5), F(5)), (F(3), F("1.5"))]
    assert price_changes(model, there) == 100 + 50 + 50 + F("7.5")
    assert price_changes(model, [*there, (F(-3), F("-1.5"))]) == 100 + 50 + 50
    assert price_changes(model, [(F(5), F(5)), (F(-100), F(-30))]) == 0
    assert price_changes(model, []) == 0
    assert price_changes(Graduated(model.tiers, CHARGE), []) == 100
