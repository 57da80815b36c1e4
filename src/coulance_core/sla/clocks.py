"""Clocks of response: from a ticket's history, whole and never edited, to what was promised, kept and missed.

A clock has no state of its own. It is computed from the events known at an instant, so that an event that arrives
late or twice gives the same answer as one that came in time, and a decision can be replayed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np

from coulance_core.kernel import Explanation
from coulance_core.sla.calendars import (
    Calendar,
    CalendarError,
    OpenTime,
    at_time,
    close_of,
    deadline_micros,
    time_of_day,
    working_day,
)
from coulance_core.sla.intervals import EMPTY, Instants, Spans, instant
from coulance_core.sla.responses import DayRule, PriorityRule, Promise, ResponseTerms, Span, Target, UpdateRule

_SECOND = 1_000_000


class EventKind(StrEnum):
    """What happened to a ticket."""

    OPENED = "opened"
    PRIORITY = "priority"
    """It was given a priority (`priority` says which)."""
    ANSWERED = "answered"
    """A person of ours wrote to the customer. Automatic replies are no events."""
    CUSTOMER_WROTE = "customer_wrote"
    WAITS = "waits"
    """We asked something that only the customer can answer, or they owe what the contract asks of them."""
    RESUMES = "resumes"
    """The wait is over. A message of the customer ends it too."""
    SOLVED = "solved"
    REOPENED = "reopened"
    VOID = "void"
    """It never was a request: spam, a double, merged into another. Nothing was promised."""


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One thing that happened, at microseconds `at`; `seq` orders what shares an instant (as recorded)."""

    at: int
    seq: int
    kind: EventKind
    priority: str = ""


class State(StrEnum):
    """How a clock stands."""

    RUNNING = "running"
    PAUSED = "paused"
    LATE = "late"
    """Past its deadline, and still not done."""
    KEPT = "kept"
    MISSED = "missed"
    """Done, or no longer asked for, after its deadline."""
    ENDED = "ended"
    """No longer asked for in time: the ticket was solved before the next update was due."""


@dataclass(frozen=True)
class Clock:
    """One promise on one ticket, as it stands at an instant. Instants are microseconds since 1970.

    `due` is its deadline if nothing more is paused; `warn` when those who can prevent a breach are told. `done` is when
    it was done. `spent` is the open time that counted until it was done (or now), `paused` what didn't count. `cycle`
    counts updates from 0.
    """

    promise: Promise
    cycle: int
    priority: str
    target: Target
    since: int
    due: int
    warn: int
    done: int | None
    spent: int
    paused: Spans
    state: State
    explanation: Explanation

    @property
    def breached(self) -> bool:
        """Whether the promise was broken, done since or not."""
        return self.state in (State.LATE, State.MISSED)


@dataclass(frozen=True, slots=True)
class _Run:
    """A promise's course before it is judged: from when, by what it ends (None: not yet), kept by doing or not."""

    promise: Promise
    cycle: int
    since: int
    ends: int | None
    done: bool


def clocks(events: Iterable[Event], terms: ResponseTerms, at: int) -> tuple[Clock, ...]:
    """Every clock of one ticket at an instant, by the events up to it. Doubles and order make no difference.

    A ticket without an `OPENED`, or made void, has none. Before its first `PRIORITY` its priority is that of the
    `OPENED` event. Raises `CalendarError` when a deadline never comes.

    >>> from coulance_core.sla.calendars import Calendar
    >>> terms = ResponseTerms("v1", Calendar.always(), {(Promise.FIRST_RESPONSE, "p1"): Target(Span.SECONDS, 900)})
    >>> opened, answered = Event(0, 0, EventKind.OPENED, "p1"), Event(1000 * 10**6, 1, EventKind.ANSWERED)
    >>> [(c.state.value, c.spent // 10**6) for c in clocks([opened, answered], terms, 2000 * 10**6)]
    [('missed', 1000)]
    """
    known = sorted({e for e in events if e.at <= at})
    if any(e.kind is EventKind.VOID for e in known) or not any(e.kind is EventKind.OPENED for e in known):
        return ()
    first = next(i for i, e in enumerate(known) if e.kind is EventKind.OPENED)
    known = known[first:]
    pauses, stands = pauses_of(known, at)
    judged = (_judge(run, known, terms, pauses, stands, at) for run in _runs(known, terms))
    return tuple(clock for clock in judged if clock is not None)


