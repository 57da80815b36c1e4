"""From money to quantity and back: by hand, and against the price models themselves."""

from fractions import Fraction as F

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.overage.worlds import models, prices

from coulance_core.catalog.terms import (
    BlockMode,
    BlockTier,
    Capacity,
    CapacityTier,
    Dynamic,
    Edges,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    Tier,
    TieredBlocks,
    Volume,
)
from coulance_core.kernel import Money, Rounding, round_to
from coulance_core.overage.limit import (
    UnableToLimitError,
    amount_for,
    ceiling,
    most,
    net_budget,
    payable,
    quantity_for,
    reach,
)
from coulance_core.overage.terms import Limit, PriceTerms
from coulance_core.rating.models import price

TIERS = (Tier(F(100), F(1)), Tier(F(200), F(1, 2), F(10)), Tier(None, F(0), F(5)))

CASES: list[tuple[str, PriceModel, str, str | None]] = [
    # what, price, budget, reach
    ("0.10 a unit", PerUnit(F(1, 10)), "50", "500"),
    ("nothing to spend", PerUnit(F(1, 10)), "0", "0"),
    ("free", PerUnit(F(0)), "0", None),
    ("within the first tier", Graduated(TIERS), "60", "60"),
    ("the second tier's flat amount does not fit", Graduated(TIERS), "105", "100"),
    ("flat amount and a part of the second tier", Graduated(TIERS), "120", "120"),
    ("both tiers whole, the third's flat amount not", Graduated(TIERS), "162", "200"),
    ("past every price", Graduated(TIERS), "165", None),
    ("a unit begun in the tier is not half charged", Graduated(TIERS, edges=Edges.WHOLE_UNITS), "100.5", "100"),
    ("packages begun count whole", Package(F(5), F(100)), "12", "200"),
    ("free units come first", Package(F(5), F(100), F(50)), "4.99", "50"),
    ("a cheaper tier beyond the edge is not reached through a dearer one", Volume(TIERS), "80", "80"),
    ("at the edge the price falls, and on it goes", Volume(TIERS), "100", "180"),
    (
        "blocks of 10 at 3, then of 50 at 7",
        TieredBlocks((BlockTier(F(10), F(3), 2), BlockTier(F(50), F(7)))),
        "13",
        "70",
    ),
    (
        "all in blocks of the tier reached",
        TieredBlocks((BlockTier(F(10), F(3), 2), BlockTier(F(50), F(7))), BlockMode.TOP_TIER),
        "6",
        "20",
    ),
    ("5 percent of what passes through", Percentage(F(5)), "1", "20"),
    (
        "a flat price up to 10, a higher one above",
        Capacity((CapacityTier((("", F(10)),), F(5)), CapacityTier((), F(9)))),
        "8",
        "10",
    ),
]


@pytest.mark.parametrize(("model", "budget", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_reach_by_hand(model: PriceModel, budget: str, expected: str | None) -> None:
    assert reach(model, F(budget)) == (None if expected is None else F(expected))


@given(models(), st.integers(0, 400).map(lambda n: F(n, 4)), st.lists(st.integers(0, 100), max_size=8))
def test_reach_is_the_largest(model: PriceModel, budget: F, parts: list[int]) -> None:
    found = reach(model, budget)
    if found is None:
        assert ceiling(model, F(10_000)) <= budget
        return
    for part in [*parts, 100]:
        assert price(model, found * part / 100) <= budget
    if found or price(model, F(0)) <= budget:
        assert price(model, found + F(1, 10**6)) > budget


@given(models(), st.integers(0, 600).map(lambda n: F(n, 2)), st.lists(st.integers(0, 100), max_size=8))
def test_nothing_on_the_way_costs_more_than_the_ceiling(model: PriceModel, quantity: F, parts: list[int]) -> None:
    top = ceiling(model, quantity)
    assert all(price(model, quantity * part / 100) <= top for part in [*parts, 100])


@pytest.mark.parametrize("model", [Dynamic(), Percentage(F(1), fixed=F(1)), Percentage(F(1), event_maximum=F(2))])
def test_prices_by_event_have_no_reach(model: PriceModel) -> None:
    with pytest.raises(UnableToLimitError, match="set the limit as a quantity"):
        reach(model, F(5))


rates = st.sampled_from([F(0), F(6), F(9), F(19), F(20), F(21), F(55, 10), F(77, 10), F(25)])


@given(st.integers(0, 100_000), rates, st.sampled_from(["EUR", "JPY", "KWD"]))
def test_cents_of_the_invoice_stay_within_the_limit(minor: int, rate: F, code: str) -> None:
    amount = Money(minor, code)
    terms = PriceTerms("v", PerUnit(F(1)), code, rate)
    net = net_budget(amount, terms)
    digits = {"EUR": 2, "JPY": 0, "KWD": 3}[code]
    assert net == round_to(net, digits, Rounding.HALF_UP)
    for rule in Rounding:
        assert net + round_to(net * rate / 100, digits, rule) <= amount.amount
    cent = F(1, 10**digits)
    one_more = net + cent  # the most that fits: one cent more, rounded up, is too much
    assert one_more + round_to(one_more * rate / 100, digits, Rounding.CEILING) > amount.amount


@given(models(), st.integers(0, 50_000), rates, st.booleans())
def test_amount_and_quantity_are_two_sides(model: PriceModel, minor: int, rate: F, included: bool) -> None:
    amount = Money(minor, "EUR")
    terms = PriceTerms("v", model, "EUR", rate, included)
    quantity = quantity_for(amount, terms)
    if quantity is None:
        return
    assert payable(model, quantity, terms) <= amount.amount
    back = amount_for(quantity, terms)
    assert back <= amount
    again = quantity_for(back, terms)
    assert again is None or again >= quantity


@given(prices, st.integers(1, 500))
def test_fifty_payable_is_fifty_payable(unit_price: F, cents: int) -> None:
    terms = PriceTerms("v", PerUnit(unit_price + F(1, 100)), "EUR", F(21))
    amount = Money(cents, "EUR")
    quantity = quantity_for(amount, terms)
    assert quantity is not None
    net = round_to(price(terms.price, quantity), 2, Rounding.HALF_UP)
    assert net + round_to(net * F(21, 100), 2, Rounding.HALF_UP) <= amount.amount


def test_after_a_price_change_the_tighter_binds() -> None:
    limit = Limit(Money.of("50.00", "EUR"), F(500), "amount")
    old, dearer, cheaper = (
        PriceTerms(v, PerUnit(F(p)), "EUR") for v, p in [("a", "0.10"), ("b", "0.20"), ("c", "0.05")]
    )
    assert most(limit, old, "a") == 500
    assert most(limit, dearer, "a") == 250
    assert most(limit, cheaper, "a") == 500
    assert most(limit, cheaper, "c") == 1000  # confirmed: what was typed binds again


def test_a_maximum_spend_within_the_limit_sets_free() -> None:
    terms = PriceTerms("v", PerUnit(F(1, 10)), "EUR", F(21), maximum_spend=F(40))
    assert quantity_for(Money.of("48.39", "EUR"), terms) == F("399.9")
    assert quantity_for(Money.of("48.40", "EUR"), terms) is None


def test_a_limit_in_another_currency_is_refused() -> None:
    with pytest.raises(UnableToLimitError, match="GBP"):
        quantity_for(Money.of("50.00", "GBP"), PriceTerms("v", PerUnit(F(1)), "EUR"))
