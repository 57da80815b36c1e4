"""Cycles on billing days 29 to 31, of several months, and the parts that services fill."""

from datetime import date, timedelta
from fractions import Fraction as F
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.rating.scenes import AMS

from coulance_core.catalog.terms import CycleAlignment, Proration, ShortMonths
from coulance_core.rating.cycles import Cycles, LastPart, count_cycles
from coulance_core.rating.proration import day_of_360, share_of_dates

NEAREST, START_MONTH = CycleAlignment.NEAREST, CycleAlignment.START_MONTH
OWN, STICK = ShortMonths.OWN_DAY, ShortMonths.STICK


@pytest.mark.parametrize(
    ("start", "day", "months", "alignment", "short", "begins"),
    [
        ("2026-01-10", 31, 1, NEAREST, OWN, "2025-12-31 2026-01-31 2026-02-28 2026-03-31 2026-04-30"),
        ("2026-01-10", 31, 1, NEAREST, STICK, "2025-12-31 2026-01-31 2026-02-28 2026-03-28 2026-04-28"),
        ("2028-02-10", 29, 12, NEAREST, OWN, "2027-02-28 2028-02-29 2029-02-28 2030-02-28 2031-02-28"),
        ("2026-01-20", 15, 3, NEAREST, OWN, "2025-11-15 2026-02-15 2026-05-15 2026-08-15 2026-11-15"),
        ("2026-01-20", 15, 3, START_MONTH, OWN, "2026-01-15 2026-04-15 2026-07-15 2026-10-15 2027-01-15"),
        ("2026-02-14", 31, 1, START_MONTH, STICK, "2026-01-28 2026-02-28 2026-03-28 2026-04-28 2026-05-28"),
    ],
)
def test_where_cycles_begin(
    start: str, day: int, months: int, alignment: CycleAlignment, short: ShortMonths, begins: str
) -> None:
    cycles = Cycles.aligned(date.fromisoformat(start), day, months, alignment, short)
    assert " ".join(cycles.begins(k).isoformat() for k in range(-1, 4)) == begins


@settings(max_examples=75, deadline=None)
@given(
    st.dates(date(2020, 1, 1), date(2032, 12, 31)),
    st.integers(1, 31),
    st.sampled_from([1, 3, 6, 12]),
    st.sampled_from(CycleAlignment),
    st.sampled_from(ShortMonths),
    st.integers(1, 900),
    st.integers(-30, 900),
)
def test_parts_cover_the_service_once_in_order(
    start: date, day: int, months: int, alignment: CycleAlignment, short: ShortMonths, length: int, later: int
) -> None:
    cycles = Cycles.aligned(start, day, months, alignment, short)
    end, through = start + timedelta(days=length), start + timedelta(days=later)
    parts = list(cycles.parts(start, end, through))
    if through < cycles.begins(cycles.index(start)):
        assert parts == []
        return
    assert parts[0].start == start
    for one, following in pairwise(parts):
        assert one.end == one.cycle_end == following.start == following.cycle_start
    for part in parts:
        assert part.cycle_start <= part.start < part.end <= part.cycle_end
        assert part.cycle_start <= through
        assert cycles.begins(cycles.index(part.start)) == part.cycle_start
        assert cycles.index(part.cycle_end) == cycles.index(part.cycle_start) + 1
    assert parts[-1].end == end or parts[-1].cycle_end > through
    whole = [part for part in parts if part.whole]
    assert all(part.share(how) == 1 for part in whole for how in Proration)


@settings(max_examples=50, deadline=None)
@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(1, 31), st.data())
def test_shares_of_a_cycle_add_up_to_one(start: date, day: int, data: st.DataObject) -> None:
    cycles = Cycles.aligned(start, day)
    begin, end = cycles.begins(0), cycles.begins(1)
    cut = begin + timedelta(days=data.draw(st.integers(1, (end - begin).days - 1)))
    for how in (Proration.CALENDAR_DAYS, Proration.FIXED_30, Proration.SECONDS):
        parts = [share_of_dates(a, b, begin, end, how, AMS) for a, b in ((begin, cut), (cut, end))]
        assert sum(parts) == 1, how


def test_thirty_day_months() -> None:
    assert day_of_360(date(2026, 3, 1)) - day_of_360(date(2026, 2, 28)) == 1
    assert day_of_360(date(2026, 5, 31)) == day_of_360(date(2026, 5, 30))
    assert day_of_360(date(2027, 1, 1)) - day_of_360(date(2026, 1, 1)) == 360


def test_a_first_and_a_last_part() -> None:
    cycles = Cycles.aligned(date(2011, 1, 1), 15)
    until = date(2011, 2, 27)
    assert count_cycles(cycles, date(2011, 1, 1), until, until) == F(14, 31) + 1 + F(12, 28)
    assert count_cycles(cycles, date(2011, 1, 1), until, date(2011, 1, 14)) == F(14, 31)
    assert count_cycles(cycles, date(2011, 1, 1), None, date(2010, 12, 14)) == 0
    short = Cycles.aligned(date(2011, 1, 31), 7, 3, START_MONTH, STICK)
    args = (date(2011, 1, 31), date(2011, 5, 10), date(2011, 5, 21))
    assert count_cycles(short, *args) == F(66, 90) + F(33, 91)
    assert count_cycles(short, *args, last_part=LastPart.AFTER_WHOLE) == F(66, 90)
