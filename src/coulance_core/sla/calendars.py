"""When a support desk is open: local hours by weekday, days that differ, holidays, a zone; and open time as spans.

Hours are written in local time and turned into instants edge by edge, so that a night when the clocks change is as
long as it is. Holidays are dates frozen into the contract, never looked up later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.kernel import PeriodError
from coulance_core.sla.intervals import EMPTY, Instants, Spans, instant, micros

DAY = 86_400
_SECOND = 1_000_000
_LONGEST = 40 * 366
"""Days that are searched for open time before a calendar counts as one that never opens again: forty years."""


class CalendarError(ValueError):
    """Hours that can't be: out of the day, overlapping; or a calendar in which the time asked for never passes."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Open from `start` to `end`, in seconds of the local day it begins on; `end` past 86,400 is the next day's.

    >>> Window.parse("22:00-06:00")
    Window(start=79200, end=108000)
    >>> str(Window.parse("09:00-17:30")), str(Window.parse("00:00-24:00"))
    ('09:00-17:30', '00:00-24:00')
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < DAY and self.start < self.end <= self.start + DAY):
            raise CalendarError(
                f"a window from {self.start} s to {self.end} s: expected a start within the day and an end after it, "
                "at most 24 hours later"
            )

    @classmethod
    def parse(cls, text: str) -> "Window":
        """From `HH:MM-HH:MM` (seconds allowed). One that ends before it starts runs into the next day.

        Raises `CalendarError` that says what was expected.
        """
        first, dash, last = text.partition("-")
        start, end = _time(first, text), _time(last, text)
        if not dash or start == DAY:
            raise CalendarError(f"{text!r} is not a window: expected HH:MM-HH:MM")
        return cls(start, end if end > start else end + DAY)

    def __str__(self) -> str:
        return f"{_clock(self.start)}-{_clock(self.end if self.end <= DAY else self.end - DAY)}"


def _time(text: str, whole: str) -> int:
    parts = text.strip().split(":")
    if not 2 <= len(parts) <= 3 or not all(p.isascii() and p.isdigit() and len(p) == 2 for p in parts):
        raise CalendarError(f"{whole!r} is not a window: expected HH:MM-HH:MM")
    hour, minute, second = (*map(int, parts), 0)[:3]
    seconds = hour * 3600 + minute * 60 + second
    if minute > 59 or second > 59 or seconds > DAY:
        raise CalendarError(f"{text.strip()!r} in {whole!r} is no time of day: expected 00:00 to 24:00")
    return seconds


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")


Hours = tuple[Window, ...]


