"""Clocks of response: stories as a table, a judge that counts second by second, and a million at once."""

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.sla.calendars import WEEKDAYS, Calendar, OpenTime, Window
from coulance_core.sla.clocks import Clock, Columns, Event, EventKind, clocks, due_at, evaluate
from coulance_core.sla.intervals import Spans, instant, micros
from coulance_core.sla.responses import (
    DayRule,
    PriorityRule,
    Promise,
    ResponseTerms,
    Span,
    Target,
    UpdateRule,
)

OFFICE = Calendar.weekly("UTC", {d: ["09:00-17:00"] for d in WEEKDAYS[:5]}, holidays=[date(2026, 11, 25)])
TERMS = ResponseTerms(
    "gold-3",
    OFFICE,
    {
        (Promise.FIRST_RESPONSE, "p1"): Target(Span.SECONDS, 900),
        (Promise.FIRST_RESPONSE, "p3"): Target(Span.SECONDS, 4 * 3600),
        (Promise.NEXT_UPDATE, "p3"): Target(Span.SECONDS, 8 * 3600),
        (Promise.SOLUTION, "p1"): Target(Span.SECONDS, 4 * 3600),
        (Promise.SOLUTION, "p3"): Target(Span.WORKING_DAYS, 2),
    },
    calendars={"p1": Calendar.always()},
)
KINDS = {k.value: k for k in EventKind}


def read(story: str) -> list[Event]:
    """Events as `20 09:00 opened p3`: day of November 2026 (a Friday is the 20th), time, kind, priority."""
    events = []
    for seq, line in enumerate(filter(None, map(str.strip, story.split(";")))):
        day, time, kind, *priority = line.split()
        events.append(Event(when(f"{day} {time}"), seq, KINDS[kind], *priority))
    return events


def when(text: str) -> int:
    return micros(datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC))


def shown(clock: Clock) -> str:
    due = instant(clock.due).strftime("%d %H:%M")
    return f"{clock.promise.value} {clock.cycle} {clock.priority} {clock.state.value} due {due}"


STORIES = [
    ("answered in time", "20 09:00 opened p3; 20 12:00 answered", "23 09:00",
     ["first_response 0 p3 kept due 20 13:00", "solution 0 p3 running due 24 17:00"]),
    ("answered over the weekend, four open hours", "20 15:00 opened p3; 23 11:00 answered", "23 12:00",
     ["first_response 0 p3 kept due 23 11:00", "solution 0 p3 running due 24 17:00"]),
    ("a minute too late", "20 15:00 opened p3; 23 11:01 answered", "23 12:00",
     ["first_response 0 p3 missed due 23 11:00", "solution 0 p3 running due 24 17:00"]),
    ("nobody answers", "20 09:00 opened p3", "20 13:01",
     ["first_response 0 p3 late due 20 13:00", "solution 0 p3 running due 24 17:00"]),
    ("we wait for the customer over a holiday: the day was paused, so it does not count",
     "23 09:00 opened p3; 23 09:30 answered; 23 10:00 waits; 25 12:00 resumes", "25 13:00",
     ["first_response 0 p3 kept due 23 13:00", "solution 0 p3 running due 27 17:00"]),
    ("waiting now", "23 09:00 opened p3; 23 10:00 waits", "23 16:00",
     ["first_response 0 p3 paused due 24 11:00", "solution 0 p3 paused due 26 17:00"]),
    ("his message ends the wait and asks for an update",
     "23 09:00 opened p3; 23 10:00 answered; 23 10:00 waits; 23 11:00 customer_wrote; 23 12:00 answered", "23 12:30",
     ["first_response 0 p3 kept due 23 13:00", "solution 0 p3 running due 26 17:00",
      "next_update 0 p3 kept due 24 11:00"]),
    ("solved without a word is an answer", "20 09:00 opened p3; 20 10:00 solved", "23 09:00",
     ["first_response 0 p3 kept due 20 13:00", "solution 0 p3 kept due 24 17:00"]),
    ("reopened: the solution goes on, and what came between is not ours",
     "20 09:00 opened p3; 20 10:00 solved; 26 10:00 reopened", "26 11:00",
     ["first_response 0 p3 kept due 20 13:00", "solution 0 p3 running due 27 17:00",
      "next_update 0 p3 running due 27 10:00"]),
    ("raised to p1 at night: fifteen minutes from then, 7 x 24",
     "20 15:00 opened p3; 20 22:00 priority p1; 20 22:10 answered", "20 23:00",
     ["first_response 0 p1 kept due 20 22:15", "solution 0 p1 running due 21 02:00"]),
    ("raised, but the old deadline was nearer", "20 09:00 opened p3; 20 12:55 priority p1", "20 13:01",
     ["first_response 0 p1 late due 20 13:00", "solution 0 p1 running due 20 16:55"]),
    ("lowered in time: the longer target counts from the start", "20 09:00 opened p1; 20 09:10 priority p3", "20 10:00",
     ["first_response 0 p3 running due 20 13:00", "solution 0 p3 running due 24 17:00"]),
    ("lowered after it was missed: it stays missed", "20 09:00 opened p1; 20 09:20 priority p3", "20 10:00",
     ["first_response 0 p1 late due 20 09:15", "solution 0 p3 running due 24 17:00"]),
    ("spam", "20 09:00 opened p1; 20 09:20 void", "20 10:00", []),
    ("nothing is promised to p2", "20 09:00 opened p2", "20 10:00", []),
]  # fmt: skip


