"""What part of a period counts: none (whole), calendar days, thirty-day months, or seconds; exact shares."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import Proration
from coulance_core.kernel import Period, Rounding, civil_midnight, exact, round_to

WHOLE = Fraction(1)
_DAY = timedelta(days=1)

IN_WORDS = {
    Proration.NONE: "a part of a period counts as the whole",
    Proration.CALENDAR_DAYS: "a part of a period counts by calendar days in the contract's zone",
    Proration.FIXED_30: "a part of a period counts by days of thirty-day months",
    Proration.SECONDS: "a part of a period counts by elapsed seconds",
}
"""Each convention as it prints."""


def day_of_360(day: date) -> int:
    """A day's place in a year of twelve thirty-day months; the last day of any month is its thirtieth.

    The difference of two is the days between them in that reckoning. Differences add up, and from a billing day to
    the same one a month later is always 30.

    >>> day_of_360(date(2024, 3, 15)) - day_of_360(date(2024, 2, 23))
    22
    >>> day_of_360(date(2026, 2, 28)) - day_of_360(date(2026, 1, 31))
    30
    """
    last = (day + _DAY).month != day.month
    return 360 * day.year + 30 * (day.month - 1) + (30 if last else day.day)


def share_of_dates(
    start: date, end: date, whole_start: date, whole_end: date, how: Proration, zone: ZoneInfo
) -> Fraction:
    """The share that the civil days [start, end) are of [whole_start, whole_end).

    >>> utc = ZoneInfo("UTC")
    >>> jan = date(2026, 1, 1), date(2026, 2, 1)
    >>> [str(share_of_dates(date(2026, 1, 15), date(2026, 2, 1), *jan, how, utc)) for how in Proration]
    ['1', '17/31', '8/15', '17/31']
    """
    if how is Proration.NONE or (start == whole_start and end == whole_end):
        return WHOLE
    if how is Proration.CALENDAR_DAYS:
        return Fraction((end - start).days, (whole_end - whole_start).days)
    if how is Proration.FIXED_30:
        return Fraction(day_of_360(end) - day_of_360(start), day_of_360(whole_end) - day_of_360(whole_start))
    instants = (civil_midnight(day, zone) for day in (start, end, whole_start, whole_end))
    a, b, c, d = instants
    return Period(a, b).share_of(Period(c, d))


@lru_cache(maxsize=8192)
def share(part: Period, whole: Period, how: Proration, zone: ZoneInfo) -> Fraction:
    """The share that `part` is of `whole`, by a named convention. `part` lies inside `whole`.

    By days, every civil day (in `zone`) that the part touches counts whole.

    >>> ams = ZoneInfo("Europe/Amsterdam")
    >>> march = Period(civil_midnight(date(2026, 3, 1), ams), civil_midnight(date(2026, 4, 1), ams))
    >>> from_20th = Period(civil_midnight(date(2026, 3, 20), ams), march.end)
    >>> str(share(from_20th, march, Proration.CALENDAR_DAYS, ams)), str(share(from_20th, march, Proration.SECONDS, ams))
    ('12/31', '287/743')
    """
    if part == whole or how is Proration.NONE:
        return WHOLE
    if how is Proration.SECONDS:
        return part.share_of(whole)
    return share_of_dates(*civil_days(part, zone), *civil_days(whole, zone), how, zone)


def civil_days(period: Period, zone: ZoneInfo) -> tuple[date, date]:
    """The civil days in `zone` that a period touches: the first, and the one after the last."""
    start = period.start.astimezone(zone).date()
    if period.end <= period.start:
        return start, start
    return start, (period.end - timedelta(microseconds=1)).astimezone(zone).date() + _DAY


def accrued_share(active: Period, hours: int) -> Fraction:
    """The share of an allowance that accrues by the hour, to the whole after `hours`. An hour begun counts.

    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> str(accrued_share(Period(start, start + timedelta(days=7)), 672)), accrued_share(
    ...     Period(start, start + timedelta(days=30)), 672)
    ('1/4', Fraction(1, 1))
    """
    return min(WHOLE, Fraction(-(-active.seconds // 3600), hours))


def prorated_sum(
    changes: Sequence[tuple[datetime, Fraction]],
    period: Period,
    zone: ZoneInfo,
    *,
    days: int | None = None,
    digits: int | None = None,
    rule: Rounding = Rounding.UP,
) -> Fraction:
    """A running total over a period, each change counted for the days that it is there, its own day included.

    What changed before the period counts for all of its days; after it, not at all. `days`: those of the whole cycle,
    where the period is only a part of one. With `digits` the total is rounded by `rule` (one platform rounds up at 5
    decimals); without, it stays exact.

    >>> may = Period(datetime(2023, 5, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC))
    >>> changes = [(datetime(2023, 3, 1, tzinfo=UTC), Fraction(5)), (datetime(2023, 5, 26, tzinfo=UTC), Fraction(12))]
    >>> str(prorated_sum(changes, may, ZoneInfo("UTC")))
    '227/31'
    """
    first, after = civil_days(period, zone)
    whole = days or (after - first).days
    total = Fraction(0)
    for at, value in changes:
        day = max(at.astimezone(zone).date(), first)
        if day < after:
            total += value * (after - day).days / whole
    return total if digits is None else round_to(total, digits, rule)


def time_weighted(
    initial: Fraction,
    changes: Sequence[tuple[datetime, Fraction]],
    period: Period,
    *,
    over: timedelta | None = None,
) -> Fraction:
    """The average level over a period, of a level that starts at `initial` and changes by each delta at its instant.

    Changes at or before the start count whole, those at or after the end not at all. `over`: the length of the whole
    cycle, where the period is only a part of one.

    >>> august = Period(datetime(2023, 8, 1, tzinfo=UTC), datetime(2023, 9, 1, tzinfo=UTC))
    >>> str(time_weighted(Fraction(2), [(datetime(2023, 8, 1, 2, tzinfo=UTC), Fraction(-1))], august))
    '373/372'
    """
    tick = timedelta(microseconds=1)
    whole = (over or period.end - period.start) // tick
    total = initial * ((period.end - period.start) // tick) / whole
    for at, delta in changes:
        left = period.end - max(at, period.start)
        if left > timedelta(0):
            total += delta * (left // tick) / whole
    return total


def unique_count_by_days(
    active_days: Sequence[int | Fraction], days: int, *, digits: int | None = None, rule: Rounding = Rounding.UP
) -> Fraction:
    """Things counted each for the days it was there, out of the period's `days`; rounded as in `prorated_sum`.

    >>> str(unique_count_by_days([16], 31, digits=5))
    '51613/100000'
    """
    total = sum((Fraction(exact(one), days) for one in active_days), Fraction(0))
    return total if digits is None else round_to(total, digits, rule)


def start_of(day: date) -> datetime:
    """The day's first instant in UTC; for dates that carry no zone, such as an oracle's."""
    return datetime.combine(day, time(), UTC)