def _sound(hours: Hours, where: str) -> Hours:
    ordered = tuple(sorted(hours))
    for one, two in pairwise(ordered):
        if two.start < one.end:
            raise CalendarError(f"{where}: {one} and {two} overlap")
    return ordered


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Calendar:
    """When time counts. `week` has the hours of Monday to Sunday; a window belongs to the day it begins on.

    `holidays` are closed days (the window of their eve still runs to its end). `special` replaces a date's hours, a
    holiday's too: somebody wrote that date on purpose. `breaks` are closed parts of a date, whatever else it says.

    >>> desk = Calendar.weekly("Europe/Amsterdam", {d: ["09:00-17:00"] for d in WEEKDAYS[:5]},
    ...                        holidays=[date(2026, 4, 27)])
    >>> [str(p.start.time()) for p in desk.open(date(2026, 3, 27), date(2026, 3, 31)).periods()]
    ['08:00:00', '07:00:00']
    """

    zone: str
    week: tuple[Hours, ...]
    holidays: frozenset[date] = frozenset()
    special: Mapping[date, Hours] = field(default_factory=dict)
    breaks: Mapping[date, Hours] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.week) != 7:
            raise CalendarError(f"a week of {len(self.week)} days: expected the hours of Monday to Sunday")
        object.__setattr__(self, "week", tuple(_sound(h, d) for d, h in zip(WEEKDAYS, self.week, strict=True)))
        for name in ("special", "breaks"):
            days: Mapping[date, Hours] = getattr(self, name)
            object.__setattr__(self, name, {d: _sound(h, d.isoformat()) for d, h in days.items()})

    @classmethod
    def weekly(
        cls,
        zone: str,
        week: Mapping[str, list[str]],
        *,
        holidays: list[date] | frozenset[date] = frozenset(),
        special: Mapping[date, list[str]] | None = None,
        breaks: Mapping[date, list[str]] | None = None,
    ) -> "Calendar":
        """From hours as people write them: `{"mon": ["09:00-12:30", "13:00-17:00"], ...}`; a day left out is closed."""
        unknown = sorted(set(week) - set(WEEKDAYS))
        if unknown:
            raise CalendarError(f"{unknown[0]!r} is no weekday: expected one of {', '.join(WEEKDAYS)}")
        days = tuple(tuple(map(Window.parse, week.get(day, []))) for day in WEEKDAYS)
        read = [{d: tuple(map(Window.parse, h)) for d, h in (part or {}).items()} for part in (special, breaks)]
        return cls(zone, days, frozenset(holidays), read[0], read[1])

    @classmethod
    def always(cls, zone: str = "UTC") -> "Calendar":
        """7 x 24: all time counts."""
        return cls(zone, ((Window(0, DAY),),) * 7)

    def hours(self, day: date) -> Hours:
        """The windows that begin on a date, before its breaks."""
        if day in self.special:
            return self.special[day]
        return () if day in self.holidays else self.week[day.weekday()]

    def works_on(self, day: date) -> bool:
        """Whether it is a working day: some window begins on it."""
        return bool(self.hours(day))

    @property
    def days_a_week(self) -> int:
        """Working days of a usual week."""
        return sum(bool(hours) for hours in self.week)

    def open(self, first: date, after: date) -> Spans:
        """The open time of the windows that begin on the dates [first, after)."""
        zone = ZoneInfo(self.zone)
        opened: list[tuple[int, int]] = []
        broken: list[tuple[int, int]] = []
        for ordinal in range(first.toordinal(), after.toordinal()):
            day = date.fromordinal(ordinal)
            opened += (_edges(day, window, zone) for window in self.hours(day))
            if day in self.breaks:
                broken += (_edges(day, window, zone) for window in self.breaks[day])
        return Spans.of(opened) - Spans.of(broken) if broken else Spans.of(opened)

    def local_date(self, at: int) -> date:
        """The local date of an instant (microseconds)."""
        return instant(at).astimezone(ZoneInfo(self.zone)).date()


def _edges(day: date, window: Window, zone: ZoneInfo) -> tuple[int, int]:
    start, end = _edge(day, window.start, zone, last=False), _edge(day, window.end, zone, last=True)
    return start, max(start, end)


