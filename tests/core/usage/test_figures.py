"""Figures of a period: every aggregation against brute force, many against one, and each explanation recomputed."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.catalog.terms import (
    Aggregation,
    Direction,
    GapPolicy,
    Measure,
    Meter,
    MeterKind,
    MissingSamples,
    PercentileTerms,
    Proration,
    RankConvention,
    ResetPolicy,
    RunBy,
)
from coulance_core.kernel import Period, Rounding, anchored_period, unit
from coulance_core.usage import aggregate
from coulance_core.usage.aggregate import figure, figures_by_period, figures_many
from coulance_core.usage.estimate import lower_median
from coulance_core.usage.figures import UsageFigure
from coulance_core.usage.samples import Samples, SamplesError

UTC_ZONE = ZoneInfo("UTC")
START = datetime(2026, 4, 6, tzinfo=UTC)  # a Monday
T0 = int(START.timestamp())
HOUR = Period(START, START + timedelta(hours=1))
DAY = Period(START, START + timedelta(days=1))

TRANSFER = Meter("transfer", "Transfer", MeterKind.DELTA, unit("B"))
COUNTER = Meter("port", "Port", MeterKind.COUNTER, unit("B"), counter_bits=64, gap=GapPolicy.SPREAD)
STORAGE = Meter("storage", "Storage", MeterKind.GAUGE, unit("GB"), interval_s=3600)
SEATS = Meter("seats", "Seats", MeterKind.DELTA, unit("seat"))


def total(direction: Direction = Direction.OUT, in_unit: str = "B", **more: Any) -> Measure:
    return Measure("transfer", Aggregation.SUM, unit(in_unit), direction, **more)


def p95(direction: Direction, **terms: Any) -> Measure:
    return Measure("port", Aggregation.PERCENTILE, unit("bit/s"), direction, PercentileTerms(**terms))


def checked(one: UsageFigure) -> UsageFigure:
    """The figure, after its explanation was recomputed, survived JSON, and came to the same quantity."""
    assert one.explanation.recompute()["quantity"] == one.quantity
    assert type(one.explanation).from_json(one.explanation.to_json()) == one.explanation
    return one


def slots(values_in: list[int], values_out: list[int]) -> Samples:
    at = T0 + 300 * np.arange(1, len(values_in) + 1)
    return Samples.one(at, values_in, values_out)


IN, OUT = [10, 40, 20, 30] * 3, [50, 5, 60, 8] * 3


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (Direction.OUT, sum(OUT)),
        (Direction.IN, sum(IN)),
        (Direction.BOTH, sum(IN) + sum(OUT)),
        (Direction.SUM_OF_BOTH, sum(IN) + sum(OUT)),
        (Direction.GREATER, max(sum(IN), sum(OUT))),
        (Direction.SAMPLE_MAX, sum(map(max, IN, OUT))),
    ],
)
def test_sums_by_direction(direction: Direction, expected: int) -> None:
    one = checked(figure(total(direction), TRANSFER, slots(IN, OUT), HOUR, UTC_ZONE))
    assert one.quantity == expected
    assert (one.expected, one.seen, one.n, one.flags) == (12, 12, 12, {})


def take(values: list[int]) -> int:
    return sorted(values)[-1 - len(values) * 5 // 100]


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (Direction.OUT, take(OUT * 4)),
        (Direction.IN, take(IN * 4)),
        (Direction.BOTH, take([a + b for a, b in zip(IN, OUT, strict=True)] * 4)),
        (Direction.SUM_OF_BOTH, take(IN * 4) + take(OUT * 4)),
        (Direction.GREATER, max(take(IN * 4), take(OUT * 4))),
        (Direction.SAMPLE_MAX, take(list(map(max, IN, OUT)) * 4)),
    ],
)
def test_percentiles_by_direction(direction: Direction, expected: int) -> None:
    period = Period(START, START + timedelta(hours=4))
    meter = Meter("port", "Port", MeterKind.DELTA, unit("B"))
    one = checked(figure(p95(direction), meter, slots(IN * 4, OUT * 4), period, UTC_ZONE))
    assert one.quantity == Fraction(expected * 8, 300)
    assert one.percentile is not None
    assert (one.percentile.rank.n, one.percentile.rank.ascending, one.percentile.rank.dropped) == (48, 46, 2)
    sides = (one.percentile.value_in, one.percentile.value_out)
    if direction in (Direction.GREATER, Direction.SUM_OF_BOTH):
        assert sides == (Fraction(take(IN * 4) * 8, 300), Fraction(take(OUT * 4) * 8, 300))


def test_peak_is_the_highest_slot() -> None:
    meter = Meter("port", "Port", MeterKind.DELTA, unit("B"))
    measure = Measure("port", Aggregation.PEAK, unit("Mbit/s"), Direction.BOTH)
    one = checked(figure(measure, meter, slots(IN, OUT), HOUR, UTC_ZONE))
    assert one.quantity == Fraction(80 * 8, 300 * 10**6)


def test_a_sample_stamped_at_the_start_belongs_to_the_period_before() -> None:
    samples = Samples.one(T0 + 3600 * np.array([0, 1, 2]), [1, 10, 100])
    meter = Meter("m", "M", MeterKind.DELTA, unit("1"), interval_s=3600)
    measure = Measure("m", Aggregation.SUM, unit("1"))
    hours = [Period(START + timedelta(hours=h), START + timedelta(hours=h + 1)) for h in (-1, 0, 1)]
    assert [f.quantity for f in figures_by_period(measure, meter, samples, hours, UTC_ZONE)] == [1, 10, 100]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 10**9)), min_size=1, max_size=60),
    st.lists(st.integers(-500, 20_000), max_size=4, unique=True),
    st.booleans(),
)
def test_sub_periods_add_up_exactly(rows: list[tuple[int, int]], cuts: list[int], counter: bool) -> None:
    """However a month is cut (a plan changed), the parts' sums are the whole's, jitter and spread gaps included."""
    at = T0 + np.cumsum([s for s, _ in rows])
    amounts = np.array([v for _, v in rows], np.int64)
    samples = Samples.one(at, np.zeros_like(at), np.cumsum(amounts) if counter else amounts)
    meter = COUNTER if counter else TRANSFER
    measure = Measure(meter.key, Aggregation.SUM, unit("B"))
    edges = sorted({-500, 60_000, *cuts})
    instants = [START + timedelta(seconds=e) for e in edges]
    parts = [Period(a, b) for a, b in pairwise(instants)]
    whole = checked(figure(measure, meter, samples, Period(instants[0], instants[-1]), UTC_ZONE))
    assert sum(f.quantity for f in figures_by_period(measure, meter, samples, parts, UTC_ZONE)) == whole.quantity
    assert whole.quantity == (int(amounts[1:].sum()) if counter else int(amounts.sum()))


series_sets = st.lists(
    st.lists(st.tuples(st.integers(200, 700), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=25),
    min_size=1,
    max_size=6,
)
MEASURES = [
    (TRANSFER, total(Direction.GREATER)),
    (COUNTER, Measure("port", Aggregation.SUM, unit("kB"), Direction.BOTH)),
    (COUNTER, p95(Direction.OUT, missing=MissingSamples.AVERAGED)),
    (COUNTER, p95(Direction.SAMPLE_MAX, rank=RankConvention.INTERPOLATED, missing=MissingSamples.DROPPED)),
    (COUNTER, p95(Direction.GREATER, rank=RankConvention.LIBRENMS)),
    (COUNTER, Measure("port", Aggregation.PEAK, unit("bit/s"), Direction.IN)),
    (
        Meter("c", "C", MeterKind.DELTA, unit("B"), run_by=RunBy.CUSTOMER, gap=GapPolicy.SAME_HOUR_MEDIAN),
        Measure("c", Aggregation.SUM, unit("B"), Direction.GREATER),
    ),
    (STORAGE, Measure("storage", Aggregation.TIME_WEIGHTED, unit("GB-h"))),
    (STORAGE, Measure("storage", Aggregation.LAST, unit("GB"))),
    (STORAGE, Measure("storage", Aggregation.PEAK, unit("MB"))),
    (SEATS, Measure("seats", Aggregation.UNIQUE_COUNT, unit("seat"))),
]


@pytest.mark.parametrize(("meter", "measure"), MEASURES)
@settings(max_examples=15)
@given(data=series_sets, owned=st.booleans())
def test_many_at_once_equal_each_alone(
    meter: Meter, measure: Measure, data: list[list[tuple[int, int, int]]], owned: bool
) -> None:
    def columns(which: list[int]) -> Samples:
        picked = [data[i] for i in which]
        at = [T0 - 600 + np.cumsum([s for s, _, _ in rows], dtype=np.int64) for rows in picked]
        v_in = [np.array([a for _, a, _ in rows], np.int64) for rows in picked]
        v_out = [np.array([b for _, _, b in rows], np.int64) for rows in picked]
        offsets = np.concatenate(([0], np.cumsum([len(rows) for rows in picked]))).astype(np.int64)
        if meter.kind is MeterKind.COUNTER:
            v_in, v_out = [np.cumsum(v) for v in v_in], [np.cumsum(v) for v in v_out]
        if measure.aggregation is Aggregation.UNIQUE_COUNT:
            v_in, v_out = [v % 3 for v in v_in], [v % 2 * 2 - 1 for v in v_out]
        empty = np.zeros(0, np.int64)
        return Samples(*(np.concatenate([empty, *c]) for c in (at, v_in, v_out)), offsets)

    owners = [i // 2 for i in range(len(data))] if owned else list(range(len(data)))
    everything = columns(list(range(len(data))))
    many = figures_many(measure, meter, everything, HOUR, UTC_ZONE, owners=np.array(owners, np.int64))
    with patch.object(aggregate, "_PIECE", 20):
        assert many == figures_many(measure, meter, everything, HOUR, UTC_ZONE, owners=np.array(owners, np.int64))
    assert len(many) == max(owners) + 1
    for i, got in enumerate(many):
        mine = columns([s for s, owner in enumerate(owners) if owner == i])
        assert checked(got) == figure(measure, meter, mine, HOUR, UTC_ZONE)
        assert 0 <= got.seen <= got.expected or got.expected == 0


def test_owners_in_any_order_come_to_the_same() -> None:
    at = T0 + 300 * np.arange(1, 13)
    samples = Samples.of_rows(np.repeat([0, 1, 2], 12), np.tile(at, 3), np.zeros(36, np.int64), np.arange(36))
    mixed = figures_many(total(), TRANSFER, samples, HOUR, UTC_ZONE, owners=np.array([1, 0, 1]))
    with patch.object(aggregate, "_PIECE", 5):
        assert figures_many(total(), TRANSFER, samples, HOUR, UTC_ZONE, owners=np.array([1, 0, 1])) == mixed
    assert [f.quantity for f in mixed] == [sum(range(12, 24)), sum(range(12)) + sum(range(24, 36))]
    assert [f.expected for f in mixed] == [12, 24]


def test_a_service_without_series_is_seen_nowhere() -> None:
    nothing = Samples.of_rows([], [], [], [], count=0)
    for meter, measure in MEASURES:
        one = figures_many(measure, meter, nothing, HOUR, UTC_ZONE, count=2)[1]
        assert (checked(one).quantity, one.seen) == (0, 0)


@pytest.mark.parametrize("seconds", [0, 100])
@pytest.mark.parametrize(("meter", "measure"), MEASURES)
def test_a_period_shorter_than_a_slot_expects_nothing(meter: Meter, measure: Measure, seconds: int) -> None:
    moment = START + timedelta(seconds=50)
    samples = Samples.one(T0 + 300 * np.arange(-3, 4), np.arange(7), np.arange(7) % 2)
    one = checked(figure(measure, meter, samples, Period(moment, moment + timedelta(seconds=seconds)), UTC_ZONE))
    assert (one.expected, one.seen, one.coverage) == (0, 0, 1)


def test_a_partial_service_period_expects_its_own_slots_only() -> None:
    part = Period(START + timedelta(minutes=30), START + timedelta(hours=1))
    measure = p95(Direction.OUT, missing=MissingSamples.LOWEST)
    meter = Meter("port", "Port", MeterKind.DELTA, unit("B"))
    one = figure(measure, meter, slots([0] * 12, OUT), part, UTC_ZONE)
    assert (one.expected, one.seen, one.n) == (6, 6, 6)
    assert one.quantity == Fraction(60 * 8, 300)


def test_missing_samples_by_policy() -> None:
    """Twenty slots, four of them never polled, and a counter that shows what went through meanwhile."""
    at = T0 + 300 * np.array([0, *range(1, 11), *range(15, 21)])
    used = [100] * 8 + [900, 800] + [50 * 5] + [700] * 5
    samples = Samples.one(at, np.zeros(17, np.int64), np.concatenate(([0], np.cumsum(used))))
    period = Period(START, START + timedelta(minutes=100))

    def top(missing: MissingSamples, gap: GapPolicy, p: int = 95) -> tuple[Fraction, int, int]:
        meter = Meter("port", "Port", MeterKind.COUNTER, unit("B"), counter_bits=64, gap=gap)
        one = checked(figure(p95(Direction.OUT, p=Fraction(p), missing=missing), meter, samples, period, UTC_ZONE))
        return one.quantity * 300 / 8, one.n, one.seen

    # spread: all twenty known, one dropped. zero: the gap's five slots are unknown.
    assert top(MissingSamples.LOWEST, GapPolicy.SPREAD) == (800, 20, 15)
    assert top(MissingSamples.LOWEST, GapPolicy.ZERO) == (800, 20, 15)
    assert top(MissingSamples.DROPPED, GapPolicy.ZERO) == (900, 15, 15)
    assert top(MissingSamples.AVERAGED, GapPolicy.SPREAD, 5) == (50, 16, 15)
    assert top(MissingSamples.LOWEST, GapPolicy.SPREAD, 5) == (50, 20, 15)
    assert top(MissingSamples.LOWEST, GapPolicy.ZERO, 5) == (0, 20, 15)


def test_flags_and_coverage_print_with_the_figure() -> None:
    at = T0 + 300 * np.array([0, 1, 2, 6, 7, 8, 9, 10, 11, 12])
    raw = np.array([100, 200, 300, 900, 1000, 1100, 5, 105, 205, 305])
    meter = Meter(
        "port",
        "Port",
        MeterKind.COUNTER,
        unit("B"),
        counter_bits=64,
        gap=GapPolicy.SPREAD,
        reset=ResetPolicy.SINCE_ZERO,
    )
    one = checked(
        figure(Measure("port", Aggregation.SUM, unit("B"), Direction.IN), meter, Samples.one(at, raw), HOUR, UTC_ZONE)
    )
    assert one.quantity == 200 + 600 + 200 + 5 + 300
    assert (one.expected, one.seen) == (12, 8)
    assert one.flags == {"reset": 1, "gap": 1, "spread": 1}
    assert "intervals_reset = 1" in one.explanation.render()
    assert one.coverage == Fraction(2, 3)


def test_rounding_to_a_step_is_explained() -> None:
    measure = total(in_unit="GB", round_step=Fraction(1, 2), round_rule=Rounding.UP)
    one = checked(figure(measure, TRANSFER, slots([0], [1_200_000_000]), HOUR, UTC_ZONE, terms="vps@2026-01-01"))
    assert one.quantity == Fraction(3, 2)
    assert one.explanation.terms == "vps@2026-01-01"
    assert "steps = steps_exact rounded up to 0 decimals = 3" in one.explanation.render()


def test_scaled_integers_are_unscaled() -> None:
    meter = Meter("transfer", "T", MeterKind.DELTA, unit("kB"), 3)
    assert figure(total(in_unit="B"), meter, slots([0], [2_500]), HOUR, UTC_ZONE).quantity == 2_500


# --- gauges


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 9000), st.integers(0, 2**50)), min_size=1, max_size=12),
    st.integers(-20_000, 20_000),
)
def test_time_weighted_equals_second_by_second(rows: list[tuple[int, int]], shift: int) -> None:
    meter = Meter("storage", "Storage", MeterKind.GAUGE, unit("B"), interval_s=300)
    at = T0 + shift + np.cumsum([s for s, _ in rows])
    level = [v for _, v in rows]
    one = checked(
        figure(
            Measure("storage", Aggregation.TIME_WEIGHTED, unit("B-s")), meter, Samples.one(at, level), HOUR, UTC_ZONE
        )
    )
    area = known = 0
    for second in range(T0, T0 + 3600):
        place = int(np.searchsorted(at, second, side="right")) - 1
        if place >= 0 and second - at[place] < 12 * 300:
            area += level[place]
            known += 1
    assert one.quantity == area
    assert one.seen == min((known + 150) // 300, 12)


def test_average_storage_and_running_hours() -> None:
    gauge = Samples.one(T0 + 3600 * np.array([-1, 6, 12, 18]), [100, 300, 200, 0])
    average = Measure("storage", Aggregation.TIME_WEIGHTED, unit("GB"))
    held = Measure("storage", Aggregation.TIME_WEIGHTED, unit("GB-h"))
    assert checked(figure(held, STORAGE, gauge, DAY, UTC_ZONE)).quantity == 6 * (100 + 300 + 200)
    assert checked(figure(average, STORAGE, gauge, DAY, UTC_ZONE)).quantity == 150
    machines = Meter("vm", "VM", MeterKind.GAUGE, unit("instance"), interval_s=3600)
    hours = Measure("vm", Aggregation.TIME_WEIGHTED, unit("h"))
    assert checked(figure(hours, machines, gauge, DAY, UTC_ZONE)).quantity == 3600


def test_a_level_grows_stale_and_then_counts_nothing() -> None:
    gauge = Samples.one([T0], [100])
    measure = Measure("storage", Aggregation.TIME_WEIGHTED, unit("GB-h"))
    two_days = Period(START, START + timedelta(days=2))
    one = checked(figure(measure, STORAGE, gauge, two_days, UTC_ZONE))
    assert (one.quantity, one.seen, one.expected) == (1200, 12, 48)
    assert one.flags == {"gap": 36, "unknown": 36}


def test_last_and_peak_of_levels_carried_in() -> None:
    last = Measure("storage", Aggregation.LAST, unit("GB"))
    peak = Measure("storage", Aggregation.PEAK, unit("GB"))
    gauge = Samples.one(T0 + 3600 * np.array([-1, 5, 24]), [100, 40, 900])
    assert checked(figure(last, STORAGE, gauge, DAY, UTC_ZONE)).quantity == 40
    assert checked(figure(peak, STORAGE, gauge, DAY, UTC_ZONE)).quantity == 100
    forgotten = Samples.one([T0 - 30 * 3600], [100])
    one = checked(figure(last, STORAGE, forgotten, DAY, UTC_ZONE))
    assert one.quantity == 0
    assert one.notes == ("no reading in the period: counted as 0",)


def test_the_peak_of_two_volumes_is_of_their_sum_at_one_instant() -> None:
    both = Samples.of_rows([0, 0, 1, 1], [T0, T0 + 7200, T0, T0 + 7200], [70, 10, 5, 60], [0, 0, 0, 0])
    peak = Measure("storage", Aggregation.PEAK, unit("GB"))
    assert figure(peak, STORAGE, both, DAY, UTC_ZONE).quantity == 75


# --- things that come and go


def test_unique_items_by_every_proration() -> None:
    day = 86400
    april = anchored_period(2026, 4, 1, ZoneInfo("Europe/Amsterdam"))
    first = int(april.start.timestamp())
    # One seat all along, one from the 11th at noon, one that left before, one gone and back on one day.
    at = first + np.array([-6 * day, -5 * day, -day, 10 * day + 43200, 20 * day, 20 * day + 60, 20 * day + 120])
    item = np.array([1, 3, 3, 2, 4, 4, 4])
    change = np.array([1, 1, -1, 1, 1, -1, 1])
    samples = Samples.one(at, item, change)
    measure = Measure("seats", Aggregation.UNIQUE_COUNT, unit("seat"))

    def seats(items: Proration) -> Fraction:
        one = figure(measure, SEATS, samples, april, ZoneInfo("Europe/Amsterdam"), items=items)
        return checked(one).quantity

    assert seats(Proration.NONE) == 3
    assert seats(Proration.CALENDAR_DAYS) == Fraction(30 + 20 + 10, 30)
    assert seats(Proration.FIXED_30) == 2
    assert seats(Proration.SECONDS) == Fraction(30 * day + 19 * day + 43200 + 10 * day - 60, 30 * day)


# --- estimates


OWN = Meter("own", "Own meter", MeterKind.DELTA, unit("B"), run_by=RunBy.CUSTOMER, gap=GapPolicy.SAME_HOUR_MEDIAN)


def test_a_customers_own_gap_is_their_own_same_hour_median() -> None:
    """Two weeks of a daily rhythm, then a Monday on which ten to eleven o'clock was not metered."""
    at = T0 + 300 * np.arange(-14 * 288 + 1, 289)
    hour = (at - 300) % 86400 // 3600
    weekday = (at - 300 - T0) // 86400 % 7
    value = 1000 * hour + np.where(weekday == 0, 7, 0)
    keep = ~((at > T0 + 10 * 3600) & (at <= T0 + 11 * 3600))
    samples = Samples.one(at[keep], np.zeros(int(keep.sum()), np.int64), value[keep])
    measure = Measure("own", Aggregation.SUM, unit("B"))
    one = checked(figure(measure, OWN, samples, DAY, UTC_ZONE))
    inside = (at > T0) & keep
    assert one.estimated == 12 * 10_007  # Mondays at ten, not any day at ten
    assert one.quantity == int(value[inside].sum()) + one.estimated
    assert (one.seen, one.expected, one.flags) == (276, 288, {"gap": 12, "estimated": 12})
    assert "estimated = 120084 B [contestable]" in one.explanation.render()
    # The future must not change it: with the rest of the week seen, the estimate is the same.
    burst = Measure("own", Aggregation.PERCENTILE, unit("B/s"), Direction.OUT, PercentileTerms(p=Fraction(100)))
    assert figure(burst, OWN, samples, DAY, UTC_ZONE).quantity == Fraction(23_007, 300)


