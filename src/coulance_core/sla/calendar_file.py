"""A calendar from a table of a provider's file: committed hours, windows of maintenance, a desk's open time."""

from datetime import date

from coulance_core.catalog.reading import Table
from coulance_core.sla.calendars import WEEKDAYS, Calendar, CalendarError


def read_calendar(t: Table) -> Calendar | None:
    """When time counts: a zone and the week's hours, or `always`; holidays are days, frozen here."""
    zone, always = t.text("zone"), t.flag("always", False)
    week = {day: list(t.texts(day)) for day in WEEKDAYS if t.has(day)}
    holidays = _days(t, "holidays")
    special = {d: list(hours) for d, hours in _hours_by_day(t, "special").items()}
    breaks = {d: list(hours) for d, hours in _hours_by_day(t, "breaks").items()}
    t.close()
    if not week and not always:
        t.fault("", 'expected hours, such as mon = ["09:00-17:00"], or always = true')
        return None
    try:
        if always:
            found = Calendar.always(zone)
        else:
            found = Calendar.weekly(zone, week, holidays=holidays, special=special, breaks=breaks)
        found.open(date(2026, 1, 5), date(2026, 1, 6))
    except (CalendarError, ValueError, KeyError) as error:
        t.fault("", str(error))
        return None
    return found


def _days(t: Table, name: str) -> list[date]:
    found = []
    for n, text in enumerate(t.texts(name)):
        try:
            found.append(date.fromisoformat(text))
        except ValueError:
            t.fault(f"{name}[{n}]", f"expected a date, such as 2026-12-25, not {text!r}")
    return found


def _hours_by_day(t: Table, name: str) -> dict[date, tuple[str, ...]]:
    row = t.table(name)
    found = {}
    for text in row.data:
        hours = row.texts(text)
        try:
            found[date.fromisoformat(text)] = hours
        except ValueError:
            row.fault(text, f"expected a date, such as 2026-12-24, not {text!r}")
    return found
