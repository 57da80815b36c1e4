"""Half-open periods of aware instants, and billing periods anchored on a civil day in a contract's zone.

Instants are aware and kept in UTC. A civil date says nothing without a zone, so the zone always comes along: March
2026 has 743 hours in Amsterdam.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo


class PeriodError(ValueError):
    """A naive instant, or a period that ends before it starts."""


def require_aware(instant: datetime) -> datetime:
    """`instant` in UTC; raises `PeriodError` when it carries no zone."""
    if instant.tzinfo is None:
        raise PeriodError(f"an instant needs a zone: {instant.isoformat()} has none")
    return instant.astimezone(UTC)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """[start, end): two aware instants, kept in UTC. May be empty, never backwards.

    >>> p = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    >>> p.seconds // 86400, p.start in p, p.end in p
    (31, True, False)
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", require_aware(self.start))
        object.__setattr__(self, "end", require_aware(self.end))
        if self.end < self.start:
            raise PeriodError(f"a period ends before it starts: {self.start.isoformat()} .. {self.end.isoformat()}")

    @property
    def seconds(self) -> int:
        """Its length in elapsed seconds (whole; instants carry no fractions of a second in billing)."""
        return int((self.end - self.start).total_seconds())

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def intersect(self, other: "Period") -> "Period | None":
        """What both cover, or `None` when they share no instant."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None

    def share_of(self, whole: "Period") -> Fraction:
        """Its elapsed part of `whole`, between 0 and 1 when it lies inside."""
        return Fraction(self.seconds, whole.seconds)

    def dates(self, zone: ZoneInfo) -> tuple[date, date]:
        """First civil day and the day after the last, in `zone`; for a period made of whole civil days."""
        return self.start.astimezone(zone).date(), self.end.astimezone(zone).date()


def civil_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a civil day in `zone`, in UTC.

    Where a clock change skips midnight the day starts at the change; where it repeats it, at the first occurrence.

    >>> civil_midnight(date(2026, 3, 30), ZoneInfo("Europe/Amsterdam")).isoformat()
    '2026-03-29T22:00:00+00:00'
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def anchored_date(year: int, month: int, anchor: int) -> date:
    """The billing day `anchor` (1 to 31) in a month, clamped to its last day; the next month gets its own again.

    >>> anchored_date(2026, 2, 31), anchored_date(2026, 3, 31)
    (datetime.date(2026, 2, 28), datetime.date(2026, 3, 31))
    """
    if not 1 <= anchor <= 31:
        raise PeriodError(f"a billing day is 1 to 31, not {anchor}")
    return date(year, month, min(anchor, calendar.monthrange(year, month)[1]))


def add_months(year: int, month: int, months: int) -> tuple[int, int]:
    """The year and month, `months` later (or earlier)."""
    index = year * 12 + (month - 1) + months
    return index // 12, index % 12 + 1


def anchored_period(year: int, month: int, anchor: int, zone: ZoneInfo, months: int = 1) -> Period:
    """The billing period that starts on `anchor` in that month, and ends where the next one starts.

    It is named by the month it starts in: with anchor 15, October 2026 is 15 October to 15 November.

    >>> p = anchored_period(2026, 1, 31, ZoneInfo("UTC"))
    >>> p.start.date(), p.end.date()
    (datetime.date(2026, 1, 31), datetime.date(2026, 2, 28))
    """
    until_year, until_month = add_months(year, month, months)
    return Period(
        civil_midnight(anchored_date(year, month, anchor), zone),
        civil_midnight(anchored_date(until_year, until_month, anchor), zone),
    )


def days_between(start: date, end: date) -> int:
    """Civil days in [start, end)."""
    return (end - start) // timedelta(days=1)