def pauses_of(events: Sequence[Event], at: int) -> tuple[Spans, bool]:
    """When a ticket's clocks stood still (waiting for the customer, or solved), and whether they do at `at`."""
    pairs: list[tuple[int, int]] = []
    since: dict[EventKind, int] = {}
    for event in events:
        match event.kind:
            case EventKind.WAITS | EventKind.SOLVED:
                since.setdefault(event.kind, event.at)
            case EventKind.RESUMES | EventKind.CUSTOMER_WROTE if EventKind.WAITS in since:
                pairs.append((since.pop(EventKind.WAITS), event.at))
            case EventKind.REOPENED if EventKind.SOLVED in since:
                pairs.append((since.pop(EventKind.SOLVED), event.at))
    stands = bool(since)
    pairs += ((start, at) for start in since.values())
    return (Spans.of(pairs) if pairs else EMPTY), stands


def _runs(events: Sequence[Event], terms: ResponseTerms) -> Iterator[_Run]:
    opened = events[0].at
    # What is solved without a word before is answered too: what was asked is done.
    done = (EventKind.ANSWERED, EventKind.SOLVED)
    first = next((e.at for e in events if e.kind in done), None)
    yield _Run(Promise.FIRST_RESPONSE, 0, opened, first, first is not None)
    last = [e for e in events if e.kind in (EventKind.SOLVED, EventKind.REOPENED)][-1:]
    solved = last[0].at if last and last[0].kind is EventKind.SOLVED else None
    yield _Run(Promise.SOLUTION, 0, opened, solved, solved is not None)
    yield from _updates(events, terms)


def _updates(events: Sequence[Event], terms: ResponseTerms) -> Iterator[_Run]:
    """The clocks of updates: what the customer wrote after our first answer; by `EVERY`, also each answer of ours."""
    since: int | None = None
    cycle, answered, solved = 0, False, False
    for event in events:
        match event.kind:
            case EventKind.ANSWERED | EventKind.SOLVED:
                if since is not None:
                    yield _Run(Promise.NEXT_UPDATE, cycle, since, event.at, event.kind is EventKind.ANSWERED)
                    cycle += 1
                answered, solved = True, solved or event.kind is EventKind.SOLVED
                goes_on = terms.update_rule is UpdateRule.EVERY and not solved
                since = event.at if goes_on else None
            case EventKind.REOPENED:
                solved, since = False, event.at if since is None else since
            case EventKind.CUSTOMER_WROTE if answered and not solved and since is None:
                since = event.at
    if since is not None:
        yield _Run(Promise.NEXT_UPDATE, cycle, since, None, False)


@dataclass(frozen=True, slots=True)
class _Course:
    """What a clock runs by, after every change of priority: its target, since when it counts, deadline and warning."""

    priority: str
    target: Target
    due: int
    warn: int