def _edge(day: date, seconds: int, zone: ZoneInfo, *, last: bool) -> int:
    """The instant of a local time. One that comes twice: the first for a start, the last for an end. One that never
    comes, because the clock skips it: the instant of the change."""
    local = datetime.combine(day, time()) + timedelta(seconds=seconds)
    early, late = (micros(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if early <= late:
        return late if last else early
    # A gap: fold 0 reads it by the offset before the change, fold 1 by the one after; the change lies between.
    low, high = late // _SECOND, early // _SECOND
    after = instant(high * _SECOND).astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if instant(middle * _SECOND).astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high * _SECOND


@dataclass(frozen=True, eq=False)
class OpenTime:
    """A calendar laid out over [start, end) in microseconds: what deadlines and elapsed time are read from.

    Everything takes and gives arrays of instants, a million at once. Outside the range nothing is known: an instant
    there raises `CalendarError`, and a deadline beyond it is -1 (lay out more).
    """

    spans: Spans
    start: int
    end: int

    @classmethod
    def of(cls, calendar: Calendar, start: datetime, end: datetime) -> "OpenTime":
        """The calendar's open time between two aware instants."""
        return cls.between(calendar, micros(start), micros(end))

    @classmethod
    def between(cls, calendar: Calendar, start: int, end: int) -> "OpenTime":
        """As `of`, between microseconds. The window of the day before may run into it."""
        if end < start:
            raise PeriodError("open time that ends before it starts")
        first = calendar.local_date(start) - timedelta(days=2)
        after = calendar.local_date(end) + timedelta(days=2)
        return cls(calendar.open(first, after).clip(start, end), start, end)

    def less(self, closed: Spans) -> "OpenTime":
        """The same without some time: pauses of a clock."""
        return OpenTime(self.spans - closed, self.start, self.end)

    def _inside(self, at: Instants) -> Instants:
        if at.size and (int(at.min()) < self.start or int(at.max()) > self.end):
            known = f"{instant(self.start)} .. {instant(self.end)}"
            raise CalendarError(f"an instant outside the open time that was laid out: {known}")
        return at

    def elapsed(self, start: Instants, end: Instants) -> Instants:
        """Open microseconds between each start and end; below zero when the end comes first."""
        return self.spans.within(self._inside(end)) - self.spans.within(self._inside(start))

    def is_open(self, at: Instants) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
        """Whether each instant is open."""
        return self.spans.covers(self._inside(at))

    def next_open(self, at: Instants) -> Instants:
        """The first open instant at or after each; -1 where there is none."""
        spans = self.spans
        i = np.searchsorted(spans.end, self._inside(at), "right")
        found = i < spans.start.size
        start = np.append(spans.start, 0)
        return np.where(found, np.maximum(at, start[i]), -1)

    def deadline(self, start: Instants, amount: Instants) -> Instants:
        """The first instant by which `amount` open microseconds have passed since each start; -1 beyond the range.

        One reached exactly at closing time stays at closing time. Nothing to pass: the next open instant.
        """
        spans = self.spans
        target = spans.within(self._inside(start)) + amount
        passed = spans.before + (spans.end - spans.start)
        i = np.searchsorted(passed, target, "left")
        found = i < spans.start.size
        begin, before = np.append(spans.start, 0), np.append(spans.before, 0)
        due = np.where(found, begin[i] + target - before[i], -1)
        return np.where(amount == 0, self.next_open(start), due)

    def backward(self, end: Instants, amount: Instants) -> Instants:
        """The mirror: the last instant since which `amount` open microseconds have passed at each end; -1 beyond."""
        spans = self.spans
        target = spans.within(self._inside(end)) - amount
        before = spans.before
        i = np.searchsorted(before, target, "right") - 1
        found = (target >= 0) & (i >= 0)
        j = np.maximum(i, 0)
        if not spans.start.size:
            return np.full(end.shape, -1, np.int64)
        back = np.where(found, spans.start[j] + target - before[j], -1)
        k = np.searchsorted(spans.start, end, "left") - 1
        last = np.where(k >= 0, np.minimum(end, spans.end[np.maximum(k, 0)]), -1)
        return np.where(amount == 0, last, back)


def deadline(calendar: Calendar, start: datetime, seconds: int, pauses: Spans = EMPTY) -> datetime:
    """The first instant by which `seconds` of open time outside `pauses` have passed since `start`.

    Lays out as much of the calendar as it takes. Raises `CalendarError` when it never passes within forty years.

    >>> desk = Calendar.weekly("UTC", {"fri": ["09:00-17:00"], "mon": ["09:00-17:00"]})
    >>> from datetime import UTC
    >>> deadline(desk, datetime(2026, 11, 20, 16, tzinfo=UTC), 7200).isoformat()
    '2026-11-23T10:00:00+00:00'
    """
    return instant(deadline_micros(calendar, micros(start), _amount(seconds), pauses))


def deadline_micros(calendar: Calendar, start: int, amount: int, pauses: Spans = EMPTY) -> int:
    """As `deadline`, all in microseconds."""
    days = 14 + 3 * amount // (DAY * _SECOND)
    while True:
        end = max(start, int(pauses.end[-1]) if pauses else start) + days * DAY * _SECOND
        laid = OpenTime.between(calendar, start, end).less(pauses)
        due = int(laid.deadline(np.array([start]), np.array([amount]))[0])
        if due >= 0:
            return due
        if days > _LONGEST:
            raise CalendarError(
                f"{amount // _SECOND} s of open time never pass after {instant(start)}: nothing is open"
            )
        days *= 4


def backward(calendar: Calendar, end: datetime, seconds: int) -> datetime:
    """The last instant since which `seconds` of open time have passed at `end`: the mirror of `deadline`."""
    at, amount, days = micros(end), _amount(seconds), 14 + 3 * seconds // DAY
    while True:
        laid = OpenTime.between(calendar, at - days * DAY * _SECOND, at)
        back = int(laid.backward(np.array([at]), np.array([amount]))[0])
        if back >= 0:
            return instant(back)
        if days > _LONGEST:
            raise CalendarError(f"{seconds} s of open time never passed before {end.isoformat()}: nothing was open")
        days *= 4


def elapsed(calendar: Calendar, start: datetime, end: datetime, pauses: Spans = EMPTY) -> timedelta:
    """The open time outside `pauses` between two instants; below zero when `end` comes first."""
    a, b = micros(start), micros(end)
    laid = OpenTime.between(calendar, min(a, b), max(a, b)).less(pauses)
    return int(laid.elapsed(np.array([a]), np.array([b]))[0]) * timedelta(microseconds=1)


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Whether an instant is open."""
    t = micros(at)
    return bool(OpenTime.between(calendar, t, t + 1).is_open(np.array([t]))[0])


def working_day(calendar: Calendar, day: date, count: int) -> date:
    """The working day `count` after `day` (before it, when below zero); `day` itself isn't counted.

    >>> desk = Calendar.weekly("UTC", {d: ["09:00-17:00"] for d in WEEKDAYS[:5]})
    >>> working_day(desk, date(2026, 11, 20), 2), working_day(desk, date(2026, 11, 23), -1)
    (datetime.date(2026, 11, 24), datetime.date(2026, 11, 20))
    """
    step, found, at = (1 if count > 0 else -1), 0, day
    while found < abs(count):
        at += timedelta(days=step)
        if abs((at - day).days) > _LONGEST:
            raise CalendarError(f"no {abs(count)} working days beside {day.isoformat()}: nothing is open")
        found += calendar.works_on(at)
    return at


def same_time(calendar: Calendar, at: datetime, count: int) -> datetime:
    """The same local time `count` working days on, or back when below zero; moved into open time, in that direction.

    >>> from datetime import UTC
    >>> desk = Calendar.weekly("UTC", {"mon": ["09:00-17:00"], "tue": ["10:00-16:00"], "wed": ["09:00-17:00"]})
    >>> same_time(desk, datetime(2026, 11, 23, 9, 30, tzinfo=UTC), 1).isoformat()
    '2026-11-24T10:00:00+00:00'
    """
    day = working_day(calendar, calendar.local_date(micros(at)), count)
    there = instant(at_time(calendar, day, time_of_day(calendar, micros(at))))
    return deadline(calendar, there, 0) if count > 0 else backward(calendar, there, 0)


def time_of_day(calendar: Calendar, at: int) -> int:
    """The local time of an instant, in microseconds as a clock on the wall shows it."""
    local = instant(at).astimezone(ZoneInfo(calendar.zone))
    return (local.hour * 3600 + local.minute * 60 + local.second) * _SECOND + local.microsecond


def at_time(calendar: Calendar, day: date, time_of_day: int) -> int:
    """The instant of a local time (microseconds) on a date; one the clock skips: the instant of the change."""
    seconds, rest = divmod(time_of_day, _SECOND)
    return _edge(day, seconds, ZoneInfo(calendar.zone), last=False) + rest


def close_of(calendar: Calendar, day: date) -> int:
    """The instant (microseconds) at which the last window that begins on a working day ends, its breaks aside."""
    spans = calendar.open(day, day + timedelta(days=1))
    if not spans:
        raise CalendarError(f"{day.isoformat()} is no working day")
    return int(spans.end[-1])


def _amount(seconds: int) -> int:
    if seconds < 0:
        raise CalendarError(f"{seconds} s: expected a time of zero or more")
    return seconds * _SECOND
