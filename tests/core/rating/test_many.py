"""The kernel for many gives what exact rating gives, on every model, quantity and size."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rating import strategies as some

from coulance_core.catalog.terms import Graduated, PerUnit, PriceModel, Tier, ZeroUsageFlat
from coulance_core.kernel import Rounding
from coulance_core.kernel.rounding import round_int
from coulance_core.rating.many import PricedMany, charge_many, overage_many, price_many
from coulance_core.rating.models import price


@settings(max_examples=125, deadline=None)
@given(
    some.by_quantity,
    st.lists(st.integers(-50, 4000), min_size=1, max_size=12),
    st.sampled_from([1, 10, 7, 1000, 2**30]),
)
def test_many_equal_one_by_one(model: PriceModel, numbers: list[int], denominator: int) -> None:
    numbers = [*numbers, *(number * denominator // 10 for number in numbers)]
    many = price_many(model, np.array(numbers, dtype=np.int64), denominator)
    for i, number in enumerate(numbers):
        assert many.exact(i) == price(model, F(number, denominator)), number


@settings(max_examples=60, deadline=None)
@given(some.by_quantity, st.lists(st.integers(2**40, 2**62), min_size=1, max_size=4))
def test_where_int64_would_overflow_it_is_still_exact(model: PriceModel, numbers: list[int]) -> None:
    many = price_many(model, np.array(numbers, dtype=np.int64), 1)
    assert [many.exact(i) for i in range(len(numbers))] == [price(model, F(number)) for number in numbers]


def test_the_guard_goes_over_to_whole_numbers_of_any_size() -> None:
    model = Graduated((Tier(F(10), F(1, 10**9)), Tier(None, F(1, 10**6), F(1))))
    small = price_many(model, np.array([5, 100]), 1)
    large = price_many(model, np.array([5, 2**61]), 1)
    assert small.values.dtype == np.int64
    assert large.values.dtype == object
    assert large.exact(1) == price(model, F(2**61))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20),
    st.sampled_from([1, 3, 40, 1000, 2**30, 10**25]),
    st.sampled_from([0, 2, 3]),
    st.sampled_from(Rounding),
)
def test_rounding_many_equals_rounding_one(values: list[int], denominator: int, exponent: int, rule: Rounding) -> None:
    got = PricedMany(np.array(values, dtype=np.int64), denominator).minor(exponent, rule)
    assert [int(one) for one in got] == [round_int(F(v * 10**exponent, denominator), rule) for v in values]


def test_charging_many_is_overage_price_and_rounding_of_each() -> None:
    rng = np.random.default_rng(7)
    used, included = rng.integers(0, 10**13, 70_000), rng.integers(0, 10**13, 70_000)
    model = Graduated((Tier(F(100), F("0.1")), Tier(None, F("0.05"), F(2))), ZeroUsageFlat.CHARGE)
    got = charge_many(model, used, included, denominator=10**9, exponent=2)
    for i in (0, 1, 32_767, 32_768, 69_999):
        over = F(max(int(used[i] - included[i]), 0), 10**9)
        assert got[i] == round_int(price(model, over) * 100, Rounding.HALF_UP)
    assert overage_many(np.array([5, 5]), np.array([7, 2])).tolist() == [0, 3]


def test_amounts_beyond_int64_come_out_whole() -> None:
    model = PerUnit(F(10**12))
    got = charge_many(model, np.array([1, 2**60]), 0, denominator=1, exponent=2)
    assert [int(one) for one in got] == [10**14, 2**60 * 10**14]


def test_floats_and_no_services() -> None:
    with pytest.raises(TypeError, match="floats are not exact"):
        price_many(PerUnit(F(1)), np.array([1.5]))  # type: ignore[arg-type]
    assert price_many(PerUnit(F(1)), np.array([], dtype=np.int64)).values.tolist() == []
