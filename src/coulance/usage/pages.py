"""Counter pages: fixed arrays of numbers for `PAGE` neighbouring series, kept as bytes in one database row.

A batch that touches a thousand series updates a few pages, not a thousand rows: that is most of why ingest is fast.
Two versions of a page fit inside a database block, so that an update stays one small write in place.

Sums wrap modulo 2**64 as numpy's int64 does; values are capped so that no real day comes near it.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PAGE = 160
"""Series a page. Fixed for the life of a database: the number is in the data."""

NEVER = np.int64(np.iinfo(np.int64).min)
"""The high-water mark of a series that has no sample yet."""

STATE = np.dtype([("last_at", "<u4"), ("last_in", "<i8"), ("last_out", "<i8")])
"""Of a series: its newest sample. `last_at` counts seconds since `_BASE`, 0 for never (`marks`, `set_marks`)."""

DAY = np.dtype([("n", "<i4"), ("v_in", "<i8"), ("v_out", "<i8"), ("age", "<u4")])
"""Of a series on a civil day: samples, sums of use, and how long ago they changed (`revisions`, `touch`).

An age of 1 means the page's own revision, 2 the one before it, and so on; 0 means never, or four milliards ago.
"""

STATE_BYTES = PAGE * STATE.itemsize
DAY_BYTES = PAGE * DAY.itemsize
EMPTY_STATE = bytes(STATE_BYTES)
EMPTY_DAY = bytes(DAY_BYTES)

_BASE = 946_684_799  # one second before 2000, from when on samples are taken


def join(pages: Iterable[bytes | memoryview], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Pages as one writable array of records; slot = index of the page * PAGE + series % PAGE."""
    whole = bytearray().join(pages)
    return np.frombuffer(whole, dtype) if whole else np.zeros(0, dtype)


def marks(records: NDArray[np.void]) -> NDArray[np.int64]:
    """The high-water mark of each state record, in epoch seconds; `NEVER` for none."""
    stored = records["last_at"].astype(np.int64)
    return np.where(stored == 0, NEVER, stored + _BASE)


def set_marks(records: NDArray[np.void], slots: NDArray[np.int64], at: NDArray[np.int64]) -> None:
    """Write high-water marks."""
    records["last_at"][slots] = at - _BASE


def revisions(records: NDArray[np.void], page_revisions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The revision that last changed each day record, 0 for none; one page revision for each page in `records`."""
    age = records["age"].astype(np.int64)
    return np.where(age == 0, 0, np.repeat(page_revisions, PAGE) - age + 1)


def touch(
    records: NDArray[np.void], page_revisions: NDArray[np.int64], slots: NDArray[np.int64], revision: int
) -> None:
    """Let the pages be of `revision` and the records at `slots` changed by it; all others age."""
    age = records["age"].astype(np.int64)
    older = age + np.repeat(revision - page_revisions, PAGE)
    age = np.where((age == 0) | (older >= 2**32), 0, older)
    age[slots] = 1
    records["age"] = age
