"""Batches taken in exactly once: what each answer says, and that totals and samples stay exact."""

from typing import Any

import numpy as np
import pytest

from coulance.usage import operations, queries, registry, validating
from coulance_core.catalog.meters import Meter, MeterKind
from coulance_core.kernel import Period, unit
from tests.usage.support import NOW, SERIES, T0, day_totals, faults, send, stored

pytestmark = pytest.mark.usefixtures("series")


def test_new_samples_are_accepted_and_counted(db: Any) -> None:
    answer = send([("t0", T0, 5, 7), ("t1", T0, 1, 2), ("t0", T0 + 300, 10, 20)])
    assert (answer.accepted, answer.duplicate, answer.late, answer.rejected_rows) == (3, 0, 0, 0)
    assert stored() == {("t0", T0): (5, 7), ("t0", T0 + 300): (10, 20), ("t1", T0): (1, 2)}
    assert day_totals("t0") == (2, 15, 27)
    assert faults() == []


def test_a_whole_batch_again_is_answered_as_before(db: Any) -> None:
    rows = [("t0", T0 + i * 300, i, i) for i in range(50)]
    first = send(rows)
    again = send(rows)
    assert again.resent
    assert not first.resent
    assert again.revision == first.revision
    assert day_totals("t0") == (50, sum(range(50)), sum(range(50)))


@pytest.mark.parametrize(
    ("reading", "stored_as"),
    [("9223372036854775.807", 2**63 - 1), (2**64 - 1, None), (2**63 + 1, None), (2**62, None), (5, 5000)],
)
def test_a_scaled_counter_takes_what_it_has_room_for(reading: Any, stored_as: int | None) -> None:
    meter = Meter("energy", "Energy", MeterKind.COUNTER, unit("GB"), counter_bits=64, scale=3)
    table = registry.build({"e0": (1, "energy", "UTC")}, {"energy": meter})
    columns = operations.from_lists({"series": ["e0"], "at": [T0], "value": [reading]})
    valid, found, _ = validating.validate(columns, table, recorded_at=NOW, kept_from=None)
    assert valid.rows.v_in.tolist() == ([] if stored_as is None else [stored_as])
    assert [fault.reason for fault in found] == ([] if stored_as else ["too large at its meter's scale"])


def test_a_key_belongs_to_one_batch(db: Any) -> None:
    send([("t0", T0, 5, 7)], key="file-1")
    assert send([("t0", T0, 5, 7)], key="file-1").resent
    assert not send([("t0", T0, 5, 7)], key="file-1", source="another").resent
    with pytest.raises(operations.UnableToIngestError, match="file-1"):
        send([("t0", T0, 5, 8)], key="file-1")
    assert stored() == {("t0", T0): (5, 7)}


def test_overlap_corrections_and_late_samples(db: Any) -> None:
    send([("t0", T0 + i * 300, 100, 10) for i in range(10) if i != 4])
    answer = send([("t0", T0 + i * 300, 100 if i != 7 else 30, 10) for i in range(2, 12)])
    assert (answer.accepted, answer.duplicate, answer.late, answer.corrected) == (2, 6, 1, 1)
    assert day_totals("t0") == (12, 1130, 120)
    assert stored()["t0", T0 + 7 * 300] == (30, 10)
    assert faults() == []


def test_the_newest_sample_corrected(db: Any) -> None:
    send([("t0", T0, 5, 7)])
    answer = send([("t0", T0, 6, 7)])
    assert (answer.corrected, answer.accepted) == (1, 0)
    assert day_totals("t0") == (1, 6, 7)
    assert queries.series_state(series=[1]).last_in.tolist() == [6]
    again = send([("t0", T0, 6, 7)], key="other")
    assert again.duplicate == 1
    assert faults() == []


def test_twins_inside_a_batch(db: Any) -> None:
    answer = send([("t0", T0, 5, 7), ("t0", T0, 5, 7), ("t1", T0, 1, 1), ("t1", T0, 2, 2)])
    assert (answer.accepted, answer.duplicate, answer.corrected) == (2, 1, 1)
    assert stored() == {("t0", T0): (5, 7), ("t1", T0): (2, 2)}
    assert faults() == []


