"""Random histories: however samples are cut, repeated, reordered, corrected and sealed, totals stay exact."""

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from coulance.usage import operations
from tests.usage.support import NOW, T0, day_totals, faults, send, stored

LINEAR = ("t0", "t1", "t150")
COUNTERS = ("c0", "c1")

slots = st.integers(0, 60)
amounts = st.integers(0, 1000)


def counter_total(readings: dict[int, int]) -> int:
    """What a 32-bit counter of at most 12.5 MB/s counted, pair by pair, written the slow way."""
    total = 0
    ordered = sorted(readings.items())
    for (t0, a), (t1, b) in itertools.pairwise(ordered):
        most = 12_500_000 * (t1 - t0 + 30)
        step = b - a if b >= a else b - a + 2**32
        if step <= most:
            total += step
    return total


class History(RuleBasedStateMachine):
    """A model that remembers the last value of each sample, beside the store."""

    @initialize()
    def begin(self) -> None:
        clear()
        self.truth: dict[tuple[str, int], tuple[int, int]] = {}
        self.sent: list[list[tuple[str, int, int, int]]] = []
        self.number = 0

    def take(self, rows: list[tuple[str, int, int, int]]) -> None:
        self.number += 1
        answer = send(rows, key=f"b{self.number}")
        parts = (
            answer.accepted,
            answer.duplicate,
            answer.late,
            answer.corrected,
            answer.quarantined,
            answer.rejected_rows,
        )
        assert sum(parts) == len(rows)
        for key, at, v_in, v_out in rows:
            self.truth[key, at] = (v_in, v_out)
        self.sent.append(rows)

    @rule(data=st.lists(st.tuples(st.sampled_from(LINEAR), slots, amounts, amounts), min_size=1, max_size=30))
    def linear(self, data: list[tuple[str, int, int, int]]) -> None:
        self.take([(key, T0 + slot * 1800, a, b) for key, slot, a, b in data])

    @rule(data=st.lists(st.tuples(st.sampled_from(COUNTERS), slots, st.integers(0, 200)), min_size=1, max_size=20))
    def counters(self, data: list[tuple[str, int, int]]) -> None:
        self.take(
            [
                (key, T0 + slot * 1800, (2**32 - 40_000 + slot * 1000 + wobble) % 2**32, wobble)
                for key, slot, wobble in data
            ]
        )

    @rule(data=st.data())
    def old_rows_again(self, data: Any) -> None:
        if self.sent:
            rows = data.draw(st.sampled_from(self.sent))
            self.take([(key, at, *self.truth[key, at]) for key, at, _, _ in rows])

    @rule(data=st.data())
    def a_batch_again(self, data: Any) -> None:
        if self.sent:
            number = data.draw(st.integers(1, len(self.sent)))
            assert send(self.sent[number - 1], key=f"b{number}").resent

    @rule()
    def seal(self) -> None:
        operations.seal(now=NOW)

    @rule()
    def compact(self) -> None:
        operations.compact(now=NOW, least=1)

    @invariant()
    def exact(self) -> None:
        assert stored() == self.truth
        for key in LINEAR:
            mine = [value for (name, _), value in self.truth.items() if name == key]
            assert day_totals(key) == (len(mine), sum(a for a, _ in mine), sum(b for _, b in mine))
        for key in COUNTERS:
            mine = {at: value for (name, at), value in self.truth.items() if name == key}
            n, v_in, v_out = day_totals(key)
            assert n == len(mine)
            assert v_in == counter_total({at: a for at, (a, _) in mine.items()})
            assert v_out == counter_total({at: b for at, (_, b) in mine.items()})

    def teardown(self) -> None:
        assert faults() == []


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE usage_batch, usage_blob, usage_state_page, usage_day_page, usage_segment, usage_quarantine,"
            " usage_counter_start"
        )


def test_any_history_is_counted_exactly(db: Any, series: Path) -> None:
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=12,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        ),
    )


def test_the_order_of_arrival_does_not_matter(db: Any, series: Path) -> None:
    whole = [(key, T0 + i * 900, 1000 * i, 7 * i) for key in ("t0", "c0", "c1") for i in range(40)]

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.randoms(use_true_random=False), st.integers(1, 9))
    def in_any_order(random: Any, parts: int) -> None:
        clear()
        rows = list(whole)
        random.shuffle(rows)
        for part in range(parts):
            send(rows[part::parts] + rows[:5], key=f"k{part}")
        assert day_totals("t0") == (40, 780_000, 7 * 780)
        assert day_totals("c0") == (40, 39_000, 273)
        assert day_totals("c1") == (40, 39_000, 273)

    in_any_order()
    assert faults() == []


@pytest.mark.parametrize("same", [True, False], ids=["the same batches", "overlapping batches"])
def test_several_writers_at_once(committed_db: Any, series: Path, same: bool) -> None:
    problems: list[BaseException] = []
    whole = [(key, T0 + i * 300, i, 1) for i in range(120) for key in ("t0", "t1", "t150", "c0")]

    def write(number: int) -> None:
        try:
            rng = np.random.default_rng(7 if same else number)
            for _ in range(25):
                begin = int(rng.integers(0, len(whole) - 60))
                send(whole[begin : begin + 60])
            send(whole[number::4])
        except BaseException as fault:
            problems.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    sealer = threading.Thread(target=lambda: (_seal_often(problems), connection.close()))
    for thread in (*threads, sealer):
        thread.start()
    for thread in (*threads, sealer):
        thread.join()
    assert problems == []
    assert day_totals("t0") == (120, sum(range(120)), 120)
    assert day_totals("t150") == (120, sum(range(120)), 120)
    assert day_totals("c0") == (120, 119, 0)
    assert len(stored()) == 480
    assert faults() == []


def _seal_often(problems: list[BaseException]) -> None:
    try:
        for _ in range(8):
            operations.seal(now=NOW)
            operations.compact(now=NOW, least=2)
    except BaseException as fault:
        problems.append(fault)
