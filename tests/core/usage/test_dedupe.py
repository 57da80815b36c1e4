"""Batches sorted out as columns, against a dictionary that is told one row after another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.usage.dedupe import against_stored, classify, last_revisions
from coulance_core.usage.samples import SamplesError

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 2), st.integers(0, 1)), max_size=40)
NEVER = np.iinfo(np.int64).min


def column(data: list[tuple[int, ...]], place: int) -> np.ndarray:
    return np.array([row[place] for row in data], np.int64)


@settings(max_examples=200)
@given(rows, st.lists(st.integers(-1, 6), min_size=4, max_size=4))
def test_every_row_of_a_batch_is_one_thing(data: list[tuple[int, int, int, int]], marks: list[int]) -> None:
    batch = classify(*(column(data, i) for i in range(4)), np.array(marks)[column(data, 0)])
    final = {(s, t): (i, (a, b)) for i, (s, t, a, b) in enumerate(data)}
    for i, (s, t, a, b) in enumerate(data):
        winner, values = final[s, t]
        kinds = [bool(m[i]) for m in (batch.fresh, batch.below, batch.duplicate, batch.superseded)]
        assert kinds == [
            i == winner and t > marks[s],
            i == winner and t <= marks[s],
            i != winner and (a, b) == values,
            i != winner and (a, b) != values,
        ]
        fought = any(row[:2] == (s, t) and row[2:] != values for row in data)
        assert bool(batch.conflict[i]) == (i == winner and fought)
    assert int(batch.kept.sum()) == len(final)


@settings(max_examples=200)
@given(rows, rows)
def test_rows_against_the_store(data: list[tuple[int, int, int, int]], stored: list[tuple[int, int, int, int]]) -> None:
    known = {(s, t): (a, b) for s, t, a, b in stored}
    held = [(s, t, a, b) for (s, t), (a, b) in known.items()]
    result = against_stored(*(column(data, i) for i in range(4)), *(column(held, i) for i in range(4)))
    for i, (s, t, a, b) in enumerate(data):
        there = known.get((s, t))
        assert bool(result.late[i]) == (there is None)
        assert bool(result.duplicate[i]) == (there == (a, b))
        assert bool(result.corrected[i]) == (there is not None and there != (a, b))
        assert (held[result.place[i]][:2] if there is not None else result.place[i]) == (
            (s, t) if there is not None else -1
        )


@settings(max_examples=100)
@given(rows)
def test_the_last_revision_stays(data: list[tuple[int, int, int, int]]) -> None:
    keep = last_revisions(column(data, 0), column(data, 1), column(data, 2))
    best: dict[tuple[int, int], int] = {}
    for i, (s, t, revision, _) in enumerate(data):
        if (s, t) not in best or revision >= data[best[s, t]][2]:
            best[s, t] = i
    assert keep.tolist() == [best[key] for key in sorted(best)]


@settings(max_examples=60)
@given(rows, st.integers(0, 10), st.randoms(use_true_random=False))
def test_resent_and_reordered_batches_come_to_the_same_samples(
    data: list[tuple[int, int, int, int]], size: int, random: object
) -> None:
    """Whole batches sent again change nothing; the store is what the dictionary says, whatever the batch size."""
    unique = list({row[:2]: row for row in data}.values())
    pieces = [unique[i : i + size + 1] for i in range(0, len(unique), size + 1)]
    sent = pieces * 2
    random.shuffle(sent)  # type: ignore[attr-defined]
    store: dict[tuple[int, int], tuple[int, int]] = {}
    marks = np.full(4, NEVER, np.int64)
    accepted = 0
    for piece in sent:
        s, t, a, b = (column(piece, i) for i in range(4))
        batch = classify(s, t, a, b, marks[s])
        held = [(*key, *values) for key, values in store.items()]
        below = np.flatnonzero(batch.below)
        against = against_stored(s[below], t[below], a[below], b[below], *(column(held, i) for i in range(4)))
        new = np.concatenate((np.flatnonzero(batch.fresh), below[~against.duplicate]))
        assert not against.corrected.any()
        for i in new.tolist():
            store[int(s[i]), int(t[i])] = (int(a[i]), int(b[i]))
            marks[s[i]] = max(marks[s[i]], t[i])
        accepted += new.size
    assert store == {row[:2]: row[2:] for row in unique}
    assert accepted == len(unique)


def test_columns_of_different_lengths_are_refused() -> None:
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(SamplesError, match="columns differ in length: 2 and 1 rows"):
        last_revisions(two, one, one)
