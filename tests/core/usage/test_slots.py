"""Jittered polls become slots; totals stay exact, no false gap, no doubled slot."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.terms import GapPolicy
from coulance_core.kernel import Period, anchored_period, unit
from coulance_core.usage.counters import CounterPolicy, Deltas, Flag, checked_deltas, to_deltas
from coulance_core.usage.samples import SamplesError
from coulance_core.usage.slots import Grid, civil_hours, expected_slots, grid_of, rate_factor, rates_to_deltas, to_slots

T0 = 1_775_001_600  # a multiple of 300


def plain(at: np.ndarray, value: list[int], start: int) -> Deltas:
    begin = np.concatenate(([start], at[:-1]))
    return Deltas(begin, at, np.array(value, np.int64), np.zeros(at.size, np.uint8), np.array([0, at.size]))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 700), st.integers(0, 2**50)), min_size=1, max_size=80),
    st.integers(-400, 400),
    st.sampled_from([60, 300, 900]),
)
def test_what_slots_hold_sums_to_what_was_used(rows: list[tuple[int, int]], shift: int, step: int) -> None:
    at = T0 + shift + np.cumsum([seconds for seconds, _ in rows])
    deltas = plain(at, [amount for _, amount in rows], T0 + shift)
    first = (T0 + shift) // step * step
    slots = to_slots(deltas, Grid(first, (int(at[-1]) - first) // step + 1, step))
    assert int(slots.value.sum()) == sum(amount for _, amount in rows)
    assert int(slots.covered.sum()) == int(at[-1]) - T0 - shift
    assert int(slots.covered.max()) <= step
    # Two neighbouring grids share it out without loss, wherever they meet.
    middle = slots.grid.count // 2
    parts = [
        to_slots(deltas, Grid(first, middle, step)),
        to_slots(deltas, Grid(first + middle * step, slots.grid.count - middle, step)),
    ]
    assert np.array_equal(np.concatenate([p.value for p in parts], axis=1), slots.value)


@settings(max_examples=30)
@given(st.lists(st.integers(299, 303), min_size=20, max_size=300), st.integers(0, 299), st.integers(1, 10**9))
def test_jitter_makes_no_false_gap_and_doubles_no_slot(seconds: list[int], phase: int, rate: int) -> None:
    """A steady rate polled at 299 to 303 seconds shows the same amount in every slot, drift or not."""
    at = T0 + phase + np.concatenate(([0], np.cumsum(seconds)))
    raw = rate * (at - at[0])
    deltas = to_deltas(at, raw, CounterPolicy(64))
    first = -(-int(at[0]) // 300) * 300
    slots = to_slots(deltas, Grid(first, (int(at[-1]) - first) // 300, 300))
    assert bool(slots.seen.all())
    assert bool((abs(slots.value - rate * 300) <= 1).all())  # a unit may round into the neighbour, none is lost


@settings(max_examples=40)
@given(st.integers(0, 2**61), st.integers(451, 40_000), st.integers(0, 299))
def test_a_spread_gap_sums_exactly_and_is_even(total: int, seconds: int, phase: int) -> None:
    at = np.array([T0 + phase, T0 + phase + seconds])
    deltas = to_deltas(at, np.array([0, total]), CounterPolicy(64, gap=GapPolicy.SPREAD))
    count = (phase + seconds) // 300 + 1
    slots = to_slots(deltas, Grid(T0, count, 300))
    assert int(slots.value.sum()) == total
    whole = slots.value[0, 1 : count - 1]
    if whole.size:
        assert int(whole.max()) - int(whole.min()) <= 1
    assert not slots.seen.any()
    assert bool(slots.present[0, 1 : count - 1].all())
    assert bool((slots.flags[0, :1] == (Flag.GAP | Flag.SPREAD)).all())


def test_polls_on_the_grid_fall_into_their_slot_whole_and_missing_ones_are_missing() -> None:
    at = T0 + 300 * np.array([1, 2, 5])
    slots = to_slots(checked_deltas(at, np.array([7, 8, 9]), CounterPolicy()), Grid(T0, 6, 300))
    assert slots.value.tolist() == [[7, 8, 0, 0, 9, 0]]
    assert slots.seen.tolist() == [[True, True, False, False, True, False]]


def test_many_series_share_no_slots() -> None:
    at = T0 + np.array([300, 600, 301, 605])
    deltas = checked_deltas(at, np.array([1, 2, 10, 20]), CounterPolicy(), offsets=np.array([0, 2, 2, 4]))
    slots = to_slots(deltas, Grid(T0, 3, 300))
    assert slots.value.sum(axis=1).tolist() == [3, 0, 30]


AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(("month", "slots"), [(1, 8928), (2, 8064), (3, 8916), (4, 8640), (10, 8940), (11, 8640)])
def test_expected_slots_follow_the_contracts_civil_month(month: int, slots: int) -> None:
    assert expected_slots(anchored_period(2026, month, 1, AMSTERDAM), 300) == slots


def test_expected_slots_of_a_leap_february_and_of_a_part() -> None:
    assert expected_slots(anchored_period(2028, 2, 1, AMSTERDAM), 300) == 8352
    start = datetime(2005, 6, 7, 7, tzinfo=UTC)
    assert expected_slots(Period(start, datetime(2005, 7, 1, tzinfo=UTC)), 300) == 6828


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True), st.sampled_from([60, 300, 3600]))
def test_periods_that_meet_share_their_slots_out(cuts: list[int], step: int) -> None:
    cuts.sort()
    instants = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=c) for c in cuts]
    parts = [grid_of(Period(a, b), step) for a, b in pairwise(instants)]
    whole = grid_of(Period(instants[0], instants[-1]), step)
    assert sum(part.count for part in parts) == whole.count
    assert parts[0].first == whole.first
    assert parts[-1].end == whole.end


def test_a_slot_lasts_at_least_a_second() -> None:
    with pytest.raises(SamplesError, match="at least a second"):
        grid_of(anchored_period(2026, 1, 1, AMSTERDAM), 0)


def test_rates_times_seconds_and_a_gap_that_is_not_invented() -> None:
    deltas = rates_to_deltas(np.array([300, 603, 1800]), np.array([10, 10, 10]), interval_s=300, gap_after_s=450)
    assert deltas.value.tolist() == [3000, 3030, 3000]
    assert deltas.start.tolist() == [0, 300, 1500]


def test_bytes_a_slot_become_megabits_a_second() -> None:
    assert rate_factor(unit("B"), unit("Mbit/s"), 0, 300) == Fraction(8, 300 * 10**6)
    assert rate_factor(unit("kB"), unit("GB"), 3, 300) == Fraction(1, 10**9)


def test_civil_hours_know_the_clock_changes() -> None:
    # 25 October 2026: 02:00 to 03:00 happens twice in Amsterdam.
    night = int(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp())
    hours = civil_hours(night + 3600 * np.arange(6), AMSTERDAM) % 24
    assert hours.tolist() == [0, 1, 2, 2, 3, 4]
