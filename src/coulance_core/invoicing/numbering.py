"""Document numbers without gaps: which year a series is in, which block comes next, how a number is written."""

import re
from dataclasses import dataclass
from datetime import date

from coulance_core.catalog.provider import NumberSeries, Resets

_NUMBER = re.compile(r"\{number(?::0(\d+)d)?\}")


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive numbers of one series and year: `first` to `first + count - 1`. Year 0 is a series without years."""

    series: str
    year: int
    first: int
    count: int

    @property
    def last(self) -> int:
        """The last number of the block; `first - 1` when it is empty."""
        return self.first + self.count - 1


def series_year(series: NumberSeries, issued_on: date) -> int:
    """The year whose numbers a document of that day takes; 0 for a series that never starts again.

    >>> series_year(NumberSeries("base", "B{year}-{number:06d}"), date(2026, 12, 31))
    2026
    """
    return issued_on.year if series.resets is Resets.YEARLY else 0


def next_block(series: NumberSeries, *, year: int, last: int | None, count: int) -> Block:
    """The next `count` numbers, when `last` was given out last in that year (none yet: the series' start).

    >>> next_block(NumberSeries("base", "B{year}-{number:06d}"), year=2026, last=None, count=3).last
    3
    """
    if count < 0:
        raise ValueError(f"a block has 0 numbers or more, not {count}")
    return Block(series.key, year, series.start if last is None else last + 1, count)


def write(series: NumberSeries, number: int, issued_on: date) -> str:
    """The number as it prints.

    >>> write(NumberSeries("credit", "C{year}-{number:04d}"), 7, date(2026, 3, 1))
    'C2026-0007'
    """
    return series.write(number, issued_on.year)


def sql_format(series: NumberSeries, year: int) -> tuple[str, int, str]:
    """The number's form as (prefix, width, suffix) for a given year, so that a database can write many at once.

    >>> sql_format(NumberSeries("base", "B{year}-{number:06d}"), 2026)
    ('B2026-', 6, '')
    """
    found = _NUMBER.search(series.format)
    if found is None:
        raise ValueError(f"number series {series.key!r} has no {{number}} in {series.format!r}")
    before, after = (part.format(year=year) for part in (series.format[: found.start()], series.format[found.end() :]))
    return before, int(found.group(1) or 1), after


def statement_number(period_name: str, external_id: str, purpose: str = "close") -> str:
    """The name of a usage statement: one a period, customer and purpose, so it needs no series.

    >>> statement_number("2026-10", "c-17"), statement_number("2026-10", "c-17", "late-2026-11")
    ('U-2026-10-c-17', 'U-2026-10-c-17-late-2026-11')
    """
    return f"U-{period_name}-{external_id}" + ("" if purpose == "close" else f"-{purpose}")
