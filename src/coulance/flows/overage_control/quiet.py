"""Quiet hours: when somebody may be disturbed for what can wait."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance_core.catalog.overage import OverageTerms, civil_time


def wakes_at(at: datetime, zone: ZoneInfo, terms: OverageTerms) -> datetime:
    """The first instant from `at` on that lies outside the provider's quiet hours, by the clock of whoever is told.

    >>> night = OverageTerms(quiet_from="22:00", quiet_until="07:30")
    >>> late = datetime(2026, 10, 24, 21, 15, tzinfo=UTC)  # 23:15 in Amsterdam; clocks go back that night
    >>> wakes_at(late, ZoneInfo("Europe/Amsterdam"), night).isoformat()
    '2026-10-25T06:30:00+00:00'
    >>> wakes_at(late, ZoneInfo("America/New_York"), night) == late
    True
    """
    begin, end = civil_time(terms.quiet_from), civil_time(terms.quiet_until)
    if begin is None or end is None or begin == end:
        return at
    local = at.astimezone(zone)
    now = local.hour * 60 + local.minute
    quiet = begin <= now < end if begin < end else now >= begin or now < end
    if not quiet:
        return at
    day = local.date() + timedelta(days=1 if now >= end else 0)
    return datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone).astimezone(UTC)