@pytest.mark.parametrize(("story", "events", "at", "expected"), STORIES, ids=[s[0] for s in STORIES])
def test_stories(story: str, events: str, at: str, expected: list[str]) -> None:
    # The working days here pass over Wednesday the 25th, a holiday.
    history = read(events)
    found = clocks(history, TERMS, when(at))
    assert [shown(c) for c in found] == expected
    assert clocks([*reversed(history), *history], TERMS, when(at)) == found
    for clock in found:
        assert clock.since <= clock.warn <= clock.due
        clock.explanation.recompute()


def test_an_update_every_so_often() -> None:
    terms = replace(TERMS, update_rule=UpdateRule.EVERY)
    found = clocks(
        read("20 09:00 opened p3; 20 10:00 answered; 20 16:00 answered; 23 16:00 solved"), terms, when("24 09:00")
    )
    updates = [shown(c) for c in found if c.promise is Promise.NEXT_UPDATE]
    assert updates == ["next_update 0 p3 kept due 23 10:00", "next_update 1 p3 ended due 23 16:00"]


def test_from_start_counts_the_new_target_as_if_it_had_always_been() -> None:
    terms = replace(TERMS, priority_rule=PriorityRule.FROM_START)
    found = clocks(read("20 09:00 opened p3; 20 12:00 priority p1"), terms, when("20 12:01"))
    assert shown(found[0]) == "first_response 0 p1 late due 20 09:15"


DAYS = [
    (Target(Span.WORKING_DAYS, 1), "20 10:00", "23 17:00"),
    (Target(Span.WORKING_DAYS, 1), "21 10:00", "24 17:00"),  # a Saturday: it came in on Monday
    (Target(Span.WORKING_DAYS, 2), "24 10:00", "27 17:00"),  # over the holiday
    (Target(Span.WORKING_DAYS, 1, DayRule.SAME_TIME), "20 10:00", "23 10:00"),
    (Target(Span.WORKING_DAYS, 1, DayRule.SAME_TIME), "20 18:00", "24 09:00"),
    (Target(Span.WORKING_WEEKS, 1), "19 10:00", "27 17:00"),  # five working days, one of the week a holiday
]


@pytest.mark.parametrize(("target", "since", "due"), DAYS)
def test_working_days_are_not_hours(target: Target, since: str, due: str) -> None:
    assert due_at(OFFICE, when(since), target) == when(due)


HOUR = 3_600_000_000
WEEK = st.integers(0, 7 * 24 * 60)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """A ticket of seconds-targets, with waits in minutes of a week."""
    at = sorted(draw(st.lists(WEEK, min_size=1, max_size=7, unique=True)))
    kinds = draw(st.lists(st.sampled_from([k for k in EventKind if k is not EventKind.VOID]), min_size=7, max_size=7))
    start = when("16 00:00")
    first = Event(start + at[0] * 60_000_000, 0, EventKind.OPENED, "p3")
    rest = [k if k is not EventKind.OPENED else EventKind.WAITS for k in kinds]
    return [first] + [
        Event(start + m * 60_000_000, i, k, "p3" if k is EventKind.PRIORITY else "")
        for i, (m, k) in enumerate(zip(at[1:], rest, strict=False), 1)
    ]


@settings(max_examples=60)
@given(histories(), WEEK, st.integers(1, 1200))
def test_seconds_equal_a_judge_that_counts_minutes(events: list[Event], after: int, promised: int) -> None:
    terms = replace(TERMS, targets={(p, "p3"): Target(Span.SECONDS, promised * 60) for p in Promise})
    at = events[-1].at + after * 60_000_000
    for clock in clocks(events, terms, at):
        waits = solved = False
        spent, reached = 0, None
        pending = sorted(events)
        ends = at if clock.done is None and clock.state.value not in ("ended", "missed") else None
        stop = (
            ends
            if ends is not None
            else next(e.at for e in pending if e.at >= clock.since and _ends(clock, e, pending))
        )
        t = pending[0].at
        while t < stop:
            for e in [e for e in pending if e.at == t]:
                waits = e.kind is EventKind.WAITS or (
                    waits and e.kind not in (EventKind.RESUMES, EventKind.CUSTOMER_WROTE)
                )
                solved = e.kind is EventKind.SOLVED or (solved and e.kind is not EventKind.REOPENED)
            wall = instant(t)
            opened = wall.weekday() < 5 and 9 <= wall.hour < 17 and wall.date() != date(2026, 11, 25)
            if t >= clock.since and opened and not waits and not solved:
                spent += 1
                if spent == promised:
                    reached = t + 60_000_000
            t += 60_000_000
        assert clock.spent == spent * 60_000_000
        assert clock.breached == (reached is not None and reached < stop)
        if reached is not None:
            assert clock.due == reached


