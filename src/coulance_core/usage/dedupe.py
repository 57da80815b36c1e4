"""Exactly one sample for each series and instant, however often and in whatever order batches bring it.

Inside a batch the last row for an instant wins. Against what is stored, a series' high-water mark (its newest stored
instant) tells most rows apart without a look: after the mark a row is fresh, at or before it the store must be asked.
All of it is columns; `series` may hold any integers.
"""

from dataclasses import dataclass

import numpy as np

from coulance_core.usage.samples import Bools, Ints, SamplesError


@dataclass(frozen=True, slots=True)
class Batch:
    """What each row of a batch is, as masks over its rows in their own order.

    Every row is one of: `fresh`, `below` (at or before its series' mark: ask the store), `duplicate` (equal to the
    row that wins its instant), `superseded` (different from it). `conflict` marks the winners that superseded a row.
    """

    fresh: Bools
    below: Bools
    duplicate: Bools
    superseded: Bools
    conflict: Bools

    @property
    def kept(self) -> Bools:
        """The rows that go on: one for each series and instant."""
        return self.fresh | self.below


def classify(series: Ints, at: Ints, v_in: Ints, v_out: Ints, marks: Ints) -> Batch:
    """Sort out a batch. `marks[i]` is the high-water mark of row i's series (below every instant where it has none).

    >>> one, at = np.array([1, 1, 1, 1]), np.array([600, 300, 600, 600])
    >>> b = classify(one, at, np.array([5, 6, 7, 7]), np.zeros(4, np.int64), np.array([300, 300, 300, 300]))
    >>> b.fresh.tolist(), b.below.tolist()
    ([False, False, False, True], [False, True, False, False])
    >>> b.duplicate.tolist(), b.superseded.tolist(), b.conflict.tolist()
    ([False, False, True, False], [True, False, False, False], [False, False, False, True])
    """
    _same_length(at, series, v_in, v_out, marks)
    size = at.size
    duplicate, superseded = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    conflict = np.zeros(size, np.bool_)
    if size > 1 and not _ascends(series, at):
        order = np.lexsort((at, series))  # stable: rows of one instant stay in their order
        same = (series[order[1:]] == series[order[:-1]]) & (at[order[1:]] == at[order[:-1]])
        if same.any():
            last = np.append(~same, True)
            # Each sorted row's winner is the next row that is the last of its instant.
            winner = order[np.flatnonzero(last)[np.cumsum(np.append(0, last[:-1]))]]
            loser = order[~last]
            its_winner = winner[~last]
            equal = (v_in[loser] == v_in[its_winner]) & (v_out[loser] == v_out[its_winner])
            duplicate[loser[equal]] = True
            superseded[loser[~equal]] = True
            conflict[its_winner[~equal]] = True
    kept = ~(duplicate | superseded)
    after = at > marks
    return Batch(kept & after, kept & ~after, duplicate, superseded, conflict)


@dataclass(frozen=True, slots=True)
class Known:
    """What each row is against the store: `duplicate` (stored just so), `corrected` (stored otherwise), or `late`."""

    duplicate: Bools
    corrected: Bools
    late: Bools
    place: Ints
    """Where the stored sample of that series and instant is, -1 where there is none."""


def against_stored(
    series: Ints,
    at: Ints,
    v_in: Ints,
    v_out: Ints,
    stored_series: Ints,
    stored_at: Ints,
    stored_in: Ints,
    stored_out: Ints,
) -> Known:
    """Compare rows with stored samples. The stored ones are unique by (series, at), in any order.

    >>> k = against_stored(np.array([1, 1, 2]), np.array([300, 600, 300]), np.array([5, 6, 7]), np.zeros(3, np.int64),
    ...                    np.array([1, 1]), np.array([600, 300]), np.array([9, 5]), np.zeros(2, np.int64))
    >>> k.duplicate.tolist(), k.corrected.tolist(), k.late.tolist()
    ([True, False, False], [False, True, False], [False, False, True])
    """
    _same_length(at, series, v_in, v_out)
    _same_length(stored_at, stored_series, stored_in, stored_out)
    place = _find(series, at, stored_series, stored_at)
    found = place >= 0
    same = np.zeros(at.size, np.bool_)
    hit = place[found]
    same[found] = (stored_in[hit] == v_in[found]) & (stored_out[hit] == v_out[found])
    return Known(same, found & ~same, ~found, place)


def last_revisions(series: Ints, at: Ints, revision: Ints) -> Ints:
    """The row numbers to keep: for each (series, at) the highest revision, of equal ones the later row.

    Sorted by series, then instant.

    >>> last_revisions(np.array([2, 1, 1, 1]), np.array([0, 0, 0, 300]), np.array([0, 1, 2, 0])).tolist()
    [2, 3, 0]
    """
    _same_length(at, series, revision)
    if at.size > 1 and _ascends(series, at):
        return np.arange(at.size, dtype=np.int64)
    order = np.lexsort((revision, at, series))
    last = np.ones(at.size, np.bool_)
    last[:-1] = (series[order[1:]] != series[order[:-1]]) | (at[order[1:]] != at[order[:-1]])
    return order[last].astype(np.int64)


def _ascends(series: Ints, at: Ints) -> bool:
    """Whether rows are already sorted and unique, as collectors send them: then nothing needs sorting."""
    step = np.diff(series)
    return bool(((step > 0) | ((step == 0) & (np.diff(at) > 0))).all())


def _find(series: Ints, at: Ints, stored_series: Ints, stored_at: Ints) -> Ints:
    """The stored row with the same (series, at), or -1."""
    place = np.full(at.size, -1, np.int64)
    if not stored_at.size or not at.size:
        return place
    # Both sides together, the stored first in each instant: a row's match is then right before its run.
    both_series, both_at = np.concatenate((stored_series, series)), np.concatenate((stored_at, at))
    is_row = np.concatenate((np.zeros(stored_at.size, np.bool_), np.ones(at.size, np.bool_)))
    order = np.lexsort((is_row, both_at, both_series))
    s, t, rows = both_series[order], both_at[order], is_row[order]
    new = np.ones(order.size, np.bool_)
    new[1:] = (s[1:] != s[:-1]) | (t[1:] != t[:-1])
    head = np.maximum.accumulate(np.where(new, np.arange(order.size), 0))
    hit = rows & ~rows[head]
    place[order[hit] - stored_at.size] = order[head[hit]]
    return place


def _same_length(at: Ints, *columns: Ints) -> None:
    for column in columns:
        if column.shape != at.shape:
            raise SamplesError(f"columns differ in length: {column.size} and {at.size} rows")
