"""At this pace: when an allowance will be used up, and whether this hour is unlike this service.

Both compare with the service's own rhythm, hour by hour of its week: nights and weekends are no news. The answer is a
forecast and never a charge.
"""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

import numpy as np
from numpy.typing import NDArray

from coulance_core.usage.samples import Ints, SamplesError, ints

DAY, WEEK = 24, 168
Floats = NDArray[np.float64]


class Rhythm(StrEnum):
    """What a forecast could rest on."""

    WEEK = "week"
    """Two whole weeks or more: each hour of the week by itself."""
    DAY = "day"
    """Two whole days or more: each hour of the day."""
    NONE = "none"
    """Less: the average so far."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`crosses_in` hours a quantity is passed (None: not within the horizon); `at_end` is what is used by its end."""

    crosses_in: int | None
    at_end: int
    rhythm: Rhythm


def expected(history: object, hours: int) -> tuple[list[int], Rhythm]:
    """What each of the next `hours` will probably bring, from hourly use up to now (oldest first).

    The median of the same hour in earlier weeks (or days), at the level of the last 24 hours: today's pace in this
    service's own rhythm.
    """
    past = ints(history)
    if bool((past < 0).any()):
        raise SamplesError("hourly use is 0 or more")
    values = [int(v) for v in past.tolist()]
    n = len(values)
    if not n:
        return [0] * hours, Rhythm.NONE
    cycle = WEEK if n >= 2 * WEEK else DAY if n >= 2 * DAY else 0
    if not cycle:
        total = sum(values)
        return [total * (i + 1) // n - total * i // n for i in range(hours)], Rhythm.NONE
    # usual[k] belongs to the hour k hours after now, k = 0 .. cycle - 1
    usual = [median([values[j] for j in range(n - cycle + k, -1, -cycle)]) for k in range(cycle)]
    last = values[-DAY:]
    habit = [usual[(k - DAY) % cycle] for k in range(DAY)]
    now, then = sum(last), sum(habit)
    if not then:
        return [int(now * (i + 1) // DAY - now * i // DAY) for i in range(hours)], Rhythm.NONE
    out = [int(usual[i % cycle] * now / then) for i in range(hours)]
    return out, Rhythm.WEEK if cycle == WEEK else Rhythm.DAY


def forecast(history: object, *, used: int, until: int, hours: int) -> Forecast:
    """When use passes `until`, within the `hours` that the period still has.

    `used` so far in the period, in the same whole units as the hourly history.

    >>> forecast([10] * 48, used=900, until=1000, hours=100)
    Forecast(crosses_in=10, at_end=1900, rhythm=<Rhythm.DAY: 'day'>)
    """
    coming, rhythm = expected(history, hours)
    level, crosses = used, 0 if used >= until else None
    for hour, amount in enumerate(coming, 1):
        level += amount
        if crosses is None and level >= until:
            crosses = hour
    return Forecast(crosses, level, rhythm)


HOURS_KNOWN = 2 * DAY
"""Before so many hours nothing is unusual: there is no past to compare with."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """When an hour is unusual: above `times` the usual, `spreads` robust deviations from it, and at least a `1/share`
    of a usual day more than usual (a quiet service's busy hour is no news); `hours` in a row."""

    times: int = 2
    spreads: int = 5
    share: int = 16
    hours: int = 1


def unusual(history: object, sensitivity: Sensitivity | None = None) -> list[bool]:
    """For each hour, whether use had been unusual for this service until then; never in the first two days.

    The usual is the median of the same hour of the day in the two weeks before, with the hours beside it, or of the
    same hour of the week in four weeks where that is more: a Monday morning is no news. Until two weeks are known it is
    the mark that two thirds of the days lie under, since the few days may be a weekend. The spread is the median
    distance from it; a usual day is the median of the last fourteen. Medians, so that what was unusual yesterday
    doesn't become the usual. Only earlier hours are looked at: this is what would have been said then. How well that
    does on labelled series is kept by `test_pace`: it says little, and that truly.
    """
    s = sensitivity or Sensitivity()
    values: Ints = ints(history)
    if values.size <= HOURS_KNOWN:
        return [False] * values.size
    whole = values.astype(np.float64)
    day, week = _around(whole, DAY, 14), _around(whole, WEEK, 4)
    known = np.isfinite(week).sum(axis=1) >= 6
    usual = np.where(known, np.fmax(_median(day), _median(week)), _quantile(day, 2 / 3))
    spread = _median(np.abs(day - usual[:, None]))
    over = whole - usual
    high = (
        (whole > s.times * np.fmax(usual, 1.0))
        & (over > s.spreads * np.fmax(spread, 1.0))
        & (over * s.share > _median(_days_before(whole)))
    )
    high[:HOURS_KNOWN] = False
    found = high.copy()
    for back in range(1, s.hours):
        found[back:] &= high[:-back]
        found[:back] = False
    return [bool(one) for one in found]


def unusual_now(history: object, sensitivity: Sensitivity | None = None) -> bool:
    """Whether use was unusual in the last hour or the one before it."""
    return any(unusual(history, sensitivity)[-2:])


def _median(rows: Floats) -> Floats:
    return _quantile(rows, 0.5)


def _quantile(rows: Floats, part: float) -> Floats:
    """Of each row, what is not there left aside; not a number where nothing is there."""
    known = np.isfinite(rows).any(axis=1)
    out = np.full(len(rows), np.nan)
    out[known] = np.nanquantile(rows[known], part, axis=1)
    return out


def _around(series: Floats, cycle: int, most: int) -> Floats:
    """For each hour the same hour of earlier cycles, with the hours beside it."""
    back = np.array([b + beside for b in range(cycle, most * cycle + 1, cycle) for beside in (-1, 0, 1)])
    place = np.arange(series.size)[:, None] - back[None, :]
    return np.where(place >= 0, series[np.maximum(place, 0)], np.nan)


def _days_before(series: Floats) -> Floats:
    """For each hour what each of the fourteen days up to it brought."""
    sums = np.concatenate(([0.0], np.cumsum(series)))
    ends = np.arange(series.size)[:, None] - DAY * np.arange(14)[None, :]
    return np.where(ends >= DAY, sums[np.maximum(ends, 0)] - sums[np.maximum(ends - DAY, 0)], np.nan)