def test_a_gap_is_either_one_averaged_sample_or_estimated_slots_never_both() -> None:
    at = T0 + 300 * np.array([*range(-288, 5), *range(8, 13)])
    meter = Meter(
        "own",
        "Own",
        MeterKind.COUNTER,
        unit("B"),
        counter_bits=64,
        run_by=RunBy.CUSTOMER,
        gap=GapPolicy.SAME_HOUR_MEDIAN,
    )
    burst = Measure(
        "own", Aggregation.PERCENTILE, unit("B/s"), Direction.IN, PercentileTerms(missing=MissingSamples.AVERAGED)
    )
    one = checked(figure(burst, meter, Samples.one(at, 300 * (at - T0 + 86400)), HOUR, UTC_ZONE))
    assert (one.n, one.seen, one.quantity) == (12, 8, 300)


def test_nothing_is_invented_for_a_customer_without_a_past() -> None:
    samples = Samples.one(T0 + 300 * np.array([7, 8, 12]), np.zeros(3, np.int64), [10, 20, 30])
    one = checked(figure(Measure("own", Aggregation.SUM, unit("B")), OWN, samples, HOUR, UTC_ZONE))
    # Slots 1 to 6 have no past and stay unknown; 9 to 11 take the hour so far: the lower of 10 and 20.
    assert (one.quantity, one.estimated) == (60 + 30, 30)
    assert (one.seen, one.flags["gap"], one.flags["estimated"]) == (3, 9, 3)


