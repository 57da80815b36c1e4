"""Open time against a clock that looks at every minute, across zones and clock changes; hours as people write them."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import support_sla
from tests.oracles.protocol import Status, Suite
from tests.oracles.runner import load, run_document

from coulance_core.sla.calendars import (
    WEEKDAYS,
    Calendar,
    CalendarError,
    OpenTime,
    Window,
    backward,
    deadline,
    elapsed,
    is_open,
    same_time,
    working_day,
)
from coulance_core.sla.intervals import Spans, micros

ZONES = ("UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana")
MINUTE = timedelta(minutes=1)


@st.composite
def desks(draw: st.DrawFn) -> Calendar:
    """Calendars of whole minutes, some overnight, with holidays, dates that differ, and breaks."""
    ends = st.integers(0, 2 * 1440 - 1)

    def hours() -> tuple[Window, ...]:
        edges = sorted({60 * draw(ends) for _ in range(draw(st.sampled_from((0, 2, 2, 4))))})
        pairs = zip(edges[::2], edges[1::2], strict=False)
        return tuple(Window(a, min(b, a + 86400)) for a, b in pairs if a < 86400)

    days = st.dates(date(2026, 3, 26), date(2026, 4, 2)) | st.dates(date(2026, 10, 23), date(2026, 11, 3))
    return Calendar(
        draw(st.sampled_from(ZONES)),
        tuple(hours() for _ in range(7)),
        frozenset(draw(st.lists(days, max_size=2))),
        {day: hours() for day in draw(st.lists(days, max_size=2))},
        {day: hours() for day in draw(st.lists(days, max_size=1))},
    )


def _wall(day: date, seconds: int, zone: ZoneInfo, fold: int) -> datetime:
    """The first minute (for a start) or the last (for an end) whose wall clock has reached a local time."""
    wanted = datetime.combine(day, datetime.min.time()) + timedelta(seconds=seconds)
    at = (wanted - timedelta(hours=16)).replace(tzinfo=UTC)
    reached = []
    while at < (wanted + timedelta(hours=16)).replace(tzinfo=UTC):
        local = at.astimezone(zone).replace(tzinfo=None)
        before = (at - MINUTE).astimezone(zone).replace(tzinfo=None)
        if local == wanted or before < wanted < local:
            reached.append(at)
        at += MINUTE
    return reached[-1] if fold else reached[0]


@settings(max_examples=16)
@given(
    desks(),
    st.sampled_from(
        (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC))
    ),
    st.integers(0, 2000),
    st.integers(0, 3000),
)
def test_open_time_is_what_a_minute_by_minute_clock_sees(
    desk: Calendar, start: datetime, offset: int, length: int
) -> None:
    zone, minutes = ZoneInfo(desk.zone), 3 * 1440
    edges: dict[tuple[date, Window], tuple[datetime, datetime]] = {}

    def inside(window: Window, day: date, at: datetime) -> bool:
        if (day, window) not in edges:
            edges[day, window] = _wall(day, window.start, zone, 0), _wall(day, window.end, zone, 1)
        first, last = edges[day, window]
        return first <= at < last

    def seen(at: datetime) -> bool:
        days = [at.astimezone(zone).date() + timedelta(days=d) for d in (-2, -1, 0, 1)]
        opened = any(inside(w, d, at) for d in days for w in desk.hours(d))
        return opened and not any(inside(w, d, at) for d in days for w in desk.breaks.get(d, ()))

    truth = np.array([seen(start + i * MINUTE) for i in range(minutes)])
    at = micros(start) + np.arange(minutes) * 60_000_000
    laid = OpenTime.between(desk, int(at[0]), int(at[-1]) + 60_000_000)
    assert np.array_equal(laid.is_open(at), truth)
    begin, end = start + offset * MINUTE, start + min(offset + length, minutes) * MINUTE
    passed = int(truth[offset : offset + length].sum())
    assert elapsed(desk, begin, end) == passed * MINUTE
    if passed:
        last = max(i for i in range(offset, min(offset + length, minutes)) if truth[i])
        first = min(i for i in range(offset, min(offset + length, minutes)) if truth[i])
        assert deadline(desk, begin, passed * 60) == start + (last + 1) * MINUTE
        assert backward(desk, end, passed * 60) == start + first * MINUTE
        assert deadline(desk, begin, 0) == start + first * MINUTE
        assert is_open(desk, start + first * MINUTE)


OFFICE = Calendar.weekly("Europe/Amsterdam", {d: ["09:00-17:00"] for d in WEEKDAYS[:5]}, holidays=[date(2026, 4, 27)])


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("9:00-17:00", "is not a window"),
        ("09:00", "is not a window"),
        ("09:00-25:00", "no time of day"),
        ("09:00-17:60", "no time of day"),
        ("24:00-06:00", "is not a window"),
        ("", "is not a window"),
    ],
)
def test_a_window_that_is_none_says_what_was_expected(written: str, why: str) -> None:
    with pytest.raises(CalendarError, match=why):
        Window.parse(written)


def test_a_calendar_that_can_not_be() -> None:
    with pytest.raises(CalendarError, match="mon: 09:00-12:00 and 11:00-13:00 overlap"):
        Calendar.weekly("UTC", {"mon": ["09:00-12:00", "11:00-13:00"]})
    with pytest.raises(CalendarError, match="'monday' is no weekday"):
        Calendar.weekly("UTC", {"monday": ["09:00-12:00"]})
    closed = Calendar("UTC", ((),) * 7)
    for seconds in (0, 60):
        with pytest.raises(CalendarError, match="never pass"):
            deadline(closed, datetime(2026, 1, 1, tzinfo=UTC), seconds)
    with pytest.raises(CalendarError, match="no 1 working days"):
        working_day(closed, date(2026, 1, 1), 1)


def test_working_days_pass_over_weekend_and_king_s_day() -> None:
    assert working_day(OFFICE, date(2026, 4, 24), 1) == date(2026, 4, 28)
    assert working_day(OFFICE, date(2026, 4, 28), -2) == date(2026, 4, 23)
    # The clock moved in between: the same time on the wall is another in UTC.
    assert same_time(OFFICE, datetime(2026, 3, 27, 10, tzinfo=UTC), 1) == datetime(2026, 3, 30, 9, tzinfo=UTC)


def test_a_pause_outside_open_time_extends_nothing() -> None:
    friday, monday = datetime(2026, 11, 20, 15, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)
    weekend = Spans.of([(micros(friday + timedelta(hours=1)), micros(monday))])
    assert deadline(OFFICE, friday, 2 * 3600, weekend) == deadline(OFFICE, friday, 2 * 3600)


def test_every_shared_case_passes() -> None:
    folder = Path(os.environ.get("COULANCE_CASES") or Path(__file__).resolve().parents[3] / ".." / "shared" / "data")
    file = folder / "support_sla" / "cases.shared.json"
    if not file.exists():
        pytest.skip(f"no shared cases at {file}")
    counts = run_document(Suite("support_sla", support_sla.run), load(file), None)
    assert (counts[Status.PASSED], counts[Status.FAILED], counts[Status.SKIPPED]) == (73, 0, 0)
