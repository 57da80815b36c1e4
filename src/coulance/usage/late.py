"""The slow, exact path: samples at or before their series' high-water mark.

They are looked up among what is stored. The same value again is a duplicate; another value is a correction, and the
last revision wins; nothing stored there is a late sample. What they change in the running counters is worked out from
the stored rows around them, under the same page locks as everything else, so that the totals stay exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coulance.usage import counting, reading
from coulance.usage.blobs import Rows
from coulance.usage.counting import Starts, Tally
from coulance.usage.pages import NEVER
from coulance.usage.registry import COUNTER, SeriesTable

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

_DAY = 86_400
_WIDENINGS = (2 * _DAY, 40 * _DAY, 2**40)
"""How far around a change the readings next to it are looked for, at most in three goes."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of rows at or before the mark: masks over them, and the stored row of each (0 where none)."""

    duplicate: Bools
    corrected: Bools
    late: Bools
    old: Rows


def judge(rows: Rows, last: Rows) -> Judged:
    """Compare `rows` (sorted) with what is stored; `last` has, row for row, the newest stored sample of its series."""
    at_mark = rows.at == last.at
    old_in, old_out = np.where(at_mark, last.v_in, 0), np.where(at_mark, last.v_out, 0)
    found = at_mark.copy()
    rest = np.flatnonzero(~at_mark)
    if len(rest):
        asked = rows.take(rest)
        stored = reading.read_rows(
            series=np.unique(asked.series), low=int(asked.at.min()), high=int(asked.at.max())
        ).rows
        there, place = reading.find(asked, stored)
        found[rest] = there
        if there.any():
            old_in[rest[there]] = stored.v_in[place[there]]
            old_out[rest[there]] = stored.v_out[place[there]]
    same = found & (old_in == rows.v_in) & (old_out == rows.v_out)
    return Judged(same, found & ~same, ~found, Rows(rows.series, rows.at, old_in, old_out))


def linear_tally(table: SeriesTable, positions: NDArray[np.integer], rows: Rows, judged: Judged, days: Int64s) -> Tally:
    """What late and corrected deltas and gauges add: all of a late one, the difference of a corrected one."""
    use = np.flatnonzero((judged.late | judged.corrected) & (table.kind[positions] != COUNTER))
    late = judged.late[use]
    return Tally(
        rows.series[use],
        days[use],
        late.astype(np.int64),
        rows.v_in[use] - np.where(late, 0, judged.old.v_in[use]),
        rows.v_out[use] - np.where(late, 0, judged.old.v_out[use]),
    )


def _around(series: Int64s, low: Int64s, high: Int64s, last_at: Int64s) -> Rows:
    """Stored rows of each series from the one before `low` to the one after `high`, and perhaps more."""
    pending = np.arange(len(series))
    parts: list[Rows] = []
    back = ahead = 0
    lack_before = lack_after = np.ones(len(series), np.bool_)
    for width in _WIDENINGS:
        # Only the side that lacks a neighbour is widened: a backfill has none before it, and must not read all after.
        back, ahead = (width if lack_before.any() else back), (width if lack_after.any() else ahead)
        ids = series[pending]
        found = reading.read_rows(
            series=np.sort(ids), low=int(low[pending].min()) - back, high=int(high[pending].max()) + ahead
        ).rows
        begin, end = np.searchsorted(found.series, ids), np.searchsorted(found.series, ids + 1)
        there = end > begin
        top = max(len(found) - 1, 0)
        earliest = found.at[np.minimum(begin, top)] if len(found) else np.zeros(len(ids), np.int64)
        newest = found.at[np.clip(end - 1, 0, top)] if len(found) else np.zeros(len(ids), np.int64)
        lack_before = ~(there & (earliest < low[pending]))
        lack_after = (last_at[pending] > high[pending]) & ~(there & (newest > high[pending]))
        done = ~(lack_before | lack_after) if width != _WIDENINGS[-1] else np.ones(len(ids), np.bool_)
        parts.append(found.take(reading.is_in(found.series, np.sort(ids[done]))))
        pending, lack_before, lack_after = pending[~done], lack_before[~done], lack_after[~done]
        if not len(pending):
            break
    whole = Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("series", "at", "v_in", "v_out")))
    return whole.take(np.lexsort((whole.at, whole.series)))


def counter_tally(
    table: SeriesTable,
    changes: Rows,
    moments: tuple[Int64s, Int64s],
    last_at: dict[int, int],
    starts_before: Starts,
    starts_after: Starts,
) -> Tally:
    """What changed readings of counter series add: use with them minus use without.

    `changes` are the late, corrected and new rows of those series (sorted); `moments` (series, at) further instants
    around which the judgement may differ, for evidence that came late. `last_at` is each series' high-water mark.
    """
    at_series = np.concatenate((changes.series, moments[0]))
    at_when = np.concatenate((changes.at, moments[1]))
    order = np.lexsort((at_when, at_series))
    at_series, at_when = at_series[order], at_when[order]
    edges = np.flatnonzero(counting.first_rows(at_series))
    series, low = at_series[edges], at_when[edges]
    high = at_when[np.append(edges[1:], len(at_when)) - 1]
    marks = np.array([last_at.get(i, int(NEVER)) for i in series.tolist()], np.int64)
    before = _around(series, low, high, marks)
    both = Rows(*(np.concatenate([getattr(before, n), getattr(changes, n)]) for n in ("series", "at", "v_in", "v_out")))
    order = np.lexsort((np.arange(len(both)), both.at, both.series))
    both = both.take(order)
    keep = np.append((both.series[1:] != both.series[:-1]) | (both.at[1:] != both.at[:-1]), True)
    after = both.take(keep)
    tallies = []
    for rows, starts, sign in ((after, starts_after, 1), (before, starts_before, -1)):
        if not len(rows):
            continue
        positions = table.positions_of(rows.series)
        none = Rows(rows.series, np.full(len(rows), NEVER), rows.v_in, rows.v_out)
        tally = counting.tally_of(table, positions, rows, counting.first_rows(rows.series), none, starts)
        tallies.append(tally if sign > 0 else counting.negative(tally))
    whole = counting.grouped(*tallies)
    moved = (whole.n != 0) | (whole.v_in != 0) | (whole.v_out != 0)
    return Tally(*(getattr(whole, name)[moved] for name in ("series", "day", "n", "v_in", "v_out")))
