"""Counter pages: fixed arrays of numbers for `PAGE` neighbouring series, kept as bytes in one database row.

A batch that touches a thousand series updates a few pages, not a thousand rows: that is most of why ingest is fast.
Two versions of a page fit inside a database block, so that an update stays one small write in place.

Sums wrap modulo 2**64 as numpy's int64 does; values are capped so that no real day comes near it.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PAGE = 120
"""Series a page. Fixed for the life of a database: the number is in the data."""

NEVER = np.int64(np.iinfo(np.int64).min)
"""The high-water mark of a series that has no sample yet."""

STATE = np.dtype([("last_at", "<i8"), ("last_in", "<i8"), ("last_out", "<i8"), ("revision", "<i8")])
"""Of a series: instant and values of its newest sample, and the batch that last changed anything of it."""

DAY = np.dtype([("n", "<i4"), ("v_in", "<i8"), ("v_out", "<i8"), ("revision", "<i8")])
"""Of a series on a civil day: samples, sums of use, and the batch that last changed them."""

STATE_BYTES = PAGE * STATE.itemsize
DAY_BYTES = PAGE * DAY.itemsize


def empty_state(pages: int = 1) -> NDArray[np.void]:
    """State records for `pages` pages of series never seen."""
    state = np.zeros(pages * PAGE, STATE)
    state["last_at"] = NEVER
    return state


EMPTY_STATE = empty_state().tobytes()


def empty_days(pages: int) -> NDArray[np.void]:
    """Day records for `pages` pages, all zero."""
    return np.zeros(pages * PAGE, DAY)


def join(pages: Iterable[bytes | memoryview], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Pages as one writable array of records; slot = index of the page * PAGE + series % PAGE."""
    whole = bytearray().join(pages)
    return np.frombuffer(whole, dtype) if whole else np.zeros(0, dtype)


def split(records: NDArray[np.void]) -> list[bytes]:
    """The reverse of `join`: one bytes value a page."""
    size = PAGE * records.dtype.itemsize
    whole = records.tobytes()
    return [whole[i : i + size] for i in range(0, len(whole), size)]
