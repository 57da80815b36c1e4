"""Gauges: a reading holds until the next one, for at most twelve intervals; and things that come and go.

After twelve intervals without a reading the level is unknown and counts nothing (a meter that the customer runs goes
on holding, flagged as estimated). Instants are epoch seconds; a period is [start, end).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.catalog.terms import Proration
from coulance_core.kernel import Period, civil_midnight
from coulance_core.usage.samples import Ints, segment_sums
from coulance_core.usage.slots import Grid

HOLD_INTERVALS = 12
_LOW = np.int64(0xFFFFFFFF)
_FOREVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Held:
    """What each series' level amounts to over a period: level x seconds, and the seconds it was known."""

    level_seconds: list[int]
    seconds: list[int]
    stale: list[int]
    """Seconds it was held beyond the limit: counted by an estimate, else not at all."""


def until_next(at: Ints, offsets: Ints) -> Ints:
    """The instant of the next reading of the same series, or a far one after the last."""
    following = np.full(at.size, _FOREVER, np.int64)
    if at.size:
        following[:-1] = at[1:]
        last = offsets[1:][np.diff(offsets) > 0] - 1
        following[last] = _FOREVER
    return following


def held(at: Ints, level: Ints, offsets: Ints, start: int, end: int, hold_s: int, *, go_on: bool) -> Held:
    """Level times seconds over [start, end), exactly, each reading held until the next but at most `hold_s`.

    With `go_on` it is held beyond, until the next reading.

    >>> at, level = np.array([0, 3600]), np.array([10, 20])
    >>> held(at, level, np.array([0, 2]), 1800, 7200, 7200, go_on=False).level_seconds
    [90000]
    """
    following = until_next(at, offsets)
    begin = np.maximum(at, start)
    stop = np.minimum(following, end)
    fresh = np.maximum(np.minimum(stop, at + hold_s) - begin, 0)
    whole = np.maximum(stop - begin, 0)
    used = whole if go_on else fresh
    high, low = segment_sums((level >> np.int64(32)) * used, offsets), segment_sums((level & _LOW) * used, offsets)
    return Held(
        [(h << 32) + part for h, part in zip(high, low, strict=True)],
        segment_sums(fresh, offsets),
        segment_sums(whole - fresh, offsets),
    )


def last_level(at: Ints, level: Ints, start: int, end: int, hold_s: int) -> int | None:
    """The level in force when the period ends: the last reading before it, if that is in the period or held into it.

    >>> last_level(np.array([0, 50]), np.array([3, 4]), 0, 50, 600)
    3
    """
    place = int(np.searchsorted(at, end, side="left")) - 1
    if place < 0 or at[place] < start - hold_s:
        return None
    return int(level[place])


def peak_level(series: list[tuple[Ints, Ints]], start: int, end: int, hold_s: int) -> int | None:
    """The greatest sum of the series' levels at any instant of [start, end), `None` when nothing was known.

    >>> one, two = (np.array([0, 100]), np.array([5, 1])), (np.array([50]), np.array([7]))
    >>> peak_level([one, two], 0, 200, 3600)
    12
    """
    instants = [at[(at >= start) & (at < end)] for at, _ in series]
    moments = np.unique(np.concatenate([*instants, np.array([start], np.int64)]))
    total, known = np.zeros(moments.size, np.int64), np.zeros(moments.size, np.bool_)
    for at, level in series:
        place = np.searchsorted(at, moments, side="right") - 1
        fresh = (place >= 0) & (moments - at[np.maximum(place, 0)] < hold_s) if at.size else known & False
        total += np.where(fresh, level[np.maximum(place, 0)] if at.size else 0, 0)
        known |= fresh
    return int(total[known].max()) if known.any() else None


def sampled(at: Ints, level: Ints, grid: Grid, fresh_s: int) -> tuple[Ints, Ints]:
    """(level at the end of each slot, seconds covered); a reading counts for a slot if it is at most `fresh_s` old."""
    ends = grid.ends()
    if not at.size:
        return np.zeros(grid.count, np.int64), np.zeros(grid.count, np.int64)
    place = np.searchsorted(at, ends, side="right") - 1
    near = np.maximum(place, 0)
    fresh = (place >= 0) & (ends - at[near] < fresh_s)
    return np.where(fresh, level[near], 0), np.where(fresh, grid.step, 0)


@dataclass(frozen=True, slots=True)
class Items:
    """Things seen in a period: how many different ones, and the civil days and seconds they were there."""

    distinct: int
    days: int
    seconds: int
    period_days: int
    period_seconds: int

    def figure(self, proration: Proration) -> Fraction:
        """Each thing counted whole, or by its share of the period's days or seconds."""
        match proration:
            case Proration.CALENDAR_DAYS:
                return Fraction(self.days, self.period_days) if self.period_days else Fraction(0)
            case Proration.FIXED_30:
                return Fraction(self.days, 30)
            case Proration.SECONDS:
                return Fraction(self.seconds, self.period_seconds) if self.period_seconds else Fraction(0)
        return Fraction(self.distinct)


def items_in(at: Ints, item: Ints, change: Ints, period: Period, zone: ZoneInfo) -> Items:
    """Which items were there during `period`: +1 brings one, -1 takes it away, and one already there goes on.

    `at` need not ascend (several series together); of events of an item at one instant the later row rules. A day on
    which an item was there for any time counts whole, once.

    >>> p = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 11, tzinfo=UTC))
    >>> t = int(p.start.timestamp())
    >>> at, item = np.array([t - 5, t, t + 86400 * 5]), np.array([1, 2, 1])
    >>> i = items_in(at, item, np.array([1, 1, -1]), p, ZoneInfo("UTC"))
    >>> i.distinct, i.days, str(i.figure(Proration.CALENDAR_DAYS))
    (2, 15, '3/2')
    """
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    midnights = _midnights(start, end, zone)
    order = np.lexsort((np.arange(at.size), at, item))
    at, item, change = at[order], item[order], change[order]
    following = np.full(at.size, end, np.int64)
    same = item[1:] == item[:-1]
    following[:-1] = np.where(same, at[1:], end)
    begin, stop = np.maximum(at, start), np.minimum(following, end)
    there = (change > 0) & (begin < stop)
    begin, stop, who = begin[there], stop[there], item[there]
    first = np.searchsorted(midnights, begin, side="right") - 1
    final = np.searchsorted(midnights, stop - 1, side="right") - 1
    if who.size > 1:  # a day already counted for the item's interval before isn't counted again
        again = who[1:] == who[:-1]
        first[1:] = np.where(again, np.maximum(first[1:], final[:-1] + 1), first[1:])
    days = int(np.maximum(final - first + 1, 0).sum())
    return Items(int(np.unique(who).size), days, int((stop - begin).sum()), midnights.size, end - start)


def _midnights(start: int, end: int, zone: ZoneInfo) -> Ints:
    """The first instants of the civil days that a period touches."""
    if end <= start:
        return np.zeros(0, np.int64)
    day = datetime.fromtimestamp(start, UTC).astimezone(zone).date().toordinal()
    found: list[int] = []
    while not found or found[-1] < end:
        found.append(int(civil_midnight(datetime.fromordinal(day).date(), zone).timestamp()))
        day += 1
    return np.array(found[:-1] if len(found) > 1 else found, np.int64)