def test_counters_are_counted_as_steps(db: Any) -> None:
    send([("c0", T0, 1000, 50), ("c0", T0 + 300, 1500, 80)])
    send([("c0", T0 + 600, 1700, 80)])
    assert day_totals("c0") == (3, 700, 30)
    assert faults() == []


def test_a_32_bit_counter_wraps(db: Any) -> None:
    send([("c0", T0, 2**32 - 100, 0)])
    send([("c0", T0 + 300, 400, 0)])
    assert day_totals("c0") == (2, 500, 0)


def test_a_late_reading_of_a_counter_splits_its_step(db: Any) -> None:
    send([("c0", T0 + i * 300, 1000 * i, 10 * i) for i in range(20) if i not in (5, 6)])
    before = day_totals("c0")
    answer = send([("c0", T0 + 5 * 300, 5000, 50), ("c0", T0 + 6 * 300, 6000, 60), ("c0", T0 + 20 * 300, 20_000, 200)])
    assert (answer.late, answer.accepted) == (2, 1)
    assert before == (18, 19_000, 190)
    assert day_totals("c0") == (21, 20_000, 200)
    assert faults() == []


def test_a_backfill_before_all_a_counter_has(db: Any) -> None:
    send([("c0", T0 + i * 300, 1000 * i, 0) for i in range(10, 20)])
    answer = send([("c0", T0 + i * 300, 1000 * i, 0) for i in range(3, 12)])
    assert (answer.late, answer.duplicate) == (7, 2)
    assert day_totals("c0") == (17, 16_000, 0)
    assert faults() == []


def test_a_corrected_counter_reading(db: Any) -> None:
    send([("c0", T0 + i * 300, 1000 * i, 0) for i in range(10)])
    send([("c0", T0 + 9 * 300, 9500, 0), ("c0", T0 + 4 * 300, 4100, 0)])
    assert day_totals("c0") == (10, 9500, 0)
    assert faults() == []


def test_evidence_of_a_restart_beats_the_guess_of_a_wrap(db: Any) -> None:
    def batch(since: list[int | None], values: list[int], at: list[int]) -> operations.BatchAnswer:
        columns = operations.from_lists({"series": ["c0"] * len(at), "at": at, "value": values, "since": since})
        return operations.ingest_batch(columns=columns, source="test", recorded_at=NOW)

    batch([T0 - 9000, T0 - 9000], [2**32 - 100, 2**32 - 50], [T0, T0 + 300])
    batch([T0 + 400], [400], [T0 + 600])
    assert day_totals("c0") == (3, 50, 0)
    period = Period(NOW.replace(month=9, day=1), NOW)
    block = queries.series_samples(series=[SERIES["c0"][0]], period=period)
    assert block.samples.discontinuity is not None
    assert np.diff(block.samples.discontinuity).astype(bool).tolist() == [False, True]
    assert faults() == []


def test_late_evidence_of_a_restart_changes_the_count(db: Any) -> None:
    send([("c0", T0, 2**32 - 100, 0), ("c0", T0 + 300, 400, 0), ("c0", T0 + 600, 500, 0)])
    assert day_totals("c0") == (3, 600, 0)
    columns = operations.from_lists({"series": ["c0"], "at": [T0 + 900], "value": [700], "since": [T0 + 100]})
    operations.ingest_batch(columns=columns, source="test", recorded_at=NOW)
    assert day_totals("c0") == (4, 300, 0)
    assert faults() == []


def test_gauges_are_scaled_exactly(db: Any) -> None:
    columns = operations.from_lists(
        {"series": ["g0", "g0", "g0", "g0"], "at": [T0, T0 + 1, T0 + 2, T0 + 3], "value": [1, "1.5", "0.125", "0.0001"]}
    )
    answer = operations.ingest_batch(columns=columns, source="test", recorded_at=NOW)
    assert answer.accepted == 3
    assert [(r.row, r.field) for r in answer.rejected] == [(3, "in")]
    assert "finer" in answer.rejected[0].reason
    assert day_totals("g0") == (3, 2625, 0)


def test_items_are_kept_as_digests(db: Any) -> None:
    columns = operations.from_lists(
        {"series": ["seen"] * 3, "at": [T0, T0 + 1, T0 + 2], "item": ["ann", "bob", "ann"], "value": [1, 1, -1]}
    )
    operations.ingest_batch(columns=columns, source="test", recorded_at=NOW)
    rows = list(stored(["seen"]).values())
    assert rows[0][0] == rows[2][0] != rows[1][0]
    assert [sign for _, sign in rows] == [1, 1, -1]
    assert faults() == []