def _judge(
    run: _Run, events: Sequence[Event], terms: ResponseTerms, pauses: Spans, stands: bool, at: int
) -> Clock | None:
    """The clock of a run; None where its priority is promised nothing."""
    end = at if run.ends is None else run.ends
    paused = pauses.clip(run.since, max(end, run.since))  # what is paused after it ended is not its affair
    course, passed = _course(run, events, terms, paused, end)
    if course is None:
        return None
    calendar = terms.calendar_of(course.priority)
    spent = _spent(calendar, run.since, end, paused)
    late = end > course.due
    if run.ends is None:
        state = State.LATE if late else State.PAUSED if stands else State.RUNNING
    else:
        state = State.MISSED if late else State.KEPT if run.done else State.ENDED
    e = Explanation.build(f"sla.{run.promise.value}", terms=terms.version)
    e.fact("priority", course.priority).fact("target", str(course.target)).fact("zone", calendar.zone)
    e.fact("since", instant(run.since).isoformat()).fact("due", instant(course.due).isoformat())
    e.fact("open time spent", f"{spent // _SECOND}", "s").fact("paused", f"{paused.total // _SECOND}", "s")
    if run.ends is not None:
        e.fact("done" if run.done else "ended", instant(run.ends).isoformat())
    if len(passed) > 1:
        e.note(f"priorities: {', '.join(passed)}").convention(terms.priority_rule.value)
    done = run.ends if run.done else None
    return Clock(
        run.promise,
        run.cycle,
        course.priority,
        course.target,
        run.since,
        course.due,
        course.warn,
        done,
        spent,
        paused,
        state,
        e.freeze(),
    )


def _course(
    run: _Run, events: Sequence[Event], terms: ResponseTerms, pauses: Spans, end: int
) -> tuple[_Course | None, list[str]]:
    """Follow the priorities a run went through. A deadline that passed before a change stays passed."""
    course: _Course | None = None
    passed: list[str] = []
    for changed, priority in _priorities(run, events, end):
        if course is not None and course.due < changed:
            break
        passed.append(priority)
        target = terms.target_of(run.promise, priority)
        if target is None:
            course = None
            continue
        restarts = (
            course is not None
            and terms.priority_rule is PriorityRule.RESTART_WHEN_RAISED
            and _size(target, terms) < _size(course.target, terms)
        )
        calendar, since = terms.calendar_of(priority), changed if restarts else run.since
        due = due_at(calendar, since, target, pauses)
        if restarts and course is not None:
            due = min(due, course.due)  # else raising it again and again would put it off
        course = _Course(priority, target, due, _warn_at(calendar, since, due, pauses, terms))
    return course, passed


def _priorities(run: _Run, events: Sequence[Event], end: int) -> list[tuple[int, str]]:
    """(from when, priority), of a run's whole course; the one it began with first."""
    told = [e for e in events if e.kind in (EventKind.OPENED, EventKind.PRIORITY)]
    found = [(run.since, [e.priority for e in told if e.at <= run.since][-1])]
    for event in told:
        if run.since < event.at <= end and event.priority != found[-1][1]:
            found.append((event.at, event.priority))
    return found


def _size(target: Target, terms: ResponseTerms) -> int:
    """About how long a target is, for comparing two: a working day counts as a day."""
    week = max(terms.calendar.days_a_week, 1)
    return target.amount * {Span.SECONDS: 1, Span.WORKING_DAYS: 86_400, Span.WORKING_WEEKS: week * 86_400}[target.span]


def due_at(calendar: Calendar, since: int, target: Target, pauses: Spans = EMPTY) -> int:
    """The deadline (microseconds) of a target from an instant, with pauses.

    Working days: what comes in outside open time came in at the next opening, and the day it came in isn't counted.
    A working day counts unless more than half of its open time was paused. A deadline that would fall in a pause moves
    to where the desk is next open and the clock runs.

    >>> desk = Calendar.weekly("UTC", {d: ["09:00-17:00"] for d in ("mon", "tue", "wed", "thu", "fri")})
    >>> from datetime import UTC, datetime
    >>> from coulance_core.sla.intervals import micros
    >>> friday = micros(datetime(2026, 11, 20, 18, tzinfo=UTC))
    >>> instant(due_at(desk, friday, Target(Span.WORKING_DAYS, 2))).isoformat()
    '2026-11-25T17:00:00+00:00'
    """
    if target.span is Span.SECONDS:
        return deadline_micros(calendar, since, target.amount * _SECOND, pauses)
    start = deadline_micros(calendar, since, 0)
    count = target.amount * (calendar.days_a_week if target.span is Span.WORKING_WEEKS else 1)
    if count == 0:
        raise CalendarError("a target in working weeks, on a calendar whose weeks have no working day")
    day = calendar.local_date(start)
    while count:
        day = working_day(calendar, day, 1)
        count -= _ran(calendar, day, pauses)
    if target.rule is DayRule.CLOSE:
        due = close_of(calendar, day)
    else:
        due = deadline_micros(calendar, at_time(calendar, day, time_of_day(calendar, start)), 0)
    return deadline_micros(calendar, due, 0, pauses) if pauses.covers(np.array([due]))[0] else due


