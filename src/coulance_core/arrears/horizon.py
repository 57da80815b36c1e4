"""The instant of a judgement, which remembers the next one that could change it.

Every comparison with time goes through it. One that came out "not yet" says when it will come out otherwise; the
earliest of these is when the account must be looked at again. What has passed never un-passes.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from coulance_core.kernel import civil_midnight, require_aware

DAY = timedelta(days=1)


class Horizon:
    """An instant where the customer is. Days are civil days in their zone.

    >>> from datetime import UTC
    >>> h = Horizon(datetime(2026, 11, 2, 12, tzinfo=UTC), ZoneInfo("Europe/Amsterdam"))
    >>> h.reached(date(2026, 11, 2)), h.reached(date(2026, 11, 9)), h.reached(date(2026, 11, 5))
    (True, False, False)
    >>> h.wake.isoformat()
    '2026-11-04T23:00:00+00:00'
    """

    __slots__ = ("_next_at", "_next_on", "at", "local", "on", "zone")

    def __init__(self, at: datetime, zone: ZoneInfo) -> None:
        self.at = require_aware(at)
        self.zone = zone
        self.local = self.at.astimezone(zone)
        self.on = self.local.date()
        self._next_at: datetime | None = None
        self._next_on: date | None = None

    def passed(self, instant: datetime) -> bool:
        """Whether an instant has come."""
        if instant <= self.at:
            return True
        if self._next_at is None or instant < self._next_at:
            self._next_at = instant
        return False

    def reached(self, day: date) -> bool:
        """Whether a day has begun."""
        if day <= self.on:
            return True
        if self._next_on is None or day < self._next_on:
            self._next_on = day
        return False

    def over(self, day: date) -> bool:
        """Whether a day is over."""
        return self.reached(day + DAY)

    def day_of(self, instant: datetime) -> date:
        """The civil day of an instant."""
        return instant.astimezone(self.zone).date()

    def start_of(self, day: date) -> datetime:
        """The first instant of a civil day."""
        return civil_midnight(day, self.zone)

    @property
    def wake(self) -> datetime | None:
        """The earliest instant that was asked about and hasn't come; None where none was."""
        day = None if self._next_on is None else civil_midnight(self._next_on, self.zone)
        if day is None or self._next_at is None:
            return day or self._next_at
        return min(day, self._next_at)
