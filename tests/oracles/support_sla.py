"""Suite `support_sla`: deadlines and open time of support desks, as other systems' own tests state them."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from coulance_core.sla import calendars
from coulance_core.sla.calendars import Calendar, CalendarError
from coulance_core.sla.intervals import EMPTY, Spans, micros
from tests.oracles.fields import field
from tests.oracles.protocol import MalformedCaseError, Outcome

_CALENDAR = {"hours", "holidays", "special", "date_overrides", "shifts", "breaks"}


def run(case: dict[str, Any], data: Path | None) -> Outcome:
    """One case by its kind; what it expects is an instant, seconds, or whether the desk is open."""
    kind = field(case, "kind", str, "the kind of case")
    ask = _ASK.get(kind)
    if ask is None:
        return Outcome.skipped(f"no such kind here: {kind!r}")
    expected = case.get("expected", ...)
    if expected is ...:
        raise MalformedCaseError("no field 'expected'")
    got = ask(_calendar(case), case)
    if isinstance(got, bool):
        return Outcome.compare(expected, got)
    if isinstance(got, datetime):
        return Outcome.compare(str(expected), got.isoformat().replace("+00:00", "Z"))
    return Outcome.compare(int(expected), got)


def _calendar(case: dict[str, Any]) -> Calendar:
    given = field(case, "calendar", dict, "hours, holidays, ...")
    unknown = sorted(set(given) - _CALENDAR)
    if unknown:
        raise MalformedCaseError(f"calendar.{unknown[0]}: expected one of {', '.join(sorted(_CALENDAR))}")
    try:
        return Calendar.weekly(
            field(case, "timezone", str, "a zone"),
            {day: _windows(pairs) for day, pairs in given.get("hours", {}).items()},
            holidays=[date.fromisoformat(day) for day in given.get("holidays", [])],
            special={date.fromisoformat(d): _windows(p) for d, p in _overrides(given).items()},
            breaks={date.fromisoformat(d): _windows(p) for d, p in given.get("breaks", {}).items()},
        )
    except (CalendarError, TypeError, AttributeError) as error:
        raise MalformedCaseError(f"calendar: {error}") from error


def _overrides(given: dict[str, Any]) -> dict[str, Any]:
    return given.get("special", {}) | given.get("date_overrides", {}) | given.get("shifts", {})


def _windows(pairs: list[list[str]]) -> list[str]:
    return [f"{start}-{end}" for start, end in pairs]


def _at(case: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(field(case, name, str, "an instant"))


def _pauses(case: dict[str, Any]) -> Spans:
    pairs = [(micros(datetime.fromisoformat(a)), micros(datetime.fromisoformat(b))) for a, b in case.get("pauses", ())]
    return Spans.of(pairs) if pairs else EMPTY


def _deadline(calendar: Calendar, case: dict[str, Any]) -> datetime:
    return calendars.deadline(calendar, _at(case, "start"), field(case, "seconds", int, "seconds"), _pauses(case))


def _elapsed(calendar: Calendar, case: dict[str, Any]) -> int:
    return int(calendars.elapsed(calendar, _at(case, "start"), _at(case, "end"), _pauses(case)).total_seconds())


_ASK: dict[str, Callable[[Calendar, dict[str, Any]], datetime | int | bool]] = {
    "deadline": _deadline,
    "deadline_with_pauses": _deadline,
    "elapsed": _elapsed,
    "elapsed_with_pauses": _elapsed,
    "backward": lambda c, case: calendars.backward(c, _at(case, "start"), field(case, "seconds", int, "seconds")),
    "business_days_before": lambda c, case: calendars.same_time(
        c, _at(case, "start"), -field(case, "days", int, "days")
    ),
    "is_open": lambda c, case: calendars.is_open(c, _at(case, "start")),
}
