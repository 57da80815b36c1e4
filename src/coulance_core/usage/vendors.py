"""How other programs turn counters into deltas, reproduced to the last digit, so that their bills can be checked.

rrdtool reckons in double precision and keeps a late update only within its heartbeat. COUNTER assumes that any
decrease is a wrap, first of 32 bits and then of 64, and adds 2^32 - 1 where a counter wraps at 2^32: each wrap is
one short. DERIVE with a minimum of 0 calls every decrease unknown. (rrdtool 1.7.2; its doc/rrdcreate.)
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from coulance_core.usage.samples import Bools, Ints


class VendorPolicy(StrEnum):
    """Whose arithmetic."""

    RRDTOOL_COUNTER = "rrdtool_counter"
    RRDTOOL_DERIVE_MIN_0 = "rrdtool_derive_min_0"


HEARTBEAT_S = 600
"""rrdtool's usual heartbeat at five-minute steps: an interval longer than this is unknown."""


def vendor_deltas(
    start: Ints,
    end: Ints,
    old: NDArray[np.uint64],
    new: NDArray[np.uint64],
    policy: VendorPolicy,
    heartbeat_s: int = HEARTBEAT_S,
) -> tuple[NDArray[np.uint64], Bools]:
    """(amount, known) of each interval, by that program's arithmetic. Amounts reach almost 2^64, hence unsigned.

    >>> old, new = np.array([4294967290, 10], np.uint64), np.array([4, 30], np.uint64)
    >>> start, end = np.array([0, 300]), np.array([300, 600])
    >>> [v.tolist() for v in vendor_deltas(start, end, old, new, VendorPolicy.RRDTOOL_COUNTER)]
    [[9, 20], [True, True]]
    >>> [v.tolist() for v in vendor_deltas(start, end, old, new, VendorPolicy.RRDTOOL_DERIVE_MIN_0)]
    [[0, 20], [False, True]]
    """
    known = (end - start) <= heartbeat_s
    falls = new < old
    if policy is VendorPolicy.RRDTOOL_DERIVE_MIN_0:
        known &= ~falls
        return np.where(known, new - old, 0).astype(np.uint64), known
    # Doubles on purpose: this is the vendor's arithmetic, with the vendor's loss of low digits near 2^64.
    double = np.where(falls, -((old - new).astype(np.float64)), (new - old).astype(np.float64))
    double = np.where(double < 0, double + 4294967295.0, double)
    double = np.where(double < 0, double + 18446744069414584320.0, double)
    whole = np.where(double >= 2.0**64, 0.0, double).astype(np.uint64)
    exact = np.where(falls, whole, new - old)
    return np.where(known, exact, 0).astype(np.uint64), known & (double < 2.0**64)


def within_heartbeat(at: Ints, start: int, heartbeat_s: int = HEARTBEAT_S) -> Bools:
    """Which updates of a database that starts at `start` rrdtool keeps: those at most a heartbeat after the last.

    A later one is unknown as a whole, so that the first sample after a gap is lost along with the gap.

    >>> within_heartbeat(np.array([300, 600, 1500, 1800]), 0).tolist()
    [True, True, False, True]
    """
    return np.diff(at, prepend=start) <= heartbeat_s