def _ends(clock: Clock, event: Event, events: list[Event]) -> bool:
    """Whether an event is the one that ended a clock."""
    if clock.promise is Promise.SOLUTION:
        return event == max(e for e in events if e.kind is EventKind.SOLVED)
    by = (EventKind.ANSWERED, EventKind.SOLVED)
    if clock.promise is Promise.NEXT_UPDATE:
        return event.kind in by and (event.at > clock.since or event.seq > 0)
    return event.kind in by


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(WEEK, st.integers(1, 3000), st.none() | WEEK, st.lists(st.tuples(WEEK, WEEK), max_size=4)),
        min_size=1,
        max_size=6,
    ),
    WEEK,
)
def test_many_at_once_equal_one_by_one(
    rows: list[tuple[int, int, int | None, list[tuple[int, int]]]], now: int
) -> None:
    base, minute = when("16 00:00"), 60_000_000
    at = base + (7 * 1440 + now) * minute
    laid = OpenTime.between(OFFICE, base - HOUR, base + 60 * 24 * HOUR)
    pauses = [Spans.of((base + min(p) * minute, base + max(p) * minute) for p in row[3]) for row in rows]
    since = [base + row[0] * minute for row in rows]
    ends = [-1 if row[2] is None else max(base + row[2] * minute, s) for row, s in zip(rows, since, strict=True)]
    columns = Columns(
        np.array(since),
        np.array([row[1] * minute for row in rows]),
        np.array(ends),
        np.array([i for i, spans in enumerate(pauses) for _ in spans.pairs()], np.int64),
        np.array([s for spans in pauses for s, _ in spans.pairs()], np.int64),
        np.array([e for spans in pauses for _, e in spans.pairs()], np.int64),
    )
    found = evaluate(laid, columns, at)
    for i, (row, spans) in enumerate(zip(rows, pauses, strict=True)):
        due = due_at(OFFICE, since[i], Target(Span.SECONDS, row[1] * 60), spans)
        end = at if ends[i] < 0 else ends[i]
        assert found.due[i] == due
        assert bool(found.breached[i]) == (end > due)
        assert found.spent[i] == laid.less(spans).elapsed(np.array([since[i]]), np.array([end]))[0]


def test_what_can_not_be_promised() -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        Target(Span.SECONDS, 0)
    with pytest.raises(ValueError, match="warn_share"):
        replace(TERMS, warn_share=Fraction(1))
    assert str(Target(Span.SECONDS, 5400)) == "1 h 30 min"
    assert Window.parse("09:00-17:00").end == 17 * 3600


@pytest.mark.parametrize(
    ("priority", "due"),
    [("p1", "20 09:15"), ("2 normal", "20 11:00"), ("", "20 11:00")],
)
def test_a_target_of_no_priority_is_for_every_priority_without_its_own(priority: str, due: str) -> None:
    targets = {
        (Promise.FIRST_RESPONSE, "p1"): Target(Span.SECONDS, 900),
        (Promise.FIRST_RESPONSE, ""): Target(Span.SECONDS, 2 * 3600),
    }
    told = [Event(when("20 09:00"), 0, EventKind.OPENED, priority)]
    found = clocks(told, replace(TERMS, targets=targets), when("20 09:01"))
    assert [shown(c).partition("due ")[2] for c in found] == [due]


def test_a_working_day_counts_where_half_of_it_was_paused_and_not_where_more_was() -> None:
    monday = datetime(2026, 11, 23, 10, tzinfo=UTC)
    target = Target(Span.WORKING_DAYS, 1)
    for paused, due in ((240, 24), (241, 26)):  # the 25th is a holiday
        start = micros(datetime(2026, 11, 24, 9, tzinfo=UTC))
        found = due_at(OFFICE, micros(monday), target, Spans.of([(start, start + paused * 60 * 10**6)]))
        assert instant(found) == datetime(2026, 11, due, 17, tzinfo=UTC)


def test_a_priority_that_changes_in_the_very_instant_of_a_deadline_finds_it_kept_so_far() -> None:
    """p1 asks an answer within 15 minutes; lowered to p3 then, nobody is late; a moment later somebody was."""
    opened = micros(datetime(2026, 11, 20, 9, tzinfo=UTC))
    for later, breached in ((0, False), (1, True)):
        lowered = opened + 900 * 10**6 + later
        events = [Event(opened, 0, KINDS["opened"], "p1"), Event(lowered, 1, KINDS["priority"], "p3")]
        first = next(c for c in clocks(events, TERMS, opened + 1200 * 10**6) if c.promise is Promise.FIRST_RESPONSE)
        assert first.breached is breached
