"""Billing cycles of one or several months on a billing day: where they begin, and which parts of them a service fills.

Two disagreements between platforms are named here: where the first whole cycle of a longer interval begins
(`CycleAlignment`), and what billing days 29 to 31 do after a short month (`ShortMonths`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import CycleAlignment, Proration, ShortMonths
from coulance_core.kernel import anchored_date
from coulance_core.kernel.period import add_months
from coulance_core.rating.proration import share_of_dates

_UTC = ZoneInfo("UTC")
_anchored = lru_cache(maxsize=4096)(anchored_date)


class LastPart(StrEnum):
    """Whether the part of a cycle at a service's end counts."""

    COUNTS = "counts"
    """It does, as any other part."""
    AFTER_WHOLE = "after_whole"
    """Not when the only other part is one at the start: without a whole cycle between, only that first part counts.
    One published case reckons so; named to reproduce it, not to be chosen."""


@dataclass(frozen=True, slots=True)
class CyclePart:
    """The days [start, end) of a service in the cycle [cycle_start, cycle_end)."""

    start: date
    end: date
    cycle_start: date
    cycle_end: date

    @property
    def whole(self) -> bool:
        """Whether it fills its cycle."""
        return self.start == self.cycle_start and self.end == self.cycle_end

    def share(self, how: Proration, zone: ZoneInfo = _UTC) -> Fraction:
        """Its share of the cycle, by a named convention."""
        return share_of_dates(self.start, self.end, self.cycle_start, self.cycle_end, how, zone)


@dataclass(frozen=True, slots=True)
class Cycles:
    """The cycles of `months` months on a billing day, aligned to a service that starts on `start`.

    >>> monthly = Cycles.aligned(date(2026, 1, 31), 31)
    >>> [monthly.begins(k).isoformat() for k in range(-1, 4)]
    ['2025-12-31', '2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']
    >>> sticking = Cycles.aligned(date(2026, 1, 31), 31, short_months=ShortMonths.STICK)
    >>> [sticking.begins(k).isoformat() for k in range(-1, 4)]
    ['2025-12-31', '2026-01-31', '2026-02-28', '2026-03-28', '2026-04-28']
    >>> Cycles.aligned(date(2026, 1, 20), 15, 3).first, Cycles.aligned(
    ...     date(2026, 1, 20), 15, 3, CycleAlignment.START_MONTH).first
    (datetime.date(2026, 2, 15), datetime.date(2026, 4, 15))
    """

    first: date
    billing_day: int
    months: int
    short_months: ShortMonths

    @classmethod
    def aligned(
        cls,
        start: date,
        billing_day: int,
        months: int = 1,
        alignment: CycleAlignment = CycleAlignment.NEAREST,
        short_months: ShortMonths = ShortMonths.OWN_DAY,
    ) -> "Cycles":
        """Those whose first whole one is where `alignment` puts it, on or after `start`."""
        step = 1 if alignment is CycleAlignment.NEAREST else months
        first, k = anchored_date(start.year, start.month, billing_day), 0
        stick = first.day if short_months is ShortMonths.STICK else billing_day
        month = (start.year, start.month)
        while first < start:
            k += step
            first = anchored_date(*add_months(*month, k), stick)
            if short_months is ShortMonths.STICK:
                stick = first.day
        return cls(first, billing_day, months, short_months)

    def begins(self, k: int) -> date:
        """The start of the k-th cycle; 0 is the first whole one, -1 the one before it."""
        if self.short_months is ShortMonths.OWN_DAY:
            year, month = add_months(self.first.year, self.first.month, k * self.months)
            return _anchored(year, month, self.billing_day)
        day, step = self.first, 1 if k > 0 else -1
        for _ in range(abs(k)):
            day = anchored_date(*add_months(day.year, day.month, step * self.months), day.day)
        return day

    def index(self, day: date) -> int:
        """Which cycle a day is in."""
        k = ((day.year - self.first.year) * 12 + day.month - self.first.month) // self.months
        if self.begins(k + 1) <= day:
            return k + 1
        return k if self.begins(k) <= day else k - 1

    def parts(self, start: date, end: date | None, through: date) -> Iterator[CyclePart]:
        """The parts that a service from `start` to before `end` (none: open) fills of the cycles begun by `through`.

        In advance, that is what is due on the day `through`: the cycle begun on it included, whole, with a service
        that is known to start or change within it.
        """
        if end is not None and end <= start:
            return
        k = self.index(start)
        begin = self.begins(k)
        while begin <= through and (end is None or begin < end):
            after = self.begins(k + 1)
            yield CyclePart(max(start, begin), after if end is None else min(end, after), begin, after)
            k, begin = k + 1, after


def count_cycles(
    cycles: Cycles,
    start: date,
    end: date | None,
    through: date,
    how: Proration = Proration.CALENDAR_DAYS,
    zone: ZoneInfo = _UTC,
    last_part: LastPart = LastPart.COUNTS,
) -> Fraction:
    """How many cycles are due in advance by `through`: whole ones and the shares of the parts at either end.

    >>> str(count_cycles(Cycles.aligned(date(2011, 2, 1), 13), date(2011, 2, 1), None, date(2011, 2, 13)))
    '43/31'
    """
    parts = list(cycles.parts(start, end, through))
    if last_part is LastPart.AFTER_WHOLE and len(parts) == 2 and not parts[0].whole and not parts[1].whole:
        parts.pop()
    return sum((part.share(how, zone) for part in parts), Fraction(0))