def _ran(calendar: Calendar, day: date, pauses: Spans) -> bool:
    """Whether at most half of a working day's open time was paused."""
    spans = calendar.open(day, day + timedelta(days=1))
    return 2 * (spans & pauses).total <= spans.total


def _warn_at(calendar: Calendar, since: int, due: int, pauses: Spans, terms: ResponseTerms) -> int:
    """When the warning share of the time until the deadline is gone."""
    whole = _spent(calendar, since, due, pauses)
    return min(due, deadline_micros(calendar, since, int(whole * terms.warn_share), pauses))


def _spent(calendar: Calendar, since: int, end: int, paused: Spans) -> int:
    laid = OpenTime.between(calendar, min(since, end), max(since, end)).less(paused)
    return int(laid.elapsed(np.array([since]), np.array([end]))[0])


@dataclass(frozen=True, eq=False)
class Columns:
    """Many clocks of one calendar and of targets in seconds, as columns in microseconds; -1 where there is none.

    `since`, `amount` (open time promised), `ends` (when it was done). Pauses: `owner` is the row of the clock, sorted;
    a clock's pauses are in order and don't overlap.
    """

    since: Instants
    amount: Instants
    ends: Instants
    owner: Instants
    pause_start: Instants
    pause_end: Instants


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Of each clock: its deadline (-1: beyond the open time laid out), open time spent, and whether it is breached."""

    due: Instants
    spent: Instants
    breached: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"


def evaluate(laid: OpenTime, clocks: Columns, at: int) -> Evaluated:
    """Deadlines and standing of many clocks at once, equal to `due_at` one by one. A pause's k-th round at a time.

    >>> always = OpenTime(Spans.of([(0, 100)]), 0, 100)
    >>> column = lambda *values: np.array(values, np.int64)
    >>> found = evaluate(always, Columns(column(10, 10), column(20, 20), column(-1, 25), column(0), column(15),
    ...                                  column(25)), 45)
    >>> found.due.tolist(), found.spent.tolist(), found.breached.tolist()
    ([40, 30], [25, 15], [True, False])
    """
    spans, end = laid.spans, np.where(clocks.ends < 0, at, clocks.ends)
    due = np.full(clocks.since.size, -1, np.int64)
    position, need = clocks.since.copy(), clocks.amount.copy()
    spent = laid.elapsed(clocks.since, end)
    waiting = np.ones(due.size, bool)
    first = (
        np.flatnonzero(np.append(True, clocks.owner[1:] != clocks.owner[:-1])) if clocks.owner.size else clocks.owner
    )
    counts = np.diff(np.append(first, clocks.owner.size))
    for k in range(int(counts.max(initial=0))):
        rows = first[counts > k] + k
        who = clocks.owner[rows]
        start = np.maximum(clocks.pause_start[rows], position[who])
        stop = np.maximum(clocks.pause_end[rows], start)
        counted = np.minimum(stop, end[who]), np.minimum(start, end[who])
        spent[who] -= spans.within(counted[0]) - spans.within(counted[1])
        free = spans.within(start) - spans.within(position[who])
        reached = waiting[who] & (need[who] <= free)
        hit = who[reached]
        due[hit] = laid.deadline(position[hit], need[hit])
        waiting[hit] = False
        on = who[~reached]
        need[on] -= free[~reached]
        position[on] = stop[~reached]
        position[hit] = stop[reached]
    due[waiting] = laid.deadline(position[waiting], need[waiting])
    return Evaluated(due, spent, (due >= 0) & (end > due))
