"""Which of very many accounts need judging now, by columns: what time or a changed fact can have altered, and no other.

An account that was judged said when it must be looked at again (`Decision.wake`), unless a fact of it changes before.
One that never was has nothing to do until its first invoice nears the first step's day. So most need not be read.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from coulance_core.arrears.terms import DUE, Policy
from coulance_core.kernel import require_aware

Days = NDArray[np.datetime64]
NEVER = np.datetime64("NaT", "s")
FAR = np.datetime64("9999-12-31", "s")
"""The wake of an account that time alone doesn't change."""


def first_days(policies: Sequence[Policy]) -> int:
    """How many days after (below zero: before) an invoice is due anything can first happen, by any of these policies.

    Steps after a declined collection or the end of a term need a fact that changes, and come in by that.
    """
    return min(
        (min((step.days, *step.within)) for policy in policies for step in policy.steps if step.after == DUE), default=0
    )


def candidates(
    account: NDArray[np.int64],
    open_minor: NDArray[np.int64],
    due_on: Days,
    *,
    judged: NDArray[np.int64],
    wake: Days,
    touched: NDArray[np.int64],
    at: datetime,
    first: int,
) -> NDArray[np.int64]:
    """The accounts that need a full judgement at an instant, in order.

    One row an open invoice: its account, what is open, the day that is printed on it (`datetime64[D]`). `judged` are
    the accounts that were judged before (in order, each once), with their `wake` (`datetime64[s]`, UTC; `FAR` for
    never again by itself). `touched`: accounts of which a fact changed since. `first` is `first_days` of the policies.

    >>> import numpy as np
    >>> days = lambda *d: np.array(d, "datetime64[D]")
    >>> candidates(np.array([7, 7, 8, 9]), np.array([100, 0, 100, 100]), days("2026-11-20", "2026-11-01", "2026-12-20",
    ...     "2026-10-01"), judged=np.array([9]), wake=np.array(["2026-12-01"], "datetime64[s]"),
    ...     touched=np.array([], np.int64), at=datetime(2026, 11, 22, tzinfo=UTC), first=1).tolist()
    [7]
    """
    now = np.datetime64(require_aware(at).replace(tzinfo=None), "s")
    # The day begins first where it is 14 hours later than in UTC.
    today = (now + np.timedelta64(14, "h")).astype("datetime64[D]")
    near = (open_minor > 0) & (due_on + np.timedelta64(first, "D") <= today)
    fresh = np.unique(account[near])
    if len(judged):
        at_index = np.minimum(np.searchsorted(judged, fresh), len(judged) - 1)
        fresh = fresh[judged[at_index] != fresh]
    awake = judged[wake <= now]
    return np.unique(np.concatenate([fresh, awake, touched])).astype(np.int64)


def wake_of(wake: datetime | None) -> np.datetime64:
    """A decision's wake as a column holds it. Seconds are cut off, so that it is never later than it should be."""
    return FAR if wake is None else np.datetime64(wake.astimezone(UTC).replace(tzinfo=None), "s")


def by_age(
    open_minor: NDArray[np.int64], due_on: Days, on: date, edges: Sequence[int] = (0, 30, 60, 90)
) -> NDArray[np.int64]:
    """What is open by how many days it is late: not due yet, then from each edge to the next; sums of minor units.

    >>> import numpy as np
    >>> by_age(np.array([5, 7, 9]), np.array(["2026-11-30", "2026-11-20", "2026-01-01"], "datetime64[D]"),
    ...        date(2026, 11, 22)).tolist()
    [5, 7, 0, 0, 9]
    """
    late = (np.datetime64(on, "D") - due_on).astype(np.int64)
    bucket = np.searchsorted(np.asarray(edges), late, side="right")
    sums = np.zeros(len(edges) + 1, np.int64)
    np.add.at(sums, bucket, open_minor)
    return sums