@given(st.lists(st.integers(-1000, 1000), min_size=1))
def test_the_lower_median_is_a_value_that_occurred(values: list[int]) -> None:
    assert lower_median(np.array(values)) == sorted(values)[(len(values) - 1) // 2]


# --- what cannot be asked


def test_figures_that_a_meter_cannot_give_are_refused() -> None:
    with pytest.raises(SamplesError, match="levels do not sum"):
        figure(Measure("storage", Aggregation.SUM, unit("GB")), STORAGE, Samples.one([], []), DAY, UTC_ZONE)
    with pytest.raises(SamplesError, match="owners are numbers from 0 to 0"):
        figures_many(total(), TRANSFER, slots([1], [1]), DAY, UTC_ZONE, owners=np.array([3]), count=1)
    with pytest.raises(SamplesError, match="2 owners for 1 series"):
        figures_many(total(), TRANSFER, slots([1], [1]), DAY, UTC_ZONE, owners=np.array([0, 1]))
    rate = Meter("r", "R", MeterKind.GAUGE, unit("Mbit/s"))
    with pytest.raises(SamplesError, match="use in, out, both or sample_max"):
        figure(Measure("r", Aggregation.LAST, unit("Mbit/s"), Direction.GREATER), rate, slots([1], [1]), DAY, UTC_ZONE)


@pytest.mark.parametrize(
    ("at", "v_in", "message"),
    [([2, 1], [1, 1], "row 1: instants of a series must ascend: 1 follows 2"), ([1], [1, 2], "v_in has 2 rows")],
)
def test_bad_samples_say_where(at: list[int], v_in: list[int], message: str) -> None:
    with pytest.raises(SamplesError, match=message):
        Samples.one(at, v_in)
    with pytest.raises(SamplesError, match="expected whole numbers, got float64"):
        Samples.one([1], [0.5])
    with pytest.raises(SamplesError, match="offsets must ascend"):
        Samples(np.array([1]), np.array([1]), np.array([1]), np.array([0, 2]))