def test_days_are_the_contracts(db: Any) -> None:
    midnight = 1_790_028_000  # 2026-09-22 00:00 in Amsterdam
    send([("t0", midnight, 1, 0), ("t0", midnight + 300, 2, 0), ("u0", midnight, 5, 0), ("u0", midnight + 300, 9, 0)])
    period = Period(NOW.replace(month=9, day=1), NOW)
    found = queries.daily_counters(series=[1, 331], period=period)
    # Amsterdam: the interval that ended at midnight is the 21st's. New York: still the afternoon of the 21st.
    assert list(zip(found.series.tolist(), found.n.tolist(), found.v_in.tolist(), strict=True)) == [
        (1, 1, 1),
        (1, 1, 2),
        (331, 2, 4),
    ]


def test_what_changed_since_a_fence(db: Any) -> None:
    send([("t0", T0 + i * 300, 1, 1) for i in range(600)])
    send([("t5", T0, 1, 1)])
    revision = operations.fence()
    assert len(queries.touched_since(revision=revision).series) == 0
    send([("t0", T0 + 300, 9, 1), ("t1", T0, 1, 1)])
    found = queries.touched_since(revision=revision)
    assert found.series.tolist() == [1, 2]
    assert (found.revision > revision).all()
    elsewhere = Period(NOW.replace(month=10, day=20), NOW)
    assert len(queries.touched_since(revision=revision, period=elsewhere).series) == 0
    assert queries.touched_since(revision=revision, series=[2]).series.tolist() == [2]


def test_counters_agree_until_somebody_meddles(db: Any) -> None:
    send([("t0", T0 + i * 300, 3, 1) for i in range(600)] + [("c0", T0 + i * 300, 50 * i, i) for i in range(600)])
    period = Period(NOW.replace(month=9, day=20, hour=22, minute=0), NOW)
    assert queries.counters_agree(series=[1, 301, 402], period=period) == []
    with db.cursor() as cursor:
        cursor.execute("UPDATE usage_day_page SET data = set_byte(data, 4, 255) WHERE page = 0 AND day = 20717")
        cursor.execute("UPDATE usage_day_page SET data = set_byte(data, 141*24 + 4, 9) WHERE page = 1 AND day = 20718")
    found = queries.counters_agree(series=[1, 301], period=period)
    assert found
    assert {one.series for one in found} <= {1, 301}
    assert faults() != []
    assert operations.recount() > 0
    assert queries.counters_agree(series=[1, 301], period=period) == []
    assert faults() == []


def test_a_window_read_once_gives_what_two_readings_give(db: Any) -> None:
    send([("t0", T0 + i * 300, 3, i) for i in range(900)] + [("c0", T0 + i * 300, 50 * i, i) for i in range(900)])
    operations.seal(now=NOW)
    send([("t0", T0 + 300, 9, 9)])
    period = Period(NOW.replace(month=9, day=22, hour=22, minute=0), NOW.replace(month=9, day=23, hour=22, minute=0))
    ids = [1, 301]
    window = queries.window(series=ids, period=period)
    assert len(window.rows) > 900
    for lead, trail in ((0, 0), (300, 0), (86_400, 86_400), (3 * 86_400, 0)):
        plain = queries.series_samples(series=ids, period=period, lead_s=lead, trail_s=trail).samples
        taken = queries.series_samples(series=ids, period=period, lead_s=lead, trail_s=trail, within=window).samples
        for name in ("at", "v_in", "v_out", "offsets"):
            assert getattr(plain, name).tolist() == getattr(taken, name).tolist()
    other = queries.series_samples(series=[1], period=period, within=window).samples  # not of these series: read anew
    assert other.at.tolist() == queries.series_samples(series=[1], period=period).samples.at.tolist()
    assert queries.counters_agree(series=ids, period=period, within=window) == []
    with db.cursor() as cursor:
        cursor.execute("UPDATE usage_day_page SET data = set_byte(data, 141*24 + 4, 9) WHERE page = 1")
    found = queries.counters_agree(series=ids, period=period, within=window)
    assert found == queries.counters_agree(series=ids, period=period) != []
