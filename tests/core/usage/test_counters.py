"""Counters become deltas: exact where they can be, flagged and never too much where they can't."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.terms import GapPolicy, Meter, MeterKind, ResetPolicy
from coulance_core.kernel import unit
from coulance_core.usage.counters import CounterPolicy, Deltas, Flag, checked_deltas, flag_counts, to_deltas
from coulance_core.usage.samples import SamplesError, segment_sums
from coulance_core.usage.vendors import VendorPolicy

MBIT_100 = Fraction(12_500_000)  # bytes a second


def readings(first: int, used: list[int], bits: int) -> np.ndarray:
    """What a counter of that width shows after each interval."""
    shown, total = [first], first
    for amount in used:
        total += amount
        shown.append(total % 2**bits)
    return np.array(shown, np.uint64).view(np.int64)


def polls(seconds: list[int], start: int = 1_700_000_000) -> np.ndarray:
    return start + np.concatenate(([0], np.cumsum(seconds))).astype(np.int64)


def flags_of(deltas: Deltas) -> list[str]:
    return [Flag(f).name or "" for f in deltas.flags.tolist()]


intervals = st.lists(st.tuples(st.integers(295, 305), st.integers(0, 3_000_000_000)), min_size=1, max_size=60)


@settings(max_examples=30)
@given(intervals, st.sampled_from([32, 64]), st.integers(0, 2**64 - 1))
def test_with_uptime_every_wrap_is_exact(rows: list[tuple[int, int]], bits: int, first: int) -> None:
    """A device that vouches for having run on makes every decrease a wrap: no byte is lost, however busy the line."""
    at = polls([seconds for seconds, _ in rows])
    used = [amount for _, amount in rows]
    uptime = (4_294_900_000 + 100 * (at - at[0])) % 2**32  # passes its own 497 days on the way
    deltas = to_deltas(at, readings(first % 2**bits, used, bits), CounterPolicy(bits, MBIT_100), uptime=uptime)
    assert deltas.value.tolist() == used
    assert set(flags_of(deltas)) <= {"", "WRAP"}


@settings(max_examples=30)
@given(
    st.lists(st.integers(400_000_000, 600_000_000), min_size=3, max_size=60),
    st.sampled_from([32, 64]),
    st.integers(0, 2**64 - 1),
)
def test_without_evidence_steady_use_is_exact(used: list[int], bits: int, first: int) -> None:
    """A line that does what it did before needs no evidence: its wraps are near its recent peak."""
    at = polls([300] * len(used))
    raw = readings(first % 2**bits, [500_000_000] * 2 + used, bits)
    deltas = to_deltas(polls([300] * (len(used) + 2)), raw, CounterPolicy(bits, MBIT_100))
    assert deltas.value.tolist()[2:] == used
    assert len(at) == len(used) + 1


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 900_000_000), min_size=2, max_size=40),
    st.data(),
    st.sampled_from([32, 64]),
    st.sampled_from([ResetPolicy.UNKNOWN, ResetPolicy.SINCE_ZERO]),
)
def test_a_reset_with_evidence_never_counts_more_than_was_used(
    used: list[int], data: st.DataObject, bits: int, policy: ResetPolicy
) -> None:
    where = data.draw(st.integers(0, len(used) - 1))
    after = data.draw(st.integers(0, 299))  # seconds since the restart at the next poll
    part = used[where] * after // 300
    raw = readings(2**31, used, bits).copy()
    raw[where + 1 :] = readings(part, used[where + 1 :], bits)
    at = polls([300] * len(used))
    uptime = 10**8 + 100 * (at - at[0])
    uptime[where + 1 :] = 100 * (after + at[where + 1 :] - at[where + 1])
    deltas = to_deltas(at, raw, CounterPolicy(bits, MBIT_100, reset=policy), uptime=uptime)
    assert Flag(int(deltas.flags[where])) & Flag.RESET
    assert deltas.value[where] == (part if policy is ResetPolicy.SINCE_ZERO else 0)
    others = [i for i in range(len(used)) if i != where]
    assert [int(deltas.value[i]) for i in others] == [used[i] for i in others]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=50), st.integers(0, 2**63))
def test_a_64_bit_reset_without_evidence_is_never_a_wrap(used: list[int], first: int) -> None:
    """2^64 is out of reach: what looks like a wrap would need more than any line carries."""
    raw = readings(first, used, 64)
    raw = np.concatenate((raw, np.array([5], np.int64)))
    if raw.view(np.uint64)[-2] <= 5:
        return
    deltas = to_deltas(polls([300] * (len(used) + 1)), raw, CounterPolicy(64, MBIT_100 * 100_000))
    assert flags_of(deltas)[-1] == "RESET|UNKNOWN"
    assert deltas.value[-1] == 0


def test_an_ambiguous_decrease_far_above_the_recent_peak_is_a_reset() -> None:
    """3.0 GB in an interval fits a 100 Mbit/s line, but not a series that never passed 0.9 GB."""
    used = [800_000_000, 900_000_000, 850_000_000]
    raw = np.concatenate((readings(0, used, 32)[:-1], [266_116_596]))
    raw[2] = 1_512_406_821
    raw[1] = 700_000_000
    deltas = to_deltas(polls([300] * 3), raw, CounterPolicy(32, MBIT_100))
    assert flags_of(deltas) == ["", "", "RESET|UNKNOWN"]
    lower_bound = to_deltas(polls([300] * 3), raw, CounterPolicy(32, MBIT_100, reset=ResetPolicy.SINCE_ZERO))
    assert int(lower_bound.value[2]) == 266_116_596


def test_a_series_that_begins_with_a_wrap_is_compared_with_what_follows() -> None:
    raw = readings(4_000_000_000, [500_000_000, 400_000_000, 450_000_000], 32)
    deltas = to_deltas(polls([300] * 3), raw, CounterPolicy(32))
    assert deltas.value.tolist() == [500_000_000, 400_000_000, 450_000_000]
    assert flags_of(deltas) == ["WRAP", "", ""]


def test_a_lone_decrease_with_nothing_to_compare_needs_a_declared_rate() -> None:
    raw = readings(4_294_967_000, [1_000], 32)
    at = polls([300])
    assert flags_of(to_deltas(at, raw, CounterPolicy(32))) == ["RESET|UNKNOWN"]
    assert to_deltas(at, raw, CounterPolicy(32, MBIT_100)).value.tolist() == [1_000]
    assert flags_of(to_deltas(at, raw, CounterPolicy(32, Fraction(1)))) == ["RESET|UNKNOWN"]


def test_an_impossible_step_counts_nothing_and_neither_does_the_way_back() -> None:
    """One bogus reading: a jump no line could do, then a fall. The series goes on from the good reading after it."""
    raw = np.array([10**6, 2 * 10**6, 10**15, 3 * 10**6, 4 * 10**6])
    deltas = to_deltas(polls([300] * 4), raw, CounterPolicy(64, MBIT_100, reset=ResetPolicy.SINCE_ZERO))
    assert flags_of(deltas) == ["", "IMPOSSIBLE|UNKNOWN", "RESET|UNKNOWN", ""]
    assert deltas.value.tolist() == [10**6, 0, 0, 10**6]


def test_the_ceiling_allows_for_late_clocks_but_no_more() -> None:
    policy = CounterPolicy(64, Fraction(100))
    at = polls([300, 300])
    assert to_deltas(at, np.array([0, 33_000, 66_001]), policy).flags.tolist() == [0, Flag.IMPOSSIBLE | Flag.UNKNOWN]


def test_a_discontinuity_time_tells_a_reset_that_the_value_hides() -> None:
    """Reset and already past the old value: only the discontinuity time shows it."""
    at, raw = polls([300, 300]), np.array([1_000, 5_000, 6_000])
    broke = np.array([7, 99, 99])
    policy = CounterPolicy(64, MBIT_100, reset=ResetPolicy.SINCE_ZERO)
    deltas = to_deltas(at, raw, policy, discontinuity=broke)
    assert deltas.value.tolist() == [5_000, 1_000]
    assert flags_of(deltas) == ["RESET", ""]


def test_a_64_bit_counter_that_goes_on_with_32_bits_is_seen_by_a_device_that_ran_on() -> None:
    old, used = 7 * 2**32 + 4_294_000_000, 2_000_000
    raw = np.array([old, (old + used) % 2**32])
    at = polls([300])
    uptime = 10**6 + 100 * (at - at[0])
    policy = CounterPolicy(64, MBIT_100)
    assert flags_of(to_deltas(at, raw, policy, uptime=uptime)) == ["NARROWED"]
    assert to_deltas(at, raw, policy, uptime=uptime).value.tolist() == [used]
    assert flags_of(to_deltas(at, raw, policy)) == ["RESET|UNKNOWN"]


def test_gaps_are_spread_or_left_unknown_by_policy() -> None:
    at, raw = polls([300, 1200, 300]), np.array([0, 10, 1010, 1020])
    spread = to_deltas(at, raw, CounterPolicy(64, gap=GapPolicy.SPREAD))
    assert (spread.value.tolist(), flags_of(spread)) == ([10, 1000, 10], ["", "GAP|SPREAD", ""])
    zero = to_deltas(at, raw, CounterPolicy(64, gap=GapPolicy.ZERO))
    assert (zero.value.tolist(), flags_of(zero)) == ([10, 0, 10], ["", "GAP|UNKNOWN", ""])


def test_librenms_repeats_the_last_delta_and_we_can_show_that_it_did() -> None:
    raw = np.array([0, 700, 1_500, 20, 30, 5])
    deltas = to_deltas(polls([300] * 5), raw, CounterPolicy(64, reset=ResetPolicy.PREVIOUS_DELTA))
    assert deltas.value.tolist() == [700, 800, 800, 10, 10]
    assert flags_of(deltas)[2] == "RESET|ESTIMATED"


def test_repeating_never_reaches_into_another_series() -> None:
    at, raw = np.array([0, 300, 0, 300]), np.array([0, 700, 50, 20])
    policy = CounterPolicy(64, reset=ResetPolicy.PREVIOUS_DELTA)
    deltas = to_deltas(at, raw, policy, offsets=np.array([0, 2, 4]))
    assert deltas.value.tolist() == [700, 0]
    assert flags_of(deltas)[1] == "RESET|UNKNOWN"


def test_the_width_is_inferred_for_each_series() -> None:
    at = np.tile(polls([300, 300, 300]), 2)
    narrow = readings(3_500_000_000, [300_000_000] * 3, 32)
    wide = np.array([2**32 + 5, 2**32 + 300_000_005, 2**33, 400])
    deltas = to_deltas(at, np.concatenate((narrow, wide)), CounterPolicy(), offsets=np.array([0, 4, 8]))
    assert flags_of(deltas)[:3] == ["", "", "WRAP"]
    assert flags_of(deltas)[-1] == "RESET|UNKNOWN"


series_lists = st.lists(
    st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 2**64 - 1)), min_size=0, max_size=12),
    min_size=0,
    max_size=6,
)


@settings(max_examples=40)
@given(series_lists, st.sampled_from(list(GapPolicy)), st.sampled_from(list(ResetPolicy)), st.booleans())
def test_many_series_at_once_equal_each_alone(
    series: list[list[tuple[int, int]]], gap: GapPolicy, reset: ResetPolicy, declared: bool
) -> None:
    policy = CounterPolicy(32 if declared else None, MBIT_100 if declared else None, gap=gap, reset=reset)
    ats = [np.cumsum([s for s, _ in rows], dtype=np.int64) for rows in series]
    raws = [np.array([v % 2**33 for _, v in rows], np.uint64).view(np.int64) for rows in series]
    offsets = np.concatenate(([0], np.cumsum([len(rows) for rows in series]))).astype(np.int64)
    empty = np.zeros(0, np.int64)
    together = to_deltas(np.concatenate([empty, *ats]), np.concatenate([empty, *raws]), policy, offsets=offsets)
    for i, (at, raw) in enumerate(zip(ats, raws, strict=True)):
        alone = to_deltas(at, raw, policy)
        part = slice(int(together.offsets[i]), int(together.offsets[i + 1]))
        assert together.value[part].tolist() == alone.value.tolist()
        assert together.flags[part].tolist() == alone.flags.tolist()
        assert together.start[part].tolist() == alone.start.tolist()
    assert bool((together.value >= 0).all())
    assert bool((together.value[~together.known] == 0).all())


def test_vendor_amounts_beyond_any_line_are_impossible_here() -> None:
    """rrdtool turns a 64-bit reset into 1.8e19 bytes; as deltas of ours that is not a number to bill."""
    raw = np.array([10**15, 266_116_596])
    deltas = to_deltas(polls([300]), raw, CounterPolicy(vendor=VendorPolicy.RRDTOOL_COUNTER))
    assert flags_of(deltas) == ["IMPOSSIBLE|UNKNOWN"]
    short = to_deltas(polls([300]), np.array([4_294_967_295, 9]), CounterPolicy(vendor=VendorPolicy.RRDTOOL_COUNTER))
    assert short.value.tolist() == [9]  # truly 10: COUNTER is one short at each wrap


def test_delta_meters_are_checked_too() -> None:
    policy = CounterPolicy(max_rate=Fraction(10))
    deltas = checked_deltas(np.array([300, 600, 900, 2400]), np.array([5, -5, 10**9, 7]), policy)
    assert deltas.value.tolist() == [5, 0, 0, 7]
    assert deltas.start.tolist() == [0, 300, 600, 2100]
    assert flag_counts(deltas.flags) == {"impossible": 2, "unknown": 2}


def test_a_meters_terms_become_its_policy() -> None:
    meter = Meter("p", "P", MeterKind.COUNTER, unit("B"), 3, counter_bits=64, max_rate=Fraction(5, 2))
    policy = CounterPolicy.of(meter)
    assert (policy.bits, policy.max_rate, policy.gap_after_s) == (64, Fraction(2500), 450)


@pytest.mark.parametrize(
    ("at", "raw", "message"),
    [
        ([300, 300], [1, 2], "must ascend"),
        ([300, 600], [1], "raw has 1 rows where at has 2"),
    ],
)
def test_bad_columns_are_refused(at: list[int], raw: list[int], message: str) -> None:
    with pytest.raises(SamplesError, match=message):
        to_deltas(np.array(at), np.array(raw), CounterPolicy())


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6), max_size=5))
def test_sums_are_exact_however_great(rows: list[list[int]]) -> None:
    offsets = np.concatenate(([0], np.cumsum([len(r) for r in rows]))).astype(np.int64)
    values = np.array([v for row in rows for v in row], np.int64)
    assert segment_sums(values, offsets) == [sum(row) for row in rows]
