"""When a restriction may be carried out: on a day and at an hour at which the customer can still do something."""

from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from coulance_core.arrears.horizon import DAY
from coulance_core.arrears.terms import Calendar


def closed_because(calendar: Calendar, day: date, holidays: AbstractSet[date]) -> str:
    """Why nothing is restricted on that day; empty where something may be.

    >>> closed_because(Calendar(), date(2026, 12, 24), {date(2026, 12, 25)})
    'the eve of a holiday'
    >>> closed_because(Calendar(), date(2026, 12, 22), {date(2026, 12, 25)})
    ''
    """
    if day in holidays:
        return "a holiday"
    if day.weekday() in calendar.closed_weekdays:
        return f"a {day:%A}"
    if calendar.eves and day + DAY in holidays:
        return "the eve of a holiday"
    return ""


def next_open(calendar: Calendar, at: datetime, zone: ZoneInfo, holidays: AbstractSet[date]) -> datetime:
    """The first instant from `at` on at which the calendar is open; `at` itself where it is.

    >>> amsterdam = ZoneInfo("Europe/Amsterdam")
    >>> friday = datetime(2026, 11, 20, 17, 55, tzinfo=amsterdam)
    >>> next_open(Calendar(), friday, amsterdam, frozenset()).astimezone(amsterdam).isoformat()
    '2026-11-23T09:00:00+01:00'
    """
    local = at.astimezone(zone)
    day = local.date()
    if not closed_because(calendar, day, holidays) and calendar.from_hour <= local.hour < calendar.to_hour:
        return at
    if local.hour >= calendar.from_hour:
        day += DAY
    for _ in range(366):
        if not closed_because(calendar, day, holidays):
            # Through UTC, so that an hour that a clock change skips is a real instant.
            opens = datetime.combine(day, time(calendar.from_hour), zone)
            return opens.astimezone(at.tzinfo)
        day += DAY
    raise ValueError("no day of a year is open: look at the holidays and the closed weekdays")
