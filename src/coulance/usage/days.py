"""Civil days as numbers: the day of an instant in a contract's zone, for whole arrays."""

from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from coulance_core.kernel import civil_midnight

Int64s = NDArray[np.int64]

_EPOCH = date(1970, 1, 1)
_BLOCK = 512


def day_number(day: date) -> int:
    """Days since 1970-01-01, which is how pages name civil days."""
    return (day - _EPOCH).days


def day_date(number: int) -> date:
    """The reverse of `day_number`."""
    return _EPOCH + timedelta(days=number)


@lru_cache(maxsize=256)
def _midnights(zone: str, block: int) -> Int64s:
    where = ZoneInfo(zone)
    first = block * _BLOCK
    return np.array(
        [int(civil_midnight(day_date(first + i), where).timestamp()) for i in range(_BLOCK + 1)], dtype=np.int64
    )


def midnights(zone: str, first: int, last: int) -> Int64s:
    """The first instants (epoch seconds) of civil days `first` to `last` inclusive, in `zone`."""
    blocks = range(first // _BLOCK, last // _BLOCK + 1)
    whole = np.concatenate([_midnights(zone, block)[:-1] for block in blocks])
    start = first - blocks.start * _BLOCK
    return whole[start : start + last - first + 1]


def days_of(at: Int64s, zone: str) -> Int64s:
    """The civil day of each instant (epoch seconds) in `zone`. An instant on midnight begins its day.

    >>> [str(day_date(int(d))) for d in days_of(np.array([1774821599, 1774821600]), "Europe/Amsterdam")]
    ['2026-03-29', '2026-03-30']
    """
    if not len(at):
        return np.empty(0, np.int64)
    low = int(at.min()) // 86400 - 1
    table = midnights(zone, low, int(at.max()) // 86400 + 2)
    first, last = np.searchsorted(table, (at.min(), at.max()), side="right") - 1
    if first == last:  # a live batch nearly always lies within one day
        return np.full(len(at), low + first, np.int64)
    return low - 1 + np.searchsorted(table, at, side="right")
