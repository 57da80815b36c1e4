"""At this pace: when an allowance will be used up, and whether this hour is unlike this service.

Both compare with the service's own rhythm, hour by hour of its week: nights and weekends are no news. Whole numbers
throughout; the answer is a forecast and never a charge.
"""

from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from coulance_core.usage.samples import Ints, SamplesError, ints

DAY, WEEK = 24, 168


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


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """When an hour is unusual: above `times` the usual and `spreads` robust deviations from it, `hours` in a row."""

    times: int = 2
    spreads: int = 6
    hours: int = 1


def unusual(history: object, sensitivity: Sensitivity | None = None) -> list[bool]:
    """For each hour, whether use had been unusual for this service until then; never in the first two days.

    The usual is the median of the same hour of the day in the two weeks before, with the hours beside it, or of the
    same hour of the week in four weeks where that is more: a Monday morning is no news. The spread is the median
    distance from it. Only earlier hours are looked at, so that this is what would have been said then.
    """
    s = sensitivity or Sensitivity()
    values: Ints = ints(history)
    series = [int(v) for v in values.tolist()]
    out: list[bool] = []
    run = 0
    for i, value in enumerate(series):
        out.append(False)
        if i < 2 * DAY:
            continue
        same = _around(series, i, DAY, 14)
        week = _around(series, i, WEEK, 4)
        usual = max(median(same), median(week) if week else 0)
        spread = median([abs(v - usual) for v in same])
        high = value > s.times * max(usual, 1) and value - usual > s.spreads * max(spread, 1)
        run = run + 1 if high else 0
        out[i] = run >= s.hours
    return out


def _around(series: list[int], hour: int, cycle: int, most: int) -> list[int]:
    """The same hour of earlier cycles, with the hours beside it."""
    back = range(cycle, most * cycle + 1, cycle)
    return [series[j] for b in back for j in range(hour - b - 1, hour - b + 2) if 0 <= j < hour]
